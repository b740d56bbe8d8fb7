//! The fuzz targets' corpus, replayed: everything in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

use cairn_aggregator::cluster::Resource;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/routes.rs"]
mod routes;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/certificates.rs"]
mod certificates;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/objects.rs"]
mod objects;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/quantities.rs"]
mod quantities;

#[expect(dead_code, reason = "what the targets check is asked about here too")]
#[path = "../fuzz/checks.rs"]
mod checks;

/// The engine's macro, and the corpus run through a target.
#[path = "../../proto/fuzz/replay.rs"]
mod replay;

pub(crate) use replay::fuzz_target;
use replay::replay;

#[test]
fn every_question_of_the_corpus_is_answered_without_a_fault() {
    assert!(replay("routes", routes::run) > 30);
}

/// What is asked of the two listeners that the corpus is replayed to is found there.
#[test]
fn what_is_there_is_found() {
    for (question, expected) in [
        ("GET /api/v1/model/namespaces/shop/pods/", [200, 200]),
        (
            "GET /apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/web",
            [404, 200],
        ),
        ("GET /nothing\naccept: \u{e9}", [404, 404]),
    ] {
        let found = checks::statuses(question.as_bytes());
        assert_eq!(found, expected, "{question}");
    }
    assert!(checks::statuses(b"nothing").is_empty());
}

#[test]
fn every_certificate_of_the_corpus_is_read_or_refused() {
    assert!(replay("certificates", certificates::run) > 15);
}

#[test]
fn every_object_and_amount_of_the_corpus_is_read_or_refused() {
    assert!(replay("objects", objects::run) > 15);
    assert!(replay("quantities", quantities::run) > 30);
}

/// Scenario: an object that is cut off after each of its bytes, as a broken connection leaves it.
#[test]
fn every_beginning_of_a_recorded_object_is_refused() {
    let pod = include_bytes!("../fuzz/corpus/objects/recorded-pod.json");
    assert!(Resource::Pods.present(pod).is_ok());
    // Its last byte may be the end of a line.
    for end in 0..pod.trim_ascii_end().len() {
        for resource in Resource::ALL {
            assert!(resource.present(&pod[..end]).is_err(), "{end} bytes");
        }
    }
}

/// Scenario: a good certificate, and all that differ from it in one byte or are cut off.
/// Guarantees: the good one is believed, and no other.
#[test]
fn of_a_certificate_no_byte_may_be_another() {
    let good = checks::good_certificate();
    for at in 0..good.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = good.to_vec();
            changed[at] ^= change;
            checks::certificates(&changed);
        }
        checks::certificates(&good[..at]);
    }
    checks::certificates(good);
}
