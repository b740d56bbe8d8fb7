//! What an agent holds does not grow: 100,000 ticks of a node on which everything comes and goes.
//!
//! One test in a process of its own, since it looks at the process's memory.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what cannot go on has failed"
)]

#[path = "churn/cgroups.rs"]
mod cgroups;
#[path = "churn/load.rs"]
mod load;

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use cairn_agent::ring::Ring;
use cairn_agent::sampler::merge::{self, Chosen, Grouped, Inputs};
use cairn_agent::sampler::preference::Preference;
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sampler::roster::Roster;
use cairn_agent::sources::Reading;
use cairn_agent::sources::cadvisor::Cadvisor;
use cairn_agent::sources::cgroup::Cgroups;
use cairn_agent::sources::procfs::Host;
use cairn_agent::sources::resource::Resource;
use cairn_agent::sources::summary::Summary;
use cairn_proto::catalogue::Source;
use cairn_proto::model::Run;

use load::INTERVAL_MS;

const START: u64 = 1_795_332_330_000;
const WINDOW_MS: u64 = 900_000;
const RING_BYTES: usize = 1 << 24;
const TICKS: u64 = 100_000;

/// Every so many ticks the clock is set back by more than was gone through since, so that it never
/// comes to where it was.
const STEP_EVERY: u64 = 1_000;
const STEP_BACK_MS: u64 = (STEP_EVERY + 200) * INTERVAL_MS;

/// Every so many ticks the roster and the open files are looked at, which takes a while.
const LOOK_EVERY: u64 = 50;

/// Names, rows and bytes in the ring, pods and containers in the roster, and open files: the most of a
/// stretch of ticks.
type Held = [usize; 5];

/// The parts of an agent that remember something from tick to tick.
struct Agent {
    registry: Registry,
    cpu: Preference,
    memory: Preference,
    ring: Ring,
    run: Run,
    summary: Option<Reading<Summary>>,
    resource: Option<Reading<Resource>>,
    host: Option<Reading<Host>>,
    cadvisor: Option<Reading<Cadvisor>>,
    node: cgroups::Node,
    roster: Roster,
    named: usize,
    now_ms: u64,
}

impl Agent {
    fn new() -> Self {
        let run = Run {
            epoch_ms: START,
            boot_id: [7; 16],
            clock_stepped: false,
        };
        Self {
            registry: Registry::default(),
            cpu: Preference::new(&[Source::Resource, Source::Summary]).unwrap(),
            memory: Preference::new(&[Source::Summary, Source::Resource]).unwrap(),
            ring: Ring::new(run, WINDOW_MS, RING_BYTES),
            run,
            summary: None,
            resource: None,
            host: None,
            cadvisor: None,
            node: cgroups::Node::new(),
            roster: Roster::default(),
            named: 0,
            now_ms: START,
        }
    }

    /// What the sampler does when the wall clock was set.
    fn step_back(&mut self) {
        self.now_ms -= STEP_BACK_MS;
        self.run = Run {
            epoch_ms: self.now_ms,
            clock_stepped: true,
            ..self.run
        };
        (self.summary, self.resource, self.host) = (None, None, None);
        self.cadvisor = None;
        self.roster.begin_run(self.now_ms);
        self.cpu.forget_times();
        self.memory.forget_times();
        self.registry.begin_run();
        self.ring.begin(self.run);
    }

    /// One tick; each source fails now and then, and both at once too.
    fn sample(&mut self, n: u64) {
        let tick = self.now_ms;
        let mut fresh = Vec::new();
        if n % 97 > 12 {
            self.summary = Some(reading(load::summary(n, tick), tick));
            fresh.push(Source::Summary);
        }
        if n % 61 > 5 {
            self.resource = Some(reading(load::resource(n, tick), tick));
            fresh.push(Source::Resource);
        }
        if n % 31 > 1 {
            self.host = Some(reading(load::host(n, tick), tick));
        }
        let heard = |source| fresh.contains(&source);
        let cgroups = self.cgroups(n, heard(Source::Summary));
        let inputs = Inputs {
            tick,
            made_ms: tick,
            node: "node1",
            summary: self.summary.as_ref(),
            summary_is_fresh: heard(Source::Summary),
            resource: self.resource.as_ref(),
            cadvisor: self.cadvisor.as_ref().filter(|_| cgroups.is_none()),
            alone: None,
            cgroups: cgroups.as_ref().map(|reading| Grouped {
                reading,
                roster: &self.roster,
            }),
            host: self.host.as_ref(),
            host_is_fresh: n % 31 > 1,
            chosen: Chosen {
                cpu: self.cpu.tick(tick, heard),
                memory: self.memory.tick(tick, heard),
            },
        };
        let merged = merge::merge(&inputs, &mut self.registry);
        assert_eq!(merged.refused_count, 0, "tick {n}: an entity got no id");
        self.ring.push(tick, merged.snapshot, merged.defs);
        self.ring.seal();
        self.registry.forget_before(tick.saturating_sub(WINDOW_MS));
        self.roster.forget_before(tick.saturating_sub(WINDOW_MS));
        self.now_ms += INTERVAL_MS;
    }

    /// What cgroups tell at a tick, as the sampler takes it; they fail now and then, as cAdvisor does.
    fn cgroups(&mut self, n: u64, summary_is_fresh: bool) -> Option<Reading<Cgroups>> {
        let tick = self.now_ms;
        let reading = self.node.read(n, tick);
        let is_read = n % 101 > 8;
        if is_read {
            self.roster.see(tick, &reading.values);
        }
        if let Some(summary) = self.summary.as_ref().filter(|_| summary_is_fresh) {
            self.roster.learn_pods(tick, &summary.values);
        }
        if n % 7 == 6 && n % 211 > 20 {
            let cadvisor = self::reading(cgroups::cadvisor(n, tick), tick);
            let known = self.roster.learn_identities(tick, &cadvisor.values);
            self.node.tell(known);
            self.cadvisor = Some(cadvisor);
        }
        let summary = self.summary.as_ref();
        let known = summary.and_then(|of| self.roster.recognise(tick, &reading.values, of));
        if let Some(known) = known {
            self.node.tell(known);
        }
        self.roster.settle(&reading.values, summary);
        let ids = reading.values.pods.iter().flat_map(|pod| &pod.containers);
        self.named += ids.filter(|of| self.roster.is_named(&of.id)).count();
        is_read.then_some(reading)
    }

    fn most_of(&mut self, ticks: Range<u64>) -> Held {
        let mut most = Held::default();
        for n in ticks {
            if n > 0 && n.is_multiple_of(STEP_EVERY) {
                self.step_back();
            }
            self.sample(n);
            let stock = self.ring.stock();
            let [entries, files] = if n > 0 && n.is_multiple_of(LOOK_EVERY) {
                let files = fs::read_dir("/proc/self/fd").unwrap();
                [entries(&self.roster), files.count()]
            } else {
                [0, 0]
            };
            let held = [self.registry.len(), stock.rows, stock.bytes, entries, files];
            most = std::array::from_fn(|at| most[at].max(held[at]));
        }
        most
    }
}

/// Pods and containers that a roster remembers.
fn entries(roster: &Roster) -> usize {
    let text = format!("{roster:?}");
    let counts = ["OfPod {", "OfContainer {"].map(|of| text.matches(of).count());
    assert!(!counts.contains(&0), "{counts:?}");
    counts.iter().sum()
}

fn reading<T>(values: T, taken_ms: u64) -> Reading<T> {
    let values = Arc::new(values);
    Reading { values, taken_ms }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

/// Scenario: summary, resource endpoint, cAdvisor, /proc and cgroups of a node; each fails now and then.
/// Guarantees: names, rows, bytes, what is known of cgroups and open files are after 100,000 ticks no more
/// than they were after the first few thousand, and the process's memory is the same to within 4 MiB.
#[test]
fn what_an_agent_holds_does_not_grow_over_100_000_ticks_of_churn() {
    let mut agent = Agent::new();
    agent.most_of(0..2_000);
    let early = agent.most_of(2_000..4_000);
    agent.most_of(4_000..10_000);
    let early_kib = resident_kib();
    agent.most_of(10_000..TICKS - 2_000);
    let late = agent.most_of(TICKS - 2_000..TICKS);
    let late_kib = resident_kib();
    println!(
        "names, rows, bytes, names of cgroups, files: {early:?}, {late:?}; resident KiB: {early_kib}, \
         {late_kib}; {} times a container had its name",
        agent.named
    );
    // Where in their lives pods are when the clock steps differs by a few.
    for (early, late) in early.into_iter().zip(late) {
        assert!(early > 0, "nothing is held: {early}");
        assert!(late <= early + early / 10, "{late} after {early}");
    }
    // A container lives for five ticks, and two summaries have to tell of it.
    assert!(agent.named as u64 > TICKS / 2, "{}", agent.named);
    assert!(
        late_kib <= early_kib + 4 * 1024,
        "{late_kib} KiB after {early_kib} KiB"
    );
}
