//! The simulated fleet does what agents do, also when it is told to fail.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::fleet::{self, State};
use testkit::mix::{Fields, Kind};
use testkit::pki::Pki;
use testkit::proc::Proc;
use testkit::system::{System, TRACE_START_MS};

const AGENTS: usize = 12;
const SOON: Duration = Duration::from_secs(20);

/// Two aggregators, and a fleet that streams to both.
struct Bed {
    _dir: tempfile::TempDir,
    aggregators: [Proc; 2],
    fleet: Proc,
    tick_ms: u64,
}

impl Bed {
    fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Pki::new(dir.path()).unwrap().ca("ca").unwrap();
        let mut server = ca.leaf("server");
        server = server.dns(&["localhost"]);
        server
            .ips(&[IpAddr::V4(Ipv4Addr::LOCALHOST)])
            .write()
            .unwrap();
        let mut options = fleet::Options::of(Kind::C, AGENTS);
        options.mix.fields = Fields::Twenty;
        fleet::write_token_file(&options, &dir.path().join("tokens")).unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let clock = format!("driven={TRACE_START_MS}");
        let (tokens, cert, key) = (path("tokens"), path("server.pem"), path("server.key"));
        let mut args = vec!["--clock", &clock, "--tls-cert", &cert, "--tls-key", &key];
        for listener in [
            "--grpc-listen",
            "--http-listen",
            "--https-listen",
            "--admin-listen",
        ] {
            args.extend([listener, "127.0.0.1:0"]);
        }
        args.extend([
            "--ingest-auth",
            "token-file",
            "--ingest-token-file",
            &tokens,
        ]);
        let aggregators = [(); 2].map(|()| Proc::start("cairn-aggregator", &args, &[]).unwrap());
        let to = aggregators.each_ref().map(|a| a.addr("grpc").unwrap());
        let (to, agents) = (to.map(|addr| addr.to_string()), AGENTS.to_string());
        let ca = path("ca.pem");
        let mut args = vec![
            "--aggregator",
            &to[0],
            "--aggregator",
            &to[1],
            "--clock",
            &clock,
        ];
        args.extend([
            "--aggregator-ca",
            &ca,
            "--agents",
            &agents,
            "--templates",
            "3",
        ]);
        args.extend(["--fields", "twenty", "--pods", "3"]);
        args.extend(more);
        let fleet = Proc::start("fleet-sim", &args, &[]).unwrap();
        Self {
            _dir: dir,
            aggregators,
            fleet,
            tick_ms: TRACE_START_MS / 10_000 * 10_000,
        }
    }

    fn tick(&mut self) {
        self.tick_ms += 10_000;
        for aggregator in &self.aggregators {
            aggregator.step(self.tick_ms + 500).unwrap();
        }
        self.fleet.step(self.tick_ms + 500).unwrap();
    }

    fn state(&self) -> State {
        let answer = self.fleet.get("admin", "/state").unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn order(&self, json: &str) {
        let answer = self.fleet.post("admin", "/debug/fault", json).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&State) -> bool) -> State {
        let found = Deadline::after(SOON).poll(|| Some(self.state()).filter(|s| holds(s)));
        found.unwrap_or_else(|| panic!("{what}: {:?}", self.state()))
    }

    /// Waits until each aggregator holds so many rows of each agent.
    fn held(&self, rows: &[usize; 2]) {
        for (aggregator, rows) in self.aggregators.iter().zip(rows) {
            let mut held = 0.0;
            let all = Deadline::after(SOON).poll(|| {
                let name = "cairn_aggregator_store_rows";
                held = System::metric(aggregator, name, "").unwrap();
                ((held - (rows * AGENTS) as f64).abs() < 0.5).then_some(())
            });
            assert!(
                all.is_some(),
                "{held} of {rows} rows of each: {:?}",
                self.state()
            );
        }
    }
}

#[test]
fn rows_of_the_past_are_pulled_and_new_ones_pushed_to_every_aggregator() {
    let mut bed = Bed::start(&["--history", "40"]);
    let state = bed.until("connected", State::is_connected);
    assert_eq!((state.agents, state.streams), (12, 24));
    bed.held(&[40, 40]);
    bed.tick();
    bed.tick();
    bed.held(&[42, 42]);
    let state = bed.until("acked", State::is_acked);
    assert_eq!((state.rows, state.newest_tick_ms), (42, bed.tick_ms));
    assert_eq!(
        (state.acked_seq_min, state.acked_seq_max),
        (Some(41), Some(41))
    );
    // The newest row is sent at the beginning too.
    assert_eq!((state.rows_sent, state.keyframes_sent), (3 * 24, 24));
    assert_eq!((state.rows_skipped, state.late_steps), (0, 0));
    assert_eq!(state.chunks_sent, 3 * 24);
}

#[test]
fn slow_agents_pass_rows_over_and_what_they_passed_over_is_pulled() {
    let mut bed = Bed::start(&[]);
    bed.until("connected", State::is_connected);
    bed.order(r#"{"pause":4}"#);
    for _ in 0..6 {
        bed.tick();
    }
    let state = bed.state();
    assert_eq!(state.rows_sent, 8 * 2 * 6, "{state:?}");
    bed.order(r#"{"pause":0}"#);
    let state = bed.until("caught up", |s| s.rows_sent == 8 * 2 * 6 + 4 * 2 * 2);
    assert_eq!(state.rows_skipped, 4 * 2 * 4);
    // A hole is asked for when its block is over.
    for _ in 0..12 {
        bed.tick();
    }
    bed.held(&[18, 18]);
}

#[test]
fn connections_that_are_cut_come_back_and_nothing_is_lost() {
    let mut bed = Bed::start(&[]);
    bed.until("connected", State::is_connected);
    bed.tick();
    bed.order(r#"{"mute":true}"#);
    bed.tick();
    bed.order(r#"{"cut":true}"#);
    let state = bed.until("connected again", |s| {
        s.is_connected() && s.reconnects == 24
    });
    assert_eq!(state.ends.get("cut by the test"), Some(&24), "{state:?}");
    assert_eq!(state.rows_sent, 24);
    bed.order(r#"{"mute":false}"#);
    bed.held(&[2, 2]);
}

#[test]
fn a_restarted_agent_has_nothing_behind_it_and_goes_on_as_another_run() {
    let mut bed = Bed::start(&["--history", "20"]);
    bed.until("connected", State::is_connected);
    bed.held(&[20, 20]);
    bed.order(r#"{"restart":12}"#);
    bed.until("connected again", |s| {
        s.is_connected() && s.reconnects == 24
    });
    bed.tick();
    // What the aggregators hold of the runs before stays.
    bed.held(&[21, 21]);
    let state = bed.until("acked", State::is_acked);
    assert_eq!(state.acked_seq_max, Some(0));
    let unknown = bed
        .fleet
        .post("admin", "/debug/fault", r#"{"stop":1}"#)
        .unwrap();
    assert_eq!(unknown.status, 400);
}

#[test]
fn agents_leave_an_aggregator_that_asks_them_to() {
    let mut bed = Bed::start(&[]);
    bed.until("connected", State::is_connected);
    bed.tick();
    bed.aggregators[1].sigterm().unwrap();
    bed.aggregators[1].wait(SOON).unwrap();
    let asked = |s: &State| s.ends.get("the aggregator asked to leave") == Some(&12);
    let state = bed.until("left", asked);
    assert_eq!(state.connected, 12, "the other's streams go on");
}
