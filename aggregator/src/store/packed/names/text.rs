//! What things are called, one after the other in one piece of text.

use super::uid::{PACKED_BYTES, Uid};

/// What a shared namespace is counted as beside its text.
const NAMESPACE_BYTES: usize = 32;

/// The words of one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) uid: Uid<'a>,
    pub(super) runtime_id: &'a str,
}

/// Where the words of one thing are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) name_bytes: u16,
    /// What is behind the name, in the order of these bits; the highest one is free.
    pub(super) has: u8,
}

/// One byte: which of the shared namespaces.
const SHARED_NAMESPACE: u8 = 1;
/// Two bytes of length, and so many.
const NAMESPACE: u8 = 2;
/// The bytes of a UID.
const PACKED_UID: u8 = 4;
/// Two bytes of length, and so many.
const UID: u8 = 8;
/// Two bytes of length, and so many.
const RUNTIME_ID: u8 = 16;

/// Bytes of a length.
const LENGTH: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    // Told once for all pods; those beyond the first 256 stand in `bytes`.
    namespaces: Vec<Box<str>>,
    namespace_bytes: usize,
}

impl Text {
    /// An empty one with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.bytes.capacity() + self.namespace_bytes
    }

    /// Appends the words of a thing.
    pub(super) fn put(&mut self, words: &Words<'_>) -> Place {
        let shared = self.shared(words.namespace);
        let long = |text: &str| {
            if text.is_empty() {
                0
            } else {
                LENGTH + text.len()
            }
        };
        let need = words.name.len()
            + shared.map_or(long(words.namespace), |_| 1)
            + match words.uid {
                Uid::Packed(_) => PACKED_BYTES,
                Uid::Text(text) => long(text),
            }
            + long(words.runtime_id);
        let at = self.bytes.len();
        if self.bytes.capacity() - at < need {
            self.bytes.reserve_exact(need + at / 8);
        }
        self.bytes.extend_from_slice(words.name.as_bytes());
        let mut has = match shared {
            Some(byte) => {
                self.bytes.push(byte);
                SHARED_NAMESPACE
            }
            None => self.put_long(NAMESPACE, words.namespace),
        };
        has |= match words.uid {
            Uid::Packed(packed) => {
                self.bytes.extend(packed);
                PACKED_UID
            }
            Uid::Text(text) => self.put_long(UID, text),
        };
        has |= self.put_long(RUNTIME_ID, words.runtime_id);
        Place {
            at: u32::try_from(at).unwrap_or(u32::MAX),
            name_bytes: u16::try_from(words.name.len()).unwrap_or(u16::MAX),
            has,
        }
    }

    /// Appends a text, if there is any, behind its length; gives the bit that says so.
    fn put_long(&mut self, bit: u8, text: &str) -> u8 {
        if text.is_empty() {
            return 0;
        }
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        bit
    }

    /// Which of the shared namespaces it is, as one of them from now on; `None` of none, or when there
    /// are too many.
    fn shared(&mut self, namespace: &str) -> Option<u8> {
        if namespace.is_empty() {
            return None;
        }
        let known = self.namespaces.iter().position(|one| **one == *namespace);
        let at = u8::try_from(known.unwrap_or(self.namespaces.len())).ok()?;
        if known.is_none() {
            self.namespace_bytes += namespace.len() + NAMESPACE_BYTES;
            self.namespaces.reserve_exact(1);
            self.namespaces.push(namespace.into());
        }
        Some(at)
    }

    /// The words at a place, and how many bytes of the text they take.
    pub(super) fn read(&self, place: Place) -> (Words<'_>, usize) {
        let from = self.bytes.get(place.at as usize..).unwrap_or_default();
        let mut rest = Rest(from);
        let has = |part: u8| place.has & part != 0;
        let name = rest.text(place.name_bytes.into());
        let namespace = if has(SHARED_NAMESPACE) {
            let at = rest.bytes(1).first().copied().unwrap_or(0);
            let shared = self.namespaces.get(usize::from(at));
            shared.map_or("", |shared| &**shared)
        } else if has(NAMESPACE) {
            rest.long()
        } else {
            ""
        };
        let uid = if has(PACKED_UID) {
            let packed = rest.bytes(PACKED_BYTES).first_chunk();
            packed.map_or(Uid::Text(""), |packed| Uid::Packed(*packed))
        } else if has(UID) {
            Uid::Text(rest.long())
        } else {
            Uid::Text("")
        };
        let runtime_id = if has(RUNTIME_ID) { rest.long() } else { "" };
        let words = Words {
            name,
            namespace,
            uid,
            runtime_id,
        };
        (words, from.len() - rest.0.len())
    }
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        bytes
    }

    fn text(&mut self, count: usize) -> &'a str {
        str::from_utf8(self.bytes(count)).unwrap_or_default()
    }

    /// A text behind its length.
    fn long(&mut self) -> &'a str {
        let length = self.bytes(LENGTH).first_chunk();
        let length = length.copied().map_or(0, u16::from_le_bytes);
        self.text(length.into())
    }
}
