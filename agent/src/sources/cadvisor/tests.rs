use cairn_proto::catalogue::{FieldId, Group, table};

use super::*;

mod bounds;
mod place;
mod standalone;

const UID: &str = "1df17ad5-f176-4aad-a700-aface64000ef";
const SYSTEMD: &str = "/kubepods.slice/kubepods-burstable.slice/\
                       kubepods-burstable-pod1df17ad5_f176_4aad_a700_aface64000ef.slice";

fn line(family: &str, path: &str, more: &str, value: &str) -> String {
    format!(
        "container_{family}{{id=\"{path}\",image=\"\",namespace=\"shop\",pod=\"web\",{more}}} {value}\n"
    )
}

fn parsed(text: &str) -> Cadvisor {
    parse(text.as_bytes(), Ids::Wanted).unwrap()
}

fn pod(all: &Cadvisor) -> &Pod {
    all.pod("shop", "web", UID).unwrap()
}

fn value(cgroup: &Cgroup, field: FieldId) -> Option<u64> {
    cgroup.figures.value(field)
}

#[test]
fn the_pod_its_sandbox_and_its_containers_are_told_apart() {
    let sandbox = format!("{SYSTEMD}/cri-containerd-aa.scope");
    let container = format!("{SYSTEMD}/cri-containerd-bb.scope");
    let all = parsed(&[
        line("threads", "/kubepods.slice", "container=\"\",name=\"\"", "99"),
        line("threads", SYSTEMD, "container=\"\",name=\"\"", "5 1795336125105"),
        line("threads", &sandbox, "container=\"\",name=\"aa\"", "1 1795336125884"),
        line("threads", &container, "container=\"cpu\",name=\"bb\"", "4 1795336128095"),
        line("cpu_cfs_throttled_seconds_total", &container, "container=\"cpu\",name=\"bb\"",
             "67.279129 1795336128095"),
        line("network_receive_packets_total", &sandbox,
             "container=\"POD\",name=\"aa\",interface=\"eth0\"", "7 1795336125884"),
        line("fs_writes_bytes_total", &container, "container=\"cpu\",name=\"bb\",device=\"/dev/vda\"",
             "5.832704e+08 1795336128095"),
        "container_oom_events_total{id=\"/\",namespace=\"\",pod=\"\",container=\"\",name=\"\"} 2 9\n".into(),
    ].concat());
    assert_eq!((all.odd_count, all.dropped_count), (0, 0));
    let node = all.node.as_ref().unwrap();
    assert_eq!(value(node, table::OOM_EVENTS), Some(2));
    assert_eq!(node.figures.time_ms(Group::Detail), Some(9));
    let pod = pod(&all);
    assert_eq!(pod.uid.as_deref(), Some(UID));
    let own = pod.own.as_ref().unwrap();
    assert_eq!(value(own, table::THREADS), Some(5));
    assert_eq!(own.figures.time_ms(Group::Detail), Some(1_795_336_125_105));
    let packets = &own.parts[0];
    assert_eq!(
        (packets.kind, packets.name.as_str()),
        (EntityKind::Interface, "eth0")
    );
    assert_eq!(packets.figures.value(table::NETWORK_RX_PACKETS), Some(7));
    assert_eq!(
        packets.figures.time_ms(Group::Detail),
        Some(1_795_336_125_884)
    );
    let cpu = &pod.containers["cpu"];
    assert_eq!(value(cpu, table::THREADS), Some(4));
    assert_eq!(value(cpu, table::CFS_THROTTLED_TIME), Some(67_279_129_000));
    assert_eq!(cpu.parts[0].name, "vda");
    assert_eq!(
        cpu.parts[0].figures.value(table::IO_WRITE_BYTES),
        Some(583_270_400)
    );
    assert_eq!(pod.containers.len(), 1);
}

#[test]
fn of_two_lives_of_a_container_the_later_is_kept() {
    let (old, new) = (format!("{SYSTEMD}/b"), format!("{SYSTEMD}/a"));
    let named = "container=\"cpu\",name=\"x\"";
    let all = parsed(
        &[
            line("threads", &old, named, "1 100"),
            line("threads", &new, named, "2 200"),
            line("start_time_seconds", &old, named, "1.795332411e+09"),
            line("start_time_seconds", &new, named, "1.795332412e+09"),
        ]
        .concat(),
    );
    let cpu = &pod(&all).containers["cpu"];
    assert_eq!(value(cpu, table::THREADS), Some(2));
    assert_eq!(cpu.start_ms, Some(1_795_332_412_000));
}

#[test]
fn a_pod_that_took_a_name_over_is_told_from_the_one_before() {
    let other = SYSTEMD.replace("1df17ad5", "00000000");
    let own = "container=\"\",name=\"\"";
    let all = parsed(
        &[
            line("threads", SYSTEMD, own, "1 100"),
            line("threads", &other, own, "2 200"),
            line(
                "threads",
                "/unknown/runtime",
                "container=\"c\",name=\"x\"",
                "3 300",
            ),
        ]
        .concat(),
    );
    assert_eq!(
        value(pod(&all).own.as_ref().unwrap(), table::THREADS),
        Some(1)
    );
    // Of a pod that no path names there is the one whose path names none.
    let untold = all.pod("shop", "web", "another").unwrap();
    assert_eq!(value(&untold.containers["c"], table::THREADS), Some(3));
}

#[test]
fn a_line_that_is_not_understood_is_counted_and_the_rest_survives() {
    let own = "container=\"\",name=\"\"";
    let good = line("threads", SYSTEMD, own, "5 100");
    for (odd, count) in [
        (line("memory_cache", SYSTEMD, own, "NaN 100"), 1),
        (line("memory_cache", SYSTEMD, own, "+Inf 100"), 1),
        (line("memory_cache", SYSTEMD, own, "-1 100"), 1),
        (line("memory_cache", SYSTEMD, own, "1e400 100"), 1),
        (line("memory_cache", SYSTEMD, own, "1 2 3"), 1),
        (line("memory_cache", SYSTEMD, own, ""), 1),
        // A group of an entity has one time.
        (line("memory_cache", SYSTEMD, own, "1 101"), 1),
        (line("threads", SYSTEMD, own, "6 100"), 1),
        (line("memory_cache", "", own, "1 100"), 1),
        // A label that is not there is an empty one.
        (
            line("network_receive_packets_total", SYSTEMD, own, "1 100"),
            1,
        ),
        ("container_memory_cache{id=\"/kube\n".to_owned(), 1),
        ("container_memory_cache".to_owned(), 1),
        (
            format!(
                "container_memory_cache{{id=\"/{}\"}} 1\n",
                "x".repeat(1 << 16)
            ),
            0,
        ),
        (line("memory_cache", &"/x".repeat(1 << 12), own, "1 100"), 1),
        ("some_other_family{id=\"/kube\nnoise\n".to_owned(), 0),
        (line("memory_cache", SYSTEMD, own, "1.5e3 100"), 0),
        (
            line("memory_cache", SYSTEMD, "new=\"a\\\\b\\\"c}\",", "1 100"),
            0,
        ),
    ] {
        let all = parsed(&format!("{good}{odd}"));
        // A path that is too long belongs to no pod, so it is passed over.
        let count = if odd.len() > 1 << 15 { 1 } else { count };
        assert_eq!(all.odd_count, count, "{odd}");
        assert_eq!(
            value(pod(&all).own.as_ref().unwrap(), table::THREADS),
            Some(5),
            "{odd}"
        );
    }
}

#[test]
fn devices_that_have_no_name_are_passed_over() {
    let container = format!("{SYSTEMD}/aa");
    let of = |device| format!("container=\"c\",name=\"aa\",device=\"{device}\"");
    let all = parsed(
        &[
            line("fs_reads_total", &container, &of(""), "1 100"),
            line("fs_reads_total", &container, &of("/dev/vda"), "2 100"),
            // Two of them look like one that is told twice.
            line("fs_reads_total", &container, &of(""), "3 100"),
        ]
        .concat(),
    );
    assert_eq!((all.odd_count, all.dropped_count), (0, 0));
    let parts = &pod(&all).containers["c"].parts;
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part.name.as_str(), part.figures.value(table::IO_READS)))
        .collect();
    assert_eq!(told, [("vda", Some(2))]);
}

#[test]
fn of_the_interfaces_of_a_node_those_of_its_pods_are_left_out() {
    let names = ["eth0", "cali0123", "veth1", "cni0", "lo", "lxc_health"];
    let text: String = names
        .iter()
        .map(|name| {
            let labels = format!("interface=\"{name}\"");
            format!("container_network_receive_packets_total{{id=\"/\",{labels}}} 1 100\n")
        })
        .collect();
    let all = parsed(&text);
    let parts = all.node.unwrap().parts;
    assert!(
        parts
            .iter()
            .map(|part| part.name.as_str())
            .eq(["eth0", "cni0"])
    );
    // Of a pod they are what it has.
    let sandbox = "container=\"\",name=\"aa\",interface=\"tap0\"";
    let path = format!("{SYSTEMD}/aa");
    let all = parsed(&line(
        "network_receive_packets_total",
        &path,
        sandbox,
        "1 100",
    ));
    assert_eq!(pod(&all).own.as_ref().unwrap().parts[0].name, "tap0");
}

#[test]
fn an_answer_of_something_else_is_none() {
    assert_eq!(parse(b"<html>\n", Ids::Unwanted), Err(Error::Nothing));
    assert_eq!(parse(b"", Ids::Unwanted), Err(Error::Nothing));
    assert_eq!(
        parse(b"container_scrape_error 1\n", Ids::Unwanted),
        Err(Error::ScrapeError)
    );
    assert_eq!(
        parse(b"container_scrape_error 0\n", Ids::Unwanted),
        Ok(Cadvisor::default())
    );
}

#[test]
fn runtime_ids_are_kept_where_they_are_wanted() {
    let path = format!("{SYSTEMD}/cri-containerd-bb.scope");
    let text = line("threads", &path, "container=\"cpu\",name=\"bb\"", "4 9");
    let [with, without] = [Ids::Wanted, Ids::Unwanted].map(|ids| parse(text.as_bytes(), ids));
    let (with, without) = (with.unwrap(), without.unwrap());
    assert_eq!(with.identities["bb"].container.as_deref(), Some("cpu"));
    assert!(without.identities.is_empty());
    assert_eq!(with.pods, without.pods);
}
