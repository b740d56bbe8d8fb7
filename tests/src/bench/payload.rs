//! Bytes of encoded rows: codec payload alone, without frame, gRPC and TLS. Pure and deterministic,
//! so it is a budget too.

use cairn_proto::codec::row;

use crate::mix::{Error, Mix, Options};

/// What the rows of one node came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Of a row after the first one, on the average.
    pub bytes_per_sample: f64,
    /// Samples of such a row, on the average.
    pub samples_per_row: f64,
    /// Of the first row, which refers to none.
    pub keyframe_bytes: usize,
}

/// Encodes a keyframe and so many rows after it of the first node, each one against the one before.
///
/// # Errors
///
/// When the recording is damaged.
pub fn measure(options: Options, row_count: u32) -> Result<Payload, Error> {
    let mut node = Mix::new(options)?.node(0)?;
    let mut base = node.next_row()?.snapshot;
    let keyframe_bytes = row::encode(None, &base).len();
    let (mut bytes, mut samples) = (0, 0);
    for _ in 0..row_count {
        let snapshot = node.next_row()?.snapshot;
        bytes += row::encode(Some(&base), &snapshot).len();
        samples += snapshot.sample_count();
        base = snapshot;
    }
    Ok(Payload {
        bytes_per_sample: bytes as f64 / samples.max(1) as f64,
        samples_per_row: samples as f64 / f64::from(row_count.max(1)),
        keyframe_bytes,
    })
}
