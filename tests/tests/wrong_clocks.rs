//! Nodes whose own clock is minutes or an hour off, or steps: they keep their place, flagged, and nobody
//! else's data moves.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::rfc3339;
use testkit::system::{self, Options, System};

const SOON: Duration = Duration::from_secs(20);

/// Ticks of each part of a case.
const PART: u64 = 5;

/// Ticks of the recording that pass before anything begins: an hour ago there was a kubelet too.
const BEFORE: u64 = 361;

const TWO_MINUTES_MS: i64 = 120_000;
const HOUR_MS: i64 = 3_600_000;

fn at(k: u64) -> u64 {
    system::at(BEFORE + k)
}

/// Two nodes of which the second has a clock of its own.
struct Pair {
    system: System,
    ahead_ms: i64,
    // How often it was set.
    steps: u64,
}

impl Pair {
    fn start(ahead_ms: i64) -> Self {
        let mut system = System::start(Options::default()).unwrap();
        // A machine whose clock is wrong begins with it.
        system.nodes.iter_mut().for_each(|node| node.agent = None);
        system.step(system::at(BEFORE - 1)).unwrap();
        system.start_agent(0).unwrap();
        let mut pair = Self {
            system,
            ahead_ms,
            steps: 0,
        };
        pair.start_second();
        pair
    }

    /// Starts the second node's agent with a clock of its own.
    fn start_second(&mut self) {
        let clock = format!("driven={}", self.own_now_ms());
        let mut args = self.system.agent_args(1).unwrap();
        args.extend(["--clock".to_owned(), clock]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let agent = testkit::proc::Proc::start("cairn-agent", &args, &[]).unwrap();
        self.system.nodes[1].agent = Some(agent);
    }

    /// Sets the second node's clock this far ahead, between two ticks: no time passes.
    fn set(&mut self, ahead_ms: i64) {
        if self.ahead_ms == ahead_ms {
            return;
        }
        self.ahead_ms = ahead_ms;
        let agent = self.system.nodes[1].agent.as_ref().unwrap();
        agent.jump(self.own_now_ms()).unwrap();
        self.steps += 1;
        // Nothing was sampled of the time in between.
        assert_eq!(self.of_second("sampler_clock_steps_total"), self.steps);
    }

    /// What time it is by the second node's clock, Unix ms.
    fn own_now_ms(&self) -> u64 {
        let clock = self.system.clock();
        let now_ms: u64 = clock.strip_prefix("driven=").unwrap().parse().unwrap();
        // Agents are stepped past the tick, kubelets to it.
        (now_ms + 500).saturating_add_signed(self.ahead_ms)
    }

    /// A figure of the second node's agent.
    fn of_second(&self, name: &str) -> u64 {
        let agent = self.system.nodes[1].agent.as_ref().unwrap();
        System::count(agent, &format!("cairn_agent_{name}"), "").unwrap()
    }

    /// A tick of the right clock: the second node's kubelet and agent go by their own.
    fn tick(&mut self, k: u64) {
        self.system.nodes[1].ahead_ms = self.ahead_ms;
        let agent = self.system.nodes[1].agent.take().unwrap();
        self.system.step(at(k)).unwrap();
        let own_ms = at(k).saturating_add_signed(self.ahead_ms);
        self.system.nodes[1].kubelet.step(own_ms).unwrap();
        agent.step(own_ms + 500).unwrap();
        self.system.arrived(at(k), SOON).unwrap();
        self.system.nodes[1].agent = Some(agent);
        let own = self.own_tick(k);
        let came = Deadline::after(SOON).poll(|| (self.newest() >= Some(own)).then_some(()));
        let (node, said) = (self.node2(), self.system.stderr());
        assert!(came.is_some(), "{own} did not come but {node}:\n{said}");
    }

    /// What the second node calls a tick.
    fn own_tick(&self, k: u64) -> u64 {
        at(k).saturating_add_signed(self.ahead_ms)
    }

    fn node2(&self) -> Value {
        let overview = self.system.overview().unwrap();
        let mut nodes = overview["nodes"].as_array().unwrap().iter();
        let found = nodes.find(|node| node["name"] == "node2");
        found.cloned().unwrap_or_default()
    }

    fn newest(&self) -> Option<u64> {
        self.node2()["newest_tick_ms"].as_u64()
    }

    /// All that is told at these ticks of the first node's pods and containers, which a recorded kubelet
    /// measures: host figures are this machine's.
    fn first(&self, ticks: u64) -> Value {
        let (start, end) = (rfc3339::format(at(0)), rfc3339::format(at(ticks - 1)));
        let path = format!("/api/cairn/v1/values?node=node1&start={start}&end={end}");
        let told = self.system.json(&path).unwrap();
        let entities = told["entities"].as_array().unwrap().iter();
        let recorded =
            entities.filter(|entity| entity["kind"] == "pod" || entity["kind"] == "container");
        let recorded: Vec<Value> = recorded.cloned().collect();
        assert!(recorded.len() > 10, "{told}");
        json!([told["ticks"], recorded])
    }

    /// The second node is there with a latest value, and the page says what is wrong, or that nothing is.
    fn is_there(&self, k: u64) {
        let what = format!("{} ms ahead, tick {k}", self.ahead_ms);
        // By the aggregator's clock, also where its own is another.
        let time = json!(rfc3339::format(at(k)));
        let told = |item: &Value| item["metadata"]["name"] == "node2" && item["timestamp"] == time;
        let is_so = || {
            let latest = self.system.json("/apis/metrics/v1alpha1/nodes").unwrap();
            let is_latest = latest["items"].as_array().unwrap().iter().any(told);
            let reason = self.node2()["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let is_flagged = reason.contains("its clock is");
            (is_latest && is_flagged == (self.ahead_ms != 0)).then_some(())
        };
        // After a step its agent has to come back.
        let found = Deadline::after(SOON).poll(is_so);
        let latest = || self.system.json("/apis/metrics/v1alpha1/nodes").unwrap();
        assert!(found.is_some(), "{what}: {}\n{}", latest(), self.node2());
    }
}

/// What is told of the first node beside a second one whose clock is right.
fn right(ticks: u64) -> Value {
    let mut pair = Pair::start(0);
    (0..ticks).for_each(|k| pair.tick(k));
    pair.is_there(ticks - 1);
    pair.first(ticks)
}

/// Scenario: a node's clock is two minutes or an hour ahead or behind from the start on.
/// Guarantees: its latest values stay, and the page says that its clock is wrong; whatever is told of the
/// other node is, value by value, what is told of it beside a node whose clock is right.
#[test]
fn a_node_whose_clock_is_off_keeps_its_latest_values_and_moves_nobody_elses() {
    let expected = right(2 * PART);
    for ahead_ms in [TWO_MINUTES_MS, -TWO_MINUTES_MS, HOUR_MS, -HOUR_MS] {
        let mut pair = Pair::start(ahead_ms);
        for k in 0..2 * PART {
            pair.tick(k);
            // One measurement says nothing of CPU time.
            if k > 0 {
                pair.is_there(k);
            }
        }
        assert_eq!(pair.first(2 * PART), expected, "{ahead_ms} ms ahead");
    }
}

/// Scenario: a node's clock is right, is set two minutes or an hour ahead or behind, and set right again,
/// each time between two ticks.
/// Guarantees: the agent samples each tick of its clock once and none of those that were jumped over; as
/// long as it is off its latest values stay and the page says so, and no longer; whatever is told of the
/// other node is, value by value, what is told of it beside a node whose clock is right.
#[test]
fn a_node_whose_clock_steps_there_and_back_moves_nobody_elses() {
    let expected = right(3 * PART);
    for ahead_ms in [TWO_MINUTES_MS, -TWO_MINUTES_MS, HOUR_MS, -HOUR_MS] {
        let mut pair = Pair::start(0);
        for k in 0..3 * PART {
            let is_off = (PART..2 * PART).contains(&k);
            pair.set(if is_off { ahead_ms } else { 0 });
            pair.tick(k);
            // By the first tick after a step it is noticed; CPU time needs two measurements after it.
            if k % PART > 1 {
                pair.is_there(k);
            }
        }
        assert_eq!(pair.of_second("sampler_rows_total"), 3 * PART);
        assert_eq!(pair.first(3 * PART), expected, "{ahead_ms} ms ahead");
    }
}
