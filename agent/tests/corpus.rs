//! The fuzz targets' corpus, replayed: every body in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/summary.rs"]
mod summary;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/resource.rs"]
mod resource;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/cadvisor.rs"]
mod cadvisor;

/// The engine's macro, and the corpus run through a target.
#[path = "../../proto/fuzz/replay.rs"]
mod replay;

pub(crate) use replay::fuzz_target;
use replay::replay;

#[test]
fn every_summary_of_the_corpus_keeps_the_parsers_promises() {
    assert!(replay("summary", summary::run) > 50);
}

#[test]
fn every_resource_answer_of_the_corpus_keeps_the_parsers_promises() {
    assert!(replay("resource", resource::run) > 30);
}

#[test]
fn every_answer_of_cadvisor_in_the_corpus_keeps_the_parsers_promises() {
    assert!(replay("cadvisor", cadvisor::run) > 15);
}

/// Scenario: a body that is cut off after each of its bytes, as a broken connection leaves it.
/// Guarantees: the same promises.
#[test]
fn every_beginning_of_a_recorded_answer_keeps_them_too() {
    let summary = include_bytes!("../fuzz/corpus/summary/recorded-two-pods.json");
    for end in 0..summary.len() {
        summary::run(&summary[..end]);
    }
    let resource = include_bytes!("../fuzz/corpus/resource/recorded-two-pods.txt");
    for end in 0..resource.len() {
        resource::run(&resource[..end]);
    }
    let cadvisor = include_bytes!("../fuzz/corpus/cadvisor/recorded-one-pod.txt");
    for end in 0..cadvisor.len() {
        cadvisor::run(&cadvisor[..end]);
    }
}
