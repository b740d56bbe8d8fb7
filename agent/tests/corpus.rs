//! The fuzz targets' corpus, replayed: every body in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

use std::fs;
use std::path::Path;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/summary.rs"]
mod summary;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/resource.rs"]
mod resource;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/cadvisor.rs"]
mod cadvisor;

/// What the engine calls, as a function.
macro_rules! fuzz_target {
    (|$body:ident: &[u8]| $check:expr) => {
        pub(crate) fn run($body: &[u8]) {
            $check
        }
    };
}
pub(crate) use fuzz_target;

/// Runs each file of a corpus through its target; returns how many there were.
fn replay(target: &str, check: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let body = fs::read(&path).expect("a readable body");
        let held = std::panic::catch_unwind(|| check(&body));
        assert!(held.is_ok(), "{} breaks a promise", path.display());
        count += 1;
    }
    count
}

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
