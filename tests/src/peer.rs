//! A hand-driven aggregator: answers another one exactly as a test wants, right or wrong.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cairn_proto::catalogue::{Group as Kept, Source, table};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::model::{Builder, EntityId, Stamp};
use cairn_proto::v1;
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Asked;
use cairn_runtime::tasks::Group;
use prost::Message as _;
use tonic::Streaming;
use tonic::service::Routes;

use crate::as_it_is::{Says, Talk, Talking};
use crate::served::Served;
use crate::system::System;

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

/// The run that its nodes report: no agent has it.
#[must_use]
pub fn of_run() -> v1::Run {
    v1::Run {
        boot_id: vec![9; 16],
        epoch_ms: 1,
        clock_stepped: false,
    }
}

/// Says that what comes is of a run of a node, which reported until `arrived_ms`.
#[must_use]
pub fn run(node: &str, arrived_ms: u64) -> Frame {
    Frame::Run(v1::RecalledRun {
        node: node.to_owned(),
        run: Some(of_run()),
        interval_ms: 10_000,
        offset_ms: 0,
        arrived_ms,
    })
}

/// Names the node itself.
#[must_use]
pub fn define(node: &str) -> Frame {
    Frame::Define(v1::Define {
        id: 1,
        kind: v1::EntityKind::Node.into(),
        name: node.to_owned(),
        ..v1::Define::default()
    })
}

/// A block of the run, of this payload.
#[must_use]
pub fn of_chunk(payload: Vec<u8>) -> Frame {
    Frame::Chunk(v1::Chunk {
        run: Some(of_run()),
        block: 0,
        codec: DENSE,
        payload,
    })
}

/// A snapshot to be: the first entity has memory in use, measured at the tick.
#[must_use]
pub fn one_value(tick_ms: u64) -> Builder {
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    builder.value(EntityId(1), table::MEMORY_USAGE, 77);
    builder.stamp(EntityId(1), Kept::Memory, stamp);
    builder
}

/// The payload of a block of one row that is good in itself.
#[must_use]
pub fn chunk_at(tick_ms: u64) -> Vec<u8> {
    let row = RowOf {
        offset: 0,
        tick: tick_ms,
        snapshot: &one_value(tick_ms).build(),
    };
    chunk::encode(DENSE, &[row])
}

/// Says that nothing more comes of a node.
#[must_use]
pub fn end(node: &str) -> Frame {
    Frame::End(v1::RecallEnd {
        node: node.to_owned(),
    })
}

/// Kills the system's aggregator and starts it beside these peers, to whom it shows this token file.
///
/// # Errors
///
/// When there is none, or it does not come up.
pub fn restart_beside(system: &mut System, peers: &[SocketAddr], token_file: &str) -> Result<()> {
    let path = |name: &str| system.path(name).display().to_string();
    let flags = ["--peer-ca", "--peer-token-file"];
    let files = [path("ingest-ca.pem"), path(token_file)];
    let flags = flags.map(str::to_owned).into_iter().zip(files);
    let mut args: Vec<String> = flags.flat_map(|(flag, file)| [flag, file]).collect();
    for peer in peers {
        args.extend(["--peer".to_owned(), format!("https://{peer}")]);
    }
    system.options.extra_aggregator_args = args;
    let aggregator = system.aggregator.take();
    aggregator.context("no aggregator runs")?.kill9()?;
    system.start_aggregator()
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
        let served = Served::start(dir, Routes::new(Talking(service)))?;
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
    async fn serve(self, mut requests: Streaming<Bytes>, frames: Says) -> Option<()> {
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

impl Talk for Service {
    const NAME: &'static str = "cairn.v1.Peer";

    fn streams(&self) -> &Group {
        &self.streams
    }

    async fn talk(self, requests: Streaming<Bytes>, frames: Says) {
        self.serve(requests, frames).await;
    }
}
