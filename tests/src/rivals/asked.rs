//! Asking a system the question of the comparison, again and again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::answer::{Points, difference};
use super::data::Data;
use crate::bench::{moment, percentile};
use crate::deadline::Deadline;
use crate::http1::{Answer, Session};

/// What was taken in can be found within this time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// At least so many questions are timed, for as long as it takes within reason.
const LEAST: usize = 200;

/// At most so many.
const MOST: usize = 2000;

/// Questions beyond the least number are asked for so long.
const ASK_FOR: Duration = Duration::from_secs(10);

/// No more questions after so long, even below the least number.
const GIVE_UP: Duration = Duration::from_secs(120);

/// How long the answers took.
#[derive(Clone, Debug, Default)]
pub(super) struct Timed {
    /// Sorted, microseconds.
    micros: Vec<u64>,
    /// Bytes of one answer.
    pub(super) answer_bytes: usize,
}

impl Timed {
    /// The time that so many of a hundred answers took at most, ms.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let micros = percentile::of(&self.micros, percent);
        micros.unwrap_or_default() as f64 / 1000.0
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.micros.len()
    }
}

/// Waits until the system says what the rows say, and only then takes times: each from before the
/// request is written to when its last byte was read, one after the other on one connection.
pub(super) fn ask(
    session: &mut Session,
    path: &str,
    read: impl Fn(&[u8]) -> Result<Points>,
    data: &Data,
) -> Result<Timed> {
    let mut told = None;
    let equal = Deadline::after(FOUND_WITHIN).poll(|| {
        told =
            compare(session, path, &read, data).unwrap_or_else(|error| Some(format!("{error:#}")));
        told.is_none().then_some(())
    });
    if equal.is_none() {
        let difference = told.unwrap_or_default();
        bail!("it does not say what it was told, so nothing is timed: {difference}");
    }
    let mut timed = Timed::default();
    let (wanted, end) = (Deadline::after(ASK_FOR), Deadline::after(GIVE_UP));
    while timed.micros.len() < MOST
        && end.left().is_some()
        && (timed.micros.len() < LEAST || wanted.left().is_some())
    {
        let began = moment::unix_us();
        let answer = get(session, path)?;
        timed.micros.push(moment::unix_us().saturating_sub(began));
        timed.answer_bytes = answer.body.len();
    }
    timed.micros.sort_unstable();
    Ok(timed)
}

fn compare(
    session: &mut Session,
    path: &str,
    read: impl Fn(&[u8]) -> Result<Points>,
    data: &Data,
) -> Result<Option<String>> {
    let answer = get(session, path)?;
    let found = read(&answer.body).context("the answer cannot be read")?;
    Ok(difference(&data.expected, &found))
}

fn get(session: &mut Session, path: &str) -> Result<Answer> {
    let answer = session.get(path)?;
    ensure!(
        answer.status == 200,
        "status {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::Timed;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let timed = Timed {
            micros: (1..=200).map(|ms| ms * 1000).collect(),
            answer_bytes: 0,
        };
        assert!((timed.percentile_ms(50) - 100.0).abs() < 1e-9);
        assert!((timed.percentile_ms(99) - 198.0).abs() < 1e-9);
        assert!(Timed::default().percentile_ms(50).abs() < 1e-9);
    }
}
