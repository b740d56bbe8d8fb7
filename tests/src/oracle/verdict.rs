//! The comparison of one series, and the sum of many.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use super::Samples;
use super::heapster::Point;

/// So many examples say where to look; all of them would bury it.
const EXAMPLE_LIMIT: usize = 20;

/// One place where the aggregator says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Path below `/api/v1/model/`.
    pub series: String,
    /// Unix ms.
    pub tick_ms: u64,
    /// What was sampled.
    pub sampled: Option<u64>,
    /// What was answered.
    pub answered: Option<u64>,
}

/// A count with its first 20 examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many in all.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

impl Tally {
    fn add(&mut self, example: impl FnOnce() -> Example) {
        self.count += 1;
        if self.examples.len() < EXAMPLE_LIMIT {
            self.examples.push(example());
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Samples that are there once, with their value.
    pub right: u64,
    /// Samples that are not there.
    pub missing: Tally,
    /// Samples that are there more than once.
    pub doubled: Tally,
    /// Samples with another value, and points that nobody sampled.
    pub wrong: Tally,
}

impl Verdict {
    /// True when everything that was sampled is there once and nothing else is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.count + self.doubled.count + self.wrong.count == 0
    }

    /// Adds the comparison of one series within the ticks.
    pub(super) fn judge(
        &mut self,
        series: &str,
        samples: &Samples,
        ticks: &RangeInclusive<u64>,
        points: &[Point],
    ) {
        let example = |tick_ms, sampled, answered| {
            move || Example {
                series: series.to_owned(),
                tick_ms,
                sampled,
                answered,
            }
        };
        let mut answered: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for point in points.iter().filter(|point| ticks.contains(&point.tick_ms)) {
            answered.entry(point.tick_ms).or_default().push(point.value);
        }
        for (tick_ms, sampled) in samples.ticks.range(ticks.clone()) {
            let values = answered.remove(tick_ms).unwrap_or_default();
            match (values.first().copied(), values.len()) {
                (None, _) => self.missing.add(example(*tick_ms, Some(*sampled), None)),
                (Some(value), _) if value != *sampled => {
                    self.wrong
                        .add(example(*tick_ms, Some(*sampled), Some(value)));
                }
                (Some(_), 1) => self.right += 1,
                (value, _) => self.doubled.add(example(*tick_ms, Some(*sampled), value)),
            }
        }
        for (tick_ms, values) in answered {
            let since = tick_ms.saturating_sub(samples.held_ms);
            let held = samples
                .ticks
                .range(since..tick_ms)
                .next_back()
                .map(|(_, value)| *value);
            for value in values.into_iter().filter(|value| Some(*value) != held) {
                self.wrong.add(example(tick_ms, None, Some(value)));
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            right,
            missing,
            doubled,
            wrong,
        } = self;
        let counts = (missing.count, doubled.count, wrong.count);
        write!(
            f,
            "{right} right, {} missing, {} doubled, {} wrong",
            counts.0, counts.1, counts.2
        )?;
        for (word, tally) in [("missing", missing), ("doubled", doubled), ("wrong", wrong)] {
            for Example {
                series,
                tick_ms,
                sampled,
                answered,
            } in &tally.examples
            {
                let said = (sampled, answered);
                write!(
                    f,
                    "\n{word}: {series} at {tick_ms}: {:?} became {:?}",
                    said.0, said.1
                )?;
            }
        }
        Ok(())
    }
}
