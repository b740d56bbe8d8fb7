//! The handle by which a test looks at a fleet, steps its clock and breaks it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cairn_runtime::clock::StepError;
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::tally::State;

/// How long a step of the clock may take: a window of ticks of a large fleet.
const STEP_DEADLINE: Duration = Duration::from_secs(300);

/// What the agents shall do. What an order does not name stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// Agents, from the first on, that neither read nor send from now on; 0 lets all go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<usize>,
    /// True: rows are sampled and not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<bool>,
    /// True: each row is sent at the phase of its node, in real time; on a driven clock they are all
    /// sent at once otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<bool>,
    /// True: every connection is dropped now, once.
    pub cut: bool,
    /// Agents, from the first on, that end without a word and begin another run with an empty ring.
    pub restart: usize,
}

/// The handle. A clone is the same.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) shared: Arc<Shared>,
}

impl Control {
    /// What the fleet has done so far.
    #[must_use]
    pub fn state(&self) -> State {
        let shared = &self.shared;
        let rows = shared.pulse.borrow().rows;
        let streams = shared.agents.iter().flat_map(|agent| {
            let first_row = agent.life().first_row;
            agent.uplinks.iter().map(move |uplink| (first_row, uplink))
        });
        let mut state = State {
            agents: shared.agents.len() as u64,
            rows,
            first_tick_ms: shared.grid.first_tick_ms,
            ..State::default()
        };
        let mut seqs: Vec<Option<u64>> = Vec::new();
        for (first_row, uplink) in streams {
            state.streams += 1;
            if !uplink.is_connected.load(Ordering::Relaxed) {
                continue;
            }
            state.connected += 1;
            let acked = uplink.acked_rows.load(Ordering::Relaxed);
            state.acked_newest += u64::from(acked > 0 && acked == rows);
            seqs.push(acked.checked_sub(first_row + 1));
        }
        state.acked_seq_min = seqs.iter().min().copied().flatten();
        state.acked_seq_max = seqs.iter().max().copied().flatten();
        let newest = shared.templates.iter().map(|template| template.newest());
        let newest: Vec<_> = newest.collect();
        let tick = newest.iter().flatten().map(|row| row.tick_ms).max();
        state.newest_tick_ms = tick.unwrap_or(0);
        let of_agent = |agent| newest.get(shared.naming.template(agent))?.as_ref();
        let samples = (0..shared.agents.len()).filter_map(of_agent);
        state.samples_per_tick = samples.map(|row| row.samples).sum();
        shared.tally.tell(&mut state);
        state
    }

    /// Gives an order.
    pub fn order(&self, order: &Order) {
        let shared = &self.shared;
        let (now_ms, rows) = (shared.clock.unix_ms(), shared.pulse.borrow().rows);
        for agent in shared.agents.iter().take(order.restart) {
            agent.restart(now_ms, rows);
        }
        shared.pulse.send_modify(|pulse| {
            pulse.paused = order.pause.unwrap_or(pulse.paused);
            pulse.is_muted = order.mute.unwrap_or(pulse.is_muted);
            pulse.is_spread = order.spread.unwrap_or(pulse.is_spread);
            pulse.cuts += u64::from(order.cut);
        });
    }

    /// What time it is, Unix ms.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.shared.clock.unix_ms()
    }

    /// Steps a driven clock; returns when every session has taken the rows that were due.
    ///
    /// # Errors
    ///
    /// As the clock says: when it is not driven.
    pub async fn step(&self, unix_ms: u64) -> Result<(), StepError> {
        self.shared.clock.step(unix_ms, STEP_DEADLINE).await
    }
}
