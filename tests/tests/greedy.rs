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

/// CPU time that it may take meanwhile, cores: twice what is promised, as a debug build has it too.
const MOST_CORES: f64 = 0.02;

/// How long it is looked at what an agent does for who asks without end.
const WATCHED: Duration = Duration::from_secs(10);

/// Blocks of two windows at 10 s: what an address gets of the past in ten minutes.
const BLOCKS: u64 = 14;

/// Frames that an agent reads at once, and in a second after that.
const AT_ONCE: u64 = 257;
const A_SECOND: u64 = 10;

/// Rows that the agent has: two blocks and a begun one.
const ROWS: u64 = 40;

/// The system's agent streams to its own aggregator and to a greedy one, and has rows behind it.
fn besides(greedy: impl Fn(&v1::Hello, u64) -> Option<Answer> + Send + Sync + 'static) -> Case {
    let (system, greedy) = greedy::beside(ROWS, greedy).unwrap();
    Case { system, greedy }
}

struct Case {
    system: System,
    greedy: Greedy,
}

impl Case {
    fn metric(&self, name: &str) -> f64 {
        let agent = self.system.nodes[0].agent.as_ref().unwrap();
        System::metric(agent, name, "").unwrap()
    }

    /// Waits until the agent reads the greedy one more slowly.
    fn slowed(&self) -> Got {
        let slowed = || self.metric("cairn_agent_uplink_slowed_total") > 0.5;
        let seen = Deadline::after(SOON).poll(|| slowed().then_some(()));
        assert!(
            seen.is_some(),
            "{:?}\n{}",
            self.greedy.got(),
            self.system.stderr()
        );
        self.greedy.got()
    }

    /// Lets the greedy one go on for a while, and checks that the agent takes little CPU time; gives what
    /// it got meanwhile, and the seconds that passed at most.
    fn watched(&self) -> (Got, u64) {
        let cpu = || {
            let name = "cairn_agent_process_cpu_seconds_total";
            self.metric(name)
        };
        let (before, before_cpu) = (self.greedy.got(), cpu());
        let longest = Deadline::after(10 * WATCHED);
        let _: Option<()> = Deadline::after(WATCHED).poll(|| None);
        let (after, after_cpu) = (self.greedy.got(), cpu());
        let left = longest.left().unwrap_or_default();
        let took = (10 * WATCHED).saturating_sub(left).as_secs() + 1;
        let got = Got {
            streams: after.streams - before.streams,
            rows: after.rows - before.rows,
            chunks: after.chunks - before.chunks,
            gaps: after.gaps - before.gaps,
            said: after.said - before.said,
        };
        let used = after_cpu - before_cpu;
        println!(
            "in {took} s: {got:?}, {used:.2} s of CPU time, {:.2} % of a core",
            100.0 * used / WATCHED.as_secs_f64()
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

/// Scenario: an aggregator asks for everything of the agent's run, again and again as fast as it is read.
/// Guarantees: it gets two windows of blocks and no more; what it says is read at ten frames a second
/// after the first 256, so the rest of the answers are as few, and the agent's work is little; the agent
/// says so; rows go on to it and to the other aggregator.
#[test]
fn who_asks_for_everything_again_and_again_gets_two_windows() {
    let case = besides(|hello, _| everything(hello.run.clone()));
    case.slowed();
    let (got, seconds) = case.watched();
    let all = case.greedy.got();
    assert!((1..=BLOCKS).contains(&all.chunks), "{all:?}");
    assert!(all.gaps <= 2 * (AT_ONCE + A_SECOND * 600), "{all:?}");
    assert!(got.gaps <= 2 * (A_SECOND * seconds + AT_ONCE), "{got:?}");
    assert_eq!(got.streams, 0, "the stream goes on");
    case.goes_on(ROWS);
    assert!(case.greedy.got().chunks <= BLOCKS);
}

/// Scenario: an aggregator asks for runs that the agent did not live, sends frames of a kind that nobody
/// knows, and names that nobody asked for.
/// Guarantees: it is read at ten frames a second at most, which is little work, and answered no more; rows
/// go on.
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
    case.slowed();
    let (got, seconds) = case.watched();
    let all = case.greedy.got();
    assert_eq!(all.chunks, 0, "{all:?}");
    // It answers, or HTTP/2 has ended the stream first, which counts frames that are nearly empty.
    assert!(all.gaps > 0 || all.streams > 1, "{all:?}");
    assert!(got.gaps <= A_SECOND * seconds, "{got:?} in {seconds} s");
    case.goes_on(ROWS);
}
