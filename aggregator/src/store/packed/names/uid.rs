//! UIDs, in less than half of their text.

/// Bytes of a UID that is packed.
pub(super) const PACKED_BYTES: usize = 16;

/// Characters of one that can be packed, and where its dashes are.
const TEXT_BYTES: usize = 36;
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// Where the two digits of each byte are.
const PAIRS: [usize; PACKED_BYTES] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A UID as it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Uid<'a> {
    /// One as Kubernetes writes them: 32 small hexadecimal digits in five groups.
    Packed([u8; PACKED_BYTES]),
    /// Any other text; of a static pod it is a hash.
    Text(&'a str),
}

impl<'a> Uid<'a> {
    /// Of a text.
    pub(super) fn of(text: &'a str) -> Self {
        pack(text).map_or(Uid::Text(text), Uid::Packed)
    }

    /// Shows its text.
    pub(super) fn with<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        match self {
            Uid::Text(text) => show(text),
            Uid::Packed(packed) => {
                let text = unpack(*packed);
                show(str::from_utf8(&text).unwrap_or_default())
            }
        }
    }

    /// True when this is its text.
    pub(super) fn is(&self, text: &str) -> bool {
        match self {
            Uid::Text(own) => *own == text,
            Uid::Packed(own) => pack(text) == Some(*own),
        }
    }
}

fn pack(text: &str) -> Option<[u8; PACKED_BYTES]> {
    let text: &[u8; TEXT_BYTES] = text.as_bytes().try_into().ok()?;
    if DASHES.iter().any(|at| text.get(*at) != Some(&b'-')) {
        return None;
    }
    let digit = |at: usize| match text.get(at)? {
        byte @ b'0'..=b'9' => Some(byte - b'0'),
        byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut packed = [0; PACKED_BYTES];
    for (slot, at) in packed.iter_mut().zip(PAIRS) {
        *slot = digit(at)? << 4 | digit(at + 1)?;
    }
    Some(packed)
}

fn unpack(packed: [u8; PACKED_BYTES]) -> [u8; TEXT_BYTES] {
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or(b'0');
    let mut text = [b'-'; TEXT_BYTES];
    for (byte, at) in packed.into_iter().zip(PAIRS) {
        if let Some([high, low]) = text.get_mut(at..at + 2) {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Uid;

    #[test]
    fn a_uid_of_kubernetes_is_packed_and_reads_as_it_was() {
        let text = "117a9601-bda9-419d-88d9-8377748dd9d6";
        let uid = Uid::of(text);
        assert!(matches!(uid, Uid::Packed(_)));
        assert!(uid.is(text));
        assert!(!uid.is("117a9601-bda9-419d-88d9-8377748dd9d7"));
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        for text in [
            "",
            "uid-7",
            "3f2ee0a1c7f04c4fae9f5ad5e4e4f5b6",
            "117A9601-bda9-419d-88d9-8377748dd9d6",
            "117a9601-bda9-419d-88d9-8377748dd9dg",
            "117a9601bbda9-419d-88d9-8377748dd9d6",
            "117a9601-bda9-419d-88d9-8377748dd9d-",
            "117a9601-bda9-419d-88d9-8377748dd9d60",
            "117a9601-bda9-419d-88d9-8377748dd9\u{fc}",
        ] {
            let uid = Uid::of(text);
            assert!(matches!(uid, Uid::Text(_)), "{text}");
            assert!(uid.is(text));
        }
    }
}
