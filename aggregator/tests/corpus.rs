//! The fuzz targets' corpus, replayed: every question in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

use std::fs;
use std::path::Path;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/routes.rs"]
mod routes;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/certificates.rs"]
mod certificates;

#[expect(dead_code, reason = "what makes a good certificate is used here too")]
#[path = "../fuzz/checks.rs"]
mod checks;

/// What the engine calls, as a function.
macro_rules! fuzz_target {
    (|$body:ident: &[u8]| $check:expr) => {
        pub(crate) fn run($body: &[u8]) {
            $check
        }
    };
}
pub(crate) use fuzz_target;

#[test]
fn every_question_of_the_corpus_is_answered_without_a_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/routes");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let question = fs::read(&path).expect("a readable question");
        let held = std::panic::catch_unwind(|| routes::run(&question));
        assert!(held.is_ok(), "{} breaks a promise", path.display());
        count += 1;
    }
    assert!(count > 30, "{count}");
}

/// Scenario: a good certificate, and all that differ from it in one byte or are cut off.
/// Guarantees: the good one is believed, and no other.
#[test]
fn of_a_certificate_no_byte_may_be_another() {
    let good = checks::good_certificate();
    certificates::run(&[]);
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
