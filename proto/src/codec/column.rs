//! One column: scale, presence bits, changed bits, differences.

use super::Error;
use super::varint::{Reader, put, unzigzag, zigzag};

/// What a column's differences may all be divisible by: thousands (times, cgroup v2 counters in
/// microseconds), KiB and pages (memory). Index is the code on the wire.
const SCALES: [i64; 4] = [1, 1000, 1024, 4096];

/// Appends the body of one column. `base` gives the value that a cell had in the earlier row.
pub(super) fn encode(
    out: &mut Vec<u8>,
    cells: &[Option<u64>],
    base: impl Fn(usize) -> Option<u64>,
) {
    let deltas: Vec<i64> = cells
        .iter()
        .enumerate()
        .filter_map(|(i, cell)| cell.map(|value| delta(base(i).unwrap_or(0), value)))
        .collect();
    let (code, scale) = best_scale(&deltas);
    out.push(code);
    put_bits(out, cells.iter().map(Option::is_some));
    put_bits(out, deltas.iter().map(|d| *d != 0));
    for delta in deltas.iter().filter(|d| **d != 0) {
        put(out, zigzag(delta / scale));
    }
}

/// Reads the body of one column of `count` entities.
pub(super) fn decode(
    body: &[u8],
    count: usize,
    base: impl Fn(usize) -> Option<u64>,
) -> Result<Vec<Option<u64>>, Error> {
    let mut reader = Reader::new(body);
    let code = reader.byte("a column's scale")?;
    let scale = *SCALES.get(usize::from(code)).ok_or(Error::Scale(code))?;
    let present = reader.take(count.div_ceil(8), "presence bits")?;
    let present_count = (0..count).filter(|i| bit(present, *i)).count();
    // An encoder leaves such a column out; taken in, it would cost memory for nothing.
    if present_count == 0 {
        return Err(Error::Empty);
    }
    let changed = reader.take(present_count.div_ceil(8), "changed bits")?;
    let mut cells = Vec::with_capacity(count);
    let mut nth = 0;
    for i in 0..count {
        if !bit(present, i) {
            cells.push(None);
            continue;
        }
        let mut value = base(i).unwrap_or(0);
        if bit(changed, nth) {
            let delta = unzigzag(reader.varint("a difference")?)
                .checked_mul(scale)
                .ok_or(Error::Range("a difference"))?;
            value = value.wrapping_add(delta.cast_unsigned());
        }
        nth += 1;
        cells.push(Some(value));
    }
    reader.finish("a column")?;
    Ok(cells)
}

/// Difference as a signed number; wraps, and wraps back when decoded, so any pair is lossless.
fn delta(base: u64, value: u64) -> i64 {
    value.wrapping_sub(base).cast_signed()
}

/// The largest scale that divides every difference.
fn best_scale(deltas: &[i64]) -> (u8, i64) {
    [0u8, 1, 2, 3]
        .into_iter()
        .zip(SCALES)
        .rev()
        .find(|(_, scale)| deltas.iter().all(|d| d % scale == 0))
        .unwrap_or((0, 1))
}

fn put_bits(out: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let mut byte = 0u8;
    let mut used = 0u32;
    for bit in bits {
        byte |= u8::from(bit) << used;
        used += 1;
        if used == 8 {
            out.push(byte);
            (byte, used) = (0, 0);
        }
    }
    if used > 0 {
        out.push(byte);
    }
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}
