//! What hostile agents cost the honest ones: a marked value's freshness without them, beside one that
//! names a million things, and with a tenth of the fleet hostile in ten ways; and after it every row of
//! every honest node.
//!
//! The aggregator has its core to itself. The hostile agents have the rest of the other one: what the
//! honest ones leave.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::fill::{Fill, Filled, Ticking};
use super::sheet::Sheet;
use super::w10::marker::{GUEST, Marked};
use super::{Goal, Line, Options, percentile};
use crate::deadline::Deadline;
use crate::exact::Asker;
use crate::fleet::{self, bed};
use crate::hostile::{Crowd, Kind as Hostile, Member};
use crate::mix::Kind;
use crate::proc::cores;
use crate::proc::used::{Memory, cpu_seconds};

/// The window that is served has so many ticks in any case.
const TICKS: u64 = 90;

/// How long it is waited for at most that honest rows arrive.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    cores::on(cores::OURS, || besiege(options, sheet))
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
    let mut filled = Fill::w10(Kind::C, nodes).run(guests)?;
    let mut marked = Marked::start(&mut filled.ticking)?;
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
        let ticking = &mut filled.ticking;
        let count = members.len();
        let crowd = start(members, ticking)?;
        let (pid, cpu) = (
            ticking.bed.aggregator.id(),
            cpu_seconds(ticking.bed.aggregator.id())?,
        );
        let duration = self.options.duration;
        let mut taken_us = marked.series(ticking, duration, |now_ms| {
            if let Some(crowd) = &crowd {
                crowd.set_clock(now_ms);
            }
        })?;
        let cpu = cpu_seconds(pid)? - cpu;
        let data = format!(
            "{}, a K node's value beside {count} hostile agents; {} ticks, {cpu:.1} s of the aggregator's CPU time",
            self.words,
            taken_us.len()
        );
        taken_us.sort_unstable();
        let p99 = percentile::of(&taken_us, 99).context("nothing was measured")?;
        let series = ("10", [names[0], names[1], names[2]]);
        for line in percentile::lines(series, taken_us, None, &data)? {
            self.sheet.line(&line)?;
        }
        if let Some(crowd) = crowd {
            self.compared(names, p99, &crowd, filled)?;
        } else {
            self.alone_p99_us = Some(p99);
        }
        Ok(())
    }

    /// Against what was before anybody hostile came.
    fn compared(
        &mut self,
        names: [&'static str; 5],
        p99_us: u64,
        crowd: &Crowd,
        filled: &Filled,
    ) -> Result<()> {
        let memory = Memory::of(filled.ticking.bed.aggregator.id())?;
        let added = memory.resident.saturating_sub(self.memory.resident);
        let alone = self.alone_p99_us.unwrap_or(p99_us).max(1);
        let line = |name, value, unit, data: &str| Line {
            number: "10",
            name,
            value,
            unit,
            goal: None,
            data: data.to_owned(),
        };
        let times = p99_us as f64 / alone as f64;
        let of = "p99 by that without hostile agents";
        self.sheet.line(&line(names[3], times, "times", of))?;
        let mib = added as f64 / f64::from(1 << 20);
        let of = "resident, more than before they came, their windows included";
        self.sheet.line(&line(names[4], mib, "MiB", of))?;
        for (kind, told) in crowd.told().into_iter().take(Hostile::ALL.len()) {
            self.sheet.note(&format!(
                "hostile {kind:?}: {} frames in {} streams, ends {:?}",
                told.frames, told.welcomed, told.ends
            ))?;
        }
        Ok(())
    }
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

/// Every tick of every honest node's window, and what honest agents could not send.
fn rows(filled: &Filled, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let ticking = &filled.ticking;
    let bed = &ticking.bed;
    let naming = fleet::Options::of(Kind::C, filled.fill.nodes).naming();
    let path = |node| {
        let name = naming.node(node);
        format!("/api/v1/model/nodes/{name}/metrics/memory/working_set")
    };
    let paths: Vec<String> = (0..filled.fill.nodes).map(path).collect();
    let paths: Vec<&String> = paths.iter().collect();
    let newest_ms = ticking.newest_tick_ms();
    let wanted = (0..TICKS).map(|back| newest_ms - back * filled.fill.interval_ms);
    let wanted: Vec<u64> = wanted.collect();
    let mut asker = Asker::new(bed.aggregator.addr("http")?, 2);
    let mut missing = 0;
    bed::wait(ARRIVED_WITHIN, || {
        let series = asker.points(&paths, None)?;
        let lacks = |points: &crate::exact::Points| {
            let lacks = wanted.iter().filter(|tick| !points.contains_key(tick));
            lacks.count()
        };
        missing = series.iter().map(lacks).sum();
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
