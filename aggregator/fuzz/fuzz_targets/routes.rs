//! Requests to both listeners of readers, through the checks that the aggregator's tests make too.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "each target makes the checks of one thing")]
#[path = "../checks.rs"]
mod checks;

fuzz_target!(|body: &[u8]| checks::routes(body));
