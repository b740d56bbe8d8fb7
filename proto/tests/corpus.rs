//! The fuzz targets' corpus, replayed: every body in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

use std::fs;
use std::path::Path;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/row_keyframe.rs"]
mod row_keyframe;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/row_with_base.rs"]
mod row_with_base;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/row_decode_only.rs"]
mod row_decode_only;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/row_story.rs"]
mod row_story;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/chunk.rs"]
mod chunk;

#[expect(unused_attributes, reason = "a target is a whole program")]
#[path = "../fuzz/fuzz_targets/chunk_story.rs"]
mod chunk_story;

/// What the engine calls, as a function.
macro_rules! fuzz_target {
    (|$body:ident: &[u8]| $check:expr) => {
        pub(crate) fn run($body: &[u8]) {
            $check
        }
    };
}
pub(crate) use fuzz_target;

/// Runs each file of a corpus through its target.
fn replay(target: &str, check: fn(&[u8])) {
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
    assert!(count > 10, "only {count} bodies of {target}");
}

#[test]
fn every_body_of_the_corpus_keeps_the_promises_about_rows() {
    replay("row_keyframe", row_keyframe::run);
    replay("row_with_base", row_with_base::run);
    replay("row_decode_only", row_decode_only::run);
    replay("row_story", row_story::run);
}

#[test]
fn every_body_of_the_corpus_keeps_the_promises_about_chunks() {
    replay("chunk", chunk::run);
    replay("chunk_story", chunk_story::run);
}
