//! Bodies that no kubelet should send, at the parsers' public functions.

use cairn_agent::sources::{resource, summary};

const IDS: &str = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;

/// A summary with these pods.
fn pods(json: &str) -> String {
    format!("{{\"node\":{{\"nodeName\":\"n\"}},\"pods\":[{json}]}}")
}

fn parsed(body: &str) -> summary::Summary {
    summary::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// Names of pods, each with how many containers it has.
fn told(summary: &summary::Summary) -> Vec<(&str, usize)> {
    let pods = summary.pods.iter();
    pods.map(|pod| (pod.name.as_str(), pod.containers.len()))
        .collect()
}

#[test]
fn what_is_no_json_object_is_refused_whole() {
    let good = pods("");
    for (what, body) in [
        (
            "a list of the right values",
            r#"[{"nodeName":"n"},[]]"#.to_owned(),
        ),
        ("a list in spaces", " \n[{},[]]".to_owned()),
        ("text", r#""node""#.to_owned()),
        ("null", "null".to_owned()),
        ("a comma at the end", r#"{"node":{},}"#.to_owned()),
        ("two documents", format!("{good}{good}")),
        ("something behind", format!("{good} x")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("single quotes", good.replace('"', "'")),
        ("a comment", format!("/* */{good}")),
        ("a node twice", r#"{"node":{},"node":{}}"#.to_owned()),
        (
            "a NaN that is no JSON",
            pods(&format!(
                r#"{{{IDS},"cpu":{{"usageCoreNanoSeconds":NaN}}}}"#
            )),
        ),
        (
            "an infinity that is no JSON",
            pods(&format!(
                r#"{{{IDS},"cpu":{{"usageCoreNanoSeconds":-Infinity}}}}"#
            )),
        ),
        (
            "a number with a zero in front",
            pods(&format!(r#"{{{IDS},"cpu":{{"usageCoreNanoSeconds":07}}}}"#)),
        ),
    ] {
        let refused = matches!(
            summary::parse(body.as_bytes()),
            Err(summary::Error::Json { .. })
        );
        assert!(refused, "{what}: {body}");
    }
    for end in 0..good.len() {
        assert!(
            summary::parse(&good.as_bytes()[..end]).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn unknown_and_missing_fields_and_nulls_are_nothing_odd() {
    for pod in [
        format!("{{{IDS}}}"),
        format!(
            r#"{{{IDS},"containers":null,"cpu":null,"memory":null,"network":null,"startTime":null}}"#
        ),
        format!(r#"{{{IDS},"containers":[],"gpu":[{{"name":1.5}}],"":{{}}}}"#),
        format!(r#"{{"later":[[[]]],{IDS}}}"#),
    ] {
        let summary = parsed(&pods(&pod));
        assert_eq!(told(&summary), [("a", 0)], "{pod}");
        assert_eq!((summary.odd_count, summary.dropped_count), (0, 0), "{pod}");
    }
    assert_eq!(parsed(r#"{"extra":{},"node":{"extra":[]}}"#).odd_count, 0);
}

#[test]
fn a_number_that_is_no_count_is_odd_and_its_pod_stays() {
    for number in [
        "-1",
        "-9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "0.5",
        "1e3",
        "\"NaN\"",
        "\"Infinity\"",
        "\"-Inf\"",
        "\"12\"",
    ] {
        let time = r#""time":"2026-11-22T07:26:47Z""#;
        let pod = format!(
            r#"{{{IDS},"cpu":{{{time},"usageCoreNanoSeconds":{number}}},
            "containers":[{{"name":"x","cpu":{{{time},"usageCoreNanoSeconds":{number}}}}}]}}"#
        );
        let summary = parsed(&pods(&pod));
        assert_eq!(told(&summary), [("a", 1)], "{number}");
        assert_eq!(summary.odd_count, 2, "{number}");
    }
}

#[test]
fn two_thousand_pods_are_read_in_their_order() {
    let pod = |n: usize| {
        format!(
            r#"{{"podRef":{{"name":"pod-{n}","namespace":"b","uid":"uid-{n}"}},
            "containers":[{{"name":"x"}},{{"name":"y"}},{{"name":"z"}}]}}"#
        )
    };
    let body = (0..2_000).map(pod).collect::<Vec<String>>().join(",");
    let summary = parsed(&pods(&body));
    assert_eq!((summary.odd_count, summary.dropped_count), (0, 0));
    assert_eq!(summary.pods.len(), 2_000);
    for (n, pod) in summary.pods.iter().enumerate() {
        assert_eq!(
            (&pod.name, &pod.uid),
            (&format!("pod-{n}"), &format!("uid-{n}"))
        );
        assert_eq!(pod.containers.len(), 3);
    }
}

#[test]
fn what_has_one_name_twice_is_told_twice() {
    let container = r#"{"name":"app"}"#;
    let pod = format!(r#"{{{IDS},"containers":[{container},{container}]}}"#);
    let summary = parsed(&pods(&format!("{pod},{pod}")));
    assert_eq!(told(&summary), [("a", 2), ("a", 2)]);
    assert_eq!(summary.odd_count, 0);
}

#[test]
fn a_pod_that_names_itself_twice_is_odd() {
    for pod in [
        format!("{{{IDS},{IDS}}}"),
        r#"{"podRef":{"name":"a","name":"b","namespace":"c","uid":"d"}}"#.to_owned(),
        r#"{"podRef":{"name":"a","n\u0061me":"b","namespace":"c","uid":"d"}}"#.to_owned(),
    ] {
        let summary = parsed(&pods(&pod));
        assert_eq!((told(&summary), summary.odd_count), (vec![], 1), "{pod}");
    }
}

#[test]
fn names_are_what_was_sent_however_hostile() {
    for (json, name) in [
        ("../../a", "../../a"),
        ("<b>&amp;", "<b>&amp;"),
        (" ", " "),
        (r#"\"\\"#, "\"\\"),
        (r"\u0000\u001b[31m\r\n\u007f", "\0\u{1b}[31m\r\n\u{7f}"),
        (r"\u202e\u2066x\u2069", "\u{202e}\u{2066}x\u{2069}"),
        ("\u{202e}x", "\u{202e}x"),
        ("\u{2028}\u{feff}\u{200b}", "\u{2028}\u{feff}\u{200b}"),
        (r"\ud83d\ude00", "\u{1f600}"),
    ] {
        let ids = format!(r#""podRef":{{"name":"{json}","namespace":"{json}","uid":"{json}"}}"#);
        let body = pods(&format!(r#"{{{ids},"containers":[{{"name":"{json}"}}]}}"#));
        let summary = parsed(&body);
        let pod = &summary.pods[0];
        let names = [&pod.name, &pod.namespace, &pod.uid, &pod.containers[0].name];
        assert_eq!(names, [name; 4], "{json}");
    }
    let long = "x".repeat(100_000);
    let body = pods(&format!(
        r#"{{"podRef":{{"name":"{long}","namespace":"b","uid":"c"}}}}"#
    ));
    assert_eq!(parsed(&body).pods[0].name, long);
}

#[test]
fn names_that_are_no_text_lose_their_pod_or_the_body() {
    for name in [r"\ud800", r"\udc00\ud800"] {
        let body = pods(&format!(
            r#"{{"podRef":{{"name":"{name}","namespace":"b","uid":"c"}}}}"#
        ));
        let summary = parsed(&body);
        assert_eq!((told(&summary), summary.odd_count), (vec![], 1), "{name}");
    }
    for name in [
        &b"a\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"a\0b",
        b"a\x1bb",
    ] {
        let body = [
            &b"{\"node\":{},\"pods\":[{\"podRef\":{\"name\":\""[..],
            name,
            b"\",\"namespace\":\"b\",\"uid\":\"c\"}}]}",
        ]
        .concat();
        // Never a name that was mended.
        assert!(
            summary::parse(&body).map_or(true, |s| s.pods.is_empty()),
            "{name:?}"
        );
    }
}

/// A line of a pod's CPU and one that is good, so that the body counts.
fn lines(value: &str) -> String {
    format!(
        "pod_cpu_usage_seconds_total{{namespace=\"b\",pod=\"a\"}} {value}\n\
         node_cpu_usage_seconds_total 1 5\n"
    )
}

#[test]
fn a_resource_value_that_is_no_count_loses_its_line_alone() {
    for value in [
        "NaN 5",
        "nan 5",
        "+Inf 5",
        "-Inf 5",
        "Infinity 5",
        "-1 5",
        "-0.5 5",
        "1e999 5",
        "18446744073.709551616 5",
        "99999999999999999999999999 5",
        "0x1p4 5",
        "1,5 5",
        "1.2.3 5",
        "1e 5",
        "",
        "1 -5",
        "1 5.5",
        "1 18446744073709551616",
        "1 5 6",
    ] {
        let resource = resource::parse(lines(value).as_bytes()).unwrap();
        assert_eq!(
            (resource.pods().count(), resource.odd_count),
            (0, 1),
            "{value}"
        );
        assert!(resource.node.cpu.is_some());
    }
    for value in [
        "1 5",
        "1",
        "18446744073.709551615 5",
        "1e-999 5",
        "+0 18446744073709551615",
    ] {
        let resource = resource::parse(lines(value).as_bytes()).unwrap();
        assert_eq!(
            (resource.pods().count(), resource.odd_count),
            (1, 0),
            "{value}"
        );
    }
}

#[test]
fn the_last_line_of_one_name_counts() {
    let body = lines("7 5") + &lines("9 6");
    let twice = resource::parse(body.as_bytes()).unwrap();
    assert_eq!(twice, resource::parse(lines("9 6").as_bytes()).unwrap());
}

#[test]
fn resource_names_are_what_was_sent_however_hostile() {
    for (text, name) in [
        (r#"\"\\\n"#, "\"\\\n"),
        ("a=b,c}d{", "a=b,c}d{"),
        (
            "\u{202e}\u{2028}\u{1b}[31m\0",
            "\u{202e}\u{2028}\u{1b}[31m\0",
        ),
        ("<b>", "<b>"),
    ] {
        let body = format!(
            "container_cpu_usage_seconds_total{{container=\"{text}\",namespace=\"{text}\",pod=\"{text}\"}} 1 5\n"
        );
        let resource = resource::parse(body.as_bytes()).unwrap();
        assert!(resource.pod(name, name).is_some(), "{text}");
        assert!(resource.container(name, name, name).is_some(), "{text}");
        assert_eq!(resource.odd_count, 0, "{text}");
    }
    let broken = b"pod_cpu_usage_seconds_total{namespace=\"\xff\",pod=\"a\"} 1 5\nnode_cpu_usage_seconds_total 1 5\n";
    let resource = resource::parse(broken).unwrap();
    assert_eq!((resource.pods().count(), resource.odd_count), (0, 1));
}

#[test]
fn two_thousand_pods_of_a_resource_answer_are_read() {
    let pod = |n: usize| {
        format!(
            "pod_cpu_usage_seconds_total{{namespace=\"b\",pod=\"p{n}\"}} {n} 5\n\
             container_cpu_usage_seconds_total{{container=\"x\",namespace=\"b\",pod=\"p{n}\"}} {n} 5\n"
        )
    };
    let body: String = (0..2_000).map(pod).collect();
    let resource = resource::parse(body.as_bytes()).unwrap();
    assert_eq!((resource.pods().count(), resource.odd_count), (2_000, 0));
    let is_there = |n: usize| resource.container("b", &format!("p{n}"), "x").is_some();
    assert!((0..2_000).all(is_there));
    assert_eq!(resource.containers().count(), 2_000);
}
