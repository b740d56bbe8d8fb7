//! Protobuf as the API server writes it: the envelope of every object, and fields by hand, since all that is
//! written is a few messages that never change.

use super::super::quantity::Quantity;

/// Begins every answer.
const MAGIC: &[u8] = b"k8s\0";

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Message(Vec<u8>);

impl Message {
    /// A text or another message, whether it is empty or not: the API server writes both.
    pub(in super::super) fn bytes(&mut self, field: u8, content: impl AsRef<[u8]>) -> &mut Self {
        let content = content.as_ref();
        self.begin(field, content.len());
        self.0.extend_from_slice(content);
        self
    }

    /// A number.
    pub(in super::super) fn number(&mut self, field: u8, value: u64) -> &mut Self {
        self.0.push(field << 3);
        self.varint(value);
        self
    }

    /// Nothing yet, with room for so many bytes.
    pub(in super::super) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The beginning of a text or another message of so many bytes, which come next.
    pub(in super::super) fn begin(&mut self, field: u8, bytes: usize) {
        let length = bytes as u64;
        self.0
            .extend_from_slice(&[field << 3 | 2, low_bits(length)]);
        if length > 0x7f {
            self.0.pop();
            self.varint(length);
        }
    }

    /// What was written.
    pub(in super::super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(low_bits(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_bits(value));
    }

    /// Begins what is measured when it is there, with a byte for its length; gives the place behind it.
    fn open(&mut self, field: u8) -> usize {
        self.0.extend_from_slice(&[field << 3 | 2, 0]);
        self.0.len()
    }

    /// Writes how long that is which stands from a place on, into the byte that was left for it before that place.
    fn close(&mut self, from: usize) {
        let length = (self.0.len() - from) as u64;
        let more = varint_bytes(length) - 1;
        if more > 0 {
            // What is longer than most makes room for the rest of its length.
            let end = self.0.len();
            self.0.resize(end + more, 0);
            self.0.copy_within(from..end, from + more);
        }
        let slots = self.0.get_mut(from - 1..from + more).unwrap_or_default();
        let mut left = length;
        for slot in slots {
            let behind = left >> 7;
            *slot = low_bits(left) | if behind > 0 { 0x80 } else { 0 };
            left = behind;
        }
    }
}

impl Written for Message {
    fn put(&self, into: &mut impl Sink) {
        into.raw(&self.0);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What is written into a message, of a known length before it is written.
pub(in super::super) trait Written {
    /// Writes the fields, the same each time.
    fn put(&self, into: &mut impl Sink);
}

/// Takes fields: writes them, or counts their bytes.
pub(in super::super) trait Sink: Sized {
    /// A text, whether it is empty or not.
    fn bytes(&mut self, field: u8, content: &[u8]);

    /// A number.
    fn number(&mut self, field: u8, value: u64);

    /// An entry of a map of quantities, each of which is a message of one text: a decimal number and a suffix.
    fn quantity(&mut self, field: u8, name: &str, quantity: Quantity);

    /// Another message.
    fn message(&mut self, field: u8, part: &impl Written);

    /// Fields that are written already.
    fn raw(&mut self, fields: &[u8]);
}

/// Counts what would be written.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Count(usize);

impl Count {
    /// Bytes so far.
    pub(in super::super) fn bytes_written(self) -> usize {
        self.0
    }

    fn of(part: &impl Written) -> usize {
        let mut count = Self::default();
        part.put(&mut count);
        count.0
    }

    fn text(&mut self, bytes: usize) {
        self.0 += 1 + varint_bytes(bytes as u64) + bytes;
    }
}

impl Sink for Count {
    fn bytes(&mut self, _: u8, content: &[u8]) {
        self.text(content.len());
    }

    fn number(&mut self, _: u8, value: u64) {
        self.0 += 1 + varint_bytes(value);
    }

    fn quantity(&mut self, _: u8, name: &str, quantity: Quantity) {
        self.text(Entry::of(name, quantity).all);
    }

    fn message(&mut self, _: u8, part: &impl Written) {
        self.text(Self::of(part));
    }

    fn raw(&mut self, fields: &[u8]) {
        self.0 += fields.len();
    }
}

impl Sink for Message {
    fn bytes(&mut self, field: u8, content: &[u8]) {
        Message::bytes(self, field, content);
    }

    fn number(&mut self, field: u8, value: u64) {
        Message::number(self, field, value);
    }

    // A list of everything has a million of them: what is in each other is measured at once, with the digits.
    fn quantity(&mut self, field: u8, name: &str, quantity: Quantity) {
        let Entry { all, value, text } = Entry::of(name, quantity);
        self.begin(field, all);
        Message::bytes(self, 1, name);
        self.begin(2, value);
        self.begin(1, text);
        quantity.put(&mut self.0);
    }

    // Written first and measured then: to count before would be to go through each part once for each message that
    // it is in.
    fn message(&mut self, field: u8, part: &impl Written) {
        let from = self.open(field);
        part.put(self);
        self.close(from);
    }

    fn raw(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }
}

/// Bytes of an entry of a map of quantities, and of what is in it.
struct Entry {
    all: usize,
    value: usize,
    text: usize,
}

impl Entry {
    fn of(name: &str, Quantity { number, suffix }: Quantity) -> Self {
        let field = |bytes: usize| 1 + varint_bytes(bytes as u64) + bytes;
        let text = digits(number) + suffix.len();
        let value = field(text);
        Self {
            all: field(name.len()) + field(value),
            value,
            text,
        }
    }
}

/// The lowest seven bits.
fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

/// Bytes of a number: seven bits in each.
fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// Digits of a number.
fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// An envelope up to its object, whose length and bytes come next as field 2, and then [`envelope_end`].
pub(in super::super) fn envelope_head(api_version: &str, kind: &str) -> Vec<u8> {
    let mut meta = Message::default();
    meta.bytes(1, api_version).bytes(2, kind);
    let mut head = Message(MAGIC.to_vec());
    head.bytes(1, meta);
    head.0
}

/// An envelope behind its object.
pub(in super::super) fn envelope_end() -> Vec<u8> {
    let mut end = Message::default();
    end.bytes(3, "").bytes(4, "");
    end.0
}

/// An object in its envelope.
pub(in super::super) fn envelope(api_version: &str, kind: &str, object: &impl Written) -> Vec<u8> {
    let mut unknown = Message(envelope_head(api_version, kind));
    unknown.message(2, object);
    unknown.0.extend(envelope_end());
    unknown.0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Odd(u64);

    impl Written for Odd {
        fn put(&self, into: &mut impl Sink) {
            into.number(1, self.0);
            let (number, suffix) = (self.0, "Ki");
            into.quantity(2, "memory", Quantity { number, suffix });
            into.bytes(3, "x".repeat((self.0 % 300) as usize).as_bytes());
            if self.0 > 0 {
                into.message(4, &Odd(self.0 / 300));
            }
            // Lengths of one, two and three bytes, of which each moves what is around it.
            if self.0 == 16_384 {
                into.bytes(5, &[7; 16_384]);
            }
        }
    }

    /// Counts everything before it is written.
    struct Before<'a>(&'a mut Message);

    impl Sink for Before<'_> {
        fn bytes(&mut self, field: u8, content: &[u8]) {
            self.0.bytes(field, content);
        }

        fn number(&mut self, field: u8, value: u64) {
            self.0.number(field, value);
        }

        fn quantity(&mut self, field: u8, name: &str, quantity: Quantity) {
            let mut value = Message::default();
            value.bytes(1, quantity.to_string());
            let mut entry = Message::default();
            entry.bytes(1, name).bytes(2, value);
            self.0.bytes(field, entry);
        }

        fn message(&mut self, field: u8, part: &impl Written) {
            self.0.begin(field, Count::of(part));
            part.put(self);
        }

        fn raw(&mut self, fields: &[u8]) {
            self.0.raw(fields);
        }
    }

    #[test]
    fn what_is_counted_is_what_is_written() {
        for value in [
            0,
            1,
            9,
            10,
            127,
            128,
            299,
            16_383,
            16_384,
            1 << 35,
            u64::MAX,
        ] {
            let mut message = Message::default();
            message.message(5, &Odd(value));
            let mut count = Count::default();
            count.message(5, &Odd(value));
            assert_eq!(count.bytes_written(), message.as_ref().len(), "{value}");
            // The same with each length known before.
            let mut before = Message::default();
            Before(&mut before).message(5, &Odd(value));
            assert_eq!(message.as_ref(), before.as_ref(), "{value}");
        }
        let mut message = Message::default();
        let (number, suffix) = (1_536, "Ki");
        message.quantity(4, "memory", Quantity { number, suffix });
        let expected = b"\x22\x12\x0a\x06memory\x12\x08\x0a\x061536Ki";
        assert_eq!(message.as_ref(), expected);
    }
}
