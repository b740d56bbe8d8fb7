//! The token for the aggregator.

use std::fmt;
use std::path::Path;

use cairn_proto::limits::MAX_TOKEN_BYTES;
use cairn_runtime::{bearer, logging};
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::{End, EndKind};

/// A token, kept out of debug output.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bearer(String);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

impl Bearer {
    /// Reads a token file; `None` when there is none to read.
    pub(super) fn read(path: Option<&Path>) -> Result<Option<Self>, End> {
        let Some(path) = path else { return Ok(None) };
        let token = bearer::read(path, MAX_TOKEN_BYTES);
        let token = token.map_err(|error| refused(&logging::chain(&error)))?;
        Ok(Some(Self(token)))
    }

    /// Shows the token in the head of a request.
    pub(super) fn show<T>(&self, request: &mut Request<T>) -> Result<(), End> {
        let value = format!("Bearer {}", self.expose());
        let mut value = MetadataValue::try_from(value)
            .map_err(|_| End::new(EndKind::Auth, "--token-file holds no token"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(())
    }

    /// The token itself.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

fn refused(why: &str) -> End {
    End::new(EndKind::Auth, format!("--token-file: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert_eq!(Bearer::read(None), Ok(None));
        assert_eq!(Bearer::read(Some(&path)).unwrap_err().kind, EndKind::Auth);
        std::fs::write(&path, "abc.def\n").unwrap();
        let bearer = Bearer::read(Some(&path)).unwrap().unwrap();
        assert_eq!(
            (bearer.expose(), format!("{bearer:?}")),
            ("abc.def", "Bearer(..)".to_owned())
        );
        for bad in ["", "\n", "a b", "a\u{e9}"] {
            std::fs::write(&path, bad).unwrap();
            let end = Bearer::read(Some(&path)).unwrap_err();
            assert!(end.reason.contains("--token-file"), "{bad:?}");
        }
    }
}
