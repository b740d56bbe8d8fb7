//! The fuzz targets' corpus, replayed: every body in it, through the targets themselves.

#![expect(clippy::duplicate_mod, reason = "each target has the checks")]

// The engine's crate needs a C++ compiler and a build of everything in a workspace of its own, for
// the sake of one macro. Under its name the targets find the one below.
extern crate self as libfuzzer_sys;

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

/// The engine's macro, and the corpus run through a target.
#[path = "../fuzz/replay.rs"]
mod replay;

pub(crate) use replay::fuzz_target;

/// Runs each file of a corpus through its target.
fn replay(target: &str, check: fn(&[u8])) {
    let count = replay::replay(target, check);
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
