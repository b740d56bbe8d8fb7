//! What each of them sends.

use std::convert::Infallible;
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::limits::{MAX_FRAME_BYTES, MAX_RESOLVE_IDS, MAX_TEXT_BYTES};
use cairn_proto::model::{Builder, EntityId, Snapshot, Stamp};
use cairn_proto::v1::{self, agent_frame};
use cairn_runtime::shutdown::Token;
use tokio::task::yield_now;
use tonic::Status;

use super::{Kind, Member, Notes, Target};
use crate::raw::RawAgent;

/// Distance of the ticks.
const INTERVAL_MS: u64 = 10_000;

/// Far out of every window.
const HOUR_MS: u64 = 3_600_000;

/// Entities of a wide row: more than a node of 300 pods has.
const WIDE: u32 = 2_000;

/// Frames that wait for the connection: small ones travel together, large ones take memory.
const SMALL: usize = 64;
const LARGE: usize = 2;

/// A row that stands for any other.
const NARROW: u32 = 1;

/// One at work.
struct Attack {
    member: Member,
    notes: Arc<Notes>,
    target: Arc<Target>,
    // Streams so far: each is a run of its own.
    runs: u64,
    // Names so far, over all runs: none is used twice.
    names: u64,
}

/// Attacks until the token is cancelled.
pub(super) async fn run(member: Member, notes: Arc<Notes>, target: Arc<Target>, token: Token) {
    let mut attack = Attack {
        member,
        notes,
        target,
        runs: 0,
        names: 0,
    };
    loop {
        // What is dropped is a connection.
        let end = tokio::select! {
            biased;
            () = token.cancelled() => return,
            end = attack.stream() => end,
        };
        let Err(status) = end;
        attack.notes.end(&status);
        yield_now().await;
    }
}

impl Attack {
    /// One stream, until it is ended.
    async fn stream(&mut self) -> Result<Infallible, Status> {
        self.runs += 1;
        let (target, now_ms) = (Arc::clone(&self.target), self.target.now_ms());
        let to = (target.addr, target.ca.as_path());
        let queue = match self.member.kind {
            Kind::Oversized | Kind::Texts | Kind::Questions => LARGE,
            _ => SMALL,
        };
        let connected = RawAgent::with_queue(queue, to, &self.member.token, now_ms).await;
        let mut agent = connected.map_err(|error| match error.downcast::<Status>() {
            Ok(status) => status,
            Err(error) => Status::unavailable(format!("{error:#}")),
        })?;
        let node = match self.member.kind {
            Kind::Impostor => &target.victim,
            _ => &self.member.node,
        };
        let hello = agent.hello_frame(node, now_ms + self.runs);
        self.push(&mut agent, agent_frame::Kind::Hello(hello))
            .await?;
        let answer = agent.receive().await?;
        if matches!(answer, Some(v1::aggregator_frame::Kind::Welcome(_))) {
            self.notes.with(|told| told.welcomed += 1);
        }
        let own = define(1, v1::EntityKind::Node, &self.member.node);
        self.push(&mut agent, own).await?;
        match self.member.kind {
            Kind::Names => self.names(&mut agent).await,
            Kind::Keyframes => self.keyframes(&mut agent).await,
            kind => self.repeat(kind, &mut agent).await,
        }
    }

    async fn push(&self, agent: &mut RawAgent, frame: agent_frame::Kind) -> Result<(), Status> {
        agent.set_clock(self.target.now_ms());
        agent.push(frame).await?;
        self.notes.with(|told| told.frames += 1);
        Ok(())
    }

    async fn names(&mut self, agent: &mut RawAgent) -> Result<Infallible, Status> {
        for id in 2.. {
            self.names += 1;
            let name = format!("web-{}", self.names);
            self.push(agent, define(id, v1::EntityKind::Pod, &name))
                .await?;
            self.notes.with(|told| told.names += 1);
        }
        Err(Status::internal("no id is left"))
    }

    async fn keyframes(&self, agent: &mut RawAgent) -> Result<Infallible, Status> {
        for id in 2..=WIDE {
            let pod = define(id, v1::EntityKind::Pod, &format!("web-{id}"));
            self.push(agent, pod).await?;
        }
        for seq in 0.. {
            let tick = self.tick();
            let wide = row::keyframe(DENSE, tick, &snapshot(WIDE, tick));
            self.push(agent, row_of(seq, tick, wide)).await?;
        }
        Err(Status::internal("no seq is left"))
    }

    /// Sends one frame after the other.
    async fn repeat(&self, kind: Kind, agent: &mut RawAgent) -> Result<Infallible, Status> {
        for seq in 0.. {
            let frame = self.frame(kind, seq);
            self.push(agent, frame).await?;
        }
        Err(Status::internal("no seq is left"))
    }

    fn frame(&self, kind: Kind, seq: u64) -> agent_frame::Kind {
        let tick = self.tick();
        let narrow = |tick| row::keyframe(DENSE, tick, &snapshot(NARROW, tick));
        match kind {
            Kind::Future => row_of(seq, tick + HOUR_MS, narrow(tick + HOUR_MS)),
            Kind::Past => row_of(seq, tick - HOUR_MS, narrow(tick - HOUR_MS)),
            Kind::Oversized => row_of(seq, tick, vec![1; MAX_FRAME_BYTES + 1]),
            Kind::Texts => agent_frame::Kind::SourceStatus(v1::SourceStatus {
                source: "summary".to_owned(),
                reason: "x".repeat(MAX_FRAME_BYTES - MAX_TEXT_BYTES),
                ..v1::SourceStatus::default()
            }),
            Kind::Unasked => agent_frame::Kind::Chunk(v1::Chunk {
                run: Some(v1::Run {
                    boot_id: vec![7; 16],
                    epoch_ms: 1,
                    clock_stepped: false,
                }),
                block: seq,
                codec: DENSE,
                payload: Vec::new(),
            }),
            Kind::Questions => agent_frame::Kind::Resolve(v1::Resolve {
                runtime_ids: vec![format!("containerd://{seq:064x}"); MAX_RESOLVE_IDS],
                pod_uids: vec![format!("{seq:032x}"); MAX_RESOLVE_IDS],
            }),
            // The others do not come here, and a row that is cut is a fault of any.
            _ => {
                let mut cut = narrow(tick);
                cut.pop();
                row_of(seq, tick, cut)
            }
        }
    }

    /// The newest tick.
    fn tick(&self) -> u64 {
        self.target.now_ms() / INTERVAL_MS * INTERVAL_MS
    }
}

fn define(id: u32, kind: v1::EntityKind, name: &str) -> agent_frame::Kind {
    let is_pod = kind == v1::EntityKind::Pod;
    let only_pods = |text: String| if is_pod { text } else { String::new() };
    agent_frame::Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent: u32::from(is_pod),
        name: name.to_owned(),
        namespace: only_pods("hostile".to_owned()),
        uid: only_pods(format!("uid-of-{name}")),
        ..v1::Define::default()
    })
}

/// So many entities with a value each.
fn snapshot(ids: u32, tick_ms: u64) -> Snapshot {
    let mut builder = Builder::default();
    for id in 1..=ids {
        let stamp = Stamp {
            time_ms: tick_ms,
            start_ms: None,
            source: Source::Summary,
        };
        builder.value(EntityId(id), table::MEMORY_USAGE, u64::from(id) * 4096);
        builder.stamp(EntityId(id), Group::Memory, stamp);
    }
    builder.build()
}

fn row_of(seq: u64, tick: u64, payload: Vec<u8>) -> agent_frame::Kind {
    agent_frame::Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick,
        payload,
    })
}
