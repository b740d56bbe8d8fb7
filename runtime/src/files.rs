//! Files read whole, with a cap.
//!
//! For configuration, certificates and tokens: small files that somebody else writes. The caller
//! blocks for as long as the read takes, so keep these to local files, at start or in a task of
//! their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened.
    #[error("cannot open {}: check that it exists and that this user may read it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading failed midway.
    #[error("cannot read {}: check that it is a plain file", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than it can sensibly be.
    #[error("{} is larger than {max_bytes} bytes: check that it is the right file", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size taken, in bytes.
        max_bytes: usize,
    },
}

impl Error {
    /// Tells whether the file is simply not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file of at most `max_bytes` bytes; reads no more than one byte beyond that.
///
/// # Errors
///
/// Each variant of [`Error`] names the file.
pub fn read_small(path: &Path, max_bytes: usize) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })?;
    let bytes = rest(file, max_bytes).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    bytes.ok_or_else(|| Error::TooLarge {
        path: path.to_owned(),
        max_bytes,
    })
}

/// Reads all that is left of something, at most `max_bytes` bytes; `None` when there are more. Reads no
/// more than one byte beyond that.
///
/// # Errors
///
/// What the operating system said.
pub fn rest(from: impl Read, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max_bytes).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_exact_and_the_errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        let error = read_small(&path, 4).unwrap_err();
        assert!(matches!(error, Error::TooLarge { max_bytes: 4, .. }));
        assert!(error.to_string().contains("token"));
        let missing = read_small(&dir.path().join("absent"), 4).unwrap_err();
        assert!(missing.is_missing() && missing.to_string().contains("absent"));
        let directory = read_small(dir.path(), 4).unwrap_err();
        assert!(matches!(directory, Error::Read { .. }) && !directory.is_missing());
    }
}
