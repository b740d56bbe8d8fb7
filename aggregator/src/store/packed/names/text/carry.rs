//! How what is said of a thing comes from an old text into a new one.
//!
//! Texts that refer to words are told by where those words are now: nothing is looked for or compared, so
//! that it takes as long as to copy the bytes, whatever an agent made up. What was told in full because
//! there were too many words stays so, and is not made a word: many may be the same.

use super::{
    ALONE, HOW, HOW_BITS, LABELS, NAMESPACE, PACKED_BYTES, PACKED_UID, PARENT, PARENT_BEHIND,
    RUNTIME_ID, Rest, Text, UID, WORD, number,
};

/// All of a word.
const ALL: usize = usize::MAX;

/// What the words of an old text are in the new one.
#[derive(Debug)]
pub(in super::super) struct Moved {
    // By their old numbers.
    to: Vec<Option<New>>,
}

/// A word of the new text that begins as an old one does.
#[derive(Clone, Copy, Debug)]
struct New {
    nth: u32,
    /// How many bytes of the old one.
    reach: usize,
}

impl Moved {
    /// None is in the new text yet.
    pub(in super::super) fn of(old: &Text) -> Self {
        Self {
            to: vec![None; old.words.len()],
        }
    }

    fn get(&self, old: u32) -> Option<New> {
        self.to.get(old as usize).copied().flatten()
    }

    /// Takes note of a word that begins with so many bytes of an old one, if it was made a word.
    fn note(&mut self, old: u32, nth: Option<u32>, reach: usize) {
        if let (Some(slot), Some(nth)) = (self.to.get_mut(old as usize), nth) {
            *slot = Some(New { nth, reach });
        }
    }
}

impl Text {
    /// Appends what an old text says of a thing at a place; gives its place here.
    pub(in super::super) fn carry(&mut self, old: &Text, place: u32, moved: &mut Moved) -> u32 {
        let at = self.here();
        let mut rest = old.rest(place);
        let start = rest.0;
        let flags = rest.number();
        let has = |bit: u32| flags & bit != 0;
        if has(PARENT_BEHIND | PARENT) {
            rest.number();
        }
        self.put_until(start, &rest);
        self.carry_text(old, &mut rest, moved);
        if has(NAMESPACE) {
            self.carry_text(old, &mut rest, moved);
        }
        let start = rest.0;
        if has(PACKED_UID) {
            rest.bytes(PACKED_BYTES);
        } else if has(UID) {
            rest.alone();
        }
        if has(RUNTIME_ID) {
            rest.alone();
        }
        self.put_until(start, &rest);
        if has(LABELS) {
            let count = rest.number();
            self.put_number(count);
            for _ in 0..count {
                self.carry_text(old, &mut rest, moved);
                self.carry_text(old, &mut rest, moved);
            }
        }
        at
    }

    /// Appends what was read since `start`, as it is.
    fn put_until(&mut self, start: &[u8], rest: &Rest<'_>) {
        let read = start.len() - rest.0.len();
        self.put_bytes(start.get(..read).unwrap_or_default());
    }

    /// A text that is read in one piece stays so: it is told by another word, or in full.
    fn carry_text(&mut self, old: &Text, rest: &mut Rest<'_>, moved: &mut Moved) {
        let place = number(old.bytes.len() - rest.0.len());
        let first = rest.number();
        let nth = first >> HOW_BITS;
        match first & HOW {
            ALONE => {
                let text = rest.text(nth);
                match old.words.nth(place) {
                    Some(nth) => self.carry_word(number(nth), text, moved),
                    None => self.put_full(text),
                }
            }
            WORD => self.carry_word(nth, old.nth(nth), moved),
            _ => {
                let shared = rest.number() as usize;
                let head = old.nth(nth).get(..shared).unwrap_or_default();
                self.carry_beginning(nth, (head, rest.alone()), moved);
            }
        }
    }

    /// A text that is a word of the old text.
    fn carry_word(&mut self, nth: u32, text: &str, moved: &mut Moved) {
        match moved.get(nth) {
            Some(New { nth, reach: ALL }) => self.put_known(nth),
            _ => moved.note(nth, self.put_new(text), ALL),
        }
    }

    /// A text that begins as a word of the old text does, and the rest of it.
    fn carry_beginning(&mut self, nth: u32, (head, tail): (&str, &str), moved: &mut Moved) {
        let shared = head.len();
        if let Some(new) = moved.get(nth) {
            let common = shared.min(new.reach);
            // No text grows to more than twice what it was. Where the first one to be carried had little
            // of the word, one that has more of it is told in full, for those behind it.
            if shared - common <= tail.len() || self.words.is_full() {
                let missing = head.get(common..).unwrap_or_default();
                self.put_beginning(new.nth, common);
                self.put_number(number(missing.len() + tail.len()));
                self.put_bytes(missing.as_bytes());
                self.put_bytes(tail.as_bytes());
                return;
            }
        }
        moved.note(nth, self.put_new(&[head, tail].concat()), shared);
    }
}
