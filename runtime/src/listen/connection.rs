//! One connection from its acceptance to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::accept::Shared;
use super::activity::{Activity, MOST_PAUSE, Verdict, Watched};
use super::metrics::Open;
use super::peers::Place;
use super::places::Held;
use super::refusals::{Explained, mark};
use super::transport::{self, Stream};
use super::{BoxError, Closed, Peer, Refused};
use crate::logging;
use crate::tasks::Children;

/// A connection with its place in the counts.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) addr: SocketAddr,
    pub(super) activity: Activity,
    pub(super) _places: (Place, Held),
    pub(super) _open: Open,
}

impl Connection {
    pub(super) async fn run<S, B>(self, stream: TcpStream, service: S)
    where
        S: Service<
                Request<Incoming>,
                Response = Response<B>,
                Future: Send + 'static,
                Error: Into<BoxError>,
            > + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if let Err(error) = self.set_up(&stream) {
            // The peer is gone already; serving will find out.
            tracing::debug!(peer = %self.addr, %error, "cannot set up the socket");
        }
        let local = stream.local_addr().unwrap_or(self.shared.local);
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let peer = Peer {
            addr: self.addr,
            local,
            tls: None,
        };
        // Cancel safe: the connection is closed with the future.
        let opened = tokio::select! {
            biased;
            () = self.shared.token.cancelled() => return,
            why = self.activity.ended() => return self.end(why),
            opened = transport::open(&self, stream) => opened,
        };
        if let Some((stream, tls)) = opened {
            self.serve(stream, service, Peer { tls, ..peer }).await;
        }
    }

    fn set_up(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // The kernel's part of the write deadline: what is in its hands already, such as the end of
        // an answer whose body is complete, is seen by nobody else.
        let deadline = self.shared.config.write_deadline;
        SockRef::from(stream).set_tcp_user_timeout(Some(deadline))
    }

    async fn serve<S, B>(&self, stream: Stream, service: S, peer: Peer)
    where
        S: Service<
                Request<Incoming>,
                Response = Response<B>,
                Future: Send + 'static,
                Error: Into<BoxError>,
            > + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let config = &self.shared.config;
        let children = Children::new();
        let _guard = children.abort_on_drop();
        let builder = transport::builder(children, config);
        let activity = &self.activity;
        activity.opened();
        let service = Introduced {
            service,
            peer,
            activity: activity.clone(),
            shared: Arc::clone(&self.shared),
        };
        let stream = Explained::new(stream, config.max_header_bytes);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut look = pin!(tokio::time::sleep(Duration::ZERO));
        // Whether the connection was told to end when its requests do.
        let mut leaving = false;
        let result = loop {
            // Each branch is polled again by the next turn; nothing is lost by not being taken.
            tokio::select! {
                biased;
                () = self.shared.token.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                why = activity.ended() => return self.end(why),
                result = connection.as_mut() => break result.map_err(boxed),
                // hyper times headers only once it knows the protocol, and not for HTTP/2.
                () = look.as_mut() => match activity.judge(Instant::now(), config) {
                    Verdict::LookAt(then) => look.as_mut().reset(then),
                    Verdict::Idle if !leaving => {
                        config.metrics.count_closed(config.name, Closed::Idle);
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                        let pause = config.write_deadline.min(MOST_PAUSE);
                        look.as_mut().reset(Instant::now() + pause);
                    }
                    verdict => return self.cut(verdict),
                },
            }
        };
        if let Err(error) = result {
            let timed_out = error.downcast_ref().is_some_and(hyper::Error::is_timeout);
            let why = logging::chain(&*error);
            if timed_out && !activity.asked() {
                self.shared.refuse(Refused::HeaderTimeout, self.addr, &why);
            } else {
                if transport::is_malformed(&*error) {
                    config.metrics.count_closed(config.name, Closed::Malformed);
                }
                tracing::debug!(listener = config.name, peer = %self.addr, why, "connection ended");
            }
        }
    }

    /// Counts a connection whose end was ordered; it is dropped as it is.
    fn end(&self, why: Closed) {
        let config = &self.shared.config;
        config.metrics.count_closed(config.name, why);
        tracing::debug!(listener = config.name, peer = %self.addr, ?why, "connection ended");
    }

    /// Tells why the connection is dropped as it is.
    fn cut(&self, verdict: Verdict) {
        let config = &self.shared.config;
        match verdict {
            Verdict::Silent => {
                let why = "no request arrived in time";
                self.shared.refuse(Refused::HeaderTimeout, self.addr, why);
            }
            Verdict::Stalled => config.metrics.count_closed(config.name, Closed::Stalled),
            // It was told to go, and counted then.
            Verdict::Idle | Verdict::LookAt(_) => {}
        }
        tracing::debug!(listener = config.name, peer = %self.addr, ?verdict, "connection cut");
    }
}

/// An error of whichever protocol is spoken.
fn boxed(error: impl Into<BoxError>) -> BoxError {
    error.into()
}

/// A service that learns who asks, and tells what goes on.
struct Introduced<S> {
    service: S,
    peer: Peer,
    activity: Activity,
    shared: Arc<Shared>,
}

/// A request is not answered in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer in time: did all of the request's body come?")]
struct Unanswered;

impl<S, B> Service<Request<Incoming>> for Introduced<S>
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Future: Send + 'static,
            Error: Into<BoxError>,
        >,
    B: Body,
{
    type Response = Response<Watched<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        // HTTP/1 has no way to take a request back, and nobody reads the body of an answer to HEAD.
        let is_head = request.method() == Method::HEAD;
        let can_reset = request.version() == Version::HTTP_2 && !is_head;
        let mut in_flight = self.activity.begin(can_reset);
        request.extensions_mut().insert(self.peer.clone());
        // Only there is a bare answer ambiguous, and HEAD's answers say what GET's would.
        let is_ambiguous = request.version() == Version::HTTP_11 && !is_head;
        let answer = self.service.call(request);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let answered = tokio::time::timeout(shared.config.answer_deadline, answer).await;
            if !matches!(answered, Ok(Ok(_))) {
                in_flight.complete();
            }
            let Ok(answered) = answered else {
                // Of HTTP/2 the stream is reset, of HTTP/1 the connection ends.
                let config = &shared.config;
                config.metrics.count_unanswered(config.name);
                return Err(Unanswered.into());
            };
            let mut answer = answered.map_err(Into::into)?;
            let hides_end = is_ambiguous && mark(&mut answer);
            Ok(answer.map(|body| Watched::new(body, in_flight, hides_end)))
        })
    }
}
