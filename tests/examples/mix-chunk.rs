//! Prints a block of mix C as a chunk: `cargo run -p cairn-tests --example mix-chunk 30 >
//! proto/testdata/mix-c-30-pods.chunk`, what the codec's instructions are counted on.

use std::io::Write as _;

use testkit::bench::payload;

fn main() -> anyhow::Result<()> {
    let pods = std::env::args().nth(1).unwrap_or_default().parse()?;
    std::io::stdout().write_all(&payload::chunk_of_mix_c(pods)?)?;
    Ok(())
}
