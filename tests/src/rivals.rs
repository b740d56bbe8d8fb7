//! `make bench-rivals`: Prometheus, `VictoriaMetrics` and `InfluxDB` on the same seeded rows as
//! Cairn, in the same run, and every figure by Cairn's; then the agents of two of them beside Cairn's.
//!
//! Each system is alone on one core with its files on tmpfs, is fed as fast as it takes it, says what
//! the rows say before any time is taken, and is ended before the next one starts. They do not do
//! the same: every line of a rival tells what it does beyond Cairn.

mod agents;
mod answer;
mod asked;
mod cairn;
mod data;
mod disk;
mod feed;
mod influxdb;
mod line_protocol;
mod measured;
mod prometheus;
mod remote_write;
mod rival;
mod series;
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::{line, machine, moment};
use crate::deadline::Deadline;
use crate::mix::{self, Fields, Kind};
use crate::proc::used::{Memory, cpu_seconds};
use crate::proc::{self, cores};

use data::Data;
use disk::disk_bytes;
use measured::Measured;
use rival::Rival;
use server::Server;

/// Distance of the ticks, and so many of them: the window of a quarter of an hour.
const INTERVAL_MS: u64 = 10_000;
const TICKS: u64 = 90;

/// A system that uses less than this of its core is idle.
const IDLE_SHARE: f64 = 0.05;

/// How often it is looked at, and for how long at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const IDLE_WITHIN: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The mix of the data.
    pub kind: Kind,
    /// How many nodes of 30 pods.
    pub nodes: usize,
    /// Names of the rivals to measure; none for all of them.
    pub only: Vec<String>,
    /// A directory on tmpfs that is this run's own.
    pub dir: PathBuf,
}

/// The names of the rivals: stores, then agents.
pub fn names() -> impl Iterator<Item = &'static str> {
    rival::ALL
        .iter()
        .map(|rival| rival.name)
        .chain(agents::names())
}

/// Makes the data, measures Cairn and the rivals on it, and prints the lines as they come.
///
/// # Errors
///
/// A system that is not there, does not come up, takes too much time or memory, or says something
/// else than it was told; an output that is closed.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    proc::find("cairn-aggregator")
        .ok()
        .context("cairn-aggregator is not built: cargo build --release -p cairn-aggregator")?;
    // Before this process is kept on one core: the cores are those of the machine.
    for line in machine::describe() {
        writeln!(out, "# {line}")?;
    }
    writeln!(
        out,
        "# load    {} before anything was started",
        machine::load()
    )?;
    cores::stay_on(cores::OURS)?;
    if cfg!(debug_assertions) {
        writeln!(out, "# DEBUG BUILD: build with --release")?;
    }
    let began = moment::unix_us();
    writeln!(out, "{}", line::head())?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    let stores: Vec<&Rival> = rival::ALL.iter().filter(|one| wanted(one.name)).collect();
    if !stores.is_empty() {
        beside_stores(options, &stores, out)?;
    }
    print(out, &agents::run(&options.dir, wanted)?)?;
    let (seconds, load) = (seconds_since(began), machine::load());
    writeln!(out, "# all     in {seconds:.0} s, load {load} at the end")?;
    Ok(())
}

fn beside_stores(options: &Options, stores: &[&Rival], out: &mut impl Write) -> Result<()> {
    let began = moment::unix_us();
    let data = Data::make(&mix_of(options), TICKS)?;
    writeln!(out, "# data    {}", describe(options, &data))?;
    writeln!(out, "# made    in {:.0} s", seconds_since(began))?;
    let cairn = cairn::measure(&data).context("cairn")?;
    print(out, &cairn.lines(&data))?;
    let mut ratios = Vec::new();
    for rival in stores {
        let measured = measure(rival, options, &data).context(rival.name)?;
        print(out, &measured.lines(&data))?;
        ratios.extend(measured.ratios(&cairn, &data));
    }
    print(out, &ratios)
}

/// The fleet, with a window that ends at about now: rivals look at old samples with suspicion.
fn mix_of(options: &Options) -> mix::Options {
    let now_ms = moment::unix_us() / 1000;
    let start_ms = now_ms.saturating_sub(TICKS * INTERVAL_MS);
    mix::Options {
        nodes: options.nodes,
        pods_per_node: Some(30),
        interval_ms: INTERVAL_MS,
        start_unix_ms: start_ms / INTERVAL_MS * INTERVAL_MS,
        fields: Fields::Twenty,
        ..mix::Options::of(options.kind)
    }
}

fn describe(options: &Options, data: &Data) -> String {
    format!(
        "{}, {} nodes, {} pods, {} series, every {} s, {TICKS} ticks, {:.1} M samples",
        options.kind.letter(),
        options.nodes,
        data.pods,
        data.series,
        INTERVAL_MS / 1000,
        data.samples as f64 / 1e6
    )
}

fn measure(rival: &Rival, options: &Options, data: &Data) -> Result<Measured> {
    let server = Server::start(rival, &options.dir)?;
    settle(server.id())?;
    let empty = Memory::of(server.id())?;
    let before_seconds = cpu_seconds(server.id())?;
    let began = moment::unix_us();
    feed::all(&server, rival, data)?;
    let wall_seconds = seconds_since(began);
    let mut session = server.session();
    if !rival.flush.is_empty() {
        session.get(rival.flush)?;
    }
    settle(server.id())?;
    let cpu_seconds = cpu_seconds(server.id())? - before_seconds;
    let full = Memory::of(server.id())?;
    let disk_bytes = disk_bytes(&server.data())?;
    let path = (rival.ask)(&data.question);
    let timed = asked::ask(&mut session, &path, rival.read, data)?;
    Ok(Measured {
        name: rival.name,
        does_more: rival.does_more,
        form: rival.form.words(),
        empty,
        full,
        disk_bytes,
        cpu_seconds,
        wall_seconds,
        wire_bytes: feed::wire_bytes(&server, rival, data),
        timed,
    })
}

/// Waits until a system has done what it still does with what it was given; not for ever, some
/// are never quite idle.
fn settle(pid: u32) -> Result<()> {
    let deadline = Deadline::after(IDLE_WITHIN);
    while deadline.left().is_some() {
        let before_seconds = cpu_seconds(pid)?;
        // Nothing to look for but the time: this one never finds anything.
        let _: Option<()> = Deadline::after(LOOK_EVERY).poll(|| None);
        let used = cpu_seconds(pid)? - before_seconds;
        if used < IDLE_SHARE * LOOK_EVERY.as_secs_f64() {
            break;
        }
    }
    Ok(())
}

fn seconds_since(began_us: u64) -> f64 {
    moment::unix_us().saturating_sub(began_us) as f64 / 1e6
}

fn print(out: &mut impl Write, lines: &[line::Line]) -> Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
