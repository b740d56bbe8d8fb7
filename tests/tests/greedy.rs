//! An aggregator that asks its agents for everything, again and again, makes them work no more than they
//! allow it to.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: what cannot go on has failed, and what was measured is told"
)]

use std::time::Duration;

use cairn_proto::v1::{self, aggregator_frame::Kind as Answer};
use testkit::deadline::Deadline;
use testkit::greedy::{self, Got, Greedy, everything};
use testkit::system::{System, at};

const SOON: Duration = Duration::from_secs(20);

/// Between two looks at the agent's figures: each is work of the agent that is measured.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// CPU time that it may take, from the first thing that it is asked for, cores: twice what is promised, as a
/// debug build has it too.
const MOST_CORES: f64 = 0.02;

/// How long it is looked at what an agent does for who asks without end, the two windows that it gets at
/// first included.
const WATCHED: Duration = Duration::from_secs(20);

/// Blocks of two windows at 10 s: what an address gets of the past in ten minutes.
const BLOCKS: u64 = 14;

/// Frames that an agent reads at once, and in a second after that.
const AT_ONCE: u64 = 257;
const A_SECOND: u64 = 10;

/// Rows that the agent made. Its ring of 15 minutes holds 90 of them, to the border of a block: it is full, and
/// a block has gone.
const ROWS: u64 = 112;

/// The system's agent streams to its own aggregator and to a greedy one, which begins now that the
/// agent's ring is full.
fn besides(greedy: impl Fn(&v1::Hello, u64) -> Option<Answer> + Send + Sync + 'static) -> Case {
    let (system, greedy) = greedy::beside(ROWS, greedy).unwrap();
    let mut case = Case {
        system,
        greedy,
        cpu_before: 0.0,
    };
    assert!(case.metric("cairn_agent_ring_evicted_rows_total") > 0.5);
    assert_eq!(case.greedy.got().chunks, 0, "nothing was asked for yet");
    case.cpu_before = case.cpu();
    case.greedy.begin();
    case
}

struct Case {
    system: System,
    greedy: Greedy,
    /// CPU time that the agent had used before anything was asked for, seconds.
    cpu_before: f64,
}

impl Case {
    fn metric(&self, name: &str) -> f64 {
        let agent = self.system.nodes[0].agent.as_ref().unwrap();
        System::metric(agent, name, "").unwrap()
    }

    fn cpu(&self) -> f64 {
        self.metric("cairn_agent_process_cpu_seconds_total")
    }

    /// Waits until the agent reads the greedy one more slowly.
    fn slowed(&self) -> Got {
        let slowed = || self.metric("cairn_agent_uplink_slowed_total") > 0.5;
        let seen = Deadline::after(SOON).poll(|| {
            let _: Option<()> = Deadline::after(LOOK_EVERY).poll(|| None);
            slowed().then_some(())
        });
        assert!(
            seen.is_some(),
            "{:?}\n{}",
            self.greedy.got(),
            self.system.stderr()
        );
        self.greedy.got()
    }

    /// Waits until the agent slows the greedy one down, lets that go on for a while, and checks that the
    /// agent took little CPU time since the first thing was asked for; gives what the greedy one got while
    /// it was slowed down, and the seconds that passed at most.
    fn watched(&self) -> (Got, u64) {
        let longest = Deadline::after(10 * WATCHED);
        let least = Deadline::after(WATCHED);
        let before = self.slowed();
        let _: Option<()> = least.poll(|| None);
        let (after, used) = (self.greedy.got(), self.cpu() - self.cpu_before);
        let left = longest.left().unwrap_or_default();
        let took = (10 * WATCHED).saturating_sub(left).as_secs() + 1;
        let got = Got {
            streams: after.streams - before.streams,
            rows: after.rows - before.rows,
            chunks: after.chunks - before.chunks,
            gaps: after.gaps - before.gaps,
            said: after.said - before.said,
        };
        println!(
            "in {took} s: {got:?}, {used:.2} s of CPU time, {:.2} % of a core",
            100.0 * used / took as f64
        );
        assert!(used < MOST_CORES * took as f64, "{used} s in {took} s");
        (got, took)
    }

    /// Rows go on, to the greedy one and to the honest one.
    fn goes_on(&self, k: u64) {
        let before = self.greedy.got().rows;
        self.system.tick(at(k)).unwrap();
        let came = Deadline::after(SOON).poll(|| (self.greedy.got().rows > before).then_some(()));
        assert!(
            came.is_some(),
            "{:?}\n{}",
            self.greedy.got(),
            self.system.stderr()
        );
    }
}

/// Scenario: an aggregator asks an agent whose ring is full for everything of its run, again and again as fast
/// as it is read.
/// Guarantees: it gets two windows of blocks and no more; what it says is read at ten frames a second
/// after the first 256, so the rest of the answers are as few, and the agent's work is little; the agent
/// says so; rows go on to it and to the other aggregator.
#[test]
fn who_asks_for_everything_again_and_again_gets_two_windows() {
    let case = besides(|hello, _| everything(hello.run.clone()));
    let (got, seconds) = case.watched();
    let all = case.greedy.got();
    assert_eq!(all.chunks, BLOCKS, "{all:?}");
    assert!(all.gaps <= 2 * (AT_ONCE + A_SECOND * 600), "{all:?}");
    assert!(got.gaps <= 2 * (A_SECOND * seconds + AT_ONCE), "{got:?}");
    assert_eq!(got.streams, 0, "the stream goes on");
    case.goes_on(ROWS);
    assert_eq!(case.greedy.got().chunks, BLOCKS);
}

/// Scenario: an aggregator asks for runs that the agent did not live, sends frames of a kind that nobody
/// knows, and names that nobody asked for.
/// Guarantees: it is read at ten frames a second at most, which is little work, and answered no more; rows
/// go on to the other aggregator.
#[test]
fn who_asks_for_what_is_not_there_is_read_at_a_pace() {
    let case = besides(|_, number| match number % 3 {
        0 => everything(Some(v1::Run {
            boot_id: vec![9; 16],
            epoch_ms: number,
            clock_stepped: false,
        })),
        1 => Some(Answer::Names(v1::Names::default())),
        _ => None,
    });
    let (got, seconds) = case.watched();
    let all = case.greedy.got();
    assert_eq!(all.chunks, 0, "{all:?}");
    // It answers, or HTTP/2 has ended the stream first, which counts frames that are nearly empty.
    assert!(all.gaps > 0 || all.streams > 1, "{all:?}");
    assert!(got.gaps <= A_SECOND * seconds, "{got:?} in {seconds} s");
    // What HTTP/2 has cut off gets a row when it happens to; the honest one gets each.
    case.system.tick(at(ROWS)).unwrap();
}
