//! Which entities a row has, and whose figures they carry.

mod alone;
mod grouped;
mod hostile;
mod parts;

use cairn_proto::catalogue::table;
use cairn_proto::model::Stamp;

use super::*;
use crate::sources::Figures;
use crate::sources::resource;

/// The tick of most rows; measurements are given as ms before it.
const TICK: u64 = 1_000_000;

fn with_cpu(mut stats: Stats, ago_ms: u64, nanos: u64) -> Stats {
    stats.figures.measured(Group::Cpu, TICK - ago_ms);
    stats.figures.push(table::CPU, Some(nanos));
    stats
}

fn with_memory(mut stats: Stats, ago_ms: u64, bytes: u64) -> Stats {
    stats.figures.measured(Group::Memory, TICK - ago_ms);
    stats.figures.push(table::MEMORY_USAGE, Some(bytes));
    stats
}

fn container(name: &str, ago_ms: u64) -> Stats {
    let stats = Stats {
        name: name.to_owned(),
        start_ms: Some(500),
        ..Stats::default()
    };
    with_memory(with_cpu(stats, ago_ms, 5), ago_ms, 50)
}

fn pod(name: &str, uid: &str, start_ms: u64, containers: Vec<Stats>) -> Pod {
    let stats = Stats {
        start_ms: Some(start_ms),
        ..Stats::default()
    };
    Pod {
        name: name.into(),
        namespace: "shop".into(),
        uid: uid.into(),
        stats: with_memory(with_cpu(stats, 1_000, 7), 1_000, 70),
        containers,
    }
}

fn summary(pods: Vec<Pod>) -> Reading<Summary> {
    let node = with_memory(with_cpu(Stats::default(), 0, 1), 0, 10);
    let system = vec![container("pods", 2_000)];
    let values = Summary {
        node_name: "node1".into(),
        node,
        system,
        pods,
        odd_count: 0,
        dropped_count: 0,
    };
    Reading {
        values: Arc::new(values),
        taken_ms: TICK,
    }
}

/// The resource endpoint's view of one pod with one container.
fn resource(name: &str, container: &str) -> Reading<Resource> {
    told(&text(name, container))
}

/// What the endpoint says of them.
fn text(name: &str, container: &str) -> String {
    let of_pod = format!("namespace=\"shop\",pod=\"{name}\"");
    let of_container = format!("container=\"{container}\",{of_pod}");
    format!(
        "container_cpu_usage_seconds_total{{{of_container}}} 55e-9 {}\n\
         container_start_time_seconds{{{of_container}}} 0.501\n\
         node_cpu_usage_seconds_total 11e-9\n\
         pod_cpu_usage_seconds_total{{{of_pod}}} 77e-9 {}\n",
        TICK - 10,
        TICK - 20
    )
}

/// An answer of the endpoint with these lines: the last of a kind counts.
fn told(lines: &str) -> Reading<Resource> {
    Reading {
        values: Arc::new(resource::parse(lines.as_bytes()).unwrap()),
        taken_ms: TICK - 3,
    }
}

fn inputs<'a>(
    summary: Option<&'a Reading<Summary>>,
    resource: Option<&'a Reading<Resource>>,
) -> Inputs<'a> {
    Inputs {
        tick: TICK,
        made_ms: TICK + 100,
        node: "node1",
        summary,
        summary_is_fresh: true,
        resource,
        cadvisor: None,
        alone: None,
        cgroups: None,
        host: None,
        host_is_fresh: true,
        chosen: Chosen {
            cpu: Source::Resource,
            memory: Source::Summary,
        },
    }
}

/// What a row says of an entity: its CPU time with its stamp.
fn cpu_of(merged: &Merged, name: &str) -> Option<(u64, Stamp)> {
    let def = merged.defs.iter().find(|def| def.name == name).unwrap();
    let at = merged.snapshot.position(def.id).unwrap();
    let value = merged
        .snapshot
        .cell(at, cairn_proto::model::ColumnId::field(table::CPU))?;
    Some((value, merged.snapshot.stamp(at, Group::Cpu).unwrap()))
}

fn names(merged: &Merged) -> Vec<&str> {
    merged.defs.iter().map(|def| def.name.as_str()).collect()
}

fn stamp(time_ms: u64, start_ms: Option<u64>, source: Source) -> Stamp {
    Stamp {
        time_ms,
        start_ms,
        source,
    }
}

#[test]
fn figures_of_both_endpoints_meet_and_keep_their_own_times_and_starts() {
    let (listed, measured) = (
        summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])]),
        resource("web", "httpd"),
    );
    let merged = merge(
        &inputs(Some(&listed), Some(&measured)),
        &mut Registry::default(),
    );
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
    assert_eq!(merged.snapshot.entities().len(), merged.defs.len());
    let by = |time, start| stamp(time, start, Source::Resource);
    // A line without a time was measured when it was read.
    assert_eq!(cpu_of(&merged, "node1"), Some((11, by(TICK - 3, None))));
    assert_eq!(cpu_of(&merged, "web"), Some((77, by(TICK - 20, None))));
    assert_eq!(
        cpu_of(&merged, "httpd"),
        Some((55, by(TICK - 10, Some(501))))
    );
    // Only the summary knows system containers.
    let system = stamp(TICK - 2_000, Some(500), Source::Summary);
    assert_eq!(cpu_of(&merged, "pods"), Some((5, system)));
    let at = merged.snapshot.position(merged.defs[3].id).unwrap();
    let memory = merged.snapshot.stamp(at, Group::Memory);
    assert_eq!(
        memory,
        Some(stamp(TICK - 1_000, Some(500), Source::Summary))
    );
    assert_eq!((merged.late_count, merged.refused_count), (0, 0));
}

#[test]
fn when_the_summary_measures_cpu_nothing_of_the_other_endpoint_is_taken() {
    let (listed, measured) = (
        summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])]),
        resource("web", "httpd"),
    );
    let inputs = Inputs {
        chosen: Chosen::SUMMARY,
        ..inputs(Some(&listed), Some(&measured))
    };
    let merged = merge(&inputs, &mut Registry::default());
    let by = |time, start| stamp(time, start, Source::Summary);
    assert_eq!(cpu_of(&merged, "node1"), Some((1, by(TICK, None))));
    assert_eq!(
        cpu_of(&merged, "web"),
        Some((7, by(TICK - 1_000, Some(400))))
    );
    assert_eq!(
        cpu_of(&merged, "httpd"),
        Some((5, by(TICK - 1_000, Some(500))))
    );
}

#[test]
fn what_the_resource_endpoint_does_not_list_has_no_cpu_time() {
    let listed = summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])]);
    let measured = resource("web", "other");
    let merged = merge(
        &inputs(Some(&listed), Some(&measured)),
        &mut Registry::default(),
    );
    assert_eq!(cpu_of(&merged, "httpd"), None);
    assert!(cpu_of(&merged, "web").is_some());
    let merged = merge(&inputs(Some(&listed), None), &mut Registry::default());
    assert_eq!(cpu_of(&merged, "web"), None);
}

#[test]
fn of_two_pods_with_one_name_the_later_start_gets_the_figures() {
    for starts in [(400, 600), (600, 400)] {
        let pods = vec![
            pod("db-0", "u1", starts.0, vec![container("a", 0)]),
            pod("db-0", "u2", starts.1, vec![container("b", 0)]),
        ];
        let listed = summary(pods);
        let measured = resource("db-0", "b");
        let merged = merge(
            &inputs(Some(&listed), Some(&measured)),
            &mut Registry::default(),
        );
        let newer = if starts.0 > starts.1 { "u1" } else { "u2" };
        for def in merged.defs.iter().filter(|def| !def.uid.is_empty()) {
            let at = merged.snapshot.position(def.id).unwrap();
            let has_cpu = merged.snapshot.stamp(at, Group::Cpu).is_some();
            assert_eq!(has_cpu, def.uid == newer, "{starts:?} {}", def.uid);
        }
        assert_eq!(cpu_of(&merged, "b").is_some(), newer == "u2");
    }
}

#[test]
fn of_two_containers_with_one_name_the_later_start_is_there_once() {
    let older = Stats {
        start_ms: Some(1),
        ..container("c", 0)
    };
    let newer = Stats {
        start_ms: Some(2),
        ..container("c", 0)
    };
    for containers in [[older.clone(), newer.clone()], [newer, older]] {
        let listed = summary(vec![pod("web", "u1", 400, containers.into())]);
        let merged = merge(&inputs(Some(&listed), None), &mut Registry::default());
        let at = merged.snapshot.position(merged.defs[3].id).unwrap();
        assert_eq!(
            merged.snapshot.stamp(at, Group::Memory).unwrap().start_ms,
            Some(2)
        );
        assert_eq!(names(&merged), ["node1", "pods", "web", "c"]);
    }
}

#[test]
fn a_pod_that_is_not_listed_is_gone_and_comes_back_as_itself() {
    let mut registry = Registry::default();
    let with = summary(vec![pod("crasher", "u1", 400, vec![container("c", 0)])]);
    let without = summary(Vec::new());
    let first = merge(&inputs(Some(&with), None), &mut registry);
    let second = merge(&inputs(Some(&without), None), &mut registry);
    let third = merge(&inputs(Some(&with), None), &mut registry);
    assert_eq!(names(&second), ["node1", "pods"]);
    assert_eq!(first.snapshot, third.snapshot);
    assert!(
        first
            .defs
            .iter()
            .zip(&third.defs)
            .all(|(a, b)| Arc::ptr_eq(a, b))
    );
}

#[test]
fn a_silent_summary_goes_on_value_by_value_until_each_is_too_old() {
    let listed = summary(vec![
        pod("old", "u1", 400, vec![container("a", 1_000)]),
        pod("older", "u2", 400, vec![container("b", 80_000)]),
    ]);
    let at = |tick, registry: &mut Registry| {
        let inputs = Inputs {
            tick,
            made_ms: tick + 100,
            summary_is_fresh: false,
            ..inputs(Some(&listed), None)
        };
        let merged = merge(&inputs, registry);
        merged
            .defs
            .iter()
            .map(|def| def.name.clone())
            .collect::<Vec<_>>()
    };
    let registry = &mut Registry::default();
    assert_eq!(
        at(TICK + 10_000, registry),
        ["node1", "pods", "old", "a", "older", "b"]
    );
    assert_eq!(
        at(TICK + 10_001, registry),
        ["node1", "pods", "old", "a", "older"]
    );
    assert_eq!(at(TICK + 88_001, registry), ["node1", "old", "a", "older"]);
    assert_eq!(at(TICK + 89_001, registry), ["node1"]);
}

#[test]
fn a_pod_stays_for_the_sake_of_its_container() {
    let mut fresh = pod("web", "u1", 400, vec![container("httpd", 0)]);
    fresh.stats = Stats::default();
    let listed = summary(vec![fresh]);
    let inputs = Inputs {
        summary_is_fresh: false,
        ..inputs(Some(&listed), None)
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
}

#[test]
fn late_measurements_are_counted_and_sent_as_they_are() {
    let mut registry = Registry::default();
    let newer = summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])]);
    let older = summary(vec![pod("web", "u1", 400, vec![container("httpd", 5_000)])]);
    drop(merge(&inputs(Some(&newer), None), &mut registry));
    let merged = merge(&inputs(Some(&older), None), &mut registry);
    assert_eq!(merged.late_count, 1);
    let at = merged.snapshot.position(merged.defs[3].id).unwrap();
    assert_eq!(
        merged.snapshot.stamp(at, Group::Memory).unwrap().time_ms,
        TICK - 5_000
    );
    assert_eq!(
        merge(&inputs(Some(&older), None), &mut registry).late_count,
        0
    );
}

#[test]
fn a_refused_pod_takes_its_containers_with_it() {
    let pods = vec![
        pod(
            "Not A Name",
            "u1",
            400,
            vec![container("a", 0), container("b", 0)],
        ),
        pod("web", "u2", 400, vec![container("httpd", 0)]),
    ];
    let listed = summary(pods);
    let merged = merge(&inputs(Some(&listed), None), &mut Registry::default());
    assert_eq!(merged.refused_count, 3);
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
}

#[test]
fn the_node_is_there_with_nothing_but_its_own_figures() {
    let mut figures = Figures::default();
    figures.measured(Group::Host, TICK);
    for (field, load) in [(table::HOST_LOAD1, 1), (table::HOST_LOAD5, 2)] {
        figures.push(field, Some(load));
    }
    let host = Host {
        figures,
        ..Host::default()
    };
    let host = Reading {
        values: Arc::new(host),
        taken_ms: TICK,
    };
    let inputs = Inputs {
        cadvisor: None,
        host: Some(&host),
        ..inputs(None, None)
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(
        (names(&merged), merged.snapshot.sample_count()),
        (vec!["node1"], 2)
    );
    let stamp = merged.snapshot.stamp(0, Group::Host).unwrap();
    assert_eq!((stamp.time_ms, stamp.source), (TICK, Source::Procfs));
}

#[test]
fn a_chosen_resource_endpoint_measures_memory_and_swap() {
    let listed = summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])]);
    let of_web = "{namespace=\"shop\",pod=\"web\"}";
    let (now, before) = (TICK - 40, TICK - 41);
    let levels = format!(
        "node_memory_working_set_bytes 7 {now}\n\
         node_swap_usage_bytes 8 {before}\n\
         pod_memory_working_set_bytes{of_web} 5 {now}\n\
         pod_swap_usage_bytes{of_web} 6 {now}\n"
    );
    let measured = told(&(text("web", "httpd") + &levels));
    let inputs = Inputs {
        chosen: Chosen {
            cpu: Source::Resource,
            memory: Source::Resource,
        },
        ..inputs(Some(&listed), Some(&measured))
    };
    let merged = merge(&inputs, &mut Registry::default());
    let cell = |name: &str, field| {
        let def = merged.defs.iter().find(|def| def.name == name).unwrap();
        let at = merged.snapshot.position(def.id).unwrap();
        let column = cairn_proto::model::ColumnId::field(field);
        merged.snapshot.cell(at, column)
    };
    assert_eq!(cell("web", table::MEMORY_WORKING_SET), Some(5));
    assert_eq!(cell("web", table::SWAP_USAGE), Some(6));
    // Nothing of the summary's older reading is put under the new time.
    assert_eq!(cell("web", table::MEMORY_USAGE), None);
    // Swap of another time than the working set's would lie about one of them.
    assert_eq!(cell("node1", table::MEMORY_WORKING_SET), Some(7));
    assert_eq!(cell("node1", table::SWAP_USAGE), None);
    // Only the summary knows system containers.
    assert_eq!(cell("pods", table::MEMORY_USAGE), Some(50));
}
