//! Percentiles of measured times.

use anyhow::{Context as _, Result};

use super::{Goal, Line};

/// The time that so many of a hundred took at most; the times are sorted. `None` of none.
pub(crate) fn of(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The lines of the 50th and the 99th percentile and of the longest time, ms; `goal` is worded for
/// the 99th.
///
/// # Errors
///
/// When nothing was measured.
pub(super) fn lines(
    (number, names): (&'static str, [&'static str; 3]),
    mut micros: Vec<u64>,
    goal: Option<Goal>,
    data: &str,
) -> Result<Vec<Line>> {
    micros.sort_unstable();
    let each = names.into_iter().zip([50, 99, 100]);
    each.map(|(name, percent)| {
        let us = of(&micros, percent).context("nothing was measured")?;
        Ok(Line {
            number,
            name,
            value: us as f64 / 1000.0,
            unit: "ms",
            goal: goal.filter(|_| percent == 99),
            data: data.to_owned(),
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!((of(&times, 50), of(&times, 99)), (Some(100), Some(198)));
        assert_eq!((of(&times, 100), of(&times, 0)), (Some(200), Some(1)));
        assert_eq!(of(&[], 50), None);
    }
}
