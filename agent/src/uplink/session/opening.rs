//! Hello and Welcome.

use std::collections::HashMap;
use std::time::Duration;

use cairn_proto::v1::{self, AgentFrame, agent_frame, aggregator_frame};
use cairn_proto::{catalogue, codec};
use cairn_runtime::logging;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::{Session, Unacked, received};
use crate::ring::Head;
use crate::uplink::bearer::Bearer;
use crate::uplink::connect::Link;
use crate::uplink::wants::Wants;
use crate::uplink::{End, EndKind, Setup};

/// Frames between a session and its connection. Enough to keep the connection busy while the next
/// frame is encoded; what waits here can no longer be passed over.
const FRAMES: usize = 4;

/// Time from Hello to Welcome. An aggregator verifies the token first, which may take a call of its
/// own.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);

impl Session {
    /// Opens the stream and waits to be welcomed.
    pub(in crate::uplink) async fn begin(link: Link, setup: &Setup) -> Result<Self, End> {
        timeout(WELCOME_DEADLINE, Self::open(link, setup))
            .await
            .unwrap_or_else(|_| {
                let reason = format!("aggregator sent no Welcome within {WELCOME_DEADLINE:?}");
                Err(End::new(EndKind::Timeout, reason))
            })
    }

    async fn open(mut link: Link, setup: &Setup) -> Result<Self, End> {
        let bearer = Bearer::read(setup.token_file.as_deref())?;
        let head = setup.ring.subscribe();
        let now = *head.borrow();
        let (frames, queue) = mpsc::channel(FRAMES);
        let hello = agent_frame::Kind::Hello(hello(setup, now));
        let first = AgentFrame {
            unix_ms: setup.clock.unix_ms(),
            kind: Some(hello),
        };
        // The queue is empty and its other end is in this function.
        drop(frames.try_send(first));
        let mut request = Request::new(ReceiverStream::new(queue));
        if let Some(bearer) = &bearer {
            bearer.show(&mut request)?;
        }
        let answered = link.client.report(request).await;
        let mut incoming = answered
            .map_err(|status| End::of_status(&status))?
            .into_inner();
        let frame = received(incoming.message().await)?;
        let welcome = match frame.kind {
            Some(aggregator_frame::Kind::Welcome(welcome)) => welcome,
            // It has no room for another session now.
            Some(aggregator_frame::Kind::Drain(drain)) => return Err(End::drained(drain)),
            _ => {
                let reason = "aggregator's first frame is not Welcome: check --aggregator";
                return Err(End::new(EndKind::Protocol, reason));
            }
        };
        if !codec::SUPPORTED.contains(&welcome.row_codec) {
            let reason = format!(
                "aggregator wants row codec {}, which this agent cannot write: upgrade it",
                welcome.row_codec
            );
            return Err(End::new(EndKind::Protocol, reason));
        }
        Ok(Self {
            incoming,
            frames,
            _link: link,
            instance: shown(&welcome.aggregator_instance),
            run: now.run,
            row_codec: welcome.row_codec,
            chunk_codec: codec::choose(&welcome.chunk_codecs),
            head,
            statuses: setup.statuses.clone(),
            told: Vec::new(),
            bearer,
            defined: HashMap::new(),
            // The stream begins with the newest row; what came before is asked for.
            next_seq: now.next_seq.saturating_sub(1),
            last: None,
            acked_seq: None,
            unacked: Unacked::new(setup.metrics.unacked.clone()),
            wants: Wants::default(),
            seat: welcome.resolves.then(|| setup.names.enrol()),
            gate: None,
            slowed: logging::Repeat::new(),
            metrics: setup.metrics.clone(),
        })
    }
}

fn hello(setup: &Setup, head: Head) -> v1::Hello {
    let stock = setup.ring.stock();
    v1::Hello {
        node: setup.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        row_codecs: codec::SUPPORTED.to_vec(),
        chunk_codecs: codec::SUPPORTED.to_vec(),
        catalogue: catalogue::VERSION,
        interval_ms: setup.interval_ms,
        unix_ms: setup.clock.unix_ms(),
        run: Some((&head.run).into()),
        oldest_block: stock.oldest_block,
        next_seq: head.next_seq,
        evicted_rows: stock.evicted_of_run(),
        dropped_rows: stock.dropped_of_run(),
        earlier_runs: setup.past.runs().iter().map(Into::into).collect(),
    }
}

/// A peer's name for itself, fit for a log line.
fn shown(instance: &str) -> String {
    let cut: String = instance.chars().take(80).collect();
    logging::escape(&cut)
}
