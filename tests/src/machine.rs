//! What a machine lacks for a test.

use std::io::Write as _;

/// Set where every test has to run whole, as `.ci/run` sets it on a machine that can: then what is left out
/// is a failure.
const WHOLE: &str = "CAIRN_TEST_WHOLE";

/// Says that a test, or a part of it, does not run here, and what it would take.
///
/// # Panics
///
/// Where nothing may be left out.
pub fn lacks(what: &str) {
    let is_whole = std::env::var_os(WHOLE).is_some_and(|value| value == "1");
    assert!(
        !is_whole,
        "{what}; with {WHOLE}=1 nothing may be left out: set it to 0 where this machine cannot"
    );
    // Past the harness, which keeps what a test that passes has printed.
    drop(writeln!(std::io::stderr(), "SKIPPED: {what}"));
}
