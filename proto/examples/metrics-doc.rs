//! Prints `docs/metrics.md`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(cairn_proto::catalogue::markdown().as_bytes())
}
