//! Codec 2: small on the wire and in the window. `proto/WIRE.md` writes down every byte.

pub(super) mod chunk;
pub(super) mod column;
mod numbers;
pub(super) mod row;
pub(super) mod track;

/// What the differences of a column may all be divisible by: thousands (times, counters in
/// microseconds), KiB and pages (memory). The index is the code in the two low bits of the flags.
const SCALES: [i64; 4] = [1, 1000, 1024, 4096];

/// The largest scale that divides every difference, and its code.
fn best_scale(deltas: &(impl Iterator<Item = i64> + Clone)) -> (u8, i64) {
    let bits = deltas.clone().fold(0, |bits, delta| bits | delta);
    match bits.trailing_zeros() {
        12.. => (3, 4096),
        10.. => (2, 1024),
        // 1000 has three twos in it.
        3.. if deltas.clone().all(|delta| delta % 1000 == 0) => (1, 1000),
        _ => (0, 1),
    }
}

/// Difference as a signed number; wraps, and wraps back when decoded, so any pair is lossless.
fn difference(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}
