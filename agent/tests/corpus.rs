//! The fuzz targets' corpus, replayed: every body in it, through the checks that fuzzing makes.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks.rs"]
mod checks;

/// Runs each file of a corpus through its check; returns how many there were.
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
    assert!(replay("summary", checks::summary) > 50);
}

#[test]
fn every_resource_answer_of_the_corpus_keeps_the_parsers_promises() {
    assert!(replay("resource", checks::resource) > 30);
}

/// Scenario: a body that is cut off after each of its bytes, as a broken connection leaves it.
/// Guarantees: the same promises.
#[test]
fn every_beginning_of_a_recorded_answer_keeps_them_too() {
    let summary = include_bytes!("../fuzz/corpus/summary/recorded-two-pods.json");
    for end in 0..summary.len() {
        checks::summary(&summary[..end]);
    }
    let resource = include_bytes!("../fuzz/corpus/resource/recorded-two-pods.txt");
    for end in 0..resource.len() {
        checks::resource(&resource[..end]);
    }
}
