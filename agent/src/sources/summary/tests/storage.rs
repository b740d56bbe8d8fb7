//! Parts with names of their own, pressure, and what is read in one pass.

use cairn_proto::catalogue::table::{PressureOf, Storage};

use super::*;

const TIME: &str = "\"time\":\"2026-11-22T07:26:47Z\"";
const TIME_MS: u64 = 1_795_332_407_000;

fn pod_with(rest: &str) -> Summary {
    let ids = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;
    pods(&format!("[{{{ids},{rest}}}]"))
}

#[test]
fn a_volume_has_the_labels_that_tell_it_apart() {
    let summary = pod_with(&format!(
        r#""volume":[{{{TIME},"usedBytes":5,"inodes":6,"name":"data",
        "pvcRef":{{"name":"claim","namespace":"b"}}}},{{{TIME},"usedBytes":7,"name":""}},
        {{{TIME},"name":"empty"}},7]"#
    ));
    let parts = &summary.pods[0].stats.parts;
    assert_eq!((parts.len(), summary.odd_count), (1, 2));
    let label = |key: &str| {
        let found = parts[0].labels.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(label("resource_id"), Some("Volume:data"));
    assert_eq!(
        (label("pvc_name"), label("pvc_namespace")),
        (Some("claim"), Some("b"))
    );
    let figures = &parts[0].figures;
    assert_eq!(figures.time_ms(Group::Volume), Some(TIME_MS));
    assert_eq!(figures.value(table::volume(Storage::Usage)), Some(5));
    assert_eq!(figures.value(table::volume(Storage::Inodes)), Some(6));
    assert_eq!(figures.value(table::volume(Storage::InodesFree)), None);
}

#[test]
fn a_containers_ephemeral_storage_is_both_of_its_file_systems_or_nothing() {
    let older = "\"time\":\"2026-11-22T07:26:40Z\"";
    for (logs, expected) in [
        (format!(r#","logs":{{{older},"usedBytes":3}}"#), Some(8)),
        (format!(r#","logs":{{{older},"inodes":3}}"#), None),
        (String::new(), None),
    ] {
        let summary = pod_with(&format!(
            r#""containers":[{{"name":"x","rootfs":{{{TIME},"usedBytes":5}}{logs}}}]"#
        ));
        let figures = &summary.pods[0].containers[0].figures;
        assert_eq!(figures.value(table::EPHEMERAL_STORAGE_USAGE), expected);
        let time_ms = expected.map(|_| TIME_MS - 7_000);
        assert_eq!(figures.time_ms(Group::Filesystem), time_ms);
    }
}

#[test]
fn what_is_read_in_one_pass_has_one_time_and_what_is_not_is_left_out() {
    let psi = r#""psi":{"some":{"total":7,"avg10":1.25},"full":{"total":3}}"#;
    let summary = pod_with(&format!(
        r#""memory":{{{TIME},"usageBytes":5}},"swap":{{{TIME},"swapUsageBytes":6}},
        "cpu":{{{TIME},"usageCoreNanoSeconds":8,{psi}}},
        "io":{{"time":"2026-11-22T07:26:46Z",{psi}}},"process_stats":{{"process_count":4}}"#
    ));
    assert_eq!(summary.odd_count, 1);
    let value = |field| summary.pods[0].stats.figures.value(field);
    assert_eq!(value(table::SWAP_USAGE), Some(6));
    assert_eq!(value(table::PROCESS_COUNT), Some(4));
    assert_eq!(
        value(table::pressure_total(PressureOf::Cpu, false)),
        Some(7)
    );
    assert_eq!(value(table::pressure_total(PressureOf::Cpu, true)), Some(3));
    assert_eq!(value(table::pressure_total(PressureOf::Io, false)), None);
    // Averages are the node's alone.
    assert_eq!(
        value(table::pressure_average(PressureOf::Cpu, false, 0)),
        None
    );
}

#[test]
fn averages_are_hundredths_of_a_percent() {
    for (text, expected) in [
        ("79.56", Some(7_956)),
        ("0", Some(0)),
        ("100", Some(10_000)),
        ("1e-9", Some(0)),
        ("-1", None),
        ("1e300", None),
        ("\"7\"", None),
    ] {
        let body =
            format!(r#"{{"node":{{"cpu":{{{TIME},"psi":{{"some":{{"avg60":{text}}}}}}}}}}}"#);
        let summary = parse(body.as_bytes()).unwrap();
        let field = table::pressure_average(PressureOf::Cpu, false, 1);
        assert_eq!(summary.node.figures.value(field), expected, "{text}");
        assert_eq!(summary.odd_count, u64::from(expected.is_none()), "{text}");
    }
}

#[test]
fn accelerators_and_interfaces_without_a_name_are_counted() {
    let summary = pod_with(&format!(
        r#""containers":[{{"name":"x","memory":{{{TIME},"usageBytes":1}},"accelerators":[
        {{"make":"m","model":"n","id":"g0","memoryTotal":9,"dutyCycle":50}},{{"memoryUsed":1}}]}}],
        "network":{{{TIME},"interfaces":[{{"name":"eth0","rxBytes":1}},{{"rxBytes":2}},{{"name":"lo"}}]}}"#
    ));
    assert_eq!(summary.odd_count, 2);
    let pod = &summary.pods[0];
    let (accelerator, interface) = (&pod.containers[0].parts[0], &pod.stats.parts[0]);
    assert_eq!(
        (accelerator.kind, accelerator.labels.len()),
        (EntityKind::Accelerator, 3)
    );
    assert_eq!(accelerator.figures.time_ms(Group::Memory), Some(TIME_MS));
    assert_eq!(
        accelerator.figures.value(table::ACCELERATOR_DUTY_CYCLE),
        Some(50)
    );
    assert_eq!(
        (interface.kind, pod.stats.parts.len()),
        (EntityKind::Interface, 1)
    );
    assert_eq!(interface.figures.value(table::NETWORK_RX), Some(1));
}

#[test]
fn more_volumes_than_anything_has_are_not_read() {
    let volume = format!(r#"{{{TIME},"usedBytes":5,"name":"v"}}"#);
    let many = vec![volume.as_str(); 100].join(",");
    let summary = pod_with(&format!("\"volume\":[{many}]"));
    assert_eq!(summary.pods[0].stats.parts.len(), 64);
    assert_eq!((summary.odd_count, summary.dropped_count), (0, 36));
}
