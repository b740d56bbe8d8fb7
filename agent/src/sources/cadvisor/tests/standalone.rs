//! The text of a cAdvisor of its own.

use cairn_proto::catalogue::table::{PressureOf, pressure_total};

use super::*;

/// Written in the shape of one that runs beside several runtimes.
const TEXT: &str = include_str!("../../../../../tests/fixtures/cadvisor/standalone.txt");

fn alone() -> Cadvisor {
    parse_of(TEXT.as_bytes(), Teller::Alone, Ids::Wanted).unwrap()
}

fn part<'a>(of: &'a Cgroup, name: &str) -> &'a Figures {
    let found = of.parts.iter().find(|part| part.name == name);
    &found.unwrap().figures
}

#[test]
fn containers_outside_of_pods_have_their_names_and_cgroups_of_the_system_their_paths() {
    let all = alone();
    let mut names: Vec<&str> = all.free.keys().map(AsRef::as_ref).collect();
    names.sort_unstable();
    let nameless = "4bb24efc9641afc5ded1ca77eabb6e2fcf062d2112ccd61bd8bd6acd89180bae";
    let expected = [
        nameless,
        "db",
        "docker",
        "system.slice",
        "system.slice/docker.service",
        "web",
    ];
    assert_eq!(names, expected);
    // Its line of threads is broken off: that costs the threads.
    assert_eq!((all.odd_count, all.dropped_count), (1, 0));
    let batch = &all.free[nameless];
    assert_eq!(value(batch, table::THREADS), None);
    assert_eq!(value(batch, table::CPU), Some(7_500_000_000));
}

#[test]
fn all_figures_of_a_container_are_told_with_their_time() {
    let all = alone();
    let web = &all.free["web"];
    for (field, expected) in [
        (table::CPU, 44_077_953_000),
        (table::MEMORY_USAGE, 52_428_800),
        (table::MEMORY_WORKING_SET, 41_943_040),
        (table::MEMORY_RSS, 31_457_280),
        (table::MEMORY_AVAILABLE, 268_435_456 - 41_943_040),
        (table::MEMORY_PAGE_FAULTS, 5_000),
        (table::MEMORY_MAJOR_PAGE_FAULTS, 7),
        (table::SWAP_USAGE, 4_096),
        (table::MEMORY_CACHE, 1_048_576),
        (table::CFS_THROTTLED_TIME, 4_500_000_000),
        (table::OOM_EVENTS, 1),
        (table::FILE_DESCRIPTORS, 31),
        (table::THREADS, 16),
        (pressure_total(PressureOf::Cpu, false), 1_250_000),
        (pressure_total(PressureOf::Io, true), 2_250_000),
        (table::NETWORK_RX, 123_456),
        (table::NETWORK_TX, 654_321),
    ] {
        assert_eq!(value(web, field), Some(expected), "{field:?}");
    }
    assert_eq!(web.start_ms, Some(1_786_809_000_000));
    for group in [Group::Cpu, Group::Memory, Group::Network, Group::Detail] {
        assert_eq!(web.figures.time_ms(group), Some(1_786_809_732_165));
    }
    let disk = part(web, "vda");
    assert_eq!(disk.value(table::IO_WRITE_BYTES), Some(2_097_152));
    assert_eq!(
        part(web, "eth0").value(table::NETWORK_RX_PACKETS),
        Some(900)
    );
}

#[test]
fn cpu_time_by_processor_is_added_up_and_no_limit_leaves_nothing() {
    let all = alone();
    let db = &all.free["db"];
    assert_eq!(value(db, table::CPU), Some(24_000_000_000));
    assert_eq!(value(db, table::MEMORY_AVAILABLE), None);
    // Of two interfaces eth0 is the default one.
    assert_eq!(value(db, table::NETWORK_RX), Some(1_000));
    assert_eq!(part(db, "eth1").value(table::NETWORK_RX), Some(7));
    let both = "container_cpu_usage_seconds_total{id=\"/a\",cpu=\"cpu00\"} 1\n\
                container_cpu_usage_seconds_total{id=\"/a\",cpu=\"total\"} 2\n";
    let all = parse_of(both.as_bytes(), Teller::Alone, Ids::Wanted).unwrap();
    assert_eq!(
        (all.odd_count, value(&all.free["a"], table::CPU)),
        (1, Some(1_000_000_000))
    );
}

#[test]
fn the_root_is_the_node() {
    let all = alone();
    let node = all.node.as_ref().unwrap();
    assert_eq!(value(node, table::CPU), Some(3_267_492_146_000));
    assert_eq!(
        value(node, table::MEMORY_AVAILABLE),
        Some(16_718_188_544 - 4_123_456_512)
    );
    let is_lo = |part: &Part| part.name == "lo";
    assert!(!node.parts.iter().any(is_lo));
    assert_eq!(value(node, table::NETWORK_RX), Some(9_112_233));
}

#[test]
fn a_pod_is_named_by_the_labels_of_the_runtime_and_its_own_cgroup_by_its_containers() {
    for teller in [Teller::Alone, Teller::Beside] {
        let all = parse_of(TEXT.as_bytes(), teller, Ids::Wanted).unwrap();
        let pod = all.pod("shop", "checkout-0", UID).unwrap();
        assert_eq!(pod.uid.as_deref(), Some(UID));
        let own = pod.own.as_ref().unwrap();
        assert_eq!(value(own, table::FILE_DESCRIPTORS), Some(8));
        assert_eq!(own.parts.len(), 1);
        assert_eq!(part(own, "eth0").value(table::NETWORK_RX_PACKETS), Some(50));
        let names: Vec<&str> = pod.containers.keys().map(AsRef::as_ref).collect();
        assert_eq!(names, ["app"]);
        let app = &pod.containers["app"];
        assert_eq!(value(app, table::CFS_THROTTLED_PERIODS), Some(6));
        // Beside a kubelet its figures are the kubelet's, and nothing else is an entity.
        let is_alone = teller == Teller::Alone;
        assert_eq!(value(app, table::CPU).is_some(), is_alone);
        assert_eq!(value(own, table::NETWORK_RX), is_alone.then_some(5_000));
        assert_eq!(all.free.is_empty(), !is_alone);
        assert_eq!(all.identities.len(), 2);
    }
}

#[test]
fn a_kubelet_is_not_read_by_the_labels_of_the_runtime() {
    let all = parsed(TEXT);
    assert!(all.pods.is_empty() && all.free.is_empty() && all.identities.is_empty());
    assert!(all.node.is_some());
}

#[test]
fn without_times_a_figure_is_of_when_it_was_read_and_without_a_path_the_label_tells_the_uid() {
    let labels = format!(
        "container_label_io_kubernetes_pod_namespace=\"shop\",\
         container_label_io_kubernetes_pod_name=\"web\",\
         container_label_io_kubernetes_container_name=\"app\",\
         container_label_io_kubernetes_pod_uid=\"{UID}\""
    );
    let text = format!("container_memory_rss{{id=\"/odd/place\",name=\"x\",{labels}}} 5\n");
    let all = parse_of(text.as_bytes(), Teller::Alone, Ids::Wanted).unwrap();
    let pod = all.pod("shop", "web", UID).unwrap();
    assert_eq!(pod.uid.as_deref(), Some(UID));
    assert_eq!(pod.containers["app"].figures.time_ms(Group::Memory), None);
    let forged = text.replace(UID, "../../etc");
    let all = parse_of(forged.as_bytes(), Teller::Alone, Ids::Wanted).unwrap();
    assert_eq!(all.pods["shop"]["web"][0].uid, None);
}

#[test]
fn what_is_called_like_a_container_of_a_pod_elsewhere_is_not_of_the_pod() {
    let id = "64a6e01fb4464807e269423a61527480e1abaefa321a37d0eeed5a0944229d1b";
    let labels = format!(
        "container_label_io_kubernetes_pod_namespace=\"shop\",\
         container_label_io_kubernetes_pod_name=\"web\",\
         container_label_io_kubernetes_container_name=\"app\",\
         container_label_io_kubernetes_pod_uid=\"{UID}\""
    );
    for made in [
        format!("/docker/{id}/docker-{id}.scope"),
        format!("/system.slice/docker-{id}.scope/{id}"),
        format!("/user.slice/user-1000.slice/docker-{id}.scope"),
        format!("/user.slice/kubepods/pod{UID}/{id}"),
    ] {
        let text = format!("container_threads{{id=\"{made}\",name=\"{id}\",{labels}}} 5\n");
        for teller in [Teller::Alone, Teller::Beside] {
            let all = parse_of(text.as_bytes(), teller, Ids::Wanted).unwrap();
            assert!(all.pods.is_empty() && all.free.is_empty(), "{made}");
        }
    }
}

/// Scenario: a container outside of pods has the labels of a pod's container, of its sandbox, or of no pod
/// that there is but its UID, and a later start.
/// Guarantees: of a pod that is in its place in the tree nothing changes, and nothing else appears.
#[test]
fn labels_alone_take_nothing_from_a_pod_that_is_in_its_place() {
    let id = "64a6e01fb4464807e269423a61527480e1abaefa321a37d0eeed5a0944229d1b";
    let of = |path: &str, [namespace, container]: [&str; 2], value: u64| {
        let labels = format!(
            "id=\"{path}\",name=\"x\",container_label_io_kubernetes_pod_namespace=\"{namespace}\",\
             container_label_io_kubernetes_pod_name=\"web\",\
             container_label_io_kubernetes_container_name=\"{container}\",\
             container_label_io_kubernetes_pod_uid=\"{UID}\""
        );
        format!(
            "container_threads{{{labels}}} {value} 100\n\
             container_network_receive_packets_total{{{labels},interface=\"eth{value}\"}} 1 100\n\
             container_start_time_seconds{{{labels}}} {value}\n"
        )
    };
    let own = format!("container_threads{{id=\"{SYSTEMD}\"}} 5 100\n");
    let real = of(
        &format!("{SYSTEMD}/cri-containerd-bb.scope"),
        ["shop", "app"],
        4,
    );
    for teller in [Teller::Alone, Teller::Beside] {
        let parsed = |text: &str| parse_of(text.as_bytes(), teller, Ids::Wanted).unwrap();
        let expected = parsed(&(own.clone() + &real));
        let pod = expected.pod("shop", "web", UID).unwrap();
        assert_eq!(value(&pod.containers["app"], table::THREADS), Some(4));
        for names in [
            ["shop", "app"],
            ["shop", "more"],
            ["shop", "POD"],
            ["a", "app"],
            ["z", "app"],
        ] {
            let claim = of(&format!("/docker/{id}"), names, 99);
            for text in [[&own, &real, &claim], [&claim, &real, &own]] {
                assert_eq!(
                    parsed(&text.map(String::as_str).concat()),
                    expected,
                    "{names:?}"
                );
            }
            // Where no pod is in its place, labels are all there is.
            assert!(!parsed(&claim).pods.is_empty());
        }
    }
}

#[test]
fn a_path_takes_nothing_from_a_container_of_that_name_and_of_two_lives_the_later_is_kept() {
    let line = |family: &str, id: &str, name: &str, value: &str| {
        format!("container_{family}{{id=\"{id}\",name=\"{name}\"}} {value}\n")
    };
    let text = [
        line("memory_rss", "/docker/aa", "web", "1 100"),
        line("start_time_seconds", "/docker/aa", "web", "20"),
        line("memory_rss", "/docker/bb", "web", "2 200"),
        line("start_time_seconds", "/docker/bb", "web", "10"),
        line("memory_rss", "/web", "", "3 300"),
        line("start_time_seconds", "/web", "", "30"),
    ];
    let all = parse_of(text.concat().as_bytes(), Teller::Alone, Ids::Wanted).unwrap();
    assert_eq!(value(&all.free["web"], table::MEMORY_RSS), Some(1));
    assert_eq!((all.free.len(), all.dropped_count), (1, 1));
}
