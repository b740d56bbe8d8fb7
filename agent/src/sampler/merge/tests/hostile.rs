//! Times that are wrong, names that mean another pod, and more than a node can have.

use super::*;

#[test]
fn a_measurement_from_the_future_is_not_taken_and_hides_no_later_one() {
    let mut web = pod("web", "u1", 400, vec![container("httpd", 1_000)]);
    web.containers[0]
        .figures
        .measured(Group::Memory, TICK + 1_101);
    web.stats.figures.measured(Group::Memory, TICK + 1_100);
    let (listed, mut measured) = (summary(vec![web]), resource("web", "httpd"));
    measured.taken_ms = TICK + 3_600_000;
    let mut registry = Registry::default();
    let merged = merge(&inputs(Some(&listed), Some(&measured)), &mut registry);
    // The container's memory and the node's CPU time, which has no other time than the reading's.
    assert_eq!(merged.future_count, 2);
    let at = |name: &str| {
        let def = merged.defs.iter().find(|def| def.name == name).unwrap();
        merged.snapshot.position(def.id).unwrap()
    };
    assert_eq!(merged.snapshot.stamp(at("httpd"), Group::Memory), None);
    assert!(merged.snapshot.stamp(at("web"), Group::Memory).is_some());
    assert_eq!(cpu_of(&merged, "node1"), None);
    assert!(cpu_of(&merged, "httpd").is_some());
    let listed = summary(vec![pod("web", "u1", 400, vec![container("httpd", 0)])]);
    let measured = resource("web", "httpd");
    let merged = merge(&inputs(Some(&listed), Some(&measured)), &mut registry);
    assert_eq!(merged.future_count, 0);
    assert!(cpu_of(&merged, "node1").is_some());
    // Only the pod's memory was taken ahead of time, within the tolerance.
    assert_eq!(merged.late_count, 1);
}

#[test]
fn what_a_silent_summary_knows_from_the_future_does_not_belong() {
    let mut web = pod("web", "u1", 400, Vec::new());
    web.stats = with_cpu(Stats::default(), 0, 1);
    web.stats.figures.measured(Group::Cpu, TICK + 3_600_000);
    let listed = summary(vec![web]);
    let inputs = Inputs {
        summary_is_fresh: false,
        ..inputs(Some(&listed), None)
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(names(&merged), ["node1", "pods"]);
}

#[test]
fn a_pod_that_only_the_resource_endpoint_knows_is_not_its_predecessor() {
    let listed = summary(vec![pod("db-0", "u1", 400, vec![container("db", 1_000)])]);
    let later = |tick: u64, start_ms: u64| {
        let of_pod = "namespace=\"shop\",pod=\"db-0\"";
        let of_db = format!("container=\"db\",{of_pod}");
        let seconds = start_ms as f64 / 1_000.0;
        let again = format!(
            "pod_cpu_usage_seconds_total{{{of_pod}}} 77e-9 {tick}\n\
             container_cpu_usage_seconds_total{{{of_db}}} 55e-9 {tick}\n\
             container_start_time_seconds{{{of_db}}} {seconds:.3}\n"
        );
        told(&(text("db-0", "db") + &again))
    };
    let at = |tick, start_ms| {
        let measured = later(tick, start_ms);
        let inputs = Inputs {
            tick,
            made_ms: tick + 100,
            summary_is_fresh: false,
            ..inputs(Some(&listed), Some(&measured))
        };
        merge(&inputs, &mut Registry::default())
    };
    // The summary is of TICK; the starts of the two endpoints may differ by two seconds.
    let same = at(TICK + 10_000, TICK + 2_000);
    assert!(cpu_of(&same, "db-0").is_some() && cpu_of(&same, "db").is_some());
    let recreated = at(TICK + 10_000, TICK + 2_001);
    assert_eq!(cpu_of(&recreated, "db-0"), None);
    assert_eq!(cpu_of(&recreated, "db"), None);
    // Resource figures, always new, do not keep what the summary has not named for so long.
    let gone = at(TICK + 89_001, 501);
    assert_eq!(names(&gone), ["node1"]);
}

#[test]
fn a_container_that_began_again_leaves_its_pod_its_own_figures() {
    let pods = vec![pod(
        "web",
        "u1",
        400,
        vec![container("a", 0), container("b", 0)],
    )];
    let listed = summary(pods);
    let again = "container_cpu_usage_seconds_total{namespace=\"shop\",pod=\"web\",container=\"b\"} 1\n\
        container_start_time_seconds{namespace=\"shop\",pod=\"web\",container=\"b\"} 1005\n";
    let measured = told(&(text("web", "a") + again));
    let merged = merge(
        &inputs(Some(&listed), Some(&measured)),
        &mut Registry::default(),
    );
    assert!(cpu_of(&merged, "web").is_some() && cpu_of(&merged, "a").is_some());
    assert_eq!(cpu_of(&merged, "b"), None);
}

#[test]
fn what_is_listed_beyond_the_caps_is_counted() {
    let containers = (0..66).map(|n| container(&format!("c{n:02}"), 0));
    let mut pods: Vec<Pod> = (0..1_025)
        .map(|n| pod(&format!("p{n}"), &format!("u{n}"), 400 + n, Vec::new()))
        .collect();
    pods[0].containers = containers.collect();
    let mut listed = summary(pods);
    Arc::get_mut(&mut listed.values).unwrap().dropped_count = 5;
    let mut measured = resource("web", "httpd");
    Arc::get_mut(&mut measured.values).unwrap().dropped_count = 7;
    let values = Host {
        dropped_count: 9,
        ..Host::default()
    };
    let host = Reading {
        values: Arc::new(values),
        taken_ms: TICK,
    };
    let inputs = Inputs {
        cadvisor: None,
        host: Some(&host),
        ..inputs(Some(&listed), Some(&measured))
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(merged.dropped_count, 1 + 2 + 5 + 7 + 9);
    assert_eq!(merged.defs.len(), 1 + 1 + 1_024 + 64);
}
