//! A hand-driven aggregator: answers another one exactly as a test wants, right or wrong.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use cairn_proto::v1;
use cairn_proto::v1::peer_server::PeerServer;
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Asked;
use cairn_runtime::tasks::Group;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::served::Served;

/// What to answer when a node is asked for; `None` says nothing any more.
type Script = dyn Fn(&v1::Recall) -> Option<Vec<Frame>> + Send + Sync;

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct FakePeer {
    /// Where it listens.
    pub addr: SocketAddr,
    asked: Arc<AtomicU64>,
    _served: Served,
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
        let asked = Arc::new(AtomicU64::new(0));
        let service = Service {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            script: Arc::new(script),
            asked: Arc::clone(&asked),
            streams: Group::new("fake peer", 16),
        };
        let served = Served::start(dir, Routes::new(PeerServer::new(service)))?;
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
    nodes: Vec<String>,
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
        mut requests: Streaming<v1::ReplayRequest>,
        frames: mpsc::Sender<Result<v1::ReplayFrame, Status>>,
    ) -> Option<()> {
        let send = async |kind| {
            let frame = v1::ReplayFrame { kind: Some(kind) };
            frames.send(Ok(frame)).await.ok()
        };
        loop {
            match requests.message().await.ok()??.kind {
                Some(Asked::Hello(_)) => {
                    send(Frame::Welcome(v1::PeerWelcome {
                        aggregator_instance: "fake".to_owned(),
                        version: "test".to_owned(),
                    }))
                    .await?;
                    let listed = |name: &String| v1::ListedNode {
                        name: name.clone(),
                        live: false,
                    };
                    let nodes = self.nodes.iter().map(listed).collect();
                    send(Frame::Nodes(v1::NodeList { nodes, last: true })).await?;
                }
                Some(Asked::Recall(recall)) => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    let Some(answer) = (self.script)(&recall) else {
                        std::future::pending::<()>().await;
                        return None;
                    };
                    for frame in answer {
                        send(frame).await?;
                    }
                }
                None => {}
            }
        }
    }
}

#[tonic::async_trait]
impl v1::peer_server::Peer for Service {
    type ReplayStream = ReceiverStream<Result<v1::ReplayFrame, Status>>;

    async fn replay(
        &self,
        request: Request<Streaming<v1::ReplayRequest>>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        let (frames, stream) = mpsc::channel(16);
        let serving = self.clone().serve(request.into_inner(), frames);
        let started = self.streams.try_spawn(async move {
            serving.await;
        });
        started.map_err(|full| Status::resource_exhausted(full.to_string()))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
