//! Goal 1b: what cAdvisor's text costs, as a kubelet recorded it.
//!
//! The agent asks for it once a minute at most, among all else that it does. So two agents do the same
//! ticks, one of them without it, and the difference is what the answers cost: read over TLS, understood,
//! and their values brought into rows and sent.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;

use super::bed::Bed;
use super::{Goal, Line};
use crate::deadline::Deadline;
use crate::sim::{Endpoint, Fault, Order, Reach};
use crate::system::System;
use crate::trace::Trace;

/// Of a kubelet with 51 pods.
const RECORDED: &[u8] = include_bytes!("../../fixtures/kubelet-1.36/cadvisor/pods-51.gz");

/// Ticks until everything is connected and warm.
const WARM_TICKS: u32 = 12;

/// Of these a sixth brings an answer.
const LEAST_TICKS: u32 = 120;
const MOST_TICKS: u32 = 600;

const WITHOUT: [&str; 2] = ["--cadvisor", "off"];

pub(crate) fn run(duration: Duration) -> Result<Vec<Line>> {
    let text = Text::recorded()?;
    let (mut bed, before) = warm(&[], &text)?;
    let deadline = Deadline::after(duration);
    let mut ticks = 0;
    while ticks < LEAST_TICKS || (ticks < MOST_TICKS && deadline.left().is_some()) {
        tick(&mut bed, &text)?;
        ticks += 1;
    }
    let with = Used::of(&bed)?;
    let (asked, understood) = (with.answers, understood(&bed)?);
    ensure!(
        understood >= asked as f64 - 1.0,
        "of {asked} answers {understood} were understood"
    );
    drop(bed);
    let (mut bed, before_without) = warm(&WITHOUT, &text)?;
    for _ in 0..ticks {
        tick(&mut bed, &text)?;
    }
    let without = Used::of(&bed)?;
    ensure!(without.answers == 0, "an agent told {WITHOUT:?} asked");
    let answers = with.answers - before.answers;
    ensure!(
        answers >= u64::from(LEAST_TICKS / 12),
        "{answers} answers in {ticks} ticks"
    );
    let seconds = (with.seconds - before.seconds) - (without.seconds - before_without.seconds);
    Ok(vec![Line {
        number: "1b",
        name: "agent_cpu_per_text",
        value: seconds * 1000.0 / answers as f64,
        unit: "ms",
        goal: Some(Goal::AtMost(6.0)),
        data: format!(
            "K, the recorded text of 51 pods, {:.2} MB, TLS; {ticks} ticks of 10 s with {answers} answers, less as \
             many ticks without; reading, values and their way to the aggregator",
            text.bytes as f64 / 1e6
        ),
    }])
}

/// A node whose agent is told more, and what it used until it was warm.
fn warm(agent_args: &[&str], text: &Text) -> Result<(Bed, Used)> {
    let mut bed = Bed::start(&Trace::of_51_pods()?, &["node1"], None, agent_args)?;
    for _ in 0..WARM_TICKS {
        tick(&mut bed, text)?;
    }
    let used = Used::of(&bed)?;
    Ok((bed, used))
}

fn tick(bed: &mut Bed, text: &Text) -> Result<()> {
    let tick_ms = bed.begin()?;
    let node = bed.nodes.first().context("no node")?;
    node.kubelet.fault(&Order {
        endpoint: Reach::Cadvisor,
        fault: Fault::Body {
            text: text.at(tick_ms),
        },
        for_requests: None,
    });
    bed.sample(tick_ms)
}

/// The answers that the agent understood.
fn understood(bed: &Bed) -> Result<f64> {
    let node = bed.nodes.first().context("no node")?;
    let of = |name: &str| System::metric(&node.agent, name, "cadvisor");
    let answered = of("cairn_agent_scrape_duration_seconds_count")?;
    Ok(answered - of("cairn_agent_scrape_failures_total")?)
}

/// What has been used since the start of the agent.
#[derive(Clone, Copy, Debug)]
struct Used {
    seconds: f64,
    answers: u64,
}

impl Used {
    fn of(bed: &Bed) -> Result<Self> {
        let node = bed.nodes.first().context("no node")?;
        Ok(Self {
            seconds: node.agent_seconds()?,
            answers: node.kubelet.requests(Endpoint::Cadvisor),
        })
    }
}

/// The text, whose values can be of any time.
pub(crate) struct Text {
    // Each line up to its value's time, and whether it has one.
    lines: Vec<(String, bool)>,
    pub(crate) bytes: usize,
}

impl Text {
    pub(crate) fn recorded() -> Result<Self> {
        let mut text = String::new();
        GzDecoder::new(RECORDED).read_to_string(&mut text)?;
        let lines = text.lines().map(|line| match line.rsplit_once(' ') {
            Some((front, time)) if is_time(line, time) => (format!("{front} "), true),
            _ => (line.to_owned(), false),
        });
        Ok(Self {
            lines: lines.collect(),
            bytes: text.len(),
        })
    }

    /// The text with all its values measured at this time, Unix ms.
    pub(crate) fn at(&self, unix_ms: u64) -> String {
        let time = unix_ms.to_string();
        let mut text = String::with_capacity(self.bytes + self.lines.len());
        for (line, has_time) in &self.lines {
            text.push_str(line);
            if *has_time {
                text.push_str(&time);
            }
            text.push('\n');
        }
        text
    }
}

/// Unix milliseconds of this century have thirteen digits.
fn is_time(line: &str, last: &str) -> bool {
    !line.starts_with('#') && last.len() == 13 && last.bytes().all(|byte| byte.is_ascii_digit())
}
