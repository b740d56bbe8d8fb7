//! The file of bound addresses.
//!
//! A process started on port 0 writes where it really listens, so that whoever started it can find
//! it. The file appears whole or not at all.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why the addresses were not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The temporary file beside the target could not be written.
    #[error("cannot write {}: check that its directory exists and is writable", .path.display())]
    Write {
        /// The temporary file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The temporary file could not take the target's place.
    #[error("cannot rename a file to {}: check that nothing but a file is there", .path.display())]
    Rename {
        /// The target.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Writes one line `name=address` per listener to `path`, by a rename, so that a reader never sees
/// half of it.
///
/// # Errors
///
/// [`Error::Write`] or [`Error::Rename`], each naming the file.
pub fn publish(path: &Path, listeners: &[(&str, SocketAddr)]) -> Result<(), Error> {
    let mut text = String::new();
    for (name, address) in listeners {
        // Writing to a String cannot fail.
        writeln!(text, "{name}={address}").expect("a String takes any text");
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, text).map_err(|source| Error::Write {
        path: temporary.clone(),
        source,
    })?;
    std::fs::rename(&temporary, path).map_err(|source| Error::Rename {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_replace_the_file_and_leave_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bound");
        publish(&path, &[("old", "127.0.0.1:1".parse().unwrap())]).unwrap();
        let grpc = "[::1]:9443".parse().unwrap();
        publish(
            &path,
            &[("grpc", grpc), ("admin", "127.0.0.1:9101".parse().unwrap())],
        )
        .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "grpc=[::1]:9443\nadmin=127.0.0.1:9101\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = publish(&dir.path().join("no/bound"), &[]).unwrap_err();
        assert!(error.to_string().contains("no/bound.tmp"), "{error}");
    }
}
