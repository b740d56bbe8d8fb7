//! Prints `proto/testdata/vectors.json`: payloads of both codecs and what they say.
//!
//! With a seed and a number, so many random stories instead, sound and damaged, for the decoder that
//! was written from `proto/WIRE.md` alone: `cargo run -p cairn-proto --example wire-vectors 7 1000 | python3
//! tests/expect/wire.py`.

mod chunks;
mod random;
mod refused;
mod rows;
pub(crate) mod vector;

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut vectors = vector::Vectors::default();
    match arguments.as_slice() {
        [] => all(&mut vectors),
        [seed, count] => random::stories(&mut vectors, seed.parse()?, count.parse()?, 4),
        _ => return Err("usage: wire-vectors [SEED COUNT]".into()),
    }
    std::io::stdout().write_all(vectors.text().as_bytes())?;
    Ok(())
}

/// What the file holds.
pub(crate) fn all(vectors: &mut vector::Vectors) {
    rows::plain(vectors);
    rows::dense(vectors);
    chunks::plain(vectors);
    chunks::dense(vectors);
    refused::rows(vectors);
    refused::chunks(vectors);
    random::stories(vectors, 1, 6, 0);
}
