use std::path::PathBuf;
use std::time::Duration;

use cairn_runtime::tls::{By, Voucher};

use super::{Finding, Identity, PROBE_DEADLINE, Probe, Report, Trouble, Values};

fn voucher(by: By, file: &str, expired: bool) -> Voucher {
    Voucher {
        by,
        file: Some(PathBuf::from(file)),
        expires_unix_s: Some(if expired {
            1_640_995_200
        } else {
            2_524_607_999
        }),
        expired,
    }
}

/// A source of each kind, and each kind of row.
fn report() -> Report {
    let token = Identity::Token("/run/kubelet/token".into());
    let summary = Finding {
        reached: true,
        identity: token.clone(),
        server_name: Some("node1".to_owned()),
        voucher: Some(voucher(By::Pin, "/pki/kubelet.crt", true)),
        values: Values {
            pods: Some(110),
            containers: Some(131),
            values: Some(4_812),
        },
        took: Duration::from_micros(41_260),
        notes: vec!["something odd\u{1b}[2J".to_owned()],
        ..Finding::new("summary", "127.0.0.1:10250")
    };
    let resource = Finding {
        values: Values::default(),
        took: Duration::from_micros(2_340),
        notes: Vec::new(),
        failure: Some(Trouble {
            kind: "auth",
            reason: "kubelet answered 403: allow it".to_owned(),
            missing_right: "get nodes/metrics",
        }),
        source: "resource",
        ..summary.clone()
    };
    let procfs = Finding {
        reached: true,
        values: Values {
            values: Some(107),
            ..Values::default()
        },
        took: Duration::from_micros(640),
        ..Finding::new("procfs", "/proc")
    };
    let unreached = Finding {
        identity: Identity::Anonymous,
        server_name: Some("cairn".to_owned()),
        took: Duration::from_secs(15),
        failure: Some(Trouble::new("timeout", "no answer: check the network")),
        ..Finding::new("aggregator", "10.0.0.3:9443")
    };
    let well = Finding {
        reached: true,
        identity: Identity::Anonymous,
        voucher: Some(voucher(By::Ca, "/ca.pem", false)),
        failure: None,
        took: Duration::from_millis(12),
        address: "[fd00::17]:9443".to_owned(),
        ..unreached.clone()
    };
    Report {
        node: "node1".to_owned(),
        took: Duration::from_secs(15),
        findings: vec![summary, resource, procfs, well, unreached],
        notes: vec!["mind this".to_owned()],
    }
}

#[test]
fn the_table_is_aligned_and_says_each_thing_once() {
    let expected = "\
node node1

SOURCE      STATE   ADDRESS          AS         VERIFIED BY              PODS  CONTAINERS  VALUES    TOOK
summary     ok      127.0.0.1:10250  token      pin, expired 2022-01-01   110         131    4812   41 ms
resource    FAILED  127.0.0.1:10250  token      pin, expired 2022-01-01     -           -       -  2.3 ms
procfs      ok      /proc            -          -                           -           -     107  0.6 ms
aggregator  ok      [fd00::17]:9443  anonymous  CA, until 2049-12-31        -           -       -   12 ms
aggregator  FAILED  10.0.0.3:9443    anonymous  -                           -           -       -  15.0 s

USED   FOR
token  summary, resource  /run/kubelet/token
pin    summary, resource  /pki/kubelet.crt
CA     aggregator         /ca.pem
name   aggregator         cairn

resource failed: kubelet answered 403: allow it

aggregator failed: no answer: check the network

summary note: something odd\\u{1b}[2J

note: mind this

2 of 5 failed, after 15.0 s
";
    let text = report().text();
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn all_is_well_is_said_in_the_last_line() {
    let mut report = report();
    report.findings.retain(|found| found.failure.is_none());
    assert_eq!(report.failed(), 0);
    assert!(report.text().ends_with("\n3 of 3 ok, after 15.0 s\n"));
}

#[test]
fn one_reason_of_two_sources_is_told_once() {
    let mut report = report();
    report.findings.truncate(2);
    let failure = report.findings[1].failure.clone();
    report.findings[0].failure = failure;
    let text = report.text();
    let line = "\nsummary, resource failed: kubelet answered 403: allow it\n";
    assert_eq!(text.matches("kubelet answered").count(), 1, "{text}");
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_json_names_everything_and_null_is_what_there_is_not() {
    let mut report = report();
    report.findings.swap(1, 4);
    report.findings.truncate(3);
    report.findings.remove(0);
    report.findings[1].failure = Some(Trouble {
        kind: "auth",
        reason: "why".to_owned(),
        missing_right: "get nodes/metrics",
    });
    report.findings[1].voucher = Some(voucher(By::Pin, "/pki/kubelet.crt", true));
    let expected = r#"{
  "version": 1,
  "node": "node1",
  "ok": false,
  "took_ms": 15000.0,
  "notes": [
    "mind this"
  ],
  "checks": [
    {
      "source": "aggregator",
      "ok": false,
      "address": "10.0.0.3:9443",
      "reached": false,
      "identity": "anonymous",
      "token_file": null,
      "server_name": "cairn",
      "verified": null,
      "pods": null,
      "containers": null,
      "values": null,
      "took_ms": 15000.0,
      "notes": [],
      "failure": {
        "kind": "timeout",
        "reason": "no answer: check the network",
        "missing_right": null
      }
    },
    {
      "source": "procfs",
      "ok": false,
      "address": "/proc",
      "reached": true,
      "identity": "local",
      "token_file": null,
      "server_name": null,
      "verified": {
        "by": "pin",
        "file": "/pki/kubelet.crt",
        "expires_unix_s": 1640995200,
        "expired": true
      },
      "pods": null,
      "containers": null,
      "values": 107,
      "took_ms": 0.6,
      "notes": [],
      "failure": {
        "kind": "auth",
        "reason": "why",
        "missing_right": "get nodes/metrics"
      }
    }
  ]
}
"#;
    let text = report.json();
    assert_eq!(text, expected, "\n{text}");
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_told_after_its_deadline() {
    let found = Probe::new("summary", "here", std::future::pending())
        .run()
        .await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].source, found[0].address.as_str(), found[0].took),
        ("summary", "here", PROBE_DEADLINE)
    );
    assert_eq!(found[0].failure.as_ref().unwrap().kind, "timeout");
}
