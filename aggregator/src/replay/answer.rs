//! One stream of another aggregator, from `PeerHello` to its end.
//!
//! A block is read from the window when there is room for its frame. A process that is asked to go
//! answers what it has been asked for, and goes on as long as more is asked at once: what it holds
//! may be nowhere else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::codec;
use cairn_proto::limits::MAX_ROW_BYTES;
use cairn_proto::model::{EntityId, EntityKind, check_name};
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Request;
use cairn_proto::{stream, v1, wire};
use cairn_runtime::logging;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::Inner;
use super::held::Held;
use crate::ingest::Identity;
use crate::store::{HeldRun, Named};

/// Ends a stream's wait for its `PeerHello`.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// How long a frame may wait for a peer that does not read.
const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// A stream on which nothing is asked for so long is over: askers leave after half of it.
const SILENCE: Duration = Duration::from_secs(60);

/// The same of a process that is asked to go.
const SILENCE_LEAVING: Duration = Duration::from_millis(300);

/// Nodes of one frame of the list.
const LISTED_AT_ONCE: usize = 256;

type Frames = mpsc::Sender<Result<v1::ReplayFrame, Status>>;

/// Why a stream ends.
enum End {
    /// The asker left, or does not read.
    Gone,
    /// We end it, with this status.
    Refused(&'static str, Status),
}

fn fault(text: impl Into<String>) -> End {
    End::Refused("fault", Status::invalid_argument(text.into()))
}

/// What an error of the stream means: the asker left, or sent what is no request.
fn broken(status: &Status) -> End {
    match stream::unreadable(status) {
        Some(why) => fault(format!("a request is not one of this protocol: {why}")),
        None => End::Gone,
    }
}

/// Serves a stream until it ends; the peer is told why.
pub(super) async fn run(
    inner: Arc<Inner>,
    requests: Streaming<v1::ReplayRequest>,
    identity: Identity,
    frames: Frames,
) {
    let metrics = &inner.parts.metrics;
    metrics.streams.inc();
    let mut answering = Answering {
        inner: &inner,
        requests,
        identity,
        frames,
    };
    if let Err(End::Refused(reason, status)) = answering.serve().await {
        metrics.refused(reason);
        tracing::info!(reason = status.message(), "exchange with a peer ended");
        drop(timeout(SEND_DEADLINE, answering.frames.send(Err(status))).await);
    }
    metrics.streams.dec();
}

struct Answering<'a> {
    inner: &'a Inner,
    requests: Streaming<v1::ReplayRequest>,
    identity: Identity,
    frames: Frames,
}

impl Answering<'_> {
    async fn serve(&mut self) -> Result<(), End> {
        let hello = match timeout(HELLO_DEADLINE, self.requests.message()).await {
            Ok(Ok(Some(v1::ReplayRequest {
                kind: Some(Request::Hello(hello)),
            }))) => hello,
            Ok(Ok(_)) => return Err(fault("the first request must be PeerHello")),
            Ok(Err(status)) => return Err(broken(&status)),
            Err(_) => {
                let status = Status::deadline_exceeded("no PeerHello came within 10 s");
                return Err(End::Refused("no_hello", status));
            }
        };
        if !hello.chunk_codecs.contains(&codec::DENSE) {
            let text = "no chunk codec in common";
            return Err(End::Refused("codec", Status::failed_precondition(text)));
        }
        let peer = logging::escape(&wire::cut(hello.aggregator_instance));
        tracing::info!(peer, "peer asks for history");
        let welcome = v1::PeerWelcome {
            aggregator_instance: self.inner.parts.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.send(Frame::Welcome(welcome)).await?;
        self.list().await?;
        while let Some(request) = self.next().await? {
            match request.kind {
                Some(Request::Recall(recall)) => self.recall(recall).await?,
                Some(Request::Hello(_)) => return Err(fault("a second PeerHello in one stream")),
                None => {}
            }
        }
        Ok(())
    }

    /// The next request; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<v1::ReplayRequest>, End> {
        let token = &self.inner.parts.token;
        let asked = tokio::select! {
            biased;
            asked = timeout(SILENCE, self.requests.message()) => asked,
            () = token.cancelled() => timeout(SILENCE_LEAVING, self.requests.message()).await,
        };
        match asked {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(status)) => Err(broken(&status)),
            Err(_) if token.is_cancelled() => {
                let status = Status::unavailable("the aggregator is going: ask another one");
                Err(End::Refused("shutdown", status))
            }
            Err(_) => {
                let status = Status::deadline_exceeded("nothing was asked for too long");
                Err(End::Refused("silent", status))
            }
        }
    }

    async fn list(&self) -> Result<(), End> {
        let nodes = self.inner.parts.store.held_nodes();
        let listed = |(name, live): &(String, bool)| v1::ListedNode {
            name: name.clone(),
            live: *live,
        };
        for part in nodes.chunks(LISTED_AT_ONCE) {
            let nodes = part.iter().map(listed).collect();
            let part = v1::NodeList { nodes, last: false };
            self.send(Frame::Nodes(part)).await?;
        }
        let end = v1::NodeList {
            nodes: Vec::new(),
            last: true,
        };
        self.send(Frame::Nodes(end)).await
    }

    /// Sends what is held of a node and the asker lacks.
    async fn recall(&self, recall: v1::Recall) -> Result<(), End> {
        let parts = &self.inner.parts;
        if let Err(over) = parts.auth.admits(&self.identity) {
            let status = Status::unauthenticated(over.to_string());
            return Err(End::Refused("revoked", status));
        }
        let node = recall.node;
        check_name(EntityKind::Node, &node).map_err(|e| fault(format!("node: {e}")))?;
        let held = Held::from_wire(&recall.held).map_err(fault)?;
        for run in parts.store.held_of(&node) {
            self.run(&node, &run, &held).await?;
        }
        parts.metrics.answered_nodes.inc();
        self.send(Frame::End(v1::RecallEnd { node })).await
    }

    async fn run(&self, node: &str, run: &HeldRun, held: &Held) -> Result<(), End> {
        let parts = &self.inner.parts;
        let mut told: Option<HashSet<EntityId>> = None;
        let lacks = |(block, rows): &&(u64, u16)| held.lacks(run.run, *block, *rows);
        for (block, _) in run.blocks.iter().rev().filter(lacks) {
            // It may have expired since, and a block that was kept with others may be too large
            // alone, in theory.
            let copy = parts.store.chunk(node, run.run, *block);
            let Some(copy) = copy.filter(|copy| copy.payload.len() <= MAX_ROW_BYTES) else {
                continue;
            };
            if told.is_none() {
                let known = parts.store.known_of(node).unwrap_or_default();
                let begin = v1::RecalledRun {
                    node: node.to_owned(),
                    run: Some((&run.run).into()),
                    interval_ms: run.interval_ms,
                    offset_ms: known.offset_ms,
                    arrived_ms: known.arrived_ms,
                };
                self.send(Frame::Run(begin)).await?;
            }
            let told = told.get_or_insert_default();
            for named in copy.names.iter().filter(|named| told.insert(named.id())) {
                self.send(Frame::Define(define(named))).await?;
            }
            parts.metrics.given_chunks.inc();
            parts.metrics.given_bytes.inc_by(copy.payload.len() as u64);
            let chunk = v1::Chunk {
                run: Some((&run.run).into()),
                block: *block,
                codec: codec::DENSE,
                payload: copy.payload,
            };
            self.send(Frame::Chunk(chunk)).await?;
        }
        Ok(())
    }

    async fn send(&self, kind: Frame) -> Result<(), End> {
        let frame = v1::ReplayFrame { kind: Some(kind) };
        match timeout(SEND_DEADLINE, self.frames.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

fn define(named: &Named) -> v1::Define {
    match named {
        Named::Def(def) => def.into(),
        Named::Refused(id) => v1::Define {
            id: id.0,
            ..v1::Define::default()
        },
    }
}
