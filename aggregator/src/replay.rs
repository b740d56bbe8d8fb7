//! What aggregators get from each other: history that no agent's ring has any more.
//!
//! ```text
//! ingest --wishes--> address (one task each) ==Replay==> peer ==chunks==> store
//! peers ==Replay==> answer (one task a stream) --reads--> store
//! ```
//!
//! A node's agent gives the rows of its own run. Those of the runs before are in other aggregators
//! only, and so is all of a node whose agent is gone. Every address of each `--peer` host is asked
//! for them, node by node, while whatever the asker has, or will get from the agent, is left out.
//!
//! Bounds: [`MAX_STREAMS`] answered at once, two frames waiting for each; two nodes asked for at
//! once of each address, with 256 KiB of frames under way; each node has a deadline. What a peer
//! sends is checked like what an agent sends, and a fault ends that exchange alone.

mod address;
mod answer;
mod asking;
mod connect;
mod end;
mod held;
mod host;
mod metrics;
mod ready;
mod taking;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_proto::limits::MAX_FRAME_BYTES;
use cairn_proto::v1;
use cairn_proto::v1::peer_server::PeerServer;
use cairn_runtime::clock::Clock;
use cairn_runtime::listen::Peer;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, Supervisor};
use cairn_runtime::tls;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub use metrics::Metrics;

use crate::config::Peers;
use crate::ingest::{Authenticator, Wishes};
use crate::pressure::Pressure;
use crate::store::Exchange;
use ready::Hold;

/// Aggregators that are answered at once: twice as many as anybody runs, for those that are being
/// replaced.
pub const MAX_STREAMS: usize = 16;

/// Frames that may wait for one stream. The next block is read from the window when there is room,
/// so a slow asker holds no more than these.
const FRAMES: usize = 2;

/// How often files are looked at for changes: well under the minutes that a rotation leaves.
const RELOAD: Duration = Duration::from_secs(10);

/// What every exchange needs.
#[derive(Clone, Debug)]
pub struct Replay {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    streams: Group,
    started: Instant,
    // Instances that are being asked, so that two addresses of one process are not.
    asked: Mutex<HashSet<String>>,
}

/// Parts of a [`Replay`].
#[derive(Debug)]
pub struct Parts {
    /// The window.
    pub store: Arc<dyn Exchange>,
    /// What time it is.
    pub clock: Clock,
    /// Who may ask.
    pub auth: Arc<Authenticator>,
    /// What is wished for.
    pub wishes: Wishes,
    /// How short memory is: nobody is asked while it is.
    pub pressure: Pressure,
    /// Counters.
    pub metrics: Metrics,
    /// Names this life of the process to its peers.
    pub instance: String,
    /// Where peers are noted.
    pub readiness: Readiness,
    /// Ends what is asked; what was asked of us is answered first.
    pub token: Token,
}

impl Replay {
    /// Answers from now on; asks once it is started.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let inner = Inner {
            parts,
            streams: Group::new("replay stream", MAX_STREAMS),
            started: Instant::now(),
            asked: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The gRPC service.
    #[must_use]
    pub fn service(&self) -> PeerServer<Self> {
        PeerServer::new(self.clone())
            .max_decoding_message_size(MAX_FRAME_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES)
    }

    /// Starts a task for each host. The process is not ready before each peer has given what was
    /// wished for at the start or has failed to, but at most for 45 s.
    pub fn start(&self, supervisor: &mut Supervisor, peers: &Peers) {
        let Parts {
            readiness, token, ..
        } = &self.inner.parts;
        let Some(trust) = &peers.trust else {
            return;
        };
        let reload = tls::reload_loop(vec![Arc::clone(trust).into()], RELOAD, token.clone());
        supervisor.spawn("peers' certificates", reload);
        let hold = Hold::new(readiness, token, supervisor);
        for host in &peers.hosts {
            let task = host::run(
                host.clone(),
                peers.token_file.clone(),
                Arc::clone(&self.inner),
                Arc::clone(&hold),
            );
            supervisor.spawn("peer", task);
        }
    }

    /// Waits until the streams have ended after the token was cancelled. Returns how many had to
    /// be cut off.
    pub async fn drained(&self, deadline: Duration) -> usize {
        self.inner.streams.drained(deadline).await
    }
}

impl Inner {
    /// Takes a process to be asked; `None` when it is asked already, at another address.
    fn enter(self: &Arc<Self>, instance: &str) -> Option<Seat> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(instance.to_owned()).then(|| Seat {
            inner: Arc::clone(self),
            instance: instance.to_owned(),
        })
    }
}

/// One process that is asked; leaves when dropped.
#[derive(Debug)]
struct Seat {
    inner: Arc<Inner>,
    instance: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let asked = self.inner.asked.lock();
        let mut asked = asked.unwrap_or_else(PoisonError::into_inner);
        asked.remove(&self.instance);
    }
}

#[tonic::async_trait]
impl v1::peer_server::Peer for Replay {
    type ReplayStream = ReceiverStream<Result<v1::ReplayFrame, Status>>;

    async fn replay(
        &self,
        request: Request<Streaming<v1::ReplayRequest>>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        let Parts { auth, metrics, .. } = &self.inner.parts;
        let who = request.extensions().get::<Peer>();
        let identity = auth.identify(request.metadata(), who).await;
        let identity = identity.map_err(|refusal| {
            metrics.refused("identity");
            tracing::warn!(reason = %refusal, "aggregator refused");
            refusal.status()
        })?;
        if !identity.may_replay() {
            metrics.refused("not_a_peer");
            let text = "this token is an agent's: history goes to aggregators alone, whose line in \
                        the token file begins with @peer";
            tracing::warn!(reason = text, "aggregator refused");
            return Err(Status::permission_denied(text));
        }
        let (frames, stream) = mpsc::channel(FRAMES);
        let inner = Arc::clone(&self.inner);
        let requests = request.into_inner();
        let started = self.inner.streams.try_spawn(async move {
            answer::run(inner, requests, identity, frames).await;
        });
        started.map_err(|full| {
            metrics.refused("full");
            Status::resource_exhausted(full.to_string())
        })?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
