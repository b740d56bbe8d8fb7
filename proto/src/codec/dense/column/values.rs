//! The cells of a column of the row at hand, changed in place from row to row.

use super::{Body, value_of};
use crate::codec::Error;
use crate::codec::bits::word;

/// One column of the row at hand.
#[derive(Debug)]
pub(in crate::codec::dense) struct Values {
    entities: usize,
    // Rising; a value for each.
    places: Vec<u32>,
    values: Vec<u64>,
    // What was there, while it is replaced.
    old: (Vec<u32>, Vec<u64>),
}

impl Values {
    /// None yet, of so many entities.
    pub(in crate::codec::dense) fn new(entities: usize) -> Self {
        Self {
            entities,
            places: Vec::new(),
            values: Vec::new(),
            old: Default::default(),
        }
    }

    /// The column is not there.
    pub(in crate::codec::dense) fn clear(&mut self) {
        self.places.clear();
        self.values.clear();
    }

    /// Goes to a row of so many other entities; `moved` says where those of the row before stand now.
    pub(in crate::codec::dense) fn move_to(&mut self, moved: &[Option<u32>], entities: usize) {
        self.entities = entities;
        std::mem::swap(&mut self.places, &mut self.old.0);
        std::mem::swap(&mut self.values, &mut self.old.1);
        self.clear();
        for (old, value) in self.old.0.iter().zip(&self.old.1) {
            if let Some(place) = moved.get(*old as usize).copied().flatten() {
                self.places.push(place);
                self.values.push(*value);
            }
        }
    }

    /// Adds the cell of a place behind all others.
    pub(in crate::codec::dense) fn push(&mut self, place: u32, value: u64) {
        self.places.push(place);
        self.values.push(value);
    }

    /// The places that have a value, rising.
    pub(in crate::codec::dense) fn places(&self) -> &[u32] {
        &self.places
    }

    /// A value for each of them.
    pub(in crate::codec::dense) fn values(&self) -> &[u64] {
        &self.values
    }

    /// Each place with its value.
    pub(in crate::codec::dense) fn each(&self) -> impl Iterator<Item = (u32, u64)> {
        self.places.iter().copied().zip(self.values.iter().copied())
    }

    /// Goes to the next row, which has this body. It has been decoded before.
    pub(in crate::codec::dense) fn step(&mut self, body: &[u8], passed: u64) -> Result<(), Error> {
        let body = Body::read(body, self.entities)?;
        if let Some(bits) = body.present {
            self.be_of(bits);
        }
        body.change(passed, &mut self.values)
    }

    /// These entities have a value: what they had, or 0.
    fn be_of(&mut self, bits: &[u8]) {
        std::mem::swap(&mut self.places, &mut self.old.0);
        std::mem::swap(&mut self.values, &mut self.old.1);
        self.clear();
        for (first, at) in (0_u32..).step_by(64).zip((0..bits.len()).step_by(8)) {
            let mut left = word(bits, at);
            while left != 0 {
                self.places.push(first + left.trailing_zeros());
                left &= left - 1;
            }
        }
        let (places, values) = &self.old;
        if places.is_empty() {
            self.values.resize(self.places.len(), 0);
            return;
        }
        let mut old = places
            .iter()
            .copied()
            .zip(values.iter().copied())
            .peekable();
        let values = self.places.iter().map(|place| value_of(&mut old, *place));
        self.values.extend(values);
    }
}
