//! Nothing that the processes hold grows, however much comes and goes.
//!
//! The recording is replayed over and over: at each loop of 300 ticks pods, containers, volumes and
//! interfaces go, and others come with new names and UIDs. Sources fail meanwhile, the agent's clock
//! is set back (which ends its run and its session), and clients ask.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use testkit::proc::{Held, Proc};
use testkit::system::{FIRST_TICK_MS, Options, System};

/// Distance of the ticks.
const TICK_MS: u64 = 1_000;

/// Ticks that the clocks are stepped at a time: as long as the kubelet repeats an answer.
const STEP: u64 = 10;

/// Later than the node's phase.
const PAST_PHASE_MS: u64 = 300;

/// Ticks between two disturbances.
const DISTURB_EVERY: u64 = 500;

/// Ticks after which the ring and the window are full, and everything has happened more than once.
const WARM: u64 = 10_000;

/// Ticks in which the most of each gauge is looked for: nine loops of the recording, in which names that
/// no row uses any more have been looked through at least once.
const STRETCH: u64 = 2_700;

/// By how much resident memory may differ: what an allocator keeps for later.
const SLACK_KIB: u64 = 4 * 1024;

const SOON: Duration = Duration::from_secs(20);

const GAUGES: [(&str, bool); 7] = [
    ("cairn_agent_sampler_entities", true),
    ("cairn_agent_ring_rows", true),
    ("cairn_agent_ring_bytes", true),
    ("cairn_aggregator_store_nodes", false),
    ("cairn_aggregator_store_rows", false),
    ("cairn_aggregator_store_samples", false),
    ("cairn_aggregator_store_bytes", false),
];

struct Churn {
    system: System,
    next_ms: u64,
    ticks: u64,
}

impl Churn {
    fn start() -> Self {
        let system = System::start(Options {
            interval: "1s".to_owned(),
            extra_agent_args: vec!["--log".to_owned(), "warn".to_owned()],
            ..Options::one_node()
        });
        Self {
            system: system.unwrap(),
            next_ms: FIRST_TICK_MS,
            ticks: 0,
        }
    }

    fn kubelet(&self) -> &Proc {
        &self.system.nodes[0].kubelet
    }

    fn agent(&self) -> &Proc {
        self.system.nodes[0].agent.as_ref().unwrap()
    }

    fn aggregator(&self) -> &Proc {
        self.system.aggregator().unwrap()
    }

    /// The kubelet stands at the first of the ticks, as one that measures every ten seconds does.
    fn step(&mut self) {
        let last_ms = self.next_ms + (STEP - 1) * TICK_MS;
        self.kubelet().step(self.next_ms).unwrap();
        self.aggregator().step(last_ms + PAST_PHASE_MS).unwrap();
        self.agent().step(last_ms + PAST_PHASE_MS).unwrap();
        self.next_ms += STEP * TICK_MS;
        self.ticks += STEP;
    }

    fn run_to(&mut self, ticks: u64) {
        while self.ticks < ticks {
            self.step();
            if self.ticks.is_multiple_of(DISTURB_EVERY) {
                self.disturb(self.ticks / DISTURB_EVERY);
            }
        }
    }

    fn disturb(&mut self, turn: u64) {
        let fault = |endpoint: &str, kind: &str| {
            let order = format!(
                r#"{{"endpoint":"{endpoint}","fault":{{"kind":{kind}}},"for_requests":40}}"#
            );
            let answer = self.kubelet().post("admin", "/debug/fault", &order);
            assert_eq!(answer.unwrap().status, 200);
        };
        match turn % 6 {
            0 => self.set_back(),
            1 => fault("summary", r#""status","code":503"#),
            2 => fault("resource", r#""truncate","at":500"#),
            3 => fault("all", r#""garbage""#),
            4 => self.ask(),
            _ => fault("all", r#""status","code":401"#),
        }
    }

    /// Sets the agent's clock back: its run ends, its session with it, and a new one begins.
    fn set_back(&mut self) {
        let newest_ms = self.next_ms - TICK_MS;
        let ended = System::metric(self.agent(), "cairn_agent_uplink_ends_total", "").unwrap();
        self.agent().step(newest_ms - 5 * TICK_MS).unwrap();
        self.step();
        let newest_ms = self.next_ms - TICK_MS;
        self.system.arrived(newest_ms, SOON).unwrap();
        let now = System::metric(self.agent(), "cairn_agent_uplink_ends_total", "").unwrap();
        assert!(now > ended, "the session ended");
    }

    /// Clients of every kind; the last one opens a stream and goes.
    fn ask(&self) {
        for path in [
            "/api/cairn/v1/overview",
            "/api/v1/model/metrics/cpu/usage_rate",
            "/api/v1/model/debug/allkeys",
            "/api/v1/model/namespaces/default/pods",
            "/api/v1/metric-export",
            "/no/such/path",
        ] {
            self.system.get(path).unwrap();
        }
        let http = self.aggregator().addr("http").unwrap();
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
            .write_all(b"GET /api/cairn/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        stream.read_exact(&mut [0; 512]).unwrap();
    }

    /// Everything that is compared: of both processes what they hold, and the most of each gauge
    /// over a stretch of ticks.
    fn look(&mut self) -> (Held, Held, Vec<u64>) {
        let newest_ms = self.next_ms - TICK_MS;
        self.system.arrived(newest_ms, SOON).unwrap();
        let held = |process: &Proc| Held::by(process).unwrap();
        let held = (held(self.agent()), held(self.aggregator()));
        let mut most = vec![0; GAUGES.len()];
        for _ in 0..STRETCH / STEP {
            self.step();
            for (most, gauge) in most.iter_mut().zip(self.gauges()) {
                *most = gauge.max(*most);
            }
        }
        (held.0, held.1, most)
    }

    fn gauges(&self) -> Vec<u64> {
        let texts = [self.aggregator(), self.agent()]
            .map(|process| process.get("admin", "/metrics").unwrap().text());
        let value = |(name, of_agent): (&str, bool)| {
            let lines = texts[usize::from(of_agent)].lines();
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            values.next().unwrap().parse().unwrap()
        };
        GAUGES.map(value).to_vec()
    }
}

fn compare(name: &str, early: &Held, late: &Held) {
    // A word of a closed set, such as why a connection ended, may be needed late.
    let news: Vec<&String> = late.series.difference(&early.series).collect();
    assert!(news.len() <= 3, "series of the {name}: {news:?}");
    // Threads that blocking work was given to stay for a while, and so do connections.
    assert!(
        late.threads <= early.threads + 2,
        "threads of the {name}: {late:?} after {early:?}"
    );
    assert!(
        late.descriptors <= early.descriptors + 4,
        "descriptors of the {name}: {late:?} after {early:?}"
    );
    assert!(
        late.resident_kib <= early.resident_kib + SLACK_KIB,
        "memory of the {name}: {late:?} after {early:?}"
    );
}

#[expect(clippy::print_stdout, reason = "the figures that `make soak` is for")]
fn nothing_grows_over(ticks: u64) {
    let mut churn = Churn::start();
    churn.run_to(WARM);
    let early = churn.look();
    for tens in 2..=ticks / 10_000 {
        churn.run_to(tens * 10_000);
        let resident = |process: &Proc| Held::by(process).unwrap().resident_kib;
        let (agent, aggregator) = (resident(churn.agent()), resident(churn.aggregator()));
        println!("after {tens}0,000 ticks: agent {agent} KiB, aggregator {aggregator} KiB");
    }
    let late = churn.look();
    println!(
        "gauges after {WARM} ticks {:?}, after {ticks} {:?}",
        early.2, late.2
    );
    println!("agent: {}\n       {}", early.0, late.0);
    println!("aggregator: {}\n            {}", early.1, late.1);
    let news = late.1.series.difference(&early.1.series);
    println!(
        "new series of the aggregator: {:?}",
        news.collect::<Vec<_>>()
    );
    compare("agent", &early.0, &late.0);
    compare("aggregator", &early.1, &late.1);
    for ((name, _), (early, late)) in GAUGES.iter().zip(early.2.iter().zip(&late.2)) {
        assert!(*late <= early + early / 20, "{name}: {late} after {early}");
    }
}

/// Guarantees: memory, descriptors, threads, series and gauges of agent and aggregator are the same
/// after 20,000 ticks as after 10,000. `make soak` goes on to 100,000.
#[test]
fn nothing_grows_over_20_000_ticks() {
    nothing_grows_over(20_000);
}

/// Guarantees: the same over 100,000 ticks. Takes minutes, and so is there for `make soak` alone.
#[cfg(feature = "soak")]
#[test]
fn nothing_grows_over_100_000_ticks() {
    nothing_grows_over(100_000);
}
