//! What people are told, and what is sent. The exchange itself is tested against a served kubelet.

use std::path::Path;

use cairn_runtime::tls::{ConnectError, Trust, TrustFiles};
use cairn_runtime::{body, files};

use super::dial::{more_telling, shares};
use super::*;
use crate::config::{TargetTrust, Who};
use crate::sources::{FailureKind, summary};

#[test]
fn a_missing_right_is_named() {
    let failure = Error::Refused {
        code: 403,
        with_token: true,
    }
    .failure(SUMMARY, Who::Kubelet);
    assert_eq!(
        (failure.kind, failure.missing_right),
        (FailureKind::Auth, "get nodes/stats")
    );
    let expected = "kubelet answered 403 for /stats/summary: does the agent's ClusterRole allow \
                    get nodes/stats?";
    assert_eq!(failure.reason, expected);
    let failure = Error::Refused {
        code: 403,
        with_token: true,
    }
    .failure(RESOURCE, Who::Kubelet);
    assert_eq!(failure.missing_right, "get nodes/metrics");
}

#[test]
fn a_refused_token_is_no_missing_right() {
    let failure = Error::Refused {
        code: 401,
        with_token: true,
    }
    .failure(RESOURCE, Who::Kubelet);
    assert_eq!(
        (failure.kind, failure.missing_right),
        (FailureKind::Auth, "")
    );
    assert!(
        failure.reason.contains("--kubelet-token-file"),
        "{}",
        failure.reason
    );
    assert!(failure.reason.ends_with("get nodes/metrics"));
}

#[test]
fn without_a_token_the_flag_that_brings_one_is_named() {
    let failure = Error::Refused {
        code: 401,
        with_token: false,
    }
    .failure(RESOURCE, Who::Kubelet);
    assert!(
        failure
            .reason
            .contains("without a token: give --kubelet-token-file")
    );
}

#[test]
fn redirects_and_other_statuses_are_told() {
    let failure = Error::Status { code: 302 }.failure(SUMMARY, Who::Kubelet);
    assert!(failure.reason.contains("redirect") && failure.kind == FailureKind::Status);
    let failure = Error::Status { code: 500 }.failure(SUMMARY, Who::Kubelet);
    assert_eq!(
        failure.reason,
        "kubelet answered 500 for /stats/summary: look into the kubelet's log"
    );
    let failure = Error::Status { code: 404 }.failure(SUMMARY, Who::Kubelet);
    assert_eq!(
        failure.reason,
        "kubelet answered 404 for /stats/summary: check that --kubelet is the address of a kubelet"
    );
    let failure = Error::Status { code: 503 }.failure(SUMMARY, Who::Cadvisor);
    assert!(failure.reason.ends_with("look into cAdvisor's log"));
}

#[test]
fn every_reason_says_what_to_do_next() {
    let statuses = [204, 302, 401, 403, 404, 410, 429, 500, 503, 599];
    let mut errors: Vec<Error> = statuses.map(|code| Error::Status { code }).into();
    for (code, with_token) in [(401, false), (401, true), (403, false), (403, true)] {
        errors.push(Error::Refused { code, with_token });
    }
    let source = body::Error::TooLarge { limit_bytes: 9 };
    let deadline = Duration::from_secs(5);
    errors.extend([
        Error::NoTrust,
        Error::Token,
        Error::ReadToken {
            source: files::read_small(Path::new("/nonexistent/token"), 9).unwrap_err(),
        },
        Error::Connect {
            source: Box::new(ConnectError::Deadline {
                addr: "127.0.0.1:1".parse().unwrap(),
                deadline,
            }),
        },
        Error::Deadline { deadline },
        Error::ContentType {
            found: "text/html".to_owned(),
        },
        Error::Body { source },
        Error::Body {
            source: body::Error::Deadline { deadline },
        },
        Error::Summary {
            source: summary::parse(b"[]").unwrap_err(),
        },
    ]);
    for error in errors {
        for who in [Who::Kubelet, Who::Cadvisor] {
            let reason = error.failure(SUMMARY, who).reason;
            let steps = [
                "check ",
                "give --",
                "look into ",
                "does the ",
                "is --",
                "serve it ",
            ];
            assert!(steps.iter().any(|step| reason.contains(step)), "{reason}");
        }
    }
}

#[test]
fn a_token_goes_into_a_header_that_does_not_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "abc\n").unwrap();
    let value = exchange::bearer(&path).unwrap();
    assert!(value.is_sensitive() && value.as_bytes() == b"Bearer abc");
    std::fs::write(&path, "a\u{0}b").unwrap();
    assert!(matches!(exchange::bearer(&path), Err(Error::Token)));
    std::fs::write(&path, " \n").unwrap();
    assert!(matches!(exchange::bearer(&path), Err(Error::Token)));
    let missing = exchange::bearer(Path::new("/nonexistent/token")).unwrap_err();
    assert_eq!(missing.kind(), FailureKind::Read);
}

#[test]
fn a_refused_certificate_is_told_rather_than_an_address_without_a_server() {
    let refused = |addr: &str| Error::Connect {
        source: Box::new(ConnectError::Names {
            addr: addr.parse().unwrap(),
            expected: "node1".to_owned(),
            found: vec!["node9".to_owned()],
            hint: Who::Kubelet.hint(),
        }),
    };
    let nobody = |addr: &str| Error::Connect {
        source: Box::new(ConnectError::Dial {
            addr: addr.parse().unwrap(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        }),
    };
    let no_tls = |addr: &str| Error::Connect {
        source: Box::new(ConnectError::Handshake {
            addr: addr.parse().unwrap(),
            source: std::io::ErrorKind::UnexpectedEof.into(),
        }),
    };
    let (loopback, host) = ("127.0.0.1:10250", "192.0.2.7:10250");
    let told = |first, second| {
        let error = more_telling(Some(more_telling(None, first)), second);
        error.failure(SUMMARY, Who::Kubelet).reason
    };
    for (first, second, expected) in [
        (
            refused(loopback),
            nobody(host),
            "of 127.0.0.1:10250 is for node9",
        ),
        (
            nobody(loopback),
            refused(host),
            "of 192.0.2.7:10250 is for node9",
        ),
        (
            refused(loopback),
            no_tls(host),
            "of 127.0.0.1:10250 is for node9",
        ),
        (
            no_tls(loopback),
            nobody(host),
            "handshake with 127.0.0.1:10250",
        ),
        (
            no_tls(loopback),
            no_tls(host),
            "handshake with 192.0.2.7:10250",
        ),
        (nobody(loopback), nobody(host), "connect to 192.0.2.7:10250"),
    ] {
        let reason = told(first, second);
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn addresses_without_tls_take_little_of_the_time_of_those_with_it() {
    let time = Duration::from_millis;
    for (with_tls, plain, expected) in [
        (1, 0, (1_000, 0)),
        (2, 0, (500, 0)),
        (1, 1, (800, 200)),
        (2, 2, (400, 100)),
    ] {
        let (each, each_plain) = expected;
        let expected = (time(each), time(each_plain));
        assert_eq!(shares(time(1_000), with_tls, plain), expected);
    }
}

#[tokio::test]
async fn without_anything_to_verify_with_nothing_is_dialled() {
    let nowhere = TrustFiles {
        ca: vec!["/nonexistent/ca.crt".into()],
        optional: true,
        ..TrustFiles::default()
    };
    let kubelet = Target {
        who: Who::Kubelet,
        addresses: vec!["127.0.0.1:1".parse().unwrap()],
        plain: Vec::new(),
        server_name: cairn_runtime::tls::server_name("node1").unwrap(),
        trust: TargetTrust::Verified(Trust::load(nowhere).unwrap()),
        token_file: None,
    };
    let mut client = Client::new(kubelet);
    let error = client
        .scrape(SmallSet, Duration::from_secs(5), &mut Given::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoTrust));
    assert!(
        error
            .failure(RESOURCE, Who::Kubelet)
            .reason
            .contains("--kubelet-ca")
    );
}
