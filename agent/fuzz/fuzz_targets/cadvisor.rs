//! Bytes to `cadvisor::parse`, through the checks that the agent's tests make too.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "each target makes the checks of one parser")]
#[path = "../checks.rs"]
mod checks;

fuzz_target!(|body: &[u8]| checks::cadvisor(body));
