//! The file by which an aggregator knows the agents of a fleet.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::Options;
use crate::system::sha256_hex;

/// Writes the file for `--ingest-auth token-file`: each node and the hash of its agent's token.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_token_file(options: &Options, path: &Path) -> io::Result<()> {
    let naming = options.naming();
    let mut text = String::from("# node, sha256 of its agent's token\n");
    for index in 0..options.mix.nodes {
        let hash = sha256_hex(naming.token(index).as_bytes());
        // Writing into a String cannot fail.
        writeln!(text, "{} {hash}", naming.node(index)).unwrap_or_default();
    }
    std::fs::write(path, text)
}
