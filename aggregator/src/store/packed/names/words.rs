//! Texts that others are, or begin as.

#[cfg(test)]
use std::cell::Cell;

use super::push;

/// Beyond so many no more are added. A node has some dozens; all are looked through for each text, by
/// their marks, which takes some 500 ns with so many.
const MOST: usize = 1024;

/// So many of those that begin alike are compared, the latest first: whoever makes up names cannot
/// make it more.
const COMPARED: usize = 32;

/// Beginnings are shared from so many bytes on. Of shorter ones too many would be alike, and little is
/// won by them.
const BEGINNING: usize = 8;

#[cfg(test)]
thread_local! {
    /// How many texts this thread has looked for.
    pub(super) static FINDS: Cell<usize> = const { Cell::new(0) };
}

/// Which texts can be referred to, and where they stand.
#[derive(Debug, Default)]
pub(super) struct Words {
    // Made of how each begins, so that few are compared.
    marks: Vec<u8>,
    places: Vec<u32>,
}

impl Words {
    /// The word that this text is, or the one that shares most of its beginning, and how many bytes of it.
    pub(super) fn find<'a>(
        &self,
        text: &str,
        word: impl Fn(u32) -> &'a str,
    ) -> Option<(u32, usize)> {
        #[cfg(test)]
        FINDS.set(FINDS.get() + 1);
        let own = mark(text);
        let marks = self.marks.iter().enumerate().rev();
        let alike = marks.filter(|(_, mark)| **mark == own).take(COMPARED);
        let mut best = None;
        for (nth, _) in alike {
            let (Some(place), Ok(nth)) = (self.place(nth), u32::try_from(nth)) else {
                break;
            };
            let word = word(place);
            if word == text {
                return Some((nth, text.len()));
            }
            let shared = shared(word, text);
            let is_better = best.is_none_or(|(_, most)| shared > most);
            if is_better && (BEGINNING..text.len()).contains(&shared) {
                best = Some((nth, shared));
            }
        }
        best
    }

    /// Takes note of a text that stands at a place, unless it is shorter than what would refer to it, or
    /// there are too many. Gives its number.
    pub(super) fn add(&mut self, text: &str, place: u32) -> Option<u32> {
        let count = self.places.len();
        if text.len() <= 1 || self.is_full() {
            return None;
        }
        push(&mut self.marks, count, mark(text));
        push(&mut self.places, count, place);
        u32::try_from(count).ok()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// True when no more are added.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// Where one of them stands.
    pub(super) fn place(&self, nth: usize) -> Option<u32> {
        self.places.get(nth).copied()
    }

    /// Which of them stands at a place. Each stands behind those before it.
    pub(super) fn nth(&self, place: u32) -> Option<usize> {
        self.places.binary_search(&place).ok()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.marks.capacity() + self.places.capacity() * size_of::<u32>()
    }

    pub(super) fn shrink(&mut self) {
        self.marks.shrink_to_fit();
        self.places.shrink_to_fit();
    }
}

/// How many bytes two texts have in common at their beginning, in whole characters.
fn shared(one: &str, other: &str) -> usize {
    let pairs = one.bytes().zip(other.bytes());
    let mut count = pairs.take_while(|(a, b)| a == b).count();
    while !other.is_char_boundary(count) {
        count -= 1;
    }
    count
}

fn mark(text: &str) -> u8 {
    let sum = text.bytes().take(BEGINNING).fold(7_u32, |sum, byte| {
        sum.wrapping_mul(0x0100_0193) ^ u32::from(byte)
    });
    u8::try_from(sum >> 24 ^ sum & 0xff).unwrap_or(0)
}
