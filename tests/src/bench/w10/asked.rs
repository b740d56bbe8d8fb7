//! Goal 8: one field of all pods of a namespace over the window, asked for while rows come in.
//!
//! Open loop: a question is due at its time, whether the one before it is answered or not, and its
//! time is taken from then on. So a stall is seen by every question that it delays.
//!
//! The goal is worded for 10,000 questions or more. A run of the usual length asks fewer, a minute of
//! at most a hundred a second, and its line says how many they were; who wants more says how many.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::fill::{Filled, Ticking};
use super::super::moment::{unix_us, until};
use super::super::sheet::Sheet;
use super::super::{Goal, Options, percentile};
use super::client::{Client, Form, METRIC};
use crate::deadline::Deadline;

/// Clients that take turns; as many as the aggregator answers at once.
const CLIENTS: usize = 4;

/// Questions that find out how long one takes.
const TRIES: u32 = 10;

/// How busy one client would be with the questions: more would measure a queue.
const SHARE: f64 = 0.4;

/// No more questions a second, so that a quick answer does not end the measurement before the rows
/// of many ticks have come in.
const MOST_A_SECOND: f64 = 100.0;

/// From one tick to the next: as it is.
const PACE: Duration = Duration::from_secs(10);

struct Course {
    http: SocketAddr,
    form: Form,
    newest_tick_ms: AtomicU64,
    next: AtomicU64,
    count: u64,
    began_us: u64,
    gap_us: u64,
}

pub(super) fn measure(filled: &mut Filled, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let names = [
        "namespace_query_p50",
        "namespace_query_p99",
        "namespace_query_max",
    ];
    in_form(Form::Protobuf, 10.0, names, (filled, options, sheet))?;
    let names = [
        "namespace_query_json_p50",
        "namespace_query_json_p99",
        "namespace_query_json_max",
    ];
    in_form(Form::Json, 25.0, names, (filled, options, sheet))
}

fn in_form(
    form: Form,
    goal_ms: f64,
    names: [&'static str; 3],
    (filled, options, sheet): (&mut Filled, &Options, &mut Sheet<'_>),
) -> Result<()> {
    let ticking = &mut filled.ticking;
    let http = ticking.bed.aggregator.addr("http")?;
    let newest_tick_ms = ticking.newest_tick_ms();
    let mut client = Client::connect(form, http)?;
    let told = client.ask(newest_tick_ms)?;
    let (bytes, pods) = (
        told.bytes(),
        filled.fill.options().mix.first_namespace_pods(),
    );
    told.has(pods)?;
    let tried_us = unix_us();
    for _ in 0..TRIES {
        client.ask(newest_tick_ms)?;
    }
    let seconds = unix_us().saturating_sub(tried_us) as f64 / 1e6 / f64::from(TRIES);
    let a_second = (SHARE / seconds.max(1e-6)).min(MOST_A_SECOND);
    let course = Course {
        http,
        form,
        newest_tick_ms: AtomicU64::new(newest_tick_ms),
        next: AtomicU64::new(0),
        count: count(options, a_second)?,
        began_us: unix_us(),
        gap_us: whole(1e6 / a_second)?,
    };
    let taken_us = course.run(ticking)?;
    let data = format!(
        "{}; {METRIC} of {pods} pods over the window, {} questions, {a_second:.0} a second, {form:?} of {} KiB, no TLS",
        filled.fill.words(),
        taken_us.len(),
        bytes >> 10
    );
    let goal = options.goal_of(filled.fill.kind, Goal::AtMost(goal_ms));
    for line in percentile::lines(("8", names), taken_us, goal, &data)? {
        sheet.line(&line)?;
    }
    Ok(())
}

/// How many questions are timed when so many are asked a second.
fn count(options: &Options, a_second: f64) -> Result<u64> {
    let ask_for = (options.duration * 2).max(Duration::from_secs(1));
    let usual = whole(ask_for.as_secs_f64() * a_second)?;
    Ok(options.questions.unwrap_or(usual).max(1))
}

/// The nearest whole number of what is not negative.
fn whole(number: f64) -> Result<u64> {
    Ok(format!("{number:.0}").parse()?)
}

impl Course {
    /// Asks all questions while ticks pass; gives how long each took, microseconds.
    fn run(&self, ticking: &mut Ticking) -> Result<Vec<u64>> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clients = [(); CLIENTS].map(|()| scope.spawn(|| self.client()));
            let pacing = scope.spawn(|| self.pace(ticking, &is_over));
            let joined = clients.map(|client| client.join().ok().context("a client ended"));
            is_over.store(true, Ordering::Relaxed);
            let paced = pacing.join().ok();
            paced.context("the thread of the ticks ended")??;
            let taken_us: Result<Vec<Vec<u64>>> = joined.into_iter().map(|taken| taken?).collect();
            Ok(taken_us?.concat())
        })
    }

    fn client(&self) -> Result<Vec<u64>> {
        let mut client = Client::connect(self.form, self.http)?;
        let mut taken_us = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(taken_us);
            }
            let due_us = self.began_us + number * self.gap_us;
            until(due_us);
            client.ask(self.newest_tick_ms.load(Ordering::Relaxed))?;
            taken_us.push(unix_us().saturating_sub(due_us));
        }
    }

    /// Lets ticks pass until the questions are over.
    fn pace(&self, ticking: &mut Ticking, is_over: &AtomicBool) -> Result<()> {
        loop {
            let pace = Deadline::after(PACE);
            ticking.step()?;
            let newest_ms = ticking.newest_tick_ms();
            self.newest_tick_ms.store(newest_ms, Ordering::Relaxed);
            let over = pace.poll(|| is_over.load(Ordering::Relaxed).then_some(()));
            if over.is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::count;
    use crate::bench::Options;

    #[test]
    fn as_many_questions_are_asked_as_are_wanted_or_as_come_in_a_while() {
        let mut options = Options {
            duration: Duration::from_secs(30),
            ..Options::short(Vec::new())
        };
        assert_eq!(count(&options, 14.0).unwrap(), 840);
        options.duration = Duration::ZERO;
        assert_eq!(count(&options, 14.0).unwrap(), 14);
        options.questions = Some(10_000);
        assert_eq!(count(&options, 14.0).unwrap(), 10_000);
        options.questions = Some(0);
        assert_eq!(count(&options, 14.0).unwrap(), 1);
    }
}
