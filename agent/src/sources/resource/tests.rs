//! The recorded answer, and hostile ones.

mod size;

use proptest::prelude::*;

use super::*;

const RECORDED: &[u8] = include_bytes!("../../../testdata/metrics_resource");

#[test]
fn the_recorded_answer_is_read_whole() {
    let resource = parse(RECORDED).unwrap();
    assert_eq!(resource.odd_count, 0);
    let node = Cpu {
        usage_core_nanos: 84_940_021_013,
        time_ms: Some(1_795_332_407_714),
    };
    assert_eq!(resource.node.cpu, Some(node));
    let of_shop = resource
        .pods()
        .filter(|(namespace, ..)| *namespace == "shop");
    assert_eq!((of_shop.count(), resource.pods().count()), (5, 5));
    let burner = resource.pod("shop", "burner-6cb655c9bf-tt7hk").unwrap();
    let cpu = Cpu {
        usage_core_nanos: 3_233_033_851,
        time_ms: Some(1_795_332_408_546),
    };
    assert_eq!(burner.usage.cpu, Some(cpu));
    let of_burner = |([_, pod, _], _): &([&str; 3], _)| *pod == "burner-6cb655c9bf-tt7hk";
    assert_eq!(resource.containers().filter(of_burner).count(), 2);
    assert_eq!(burner.first_start_ms, Some(1_795_332_220_722));
    let container = resource.container("shop", "burner-6cb655c9bf-tt7hk", "cpu");
    let container = container.unwrap();
    let cpu = Cpu {
        usage_core_nanos: 2_698_091_047,
        time_ms: Some(1_795_332_404_094),
    };
    let memory = Level {
        bytes: 614_400,
        time_ms: Some(1_795_332_404_094),
    };
    assert_eq!(container.start_ms, Some(1_795_332_220_722));
    assert_eq!(
        (container.usage.cpu, container.usage.memory),
        (Some(cpu), Some(memory))
    );
}

#[test]
fn a_bad_line_is_counted_and_the_rest_survives() {
    let body = b"node_cpu_usage_seconds_total 1.5 10\n\
        pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"b\"} NaN 10\n\
        pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"b\"} 1 -10\n\
        pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"b\"} 1 10 11\n\
        pod_cpu_usage_seconds_total{namespace=\"a\"} 1 10\n\
        pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"b} 1 10\n\
        container_start_time_seconds{container=\"c\",namespace=\"a\",pod=\"b\"\n\
        pod_cpu_usage_seconds_total { pod = \"b\" , namespace = \"a\" , }\t2e0\t20\n\
        something_else{x=\"y\"} nonsense\n\
        node_cpu_usage_seconds_total 9.9 9";
    let resource = parse(body).unwrap();
    assert_eq!(resource.odd_count, 7);
    assert_eq!(
        resource.node.cpu.map(|cpu| cpu.usage_core_nanos),
        Some(1_500_000_000)
    );
    let cpu = resource.pod("a", "b").unwrap().usage.cpu.unwrap();
    assert_eq!(
        (cpu.usage_core_nanos, cpu.time_ms),
        (2_000_000_000, Some(20))
    );
}

#[test]
fn a_name_that_nothing_can_have_makes_its_line_odd() {
    let long = "x".repeat(254);
    let longest = "x".repeat(253);
    for (name, odd_count) in [("", 3), (long.as_str(), 3), (longest.as_str(), 0)] {
        let mut body = "node_cpu_usage_seconds_total 1 5\n".to_owned();
        for [namespace, pod, container] in [[name, "b", "c"], ["a", name, "c"], ["a", "b", name]] {
            let labels =
                format!("container=\"{container}\",pod=\"{pod}\",namespace=\"{namespace}\"");
            body += &format!("container_swap_usage_bytes{{{labels}}} 1\n");
        }
        let resource = parse(body.as_bytes()).unwrap();
        assert_eq!(resource.odd_count, odd_count, "{} bytes", name.len());
        assert_eq!(resource.pods().next().is_none(), odd_count > 0);
    }
}

#[test]
fn label_values_are_unescaped() {
    let body = br#"pod_cpu_usage_seconds_total{namespace="a\"\\\n\t,}",pod="b=\"{"} 1
"#;
    let resource = parse(body).unwrap();
    let pod = resource.pod("a\"\\\n\\t,}", "b=\"{").unwrap();
    assert_eq!(
        pod.usage.cpu,
        Some(Cpu {
            usage_core_nanos: 1_000_000_000,
            time_ms: None
        })
    );
}

#[test]
fn the_kubelets_own_error_fails_the_scrape() {
    assert_eq!(parse(b"resource_scrape_error 1\n"), Err(Error::ScrapeError));
    let both = b"node_cpu_usage_seconds_total 1.5 10\nresource_scrape_error 1\n";
    assert_eq!(parse(both), Err(Error::ScrapeError));
    assert!(parse(b"resource_scrape_error 0\n").is_ok());
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in [
        &b""[..],
        b"<html></html>\n",
        b"{\"node\":{}}\n",
        b"other_total 1\n",
    ] {
        assert_eq!(parse(body), Err(Error::Nothing));
    }
}

#[test]
fn an_answer_in_the_room_of_another_is_the_same_as_without() {
    let whole = parse(RECORDED).unwrap();
    let other = b"pod_swap_usage_bytes{pod=\"p\",namespace=\"n\"} 5\n\
        container_swap_usage_bytes{container=\"c\",pod=\"p\",namespace=\"n\"} 6\nx{} y z a\n";
    let spare = parse_into(RECORDED, parse(other).ok()).unwrap();
    assert_eq!(spare, whole);
    assert_eq!(spare.pod("n", "p"), None);
    let back = parse_into(other, Some(spare)).unwrap();
    assert_eq!(back, parse(other).unwrap());
    assert_eq!((back.pods().count(), back.containers().count()), (1, 1));
    assert_ne!(back, whole);
}

fn is_part(cut: &Usage, whole: &Usage) -> bool {
    (cut.cpu.is_none() || cut.cpu == whole.cpu)
        && (cut.memory.is_none() || cut.memory == whole.memory)
        && (cut.swap.is_none() || cut.swap == whole.swap)
}

#[test]
fn a_cut_answer_never_has_a_shorter_number() {
    let whole = parse(RECORDED).unwrap();
    let mut cut_count = 0;
    for end in (0..RECORDED.len()).step_by(7) {
        let Ok(cut) = parse(&RECORDED[..end]) else {
            continue;
        };
        cut_count += 1;
        assert!(is_part(&cut.node, &whole.node));
        for (namespace, name, pod) in cut.pods() {
            assert!(is_part(
                &pod.usage,
                &whole.pod(namespace, name).unwrap().usage
            ));
        }
        for ([namespace, pod, name], container) in cut.containers() {
            let full = whole.container(namespace, pod, name).unwrap();
            assert!(is_part(&container.usage, &full.usage));
        }
    }
    assert!(cut_count > 100);
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(&body));
    }

    #[test]
    fn no_changed_byte_panics(at in 0..RECORDED.len(), byte: u8) {
        let mut body = RECORDED.to_vec();
        body[at] = byte;
        drop(parse(&body));
    }
}
