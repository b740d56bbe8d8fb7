//! Chunks made from bytes, encoded and decoded.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "each target makes the checks of one thing")]
#[path = "../checks.rs"]
mod checks;

fuzz_target!(|body: &[u8]| checks::chunk_story(body));
