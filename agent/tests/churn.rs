//! What an agent holds does not grow: 100,000 ticks of a node on which everything comes and goes.
//!
//! One test in a process of its own, since it looks at the process's memory.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what cannot go on has failed"
)]

#[path = "churn/load.rs"]
mod load;

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use cairn_agent::ring::Ring;
use cairn_agent::sampler::merge::{self, Chosen, Inputs};
use cairn_agent::sampler::preference::Preference;
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sources::Reading;
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

/// Names, rows and bytes in the ring: the most of a stretch of ticks.
type Held = [usize; 3];

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
        let inputs = Inputs {
            tick,
            made_ms: tick,
            node: "node1",
            summary: self.summary.as_ref(),
            summary_is_fresh: heard(Source::Summary),
            resource: self.resource.as_ref(),
            cadvisor: None,
            alone: None,
            cgroups: None,
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
        self.now_ms += INTERVAL_MS;
    }

    fn most_of(&mut self, ticks: Range<u64>) -> Held {
        let mut most = Held::default();
        for n in ticks {
            if n > 0 && n.is_multiple_of(STEP_EVERY) {
                self.step_back();
            }
            self.sample(n);
            let stock = self.ring.stock();
            let held = [self.registry.len(), stock.rows, stock.bytes];
            most = std::array::from_fn(|at| most[at].max(held[at]));
        }
        most
    }
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

/// Guarantees: names, rows and bytes are after 100,000 ticks no more than they were after the first
/// few thousand, and the process's memory is the same to within 4 MiB.
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
    println!("names, rows, bytes: {early:?}, {late:?}; resident KiB: {early_kib}, {late_kib}");
    // Where in their lives pods are when the clock steps differs by a few.
    for (early, late) in early.into_iter().zip(late) {
        assert!(late <= early + early / 10, "{late} after {early}");
    }
    assert!(
        late_kib <= early_kib + 4 * 1024,
        "{late_kib} KiB after {early_kib} KiB"
    );
}
