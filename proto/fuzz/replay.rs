//! What the tests that replay a corpus have in common, each with the targets and the corpus of its own crate.

use std::fs;
use std::path::Path;

/// What the engine calls, as a function.
macro_rules! fuzz_target {
    (|$body:ident: &[u8]| $check:expr) => {
        pub(crate) fn run($body: &[u8]) {
            $check
        }
    };
}
pub(crate) use fuzz_target;

/// Runs each file of a corpus of this crate through its target; returns how many there were.
pub(crate) fn replay(target: &str, check: fn(&[u8])) -> usize {
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
