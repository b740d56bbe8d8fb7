//! What things are called, one after the other in one piece of text.
//!
//! Of each thing: a number with its kind and which of the rest follow, what it is a part of, its name, its
//! namespace, its UID, its runtime id and its labels. A text is a number with its length and so many
//! bytes; or it is, or begins as, another one that stands before it: then that one's number among the
//! [`Words`] is told, how much they share, and the rest. The pods of one owner share its name and the
//! hash of its template.

mod carry;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

use super::uid::{PACKED_BYTES, Uid};
use super::words::Words;
use crate::store::spelled::Spelled;
pub(super) use carry::Moved;

/// What is said of one thing, but its labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) kind: EntityKind,
    pub(super) parent: Option<EntityId>,
    pub(super) name: Spelled<'a>,
    pub(super) namespace: &'a str,
    pub(super) uid: Uid<'a>,
    pub(super) runtime_id: &'a str,
}

impl<'a> Name<'a> {
    pub(super) fn of(def: &'a EntityDef) -> Self {
        Self {
            kind: def.kind,
            parent: def.parent,
            name: Spelled::whole(&def.name),
            namespace: &def.namespace,
            uid: Uid::of(&def.uid),
            runtime_id: &def.runtime_id,
        }
    }
}

/// A key and its value.
pub(super) type Label<'a> = (&'a str, Spelled<'a>);

// The first number. The low bits are the kind; with these bits the most frequent things, containers, have
// one byte of it.
const KIND: u32 = 15;
/// It is a part of what was named so many ids before it.
const PARENT_BEHIND: u32 = 16;
/// It is a part of the thing of this id.
const PARENT: u32 = 32;
const NAMESPACE: u32 = 64;
/// The bytes of a UID.
const PACKED_UID: u32 = 128;
/// A UID that is any other text.
const UID: u32 = 256;
const RUNTIME_ID: u32 = 512;
const LABELS: u32 = 1024;

// The low bits of the number that a text begins with: what the other ones are.
/// The length of a text that follows.
const ALONE: u32 = 0;
/// The number of the word that it is.
const WORD: u32 = 1;
/// The number of a word; how many bytes of it the text begins with, and the rest follow.
const BEGINNING: u32 = 2;
const HOW: u32 = 3;
const HOW_BITS: u32 = 2;

/// It grows by so many bytes at least: a few names.
const LEAST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    words: Words,
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
        self.bytes.capacity() + self.words.bytes()
    }

    /// Lets go of room for more.
    pub(super) fn shrink(&mut self) {
        // Anew, since what is cut off would be a hole that nothing fits into.
        self.bytes = self.bytes.as_slice().to_vec();
        self.words.shrink();
    }

    /// Appends what is said of a thing; gives its place.
    pub(super) fn put(&mut self, id: EntityId, name: &Name<'_>, labels: &[Label<'_>]) -> u32 {
        let at = self.here();
        let has = |bit: u32, is_there: bool| if is_there { bit } else { 0 };
        let uid_bit = match name.uid {
            Uid::Packed(_) => PACKED_UID,
            Uid::Text(text) => has(UID, !text.is_empty()),
        };
        let (parent_bit, parent) = parent_of(id, name.parent);
        let flags = name.kind as u32
            | parent_bit
            | has(NAMESPACE, !name.namespace.is_empty())
            | uid_bit
            | has(RUNTIME_ID, !name.runtime_id.is_empty())
            | has(LABELS, !labels.is_empty());
        self.put_number(flags);
        if parent_bit != 0 {
            self.put_number(parent);
        }
        name.name.with(|text| self.put_text(text));
        if !name.namespace.is_empty() {
            self.put_whole(name.namespace);
        }
        match name.uid {
            Uid::Packed(packed) => self.put_bytes(&packed),
            Uid::Text("") => {}
            Uid::Text(text) => self.put_alone(text),
        }
        if !name.runtime_id.is_empty() {
            self.put_alone(name.runtime_id);
        }
        if !labels.is_empty() {
            self.put_number(number(labels.len()));
            for (key, value) in labels {
                self.put_whole(key);
                value.with(|text| self.put_text(text));
            }
        }
        at
    }

    fn here(&self) -> u32 {
        number(self.bytes.len())
    }

    /// Appends bytes; gives the list little more room than it needs.
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.capacity() - self.bytes.len() < bytes {
            self.bytes
                .reserve_exact(bytes + self.bytes.len() / 8 + LEAST);
        }
    }

    /// Seven bits a byte, the lowest first; all but the last byte have the highest bit.
    #[inline]
    fn put_number(&mut self, mut number: u32) {
        self.make_room(5);
        while number > 0x7f {
            self.bytes
                .push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.bytes.push(u8::try_from(number).unwrap_or(0));
    }

    /// A text that is told in full, and no other refers to.
    fn put_alone(&mut self, text: &str) {
        self.put_number(number(text.len()));
        self.put_bytes(text.as_bytes());
    }

    /// A text that is read in one piece: it is another one, or stands alone.
    fn put_whole(&mut self, text: &str) {
        match self.words.find(text, |place| self.word(place)) {
            Some((nth, shared)) if shared == text.len() => self.put_known(nth),
            _ => {
                self.put_new(text);
            }
        }
    }

    fn put_text(&mut self, text: &str) {
        match self.words.find(text, |place| self.word(place)) {
            Some((nth, shared)) if shared == text.len() => self.put_known(nth),
            // Otherwise too little is shared: those to come may have more in common with this one.
            Some((nth, shared)) if shared >= text.len() / 2 => {
                self.put_beginning(nth, shared);
                self.put_alone(text.get(shared..).unwrap_or_default());
            }
            _ => {
                self.put_new(text);
            }
        }
    }

    fn put_known(&mut self, nth: u32) {
        self.put_number(nth << HOW_BITS | WORD);
    }

    /// What a text shares with a word; the rest follows.
    fn put_beginning(&mut self, nth: u32, shared: usize) {
        self.put_number(nth << HOW_BITS | BEGINNING);
        self.put_number(number(shared));
    }

    /// A text that others may refer to from now on; gives its number among the words, if it is one.
    fn put_new(&mut self, text: &str) -> Option<u32> {
        let at = self.here();
        self.put_full(text);
        self.words.add(text, at)
    }

    fn put_full(&mut self, text: &str) {
        self.put_number(number(text.len()) << HOW_BITS | ALONE);
        self.put_bytes(text.as_bytes());
    }

    /// The word that stands at a place.
    fn word(&self, place: u32) -> &str {
        let mut rest = self.rest(place);
        let length = rest.number() >> HOW_BITS;
        rest.text(length)
    }

    /// The word of this number.
    fn nth(&self, nth: u32) -> &str {
        let place = self.words.place(nth as usize);
        place.map_or("", |place| self.word(place))
    }

    fn rest(&self, place: u32) -> Rest<'_> {
        Rest(self.bytes.get(place as usize..).unwrap_or_default())
    }

    /// What is said at a place of the thing with this id.
    pub(super) fn read(&self, id: EntityId, place: u32) -> Name<'_> {
        self.read_all(id, place).0
    }

    /// What a thing is, and what it is a part of.
    pub(super) fn link(&self, id: EntityId, place: u32) -> (EntityKind, Option<EntityId>) {
        let mut rest = self.rest(place);
        let flags = rest.number();
        (kind(flags), rest.parent(id, flags))
    }

    /// True when what is said at a place is of a thing of a kind, in a namespace: no more is read for it, and no text
    /// put together.
    pub(super) fn is_in(&self, place: u32, kind: EntityKind, namespace: &str) -> bool {
        let mut rest = self.rest(place);
        let flags = rest.number();
        if flags & KIND != kind as u32 {
            return false;
        }
        if flags & NAMESPACE == 0 {
            return namespace.is_empty();
        }
        if flags & (PARENT_BEHIND | PARENT) != 0 {
            rest.number();
        }
        rest.pass_spelled();
        let first = rest.number();
        let mut word = match first & HOW {
            ALONE => return rest.bytes((first >> HOW_BITS) as usize) == namespace.as_bytes(),
            _ => match self.words.place((first >> HOW_BITS) as usize) {
                Some(place) => self.rest(place),
                None => return namespace.is_empty(),
            },
        };
        let length = word.number() >> HOW_BITS;
        word.bytes(length as usize) == namespace.as_bytes()
    }

    pub(super) fn labels(&self, id: EntityId, place: u32) -> Vec<Label<'_>> {
        let (_, flags, rest) = self.read_all(id, place);
        self.read_labels(flags, rest).0
    }

    /// How many bytes are said of a thing.
    pub(super) fn length(&self, id: EntityId, place: u32) -> usize {
        let (_, flags, rest) = self.read_all(id, place);
        let (_, rest) = self.read_labels(flags, rest);
        self.rest(place).0.len() - rest.0.len()
    }

    fn read_all(&self, id: EntityId, place: u32) -> (Name<'_>, u32, Rest<'_>) {
        let mut rest = self.rest(place);
        let flags = rest.number();
        let has = |bit: u32| flags & bit != 0;
        let parent = rest.parent(id, flags);
        let name = self.spelled(&mut rest);
        let namespace = if has(NAMESPACE) {
            self.spelled(&mut rest).head
        } else {
            ""
        };
        let uid = if has(PACKED_UID) {
            let packed = rest.bytes(PACKED_BYTES).first_chunk();
            packed.map_or(Uid::Text(""), |packed| Uid::Packed(*packed))
        } else if has(UID) {
            Uid::Text(rest.alone())
        } else {
            Uid::Text("")
        };
        let runtime_id = if has(RUNTIME_ID) { rest.alone() } else { "" };
        let name = Name {
            kind: kind(flags),
            parent,
            name,
            namespace,
            uid,
            runtime_id,
        };
        (name, flags, rest)
    }

    fn read_labels<'a>(&'a self, flags: u32, mut rest: Rest<'a>) -> (Vec<Label<'a>>, Rest<'a>) {
        let mut labels = Vec::new();
        if flags & LABELS != 0 {
            for _ in 0..rest.number() {
                let key = self.spelled(&mut rest).head;
                labels.push((key, self.spelled(&mut rest)));
            }
        }
        (labels, rest)
    }

    fn spelled<'a>(&'a self, rest: &mut Rest<'a>) -> Spelled<'a> {
        let first = rest.number();
        let number = first >> HOW_BITS;
        if first & HOW == ALONE {
            return Spelled::whole(rest.text(number));
        }
        let word = self.nth(number);
        if first & HOW == WORD {
            return Spelled::whole(word);
        }
        let shared = rest.number() as usize;
        Spelled {
            head: word.get(..shared).unwrap_or_default(),
            tail: rest.alone(),
        }
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

    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    fn text(&mut self, length: u32) -> &'a str {
        str::from_utf8(self.bytes(length as usize)).unwrap_or_default()
    }

    /// Passes over a text that may refer to another.
    fn pass_spelled(&mut self) {
        let first = self.number();
        match first & HOW {
            ALONE => {
                self.bytes((first >> HOW_BITS) as usize);
            }
            WORD => {}
            _ => {
                self.number();
                let length = self.number();
                self.bytes(length as usize);
            }
        }
    }

    /// A text behind its length.
    fn alone(&mut self) -> &'a str {
        let length = self.number();
        self.text(length)
    }

    fn parent(&mut self, id: EntityId, flags: u32) -> Option<EntityId> {
        if flags & PARENT_BEHIND != 0 {
            Some(EntityId(id.0.wrapping_sub(self.number())))
        } else if flags & PARENT != 0 {
            Some(EntityId(self.number()))
        } else {
            None
        }
    }
}

/// How a parent is told in fewer digits: by itself, or by how long before it was named.
fn parent_of(id: EntityId, parent: Option<EntityId>) -> (u32, u32) {
    let Some(parent) = parent else {
        return (0, 0);
    };
    match id.0.checked_sub(parent.0) {
        Some(behind) if behind < parent.0 => (PARENT_BEHIND, behind),
        _ => (PARENT, parent.0),
    }
}

fn kind(flags: u32) -> EntityKind {
    let number = flags & KIND;
    let nth = number
        .checked_sub(1)
        .and_then(|nth| usize::try_from(nth).ok());
    let kind = nth.and_then(|nth| EntityKind::ALL.get(nth));
    kind.copied().unwrap_or(EntityKind::Node)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
