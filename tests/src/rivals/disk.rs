//! What a rival keeps on disk.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Bytes that a directory's files take.
pub(super) fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;

    let mut bytes = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // One that is merged away meanwhile takes nothing any more.
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += data.blocks() * 512;
            }
        }
    }
    Ok(bytes)
}
