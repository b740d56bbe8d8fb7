//! A hand-driven aggregator: answers another one exactly as a test wants, right or wrong.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Poll};

use anyhow::Result;
use bytes::Bytes;
use cairn_proto::v1;
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Asked;
use cairn_runtime::tasks::Group;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::as_it_is::AsItIs;
use crate::served::Served;

/// The frames, as bytes, that answer a request: the greeting, and then each node that is asked for.
/// `None` says nothing any more.
type Script = dyn Fn(&Asked) -> Option<Vec<Vec<u8>>> + Send + Sync;

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct FakePeer {
    /// Where it listens.
    pub addr: SocketAddr,
    asked: Arc<AtomicU64>,
    _served: Served,
}

/// The bytes of a frame.
#[must_use]
pub fn encoded(kind: Frame) -> Vec<u8> {
    v1::ReplayFrame { kind: Some(kind) }.encode_to_vec()
}

/// A right greeting: the frames with which an instance welcomes another one and lists these nodes.
#[must_use]
pub fn greeting(instance: &str, nodes: &[&str]) -> [Frame; 2] {
    let listed = |name: &&str| v1::ListedNode {
        name: (*name).to_owned(),
        live: false,
    };
    let nodes = nodes.iter().map(listed).collect();
    let welcome = v1::PeerWelcome {
        aggregator_instance: instance.to_owned(),
        version: "test".to_owned(),
    };
    let list = v1::NodeList { nodes, last: true };
    [Frame::Welcome(welcome), Frame::Nodes(list)]
}

impl FakePeer {
    /// Starts one with the certificate `server.pem` of a directory. It lists these nodes, and
    /// answers as the script says.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start<F>(dir: &Path, nodes: &[&str], script: F) -> Result<Self>
    where
        F: Fn(&v1::Recall) -> Option<Vec<Frame>> + Send + Sync + 'static,
    {
        let greeting = greeting("fake", nodes).map(encoded);
        Self::verbatim(dir, move |asked| match asked {
            Asked::Hello(_) => Some(greeting.to_vec()),
            Asked::Recall(recall) => Some(script(recall)?.into_iter().map(encoded).collect()),
        })
    }

    /// Starts one that says these bytes, whatever they are.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn verbatim<F>(dir: &Path, script: F) -> Result<Self>
    where
        F: Fn(&Asked) -> Option<Vec<Vec<u8>>> + Send + Sync + 'static,
    {
        let asked = Arc::new(AtomicU64::new(0));
        let service = Service {
            script: Arc::new(script),
            asked: Arc::clone(&asked),
            streams: Group::new("fake peer", 16),
        };
        let served = Served::start(dir, Routes::new(service))?;
        Ok(Self {
            addr: served.addr,
            asked,
            _served: served,
        })
    }

    /// How often a node was asked for.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Service {
    script: Arc<Script>,
    asked: Arc<AtomicU64>,
    streams: Group,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    async fn serve(
        self,
        mut requests: Streaming<Bytes>,
        frames: mpsc::Sender<Result<Bytes, Status>>,
    ) -> Option<()> {
        loop {
            let request = v1::ReplayRequest::decode(requests.message().await.ok()??);
            let Some(asked) = request.ok()?.kind else {
                continue;
            };
            if matches!(asked, Asked::Recall(_)) {
                self.asked.fetch_add(1, Ordering::Relaxed);
            }
            let Some(answer) = (self.script)(&asked) else {
                std::future::pending::<()>().await;
                return None;
            };
            for frame in answer {
                frames.send(Ok(frame.into())).await.ok()?;
            }
        }
    }
}

impl NamedService for Service {
    const NAME: &'static str = "cairn.v1.Peer";
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(AsItIs).streaming(service, request).await) })
    }
}

impl StreamingService<Bytes> for Service {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = Answering<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (frames, stream) = mpsc::channel(16);
            let serving = service.clone().serve(request.into_inner(), frames);
            let started = service.streams.try_spawn(async move {
                serving.await;
            });
            started.map_err(|full| Status::resource_exhausted(full.to_string()))?;
            Ok(Response::new(ReceiverStream::new(stream)))
        })
    }
}
