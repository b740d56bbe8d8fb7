//! The Kubernetes Dashboard, by a replica of its client, against the real system.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::dashboard::{Card, Heapster, How, Metric, Point, Sidecar, aggregate, cards};
use testkit::deadline::Deadline;
use testkit::system::{Options, System, at};

const SOON: Duration = Duration::from_secs(10);

/// A name that no pod has.
const NOBODY: &str = "no-such-pod";

/// A pod that crashes again and again: between its containers' lives it has nothing to tell.
const CRASHER: &str = "crasher";

/// The second of a tick, as a point has it.
fn x(k: u64) -> i64 {
    i64::try_from(at(k) / 1_000).unwrap()
}

/// Both generations of the client, at one system.
struct Clients {
    sidecar: Sidecar,
    heapster: Heapster,
}

impl Clients {
    fn of(system: &System) -> Self {
        let http = system.aggregator().unwrap().addr("http").unwrap();
        Self {
            sidecar: Sidecar::new(http),
            heapster: Heapster::new(http),
        }
    }

    /// The cards of a node's page.
    fn node_cards(&mut self, node: &str) -> Option<Vec<Card>> {
        let of = |metric| self.sidecar.node(node, metric).unwrap().unwrap_or_default();
        let series = Metric::ALL.map(of);
        cards(&series.each_ref().map(Vec::as_slice))
    }

    /// The metric of the model that the newer client gets under this name.
    fn single(&mut self, of: &str, metric: Metric) -> Vec<Point> {
        let name = match metric {
            Metric::Cpu => "cpu/usage_rate",
            Metric::Memory => "memory/working_set",
        };
        self.heapster
            .other(&format!("{of}/metrics/{name}"))
            .unwrap()
    }
}

/// What holds for every series: points on the grid, each later than the one before.
fn assert_on_grid(what: &str, points: &[Point]) {
    let on_grid = points.iter().all(|point| point.x % 10 == 0);
    assert!(on_grid, "{what}: {points:?}");
    let rises = points.is_sorted_by(|one, next| one.x < next.x);
    assert!(rises, "{what}: {points:?}");
}

/// A saw-tooth is a sum that lacks one of its parts at one of its points.
fn assert_without_holes(what: &str, points: &[Point]) {
    let is_near = |pair: &[Point]| pair[1].x - pair[0].x == 10;
    assert!(points.windows(2).all(is_near), "{what}: {points:?}");
}

fn list(system: &System, path: &str) -> Vec<String> {
    let answer = system.json(&format!("/api/v1/model/{path}")).unwrap();
    let names = answer.as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Checks the answers about the pods of a namespace that were ever seen. How many series it had.
fn check_pods(clients: &mut Clients, namespace: &str, seen: &[String], metric: Metric) -> usize {
    let mut asked: Vec<&str> = seen.iter().map(String::as_str).collect();
    asked.extend([NOBODY, seen[0].as_str()]);
    let answered = clients.sidecar.pods(namespace, &asked, metric).unwrap();
    assert_eq!(answered[seen.len()], None, "of an unknown pod nothing");
    assert_eq!(answered[seen.len() + 1], answered[0], "asked twice");
    let mut singles = Vec::new();
    for (name, series) in seen.iter().zip(&answered) {
        let what = format!("{namespace}/{name} {metric:?}");
        let single = clients.single(&format!("namespaces/{namespace}/pods/{name}"), metric);
        assert_eq!(series.as_ref().unwrap_or(&Vec::new()), &single, "{what}");
        assert_on_grid(&what, &single);
        if name != CRASHER {
            assert_without_holes(&what, &single);
        }
        singles.push(single);
    }
    let of_list = answered.iter().take(seen.len()).flatten();
    for how in [How::Sum, How::Min, How::Max] {
        let whole = aggregate(how, of_list.clone().map(Vec::as_slice));
        let parts = aggregate(how, singles.iter().map(Vec::as_slice));
        assert_eq!(whole, parts, "{namespace} {metric:?} {how:?}");
    }
    check_older_client(clients, namespace, &asked, metric);
    of_list.count()
}

/// The older client gets an item for each name, also of the unknown and for one asked for twice.
fn check_older_client(clients: &mut Clients, namespace: &str, asked: &[&str], metric: Metric) {
    let items = clients.heapster.pods(namespace, asked, metric).unwrap();
    assert_eq!(items.first(), items.last(), "asked twice");
    assert!(
        items[asked.len() - 2].is_empty(),
        "of an unknown pod nothing"
    );
    for (name, points) in asked.iter().zip(&items) {
        let of = format!(
            "namespaces/{namespace}/pods/{name}/metrics/{}",
            metric.path()
        );
        assert_eq!(points, &clients.heapster.other(&of).unwrap(), "{name}");
        assert_on_grid(name, points);
    }
    // Without the second answer about the pod asked for twice.
    let parts = items.iter().rev().skip(1).map(Vec::as_slice);
    let sum = aggregate(How::Sum, parts);
    let of = format!("namespaces/{namespace}/metrics/{}", metric.path());
    let namespace = clients.heapster.other(&of).unwrap();
    // A rate of the whole is cut to an integer once, those of its pods each.
    let cuts = if metric == Metric::Cpu { 12 } else { 0 };
    assert_eq!(sum.len(), namespace.len(), "{of}");
    for (sum, whole) in sum.iter().zip(&namespace) {
        let same = sum.x == whole.x && (0..=cuts).contains(&(whole.y - sum.y));
        assert!(same, "{of}: {sum:?} {whole:?}");
    }
}

/// Checks the answers about every node: they share their seconds, and those of the cluster.
fn check_nodes(clients: &mut Clients, nodes: &[String], metric: Metric) {
    let mut all = Vec::new();
    for node in nodes {
        let points = clients
            .sidecar
            .node(node, metric)
            .unwrap()
            .unwrap_or_default();
        assert_on_grid(node, &points);
        assert_without_holes(node, &points);
        all.push(points);
    }
    let seconds = |points: &[Point]| points.iter().map(|point| point.x).collect::<Vec<_>>();
    for points in &all {
        assert_eq!(seconds(points), seconds(&all[0]), "{metric:?}");
    }
    assert_eq!(clients.sidecar.node("nobody", metric).unwrap(), None);
    assert!(clients.heapster.node("nobody", metric).unwrap().is_empty());
    for node in nodes {
        let older = clients.heapster.node(node, metric).unwrap();
        assert_eq!(seconds(&older), seconds(&all[0]), "{node} {metric:?}");
    }
}

/// Scenario: the recorded five minutes, in which pods come, go, crash and are replaced.
/// Guarantees: at every tick looked at, both generations of the Dashboard can read every answer;
/// every series lies on the grid, rises and has no hole; what the client adds up of a workload is
/// the sum of the single series; a deleted pod keeps its past and gets no more points; an unknown
/// pod and one asked for twice spoil nothing; nodes share their seconds.
#[test]
fn the_dashboard_reads_every_answer_of_the_recording_and_adds_up_without_a_saw_tooth() {
    let system = System::start(Options::default()).unwrap();
    let mut clients = Clients::of(&system);
    assert!(
        !clients.sidecar.is_healthy(),
        "there is nothing to show yet"
    );
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut most = 0;
    for k in 0..30 {
        system.tick(at(k)).unwrap();
        let namespaces = list(&system, "namespaces/");
        for namespace in &namespaces {
            let pods = list(&system, &format!("namespaces/{namespace}/pods/"));
            seen.extend(pods.into_iter().map(|pod| (namespace.clone(), pod)));
        }
        if ![0, 1, 2, 6, 7, 12, 13, 15, 18, 23, 29].contains(&k) {
            continue;
        }
        assert!(clients.sidecar.is_healthy() && clients.heapster.is_healthy());
        let nodes = list(&system, "nodes/");
        for metric in Metric::ALL {
            check_nodes(&mut clients, &nodes, metric);
            for namespace in ["default", "shop"] {
                let of = seen.iter().filter(|(within, _)| within == namespace);
                let names: Vec<String> = of.map(|(_, name)| name.clone()).collect();
                most = most.max(check_pods(&mut clients, namespace, &names, metric));
            }
        }
    }
    assert_eq!(most, 12, "pods of the namespace shop");
}

/// Scenario: a rollout replaces the pods named `burner`; the old ones are seen until tick 14.
/// Guarantees: the client, which asks for the pods that there are, draws the new ones alone; the
/// old ones, asked for by name, still answer their past and nothing after their end.
#[test]
fn a_deleted_pod_ends_where_it_ended_and_is_in_no_later_sum() {
    let system = System::start(Options::default()).unwrap();
    for k in 0..24 {
        system.tick(at(k)).unwrap();
    }
    let mut clients = Clients::of(&system);
    let (old, new) = ("burner-6cb655c9bf-tt7hk", "burner-6cb655c9bf-vd7bl");
    let listed = list(&system, "namespaces/shop/pods/");
    assert!(listed.iter().any(|name| name == new) && !listed.iter().any(|name| name == old));
    for metric in Metric::ALL {
        let answered = clients.sidecar.pods("shop", &[old, new], metric).unwrap();
        let [Some(old), Some(new)] = answered.as_slice() else {
            panic!("{answered:?}");
        };
        assert_eq!(old.last().unwrap().x, x(14), "{metric:?}");
        assert_eq!(new.last().unwrap().x, x(23), "{metric:?}");
        let sum = aggregate(How::Sum, [old.as_slice(), new.as_slice()]);
        let after = |points: &[Point]| {
            let after = points.iter().filter(|point| point.x > x(14));
            after.copied().collect::<Vec<Point>>()
        };
        assert_eq!(after(&sum), after(new), "{metric:?}");
    }
}

/// Scenario: one agent samples every five seconds, the other every ten, as the aggregator does.
/// Guarantees: every series has points on the aggregator's grid alone, and both nodes have the same
/// ones; sums over the pods of both nodes have no saw-tooth.
#[test]
fn nodes_with_different_intervals_share_the_seconds_of_the_grid() {
    let own = ("node1".to_owned(), "5s".to_owned());
    let options = Options {
        agent_intervals: [own].into(),
        ..Options::default()
    };
    let system = System::start(options).unwrap();
    for k in 0..8 {
        system.tick(at(k)).unwrap();
        system.step(at(k) + 5_000).unwrap();
    }
    let rows = |n: usize| {
        let agent = system.nodes[n].agent.as_ref().unwrap();
        System::metric(agent, "cairn_agent_sampler_rows_total", "").unwrap()
    };
    let both = [rows(0), rows(1)];
    assert!(both[0] > 1.5 * both[1], "{both:?}");
    let mut clients = Clients::of(&system);
    let nodes = list(&system, "nodes/");
    let pods = list(&system, "namespaces/shop/pods/");
    for metric in Metric::ALL {
        check_nodes(&mut clients, &nodes, metric);
        check_pods(&mut clients, "shop", &pods, metric);
        let points = clients.sidecar.node("node1", metric).unwrap().unwrap();
        assert_eq!(points.last().unwrap().x, x(7));
    }
}

/// Guarantees: no card before each metric has two points, "waiting" before five clock minutes, then
/// charts; after a restart of the aggregator the same charts, from the agents' history.
#[test]
fn charts_wait_for_five_minutes_and_come_back_whole_after_a_restart() {
    let mut system = System::start(Options::default()).unwrap();
    let mut clients = Clients::of(&system);
    let waiting = Some(vec![Card::Waiting, Card::Waiting]);
    for k in 0..22 {
        system.tick(at(k)).unwrap();
        let shown = clients.node_cards("node1");
        match k {
            // The first rate needs two measurements, the second one three.
            0 | 1 => assert_eq!(shown, None, "tick {k}"),
            // Ticks begin at a half minute: the fifth minute begins with tick 21.
            2..=20 => assert_eq!(shown, waiting, "tick {k}"),
            _ => {}
        }
    }
    let drawn = clients.node_cards("node1");
    // One pod that lives on and one that is deleted since tick 15.
    let asked = ["web-7ffcbbddf7-djszf", "burner-6cb655c9bf-tt7hk"];
    let of_pods = |clients: &mut Clients| {
        Metric::ALL.map(|metric| clients.sidecar.pods("shop", &asked, metric).unwrap())
    };
    let before = of_pods(&mut clients);
    assert!(before.iter().flatten().all(Option::is_some), "{before:?}");
    let is_drawn = |card: &Card| matches!(card, Card::Drawn(bars) if bars.len() == 5);
    assert!(drawn.as_ref().unwrap().iter().all(is_drawn), "{drawn:?}");
    system.aggregator.take().unwrap().kill9().unwrap();
    system.start_aggregator().unwrap();
    system.arrived(at(21), SOON).unwrap();
    let mut clients = Clients::of(&system);
    assert!(clients.sidecar.is_healthy());
    let again = Deadline::after(SOON).poll(|| (clients.node_cards("node1") == drawn).then_some(()));
    let found = clients.node_cards("node1");
    assert!(again.is_some(), "{drawn:?}\n{found:?}");
    let again = Deadline::after(SOON).poll(|| (of_pods(&mut clients) == before).then_some(()));
    assert!(again.is_some(), "{before:?}\n{:?}", of_pods(&mut clients));
}

/// Scenario: the window is full, and its minutes are one more than are drawn.
/// Guarantees: the newest fifteen minutes are drawn, one bar a minute.
#[test]
fn a_full_window_is_drawn_as_fifteen_minutes() {
    let options = Options::one_node();
    let system = System::start(options).unwrap();
    for k in 0..95 {
        system.tick(at(k)).unwrap();
    }
    let mut clients = Clients::of(&system);
    let points = clients
        .sidecar
        .node("node1", Metric::Memory)
        .unwrap()
        .unwrap();
    assert_eq!((points.len(), points[0].x), (91, x(4)));
    for card in clients.node_cards("node1").unwrap() {
        let Card::Drawn(bars) = card else {
            panic!("waiting")
        };
        assert_eq!(bars.len(), 15);
        assert!(bars.windows(2).all(|pair| pair[1].x - pair[0].x == 60));
        assert_eq!(bars[14].x, x(94) / 60 * 60);
    }
}
