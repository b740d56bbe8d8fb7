//! What each kind of frame does.

use std::sync::Arc;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::{codec, limits, v1, wire};
use cairn_runtime::{logging, tasks};
use tokio::task::{coop, yield_now};
use tokio::time::Instant;
use tonic::Status;

use super::super::Identity;
use super::super::names::names;
use super::placing::{Judged, Refused, Settled};
use super::{End, Inner, Paced, Served, fault};
use crate::store::{Applied, Defined, Door, Error, PodName, Session, SourceState, WireRow};

/// Payloads from this size on are decoded on a thread of their own: about a millisecond of work, and
/// the keyframe of a node of 100 pods is smaller.
const LARGE_PAYLOAD: usize = 64 << 10;

/// Chunks of so many cells are, too, however short they are: a column that stands still is two bits an
/// entity and sixteen cells. A block of 100 pods with every field of the catalogue has somewhat more;
/// to take in a part of it, which makes rows of it, are some ten milliseconds of work.
const LARGE_CHUNK: usize = 256 << 10;

/// Rows whose predecessor has so many bytes, decoded, are too, however short they are: who repeats a
/// large row says so in a few bytes.
const LARGE_ROW: u64 = 1 << 20;

/// Rows one after the other whose ticks are not kept, before the stream ends. A clock that is
/// corrected costs a few.
const MAX_OUTSIDE: u32 = 32;

impl Served {
    /// Applies one frame. Between two frames the task lets others run, so that a stream that never
    /// runs dry has a thread no longer than another.
    pub(super) async fn apply(&mut self, frame: v1::AgentFrame) -> Result<(), End> {
        if let Err(over) = self.inner.auth.admits(&self.identity) {
            let status = Status::unauthenticated(over.to_string());
            return Err(End::Refused("revoked", status));
        }
        let Some(kind) = frame.kind else {
            self.inner.metrics.frame("unknown");
            return Ok(());
        };
        self.inner.metrics.frame(word(&kind));
        self.pay(Paced::Frames, 1).await;
        // What was asked for is bounded where it is asked for.
        if !matches!(kind, Kind::Chunk(_)) {
            let bytes = u32::try_from(kind.encoded_len()).unwrap_or(u32::MAX);
            self.pay(Paced::Bytes, bytes).await;
        }
        coop::consume_budget().await;
        match kind {
            Kind::Hello(_) => Err(fault("hello", "a second Hello in one stream")),
            Kind::Define(define) => self.define(define).await,
            Kind::Row(row) => self.row(row, frame.unix_ms).await,
            Kind::Chunk(chunk) => self.chunk(chunk).await,
            Kind::Gap(gap) => self.gap(&gap),
            Kind::SourceStatus(status) => {
                self.source(status);
                Ok(())
            }
            Kind::Resolve(resolve) => {
                let ids = resolve.runtime_ids.len().max(resolve.pod_uids.len());
                if ids > limits::MAX_RESOLVE_IDS {
                    return Err(fault("resolve", "too many ids in one Resolve"));
                }
                let names = names(&self.inner.cluster, &self.session.node, &resolve);
                self.send(Answer::Names(names)).await
            }
            Kind::Token(token) => self.renew(&token).await,
            Kind::Bye(bye) => {
                self.ack().await?;
                let reason = logging::escape(&wire::cut(bye.reason));
                tracing::info!(node = %self.session.node, reason, "agent said goodbye");
                Err(End::Gone("bye"))
            }
        }
    }

    async fn define(&mut self, define: v1::Define) -> Result<(), End> {
        let id = EntityId(define.id);
        let defined = match wire::define(define) {
            Ok(def) if def.kind == EntityKind::Node && def.name != self.session.node => {
                Err(fault("define", "a node of another name than the stream's"))?
            }
            Ok(def) => self.place(def),
            Err(error) if error.refuses_entity() => {
                self.inner.metrics.refused_entity();
                tracing::debug!(node = %self.session.node, entity = id.0, %error, "entity refused");
                self.inner.store.refuse(&self.session, id)
            }
            Err(error) => return Err(fault("define", error.to_string())),
        };
        match defined.map_err(|error| self.refused(&error))? {
            Defined::Known => {}
            // What is refused costs the same, so that nobody gains by being refused.
            Defined::New | Defined::Refused => self.pay(Paced::Entities, 1).await,
        }
        Ok(())
    }

    /// Names an entity to the store if it is on this node.
    fn place(&mut self, def: EntityDef) -> Result<Defined, Error> {
        let id = def.id;
        let Inner { cluster, store, .. } = &*self.inner;
        let node = &self.session.node;
        let is_held_of = |def: &EntityDef| {
            let pod = PodName {
                namespace: &def.namespace,
                name: &def.name,
                uid: &def.uid,
            };
            store.has_pod(node, &pod)
        };
        match self.placing.judge(cluster, node, &def, is_held_of) {
            Judged::Here => self.inner.store.define(&self.session, def),
            Judged::Held => self.inner.store.refuse(&self.session, id),
            Judged::Refused(refused) => {
                self.say_refused(refused, &def);
                self.inner.store.refuse(&self.session, id)
            }
        }
    }

    /// Names to the store what the watch has meanwhile.
    fn settle(&mut self) -> Result<(), End> {
        if !self.placing.is_waiting() {
            return Ok(());
        }
        let (cluster, node) = (&self.inner.cluster, &self.session.node);
        let Settled { named, gone, late } = self.placing.settle(cluster, node);
        for def in named {
            let defined = self.inner.store.define(&self.session, def);
            defined.map_err(|error| self.refused(&error))?;
        }
        for (def, refused) in gone {
            self.say_refused(refused, &def);
        }
        let Some(late) = late else {
            return Ok(());
        };
        let text = format!(
            "the cluster has {} on this node only now, and its parts were let go meanwhile: connect again \
             and name all",
            logging::escape(&late.name)
        );
        Err(End::Refused("late", Status::unavailable(text)))
    }

    fn say_refused(&mut self, refused: Refused, def: &EntityDef) {
        self.inner.metrics.refused_place(refused.word());
        if let Some(times) = self.refused.should_log(Instant::now(), false) {
            tracing::warn!(
                node = %self.session.node, namespace = def.namespace, name = def.name,
                uid = def.uid, reason = refused.word(), times,
                "agent names what the cluster does not have on its node: its values are passed over"
            );
        }
    }

    /// Runs work of the store that decodes a payload: large ones on a thread of their own, few at a
    /// time, so that no stream holds up the others' threads.
    async fn decode<T: Send + 'static>(
        &mut self,
        is_large: bool,
        work: impl FnOnce(&dyn Door, &Session) -> T + Send + 'static,
    ) -> Result<T, End> {
        if !is_large {
            let done = work(&*self.inner.store, &self.session);
            yield_now().await;
            return Ok(done);
        }
        let broken = || End::Refused("defect", Status::internal("the frame could not be read"));
        let turn = Arc::clone(&self.inner.large).acquire_owned().await;
        let turn = turn.map_err(|_| broken())?;
        let (store, session) = (Arc::clone(&self.inner.store), self.session.clone());
        // The turn ends with the work, also when the stream ends before it.
        let work = tasks::blocking("decode", move || {
            let done = work(&*store, &session);
            drop(turn);
            done
        });
        work.await.map_err(|_| broken())
    }

    async fn row(&mut self, row: v1::Row, sent_ms: u64) -> Result<(), End> {
        self.pay(Paced::Rows, 1).await;
        self.settle()?;
        self.inner.metrics.payload(row.payload.len());
        let (seq, tick_ms) = (row.seq, row.tick);
        let now_ms = self.inner.clock.unix_ms();
        let is_large = row.payload.len() >= LARGE_PAYLOAD || self.row_bytes >= LARGE_ROW;
        let append = self.decode(is_large, move |store, session| {
            let wire = WireRow {
                seq,
                base_seq: row.base_seq,
                tick_ms,
                payload: &row.payload,
                sent_ms,
                now_ms,
            };
            let applied = store.append(session, wire)?;
            Ok((applied, store.row_bytes(session)))
        });
        let appended = append.await?;
        let (applied, row_bytes) = appended.map_err(|error| self.refused(&error))?;
        self.row_bytes = row_bytes;
        self.inner.metrics.row(applied);
        self.applied_seq = Some(seq);
        self.unacked_at.get_or_insert_with(Instant::now);
        if matches!(applied, Applied::TooOld | Applied::TooNew) {
            tracing::debug!(node = %self.session.node, tick_ms, ?applied, "row not kept");
            return self.outside();
        }
        self.outside_rows = 0;
        if matches!(applied, Applied::Applied | Applied::Late) {
            self.look_back(seq);
        }
        Ok(())
    }

    /// Ends a stream that sends nothing but rows that are not kept.
    fn outside(&mut self) -> Result<(), End> {
        self.outside_rows += 1;
        if self.outside_rows < MAX_OUTSIDE {
            return Ok(());
        }
        let text = format!(
            "the ticks of the last {MAX_OUTSIDE} rows lie outside of the window: check the clock of \
             the node"
        );
        Err(End::Refused("outside", Status::failed_precondition(text)))
    }

    /// When a row begins another block than the last one looked at, the blocks between are sealed:
    /// what was passed over of them can be asked for now.
    fn look_back(&mut self, seq: u64) {
        let before = std::mem::replace(&mut self.looked_at_seq, seq);
        let sealed = before / limits::BLOCK_ROWS..seq / limits::BLOCK_ROWS;
        if !sealed.is_empty() && !self.welcome.chunk_codecs.is_empty() {
            self.history
                .add(self.inner.store.missing(&self.session, sealed));
        }
    }

    async fn chunk(&mut self, chunk: v1::Chunk) -> Result<(), End> {
        self.inner.metrics.payload(chunk.payload.len());
        let run = wire::run(chunk.run.as_ref()).map_err(|e| fault("chunk", e.to_string()))?;
        let first = self.keep_whole();
        if self.history.answered(run, chunk.block..=chunk.block) == 0 {
            return Err(fault("chunk", "a chunk that was not asked for"));
        }
        self.history.weighed(chunk.payload.len());
        self.inner.pressure.took(chunk.payload.len() as u64);
        if chunk.block < first {
            self.inner.metrics.useless_chunk();
            return Ok(());
        }
        let is_large = chunk.payload.len() >= LARGE_PAYLOAD
            || codec::chunk::Sealed::most_cells(&chunk.payload) >= LARGE_CHUNK;
        let now_ms = self.inner.clock.unix_ms();
        let take = self.decode(is_large, move |store, session| {
            store.take(session, chunk.block, &chunk.payload, now_ms)
        });
        let taken = take.await?;
        match taken {
            Ok(rows) => self.inner.metrics.history(rows),
            // A node may be so large that its rows fit live and not as a block: that is a gap, and
            // no fault of the agent's.
            Err(Error::Decode {
                source: codec::Error::Limit(_),
                ..
            }) => {
                self.inner.metrics.gap(limits::BLOCK_ROWS);
                self.inner.store.gap(&self.session, limits::BLOCK_ROWS);
            }
            Err(error) => return Err(self.refused(&error)),
        }
        Ok(())
    }

    fn gap(&mut self, gap: &v1::Gap) -> Result<(), End> {
        let run = wire::run(gap.run.as_ref()).map_err(|e| fault("gap", e.to_string()))?;
        let (first, last) = (gap.first_seq, gap.last_seq);
        if first > last {
            return Err(fault("gap", "a gap that ends before it begins"));
        }
        let blocks = first / limits::BLOCK_ROWS..=last / limits::BLOCK_ROWS;
        let answered = self.history.answered(run, blocks);
        if gap.reason() != v1::GapReason::Open {
            // No more than was asked for, whatever the agent says.
            let rows = (answered * limits::BLOCK_ROWS).min((last - first).saturating_add(1));
            self.inner.metrics.gap(rows);
            self.inner.store.gap(&self.session, rows);
        }
        Ok(())
    }

    fn source(&mut self, status: v1::SourceStatus) {
        let state = SourceState {
            name: logging::escape(&wire::cut(status.source.clone())),
            ok: status.state() == v1::SourceState::Ok,
            since_ms: status.since_ms,
            reason: logging::escape(&wire::cut(status.reason)),
        };
        self.inner.store.source(&self.session, state);
    }

    async fn renew(&mut self, token: &v1::Token) -> Result<(), End> {
        if matches!(self.identity, Identity::Certified(_)) {
            // It is not known by its token.
            return Ok(());
        }
        match self.inner.auth.identify_token(Some(&token.bearer)).await {
            Ok(identity) if identity.may_report(&self.session.node) => {
                self.identity = identity;
                Ok(())
            }
            Ok(_) => {
                let status = Status::permission_denied("the new token belongs to another node");
                Err(End::Refused("token", status))
            }
            // It may be known when the agent comes back with it; until its end the old one is good.
            Err(refusal) if !refusal.is_lasting() => Ok(()),
            Err(refusal) => Err(End::Refused("token", refusal.status())),
        }
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Hello(_) => "hello",
        Kind::Define(_) => "define",
        Kind::Row(_) => "row",
        Kind::Chunk(_) => "chunk",
        Kind::Gap(_) => "gap",
        Kind::SourceStatus(_) => "source_status",
        Kind::Resolve(_) => "resolve",
        Kind::Token(_) => "token",
        Kind::Bye(_) => "bye",
    }
}
