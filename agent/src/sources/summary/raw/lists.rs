//! Lists, taken as they come: each item becomes what is kept of it before the next one is read.

use std::marker::PhantomData;

use super::field::{self, Field, Wanted};
use super::reader::Reader;
use super::shape::Container;
use super::{Input, MAX_CONTAINERS};
use crate::sources::Part;
use crate::sources::json::{Error, Inside};
use crate::sources::summary::Stats;

/// Items read of a list of parts: far more than anything has volumes, interfaces or accelerators.
const MAX_ITEMS: usize = 64;

/// Up to so many containers no room is made for one more than there is.
const FEW: usize = 4;

/// The containers of one pod or of the system.
pub(super) struct Containers(pub(super) Vec<Stats>);

impl<'a> Wanted<'a> for Containers {
    fn list(input: &mut Input<'a>, mut inside: Inside) -> Result<Option<Self>, Error> {
        let mut kept = input.reader.spare.containers();
        while kept.len() < MAX_CONTAINERS {
            if !input.lexer.item(&mut inside)? {
                return Ok(Some(Self(kept)));
            }
            let counts = input.reader.counts;
            let raw: Option<Container<'a>> = field::object(input)?;
            match raw.and_then(|raw| input.reader.container(raw)) {
                Some(stats) => {
                    // Most pods have one.
                    if kept.len() < FEW {
                        kept.reserve_exact(1);
                    }
                    kept.push(stats);
                }
                None => input.reader.counts = counts.and_one_odd(),
            }
        }
        input.reader.counts.dropped += input.lexer.skip_list(inside)?;
        Ok(Some(Self(kept)))
    }
}

/// What an item of a list becomes.
pub(super) trait Listed<'a>: Wanted<'a> {
    /// `None` when it has no name or no value.
    fn part(self, reader: &mut Reader) -> Option<Part>;
}

/// Parts of one sort.
pub(super) struct Parts<T> {
    parts: Vec<Part>,
    of: PhantomData<T>,
}

impl<'a, T: Listed<'a>> Wanted<'a> for Parts<T> {
    fn list(input: &mut Input<'a>, mut inside: Inside) -> Result<Option<Self>, Error> {
        let mut this = Self {
            parts: input.reader.spare.listed(),
            of: PhantomData,
        };
        for _ in 0..MAX_ITEMS {
            if !input.lexer.item(&mut inside)? {
                return Ok(Some(this));
            }
            let item = T::read(input)?;
            let reader = &mut input.reader;
            let part = reader.value(item).and_then(|item| item.part(reader));
            this.parts.extend(part);
        }
        input.reader.counts.dropped += input.lexer.skip_list(inside)?;
        Ok(Some(this))
    }
}

impl Reader {
    /// The parts of a list; [`Reader::add_parts`] takes them.
    pub(super) fn parts<T>(&mut self, raw: Field<Parts<T>>) -> Vec<Part> {
        let parts = self.value(raw).map(|raw| raw.parts);
        parts.unwrap_or_default()
    }

    /// Puts parts where they belong, and keeps their list's room.
    pub(super) fn add_parts(&mut self, stats: &mut Stats, mut parts: Vec<Part>) {
        if parts.capacity() > 0 {
            stats.parts.reserve_exact(parts.len());
            stats.parts.append(&mut parts);
            self.spare.put_listed(parts);
        }
    }
}
