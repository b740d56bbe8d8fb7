//! Asks once more for the names of those that came at a tick.
//!
//! A kubelet lists a pod a moment after its cgroup is there, and an API server hears of a container's id a moment
//! after that began. Where rows are far apart, one that went out at once would leave such a pod to the next row.
//! A row cannot be sent again, and values without a name are nobody's; so this one waits, and the names are asked
//! for a second time. Nobody is waited for twice: who is still unknown comes with the next row.

use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_runtime::clock::Wake;
use cairn_runtime::tasks::TaskError;
use tokio::time::Instant;

use super::cadence::Seen;
use super::tick::ask;
use super::{STEP_MS, Sampler, asking};
use crate::sources::{Outcome, Trigger};

/// When names are asked for again, ms after the tick: a kubelet lists a pod within a second, and a tick's cgroups
/// are read up to a quarter of one after it.
const AGAIN_AFTER_MS: u64 = 1_500;

/// By then who came is to be named, ms after the tick: no answer is waited for any longer. Where rows are no
/// farther apart than that, the next ones see to it.
const NAMED_WITHIN_MS: u64 = 2_000;

impl Sampler {
    /// Waits and asks once more when somebody came at this tick whom nobody knows yet.
    pub(super) async fn look_again(
        &mut self,
        trigger: &Trigger,
        seen: Seen,
    ) -> Result<(), TaskError> {
        let tick = trigger.tick;
        if !self.has_to_look_again(tick, seen) {
            return Ok(());
        }
        self.held = Some((tick, seen));
        self.setup.metrics.sampler.awaited.inc();
        let again_ms = tick + AGAIN_AFTER_MS;
        let wake = self.waiter.until_or_back(again_ms).await;
        let is_stepped = self.line.drift_ms().unsigned_abs() > STEP_MS;
        let left_ms = (tick + NAMED_WITHIN_MS).saturating_sub(self.setup.clock.unix_ms());
        if wake == Wake::Due && !is_stepped && left_ms > 0 {
            let wait = Duration::from_millis(left_ms).min(self.longest_wait());
            self.ask_again(trigger, again_ms, wait).await?;
        }
        self.held = None;
        Ok(())
    }

    /// Only where the kubelet answered well at this tick, and may be asked at every one: who is slow, fails or
    /// costs too much is left in peace.
    fn has_to_look_again(&self, tick: u64, seen: Seen) -> bool {
        let pace = self.paces.of(Source::Summary);
        let may_ask = pace.is_some_and(|pace| {
            let (every_ms, base_ms) = pace.distances_ms();
            pace.is_fresh() && every_ms == base_ms
        });
        let is_far = self.setup.interval_ms > NAMED_WITHIN_MS;
        seen.serves && is_far && may_ask && self.roster.has_stranger(tick)
    }

    /// The aggregators first, which costs the node nothing.
    async fn ask_again(
        &mut self,
        trigger: &Trigger,
        again_ms: u64,
        wait: Duration,
    ) -> Result<(), TaskError> {
        let (tick, until) = (trigger.tick, Instant::now() + wait);
        asking::ask(self.asking.as_mut(), &mut self.roster, again_ms, wait).await;
        if !self.roster.has_stranger(tick) {
            return Ok(());
        }
        // What the aggregators left of it.
        let left = until.saturating_duration_since(Instant::now());
        let came = ask(self.feeds.summary.as_mut(), true, trigger, left).await;
        let Some((outcome, costs)) = came else {
            return Ok(());
        };
        self.spend(Source::Summary, &costs);
        match outcome {
            // What the kubelet said at the tick stands, whatever comes of this.
            Outcome::Answered(Err(failure)) => self.count_failure(Source::Summary, &failure),
            Outcome::Pending | Outcome::Busy => {}
            outcome => {
                self.hear(Source::Summary, tick, outcome)?;
                self.learn(tick);
            }
        }
        Ok(())
    }
}
