//! Protobuf as the API server writes it: the envelope of every object, and fields by hand, since all that is
//! written is a few messages that never change.

/// Begins every answer.
const MAGIC: &[u8] = b"k8s\0";

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Message(Vec<u8>);

impl Message {
    /// A text or another message, whether it is empty or not: the API server writes both.
    pub(in super::super) fn bytes(&mut self, field: u8, content: impl AsRef<[u8]>) -> &mut Self {
        let content = content.as_ref();
        self.0.push(field << 3 | 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
        self
    }

    /// A number.
    pub(in super::super) fn number(&mut self, field: u8, value: u64) -> &mut Self {
        self.0.push(field << 3);
        self.varint(value);
        self
    }

    /// What was written so far, without a length: the fields of a message may come in pieces.
    pub(in super::super) fn join(&mut self, other: &Message) -> &mut Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    pub(in super::super) fn len(&self) -> usize {
        self.0.len()
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = value & 0x7f;
            value >>= 7;
            let more = if value == 0 { 0 } else { 0x80 };
            // Seven bits and one.
            self.0
                .push(low.to_le_bytes().first().copied().unwrap_or(0) | more);
            if value == 0 {
                return;
            }
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An object in its envelope.
pub(in super::super) fn envelope(api_version: &str, kind: &str, object: &Message) -> Vec<u8> {
    let mut meta = Message::default();
    meta.bytes(1, api_version).bytes(2, kind);
    let mut unknown = Message(Vec::with_capacity(object.len() + 96));
    unknown.0.extend_from_slice(MAGIC);
    unknown
        .bytes(1, meta)
        .bytes(2, object)
        .bytes(3, "")
        .bytes(4, "");
    unknown.0
}
