//! Hello and Welcome.

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::catalogue;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::v1::{self, AgentFrame, agent_frame, aggregator_frame};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::Session;
use crate::fleet::connect::Link;
use crate::fleet::encode;
use crate::fleet::end::{End, received};
use crate::fleet::life::Life;
use crate::fleet::shared::{Agent, Living, Shared};
use crate::fleet::tally;
use crate::fleet::wants::Wants;

/// Frames between a session and its connection, as an agent has: what waits here can no longer be
/// passed over.
const FRAMES: usize = 4;

/// Time from Hello to Welcome.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);

impl Session {
    /// Opens the `uplink`th stream of an agent and waits to be welcomed.
    pub(in crate::fleet) async fn begin(
        link: Link,
        shared: &Arc<Shared>,
        agent: &Agent,
        uplink: usize,
    ) -> Result<Self, End> {
        let opened = timeout(WELCOME_DEADLINE, Self::open(link, shared, agent, uplink));
        let late = |_| Err(End::new("the aggregator sent no Welcome in time"));
        opened.await.unwrap_or_else(late)
    }

    async fn open(
        mut link: Link,
        shared: &Arc<Shared>,
        agent: &Agent,
        uplink: usize,
    ) -> Result<Self, End> {
        let (life, pulse) = (agent.life(), shared.pulse.subscribe());
        let rows = pulse.borrow().rows;
        let (frames, queue) = mpsc::channel(FRAMES);
        let hello = AgentFrame {
            unix_ms: shared.clock.unix_ms(),
            kind: Some(agent_frame::Kind::Hello(hello(shared, agent, &life, rows))),
        };
        // The queue is empty and its other end is in this function.
        drop(frames.try_send(hello));
        let mut request = Request::new(ReceiverStream::new(queue));
        let bearer = format!("Bearer {}", shared.naming.token(agent.index));
        let mut bearer =
            MetadataValue::try_from(bearer).map_err(|error| End::new(error.to_string()))?;
        bearer.set_sensitive(true);
        request.metadata_mut().insert("authorization", bearer);
        let answered = link.client.report(request).await;
        let answered = answered.map_err(|status| End::of_status(&status))?;
        let mut incoming = answered.into_inner();
        let frame = received(incoming.message().await)?;
        let welcome = match frame.kind {
            Some(aggregator_frame::Kind::Welcome(welcome)) => welcome,
            // It has no room for another session now.
            Some(aggregator_frame::Kind::Drain(drain)) => return Err(End::drained(&drain)),
            _ => return Err(End::new("the aggregator's first frame is not Welcome")),
        };
        if !encode::writes(welcome.row_codec) {
            return Err(End::new("the aggregator wants a codec that is not known"));
        }
        tally::add(&shared.tally.sessions, 1);
        Ok(Self {
            shared: Arc::clone(shared),
            agent: agent.index,
            life,
            phase: shared.phase(agent.index),
            pulse,
            incoming,
            frames,
            _link: link,
            living: Living::enter(shared, agent.index, uplink),
            seat: None,
            chunk_codec: encode::of_chunks(&welcome.chunk_codecs),
            // The stream begins with the newest row; what came before is asked for.
            next_row: rows.saturating_sub(1).max(life.first_row),
            last: None,
            wants: Wants::default(),
        })
    }
}

fn hello(shared: &Shared, agent: &Agent, life: &Life, rows: u64) -> v1::Hello {
    let oldest_block = life.oldest_block(rows, &shared.grid);
    v1::Hello {
        node: shared.naming.node(agent.index),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        row_codecs: encode::offered(),
        chunk_codecs: encode::offered(),
        catalogue: catalogue::VERSION,
        interval_ms: shared.grid.interval_ms,
        unix_ms: shared.clock.unix_ms(),
        run: Some((&life.run).into()),
        oldest_block,
        next_seq: life.seq(rows),
        evicted_rows: oldest_block * BLOCK_ROWS,
        dropped_rows: agent.dropped(life.rows(oldest_block, u64::MAX).start),
        earlier_runs: Vec::new(),
    }
}
