//! Bearer tokens in files.

use std::path::Path;

use crate::files;

/// Why a file gives no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Read(files::Error),
    /// What it has is none: what a header can carry, and what every kind of token is made of.
    #[error("it is empty or holds characters that no token has")]
    Form,
}

/// Reads the token in a file of at most so many bytes; space around it does not count.
///
/// # Errors
///
/// See [`Error`].
pub fn read(path: &Path, max_bytes: usize) -> Result<String, Error> {
    let bytes = files::read_small(path, max_bytes).map_err(Error::Read)?;
    let token = bytes.trim_ascii();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(Error::Form);
    }
    Ok(String::from_utf8_lossy(token).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_a_header_can_carry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            read(&path, 16)
        };
        assert_eq!(of(" to.k-en\n").unwrap(), "to.k-en");
        for bad in ["", " \n", "two words", "line\nbreak", "t\u{f6}ken"] {
            assert!(matches!(of(bad), Err(Error::Form)), "{bad:?}");
        }
        assert!(matches!(of("seventeen letters"), Err(Error::Read(_))));
        let missing = read(&dir.path().join("none"), 16);
        assert!(matches!(missing, Err(Error::Read(_))));
    }
}
