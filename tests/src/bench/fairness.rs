//! What hostile agents cost the honest ones: a marked value's freshness without them, beside one that
//! names a million things, and with a tenth of the fleet hostile in ten ways; and after it every row of
//! every honest node.
//!
//! The aggregator has its core to itself. The hostile agents have the rest of the other one: what the
//! honest ones leave.
//!
//! And the other way round: what an aggregator that asks for too much costs an agent.

mod greedy;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::fill::{Fill, Filled, Ticking};
use super::sheet::Sheet;
use super::w10::marker::{GUEST, Marked};
use super::{Goal, Line, Options, percentile};
use crate::deadline::Deadline;
use crate::exact::{Asker, Points};
use crate::fleet::{self, bed};
use crate::hostile::{Crowd, Kind as Hostile, Member};
use crate::mix::Kind;
use crate::proc::cores;
use crate::proc::used::{Memory, cpu_seconds};

/// The window that is served has so many ticks in any case.
const TICKS: u64 = 90;

/// A percentile of fewer ticks is one tick's or two, and its ratio says nothing.
const LEAST_TICKS: usize = 200;

/// From one tick to the next, at least. The honest rows of one take a twentieth of it.
const PACE: Duration = Duration::from_millis(500);

/// So many things one agent names, of which none is another's or was named before.
const NAMES: u64 = 1_000_000;

/// By so many times the duration the marked value is looked for; beside names up to the second, until there
/// are [`NAMES`] of them: the aggregator reads two hundred a second, of the clock that is stepped.
const DURATIONS: u32 = 4;
const DURATIONS_AT_MOST: u32 = 10;

/// How long it is waited for at most that honest rows arrive.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    cores::on(cores::OURS, || {
        besiege(options, sheet)?;
        greedy::measure(options, sheet)
    })
}

fn besiege(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let nodes = options.share(10);
    let crowd = (nodes / 10).max(Hostile::ALL.len());
    // The first names things; the others do everything.
    let members = Hostile::ALL.iter().cycle().take(crowd).enumerate();
    let members: Vec<Member> = members.map(|(at, kind)| Member::new(*kind, at)).collect();
    let mut guests: Vec<(String, String)> = members
        .iter()
        .map(|member| (member.node.clone(), member.token.clone()))
        .collect();
    guests.push((GUEST.0.to_owned(), GUEST.1.to_owned()));
    let mut filled = Fill::alone(Kind::C, nodes).run(guests)?;
    let mut marked = Marked::start(&mut filled.ticking, GUEST.1)?;
    let mut look = Look {
        options,
        sheet,
        words: filled.fill.words(),
        alone_p99_us: None,
        memory: Memory::of(filled.ticking.bed.aggregator.id())?,
    };
    look.measure("fairness_alone", Vec::new(), &mut marked, &mut filled)?;
    let one = members.iter().take(1).cloned().collect();
    look.measure("fairness_names", one, &mut marked, &mut filled)?;
    look.measure("fairness_hostile", members, &mut marked, &mut filled)?;
    rows(&filled, look.options, look.sheet)
}

/// What is measured beside different crowds.
struct Look<'a, 'b> {
    options: &'a Options,
    sheet: &'a mut Sheet<'b>,
    words: String,
    alone_p99_us: Option<u64>,
    memory: Memory,
}

impl Look<'_, '_> {
    fn measure(
        &mut self,
        name: &'static str,
        members: Vec<Member>,
        marked: &mut Marked,
        filled: &mut Filled,
    ) -> Result<()> {
        let names = lines_of(name);
        let read_before = names_read(&filled.ticking)?;
        let ticking = &mut filled.ticking;
        let count = members.len();
        let crowd = start(members, ticking)?;
        let (pid, cpu) = (
            ticking.bed.aggregator.id(),
            cpu_seconds(ticking.bed.aggregator.id())?,
        );
        let each = |now_ms| {
            if let Some(crowd) = &crowd {
                crowd.set_clock(now_ms);
            }
        };
        let at_most = Deadline::after(self.options.duration * DURATIONS_AT_MOST);
        let read = |ticking: &Ticking| Ok::<_, anyhow::Error>(names_read(ticking)? - read_before);
        let mut taken_us =
            marked.series(ticking, (PACE, self.options.duration * DURATIONS), each)?;
        while count == 1 && read(ticking)? < NAMES && at_most.left().is_some() {
            taken_us.extend(marked.series(ticking, (PACE, Duration::ZERO), each)?);
        }
        let read = read(ticking)?;
        let cpu = cpu_seconds(pid)? - cpu;
        let data = format!(
            "{}, a K node's value beside {count} hostile agents; {} ticks, {cpu:.1} s of the aggregator's CPU time",
            self.words,
            taken_us.len()
        );
        taken_us.sort_unstable();
        let p99 = percentile::of(&taken_us, 99).context("nothing was measured")?;
        let ticks = taken_us.len();
        let series = ("10", [names[0], names[1], names[2]]);
        for line in percentile::lines(series, taken_us, None, &data)? {
            self.sheet.line(&line)?;
        }
        if let Some(crowd) = crowd {
            self.compared(names, (p99, ticks), &crowd, filled)?;
            if count == 1 {
                self.names(read, &crowd)?;
            }
        } else {
            self.alone_p99_us = Some(p99);
        }
        Ok(())
    }

    /// How many names it was beside.
    fn names(&mut self, read: u64, crowd: &Crowd) -> Result<()> {
        let told = crowd.told();
        let sent: u64 = told.iter().map(|(_, told)| told.names).sum();
        let streams: u64 = told.iter().map(|(_, told)| told.welcomed).sum();
        self.sheet.line(&Line {
            number: "10",
            name: "fairness_names_defined",
            // Each stream names its node besides.
            value: read.saturating_sub(streams) as f64,
            unit: "names",
            goal: None,
            data: format!(
                "read by the aggregator meanwhile, some dozens of honest agents, the others of {sent} different ones that one \
                 agent sent as fast as it was read, in {streams} streams"
            ),
        })?;
        Ok(())
    }

    /// Against what was before anybody hostile came.
    fn compared(
        &mut self,
        names: [&'static str; 5],
        (p99_us, ticks): (u64, usize),
        crowd: &Crowd,
        filled: &Filled,
    ) -> Result<()> {
        let memory = Memory::of(filled.ticking.bed.aggregator.id())?;
        let added = memory.resident.saturating_sub(self.memory.resident);
        let alone = self.alone_p99_us.unwrap_or(p99_us).max(1);
        let line = |name, (value, unit), goal, data: &str| Line {
            number: "10",
            name,
            value,
            unit,
            goal,
            data: data.to_owned(),
        };
        let times = p99_us as f64 / alone as f64;
        let of = "p99 by that without hostile agents";
        let goal = times_goal(self.options, ticks);
        self.sheet
            .line(&line(names[3], (times, "times"), goal, of))?;
        let mib = added as f64 / f64::from(1 << 20);
        let of = "resident, more than before they came, their windows included";
        self.sheet.line(&line(names[4], (mib, "MiB"), None, of))?;
        for (kind, told) in crowd.told().into_iter().take(Hostile::ALL.len()) {
            self.sheet.note(&format!(
                "hostile {kind:?}: {} frames in {} streams, ends {:?}",
                told.frames, told.welcomed, told.ends
            ))?;
        }
        Ok(())
    }
}

/// By how much hostile agents may make honest values later, where there were ticks enough to tell.
fn times_goal(options: &Options, ticks: usize) -> Option<Goal> {
    let goal = options.goal(Goal::AtMost(1.5));
    goal.filter(|_| ticks >= LEAST_TICKS)
}

/// The names of the lines: three of freshness, and two that compare.
fn lines_of(name: &str) -> [&'static str; 5] {
    match name {
        "fairness_alone" => [
            "fairness_alone_p50",
            "fairness_alone_p99",
            "fairness_alone_max",
            "",
            "",
        ],
        "fairness_names" => [
            "fairness_names_p50",
            "fairness_names_p99",
            "fairness_names_max",
            "fairness_names_p99_times",
            "fairness_names_memory",
        ],
        _ => [
            "fairness_hostile_p50",
            "fairness_hostile_p99",
            "fairness_hostile_max",
            "fairness_hostile_p99_times",
            "fairness_hostile_memory",
        ],
    }
}

/// Definitions that the aggregator has read. Those of honest agents come at the start, but for some dozens.
fn names_read(ticking: &Ticking) -> Result<u64> {
    ticking.bed.figure("ingest_frames_total", "kind=\"define\"")
}

/// Sends them, and lets them be at work before anything is measured.
fn start(members: Vec<Member>, ticking: &Ticking) -> Result<Option<Crowd>> {
    if members.is_empty() {
        return Ok(None);
    }
    let bed = &ticking.bed;
    let ca = bed.dir().join("ingest-ca.pem");
    let crowd = Crowd::start(members, (bed.grpc(), &ca), "node1", bed.now_ms, true)?;
    let at_work = Deadline::after(Duration::from_secs(10));
    let all = || crowd.told().iter().all(|(_, told)| told.frames > 0);
    let seen = at_work.poll(|| all().then_some(()));
    seen.context("not every hostile agent is at work")?;
    Ok(Some(crowd))
}

/// The ticks that every honest node must have.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    oldest_ms: u64,
    newest_ms: u64,
    interval_ms: u64,
}

impl Wanted {
    fn ticks(self) -> u64 {
        self.newest_ms.saturating_sub(self.oldest_ms) / self.interval_ms + 1
    }

    /// How many of them a node lacks: before the first point of a series of it, after its newest row,
    /// and between its rows. The points do not tell of the latter two: a value is held meanwhile.
    fn lacked(self, node: &Value, points: &Points) -> u64 {
        let Some((first_ms, _)) = points.first_key_value() else {
            return self.ticks();
        };
        let newest_ms = node["newest_tick_ms"].as_u64().unwrap_or(0);
        let before = first_ms.saturating_sub(self.oldest_ms) / self.interval_ms;
        let after = self.newest_ms.saturating_sub(newest_ms) / self.interval_ms;
        let between = node["gap_ticks"].as_u64().unwrap_or(0);
        (before + between + after).min(self.ticks())
    }
}

/// Every tick of every honest node's window, and what honest agents could not send.
fn rows(filled: &Filled, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let ticking = &filled.ticking;
    let bed = &ticking.bed;
    let naming = fleet::Options::of(Kind::C, filled.fill.nodes).naming();
    let names: Vec<String> = (0..filled.fill.nodes).map(|n| naming.node(n)).collect();
    let path = |name| format!("/api/v1/model/nodes/{name}/metrics/memory/working_set");
    let paths: Vec<String> = names.iter().map(path).collect();
    let paths: Vec<&String> = paths.iter().collect();
    let (newest_ms, interval_ms) = (ticking.newest_tick_ms(), filled.fill.interval_ms);
    let wanted = Wanted {
        oldest_ms: newest_ms - (TICKS - 1) * interval_ms,
        newest_ms,
        interval_ms,
    };
    let mut asker = Asker::new(bed.aggregator.addr("http")?, 2);
    let mut missing = 0;
    bed::wait(ARRIVED_WITHIN, || {
        let series = asker.points(&paths, None)?;
        let nodes = bed.nodes()?;
        let lacks = |(name, points): (&String, &Points)| {
            let node = nodes.iter().find(|node| node["name"] == **name);
            wanted.lacked(node.unwrap_or(&Value::Null), points)
        };
        missing = names.iter().zip(&series).map(lacks).sum();
        Ok((missing == 0).then_some(()))
    })?;
    let state = bed.state()?;
    let data = format!(
        "of {} nodes; {} rows passed over, {} agents came back",
        filled.fill.nodes, state.rows_skipped, state.reconnects
    );
    let shortened = bed.figure("store_shortened_rows_total", "why=\"limit\"")?;
    let line = |name, value, data: &str| Line {
        number: "10",
        name,
        value,
        unit: "rows",
        goal: options.goal(Goal::AtMost(0.0)),
        data: data.to_owned(),
    };
    let lost = missing as f64;
    sheet.line(&line(
        "fairness_rows_lost",
        lost,
        &format!("ticks of the window that are not there, {data}"),
    ))?;
    let late = (state.rows_skipped + state.reconnects) as f64;
    sheet.line(&line("fairness_held_up", late, &data))?;
    let data = "rows of any node that went early because memory was short";
    sheet.line(&line("fairness_shortened", shortened as f64, data))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LEAST_TICKS, Wanted, times_goal};
    use crate::bench::{AGENTS, Goal, Options};
    use crate::exact::{Point, Points};

    const WANTED: Wanted = Wanted {
        oldest_ms: 20,
        newest_ms: 50,
        interval_ms: 10,
    };

    /// A series with these points.
    fn points(ticks: &[u64]) -> Points {
        let (value, float) = (1, None);
        let points = ticks.iter().map(|tick| (*tick, Point { value, float }));
        points.collect()
    }

    #[test]
    fn rows_that_are_missing_anywhere_are_counted_though_values_are_held() {
        let held = points(&[10, 20, 30, 40, 50]);
        let whole = json!({"newest_tick_ms": 50});
        assert_eq!(WANTED.lacked(&whole, &held), 0);
        let with_hole = json!({"newest_tick_ms": 50, "gap_ticks": 2});
        assert_eq!(WANTED.lacked(&with_hole, &held), 2);
        let behind = json!({"newest_tick_ms": 40, "gap_ticks": 1});
        assert_eq!(WANTED.lacked(&behind, &held), 2);
        let late = points(&[30, 40, 50]);
        assert_eq!(WANTED.lacked(&whole, &late), 1);
        assert_eq!(WANTED.lacked(&Value::Null, &held), 4);
        assert_eq!(WANTED.lacked(&whole, &points(&[])), 4);
    }

    #[test]
    fn how_much_later_values_come_has_a_goal_where_ticks_are_enough() {
        let mut options = Options {
            agents: AGENTS,
            ..Options::short(Vec::new())
        };
        let goal = Some(Goal::AtMost(1.5));
        assert_eq!(times_goal(&options, LEAST_TICKS), goal);
        assert_eq!(times_goal(&options, LEAST_TICKS - 1), None);
        options.agents = 20;
        assert_eq!(times_goal(&options, LEAST_TICKS), None);
    }
}
