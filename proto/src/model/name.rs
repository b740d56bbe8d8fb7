//! What a name from outside may look like.
//!
//! Checked once, where an entity is defined, so that no output has to distrust a name again.
//! The grammar is that of Kubernetes: a DNS subdomain for nodes and pods, a DNS label for
//! namespaces and containers.

use super::EntityKind;
use crate::limits;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Empty where a name is needed.
    #[error("name is empty")]
    Empty,
    /// Over [`limits::MAX_NAME_BYTES`].
    #[error("name is longer than {} bytes", limits::MAX_NAME_BYTES)]
    TooLong,
    /// A control, bidirectional or line separator character.
    #[error("name holds a control, bidirectional or line separator character")]
    Unprintable,
    /// Not what Kubernetes calls this kind of thing.
    #[error("name is not a DNS name of lower-case letters, digits, '-' and '.'")]
    Grammar,
}

/// Checks the name of an entity of this kind.
///
/// # Errors
///
/// Says which rule the name breaks.
pub fn check(kind: EntityKind, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::Empty);
    }
    if name.len() > limits::MAX_NAME_BYTES {
        return Err(Error::TooLong);
    }
    if name.chars().any(is_unprintable) {
        return Err(Error::Unprintable);
    }
    match kind {
        EntityKind::Node | EntityKind::Pod | EntityKind::Container if !is_dns_subdomain(name) => {
            Err(Error::Grammar)
        }
        _ => Ok(()),
    }
}

/// Control characters, the bidirectional controls of UAX 9 and the two Unicode line separators.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2028}' | '\u{2029}'
        )
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn is_dns_subdomain(name: &str) -> bool {
    name.split('.').all(|label| {
        let bytes = label.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes_objects_follow_its_grammar() {
        for good in ["node1", "ip-10-0-0-1.eu.internal", "web-7ffcbbddf7-djszf"] {
            assert_eq!(check(EntityKind::Pod, good), Ok(()), "{good}");
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", "a/b", "a b", "\u{e9}"] {
            assert!(check(EntityKind::Pod, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn free_names_only_need_to_be_printable() {
        assert_eq!(check(EntityKind::Filesystem, "/var/lib/kubelet"), Ok(()));
        for bad in ["a\nb", "a\u{202e}b", "a\u{2028}b", "a\u{0}b"] {
            assert_eq!(
                check(EntityKind::Filesystem, bad),
                Err(Error::Unprintable),
                "{bad:?}"
            );
        }
        assert_eq!(
            check(EntityKind::Filesystem, &"x".repeat(254)),
            Err(Error::TooLong)
        );
    }
}
