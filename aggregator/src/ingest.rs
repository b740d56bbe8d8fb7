//! Takes in what the agents sample.
//!
//! One task a stream: it authenticates, reads `Hello`, opens the node's session in the store
//! (which fences the one before), answers `Welcome`, and then applies frame after frame. Bounds:
//! streams, by [`MAX_STREAMS`], and those of a node that are not taken yet (no `Hello`, not paid for, or
//! refused), by `unheard`; what a peer sends, by `proto::limits`, and how fast it is read, by `pace`; history that is under way, by
//! `quota`; answers waiting for a stream, by `ANSWERS`; large payloads that are decoded at once, by the
//! number of processors.
//!
//! Invariant: a frame that is refused leaves the window as it was, and ends only its own stream.

mod auth;
mod certified;
mod fence;
mod history;
mod metrics;
mod names;
mod pace;
mod quota;
mod refusal;
mod review;
mod rush;
mod session;
mod unheard;
mod wishes;

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cairn_proto::limits;
use cairn_proto::v1;
use cairn_proto::v1::ingest_server::IngestServer;
use cairn_runtime::clock::Clock;
use cairn_runtime::listen::Peer;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Group;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use auth::Identity;
pub use auth::{Authenticator, Error as AuthError};
pub use certified::{Clients, Elsewhere, OwnCa};
pub use metrics::Metrics;
pub use review::{Reviewer, Rules};
pub use wishes::Wishes;
pub(crate) use wishes::{MAX_NODES, Wish};

use crate::cluster::Cluster;
use crate::pressure::Pressure;
use crate::store::Door;
use fence::Fence;
use pace::Elapsed;
use quota::Quota;
use unheard::Unheard;

/// Streams at once: 5,000 nodes that all reconnect before their old streams are noticed.
pub const MAX_STREAMS: usize = 10_240;

/// Answers that may wait for one stream. An agent that reads none of eight is not there.
const ANSWERS: usize = 8;

/// Ends a stream's wait for its `Hello`.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// A stream that is not taken is told so after this long: its handshake cost more than anything that an
/// agent does in an hour.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// What every stream needs.
#[derive(Clone, Debug)]
pub struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Door>,
    cluster: Cluster,
    clock: Clock,
    auth: Arc<Authenticator>,
    fence: Fence,
    quota: Quota,
    unheard: Unheard,
    pressure: Pressure,
    // Turns of those who have much to decode.
    large: Arc<Semaphore>,
    metrics: Metrics,
    instance: String,
    wishes: Option<Wishes>,
    streams: Group,
    token: Token,
}

/// Parts of an [`Ingest`].
#[derive(Debug)]
pub struct Parts {
    /// The window.
    pub store: Arc<dyn Door>,
    /// What the Kubernetes API knows.
    pub cluster: Cluster,
    /// What time it is.
    pub clock: Clock,
    /// Who may report which node.
    pub auth: Arc<Authenticator>,
    /// How short memory is.
    pub pressure: Pressure,
    /// Counters.
    pub metrics: Metrics,
    /// Names this life of the process to the agents.
    pub instance: String,
    /// Where it is noted what other aggregators are to be asked for; `None` when there are none.
    pub wishes: Option<Wishes>,
    /// Ends every stream.
    pub token: Token,
}

impl Ingest {
    /// Takes streams from now on.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            cluster,
            clock,
            auth,
            pressure,
            metrics,
            instance,
            wishes,
            token,
        } = parts;
        let streams = Group::new("ingest stream", MAX_STREAMS);
        let fence = Fence::new(Elapsed::new(&clock));
        // Half of the processors, so that what is small goes on beside what is large.
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let large = Arc::new(Semaphore::new(processors.div_ceil(2)));
        Self {
            inner: Arc::new(Inner {
                store,
                cluster,
                clock,
                auth,
                fence,
                quota: Quota::new(pressure.clone()),
                unheard: Unheard::default(),
                pressure,
                large,
                metrics,
                instance,
                wishes,
                streams,
                token,
            }),
        }
    }

    /// The gRPC service.
    #[must_use]
    pub fn service(&self) -> IngestServer<Self> {
        IngestServer::new(self.clone())
            .max_decoding_message_size(limits::MAX_FRAME_BYTES)
            .max_encoding_message_size(limits::MAX_FRAME_BYTES)
    }

    /// Waits until the streams have ended after the token was cancelled. Returns how many had to
    /// be cut off.
    pub async fn drained(&self, deadline: Duration) -> usize {
        self.inner.streams.drained(deadline).await
    }
}

#[tonic::async_trait]
impl v1::ingest_server::Ingest for Ingest {
    type ReportStream = ReceiverStream<Result<v1::AggregatorFrame, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let inner = Arc::clone(&self.inner);
        let who = request.extensions().get::<Peer>();
        let peer = who.map(|peer| peer.addr);
        let identity = inner.auth.identify(request.metadata(), who).await;
        let identity = identity.map_err(|refusal| {
            inner.metrics.refused_identity(&refusal);
            tracing::warn!(peer = ?peer, reason = %refusal, "agent refused");
            refusal.status()
        })?;
        if identity.may_replay() && identity != Identity::Anyone {
            inner.metrics.refused("peer");
            let text = "this token is another aggregator's: it may ask for history and report \
                        nothing";
            tracing::warn!(peer = ?peer, reason = text, "agent refused");
            return Err(Status::permission_denied(text));
        }
        let waiting = inner.unheard.enter(&identity).map_err(|refusal| {
            inner.metrics.refused("unheard");
            tracing::warn!(peer = ?peer, reason = %refusal, "agent refused");
            Status::resource_exhausted(refusal.to_string())
        })?;
        let (answers, stream) = mpsc::channel(ANSWERS);
        let frames = request.into_inner();
        let running = Arc::clone(&inner);
        let started = inner.streams.try_spawn(async move {
            session::run(running, frames, (identity, waiting), answers).await;
        });
        started.map_err(|full| {
            inner.metrics.refused_full();
            if inner.token.is_cancelled() {
                Status::unavailable("the aggregator is going: reconnect to another one")
            } else {
                Status::resource_exhausted(full.to_string())
            }
        })?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
