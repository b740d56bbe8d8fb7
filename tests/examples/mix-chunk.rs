//! Prints blocks of mix C as one chunk: `cargo run -p cairn-tests --example mix-chunk PODS BLOCKS`. What
//! the codec's instructions are counted on.

use std::io::Write as _;

use testkit::bench::payload;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pods = arguments.next().unwrap_or_default().parse()?;
    let blocks = arguments.next().unwrap_or_default().parse()?;
    std::io::stdout().write_all(&payload::chunk_of_mix_c(pods, blocks)?)?;
    Ok(())
}
