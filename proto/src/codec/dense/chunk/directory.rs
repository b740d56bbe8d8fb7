//! Where the columns of a chunk are.

use std::ops::Range;

use super::COPY;
use super::alone::MOST_COLUMNS;
use crate::catalogue::FIRST_FIELD;
use crate::codec::Error;
use crate::codec::entities::known;
use crate::codec::varint::Reader;
use crate::limits;
use crate::model::ColumnId;

/// Numbers and lengths as they stand in the chunk, and the bodies behind them. Whoever looks for one
/// column walks over the entries before it, which costs less than to make a list of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Directory<'a> {
    // Invariant: numbers and lengths in turns, the numbers rising; as long together as the bodies.
    entries: &'a [u8],
    bodies: &'a [u8],
}

impl<'a> Directory<'a> {
    /// Takes the directory and the bodies.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.size("the number of columns")?;
        if count > limits::MAX_COLUMNS || count > reader.remaining() {
            return Err(Error::Limit("columns"));
        }
        let begin = reader.rest();
        let (mut previous, mut length) = (None, 0_usize);
        for _ in 0..count {
            let number = reader.varint("a column number")?;
            if previous.is_some_and(|p| p >= number) {
                return Err(Error::Order("columns"));
            }
            previous = Some(number);
            let sum = length.checked_add(reader.size("a column's length")?);
            length = sum.ok_or(Error::Truncated("a column"))?;
        }
        let entries = begin.len() - reader.remaining();
        Ok(Self {
            entries: begin.get(..entries).unwrap_or_default(),
            bodies: reader.take(length, "a column")?,
        })
    }

    /// How many bytes all bodies take.
    pub(super) fn size(&self) -> usize {
        self.bodies.len()
    }

    /// The body of one column.
    pub(super) fn find(&self, id: ColumnId) -> Option<&'a [u8]> {
        let wanted = u64::from(id.0);
        let (mut entries, mut at) = (Reader::new(self.entries), 0);
        loop {
            let number = entries.varint("a column number").ok()?;
            let length = entries.size("a column's length").ok()?;
            if number >= wanted {
                let body = self.bodies.get(at..at + length);
                return body.filter(|_| number == wanted);
            }
            at += length;
        }
    }

    /// Where the cells of a column are, if any entity has a value in it.
    pub(super) fn cells_of(&self, id: ColumnId) -> Option<&'a [u8]> {
        // What is not known has not been checked.
        known(u64::from(id.0))?;
        self.body(id, self.find(id)?).ok()
    }

    /// Where the cells of a column are: in its own body or in that of an earlier one.
    pub(super) fn body(&self, id: ColumnId, body: &'a [u8]) -> Result<&'a [u8], Error> {
        resolve(id, body, |of| self.find(of))
    }

    /// The columns that this version knows.
    pub(super) fn known(&self) -> impl Iterator<Item = (ColumnId, &'a [u8])> {
        let known = |(number, body)| Some((known(number)?, body));
        self.all().filter_map(known)
    }

    fn all(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mut entries = Reader::new(self.entries);
        let mut bodies = Reader::new(self.bodies);
        std::iter::from_fn(move || {
            let number = entries.varint("a column number").ok()?;
            let length = entries.size("a column's length").ok()?;
            Some((number, bodies.take(length, "a column").ok()?))
        })
    }
}

/// The columns of a chunk that has been checked, as a list: for whoever looks for several.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed<'a> {
    // Number, and where the body is; rising.
    columns: Vec<(u64, Range<usize>)>,
    bodies: &'a [u8],
}

impl<'a> Listed<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, Error> {
        let count = reader.size("the number of columns")?;
        let (mut columns, mut at) = (Vec::with_capacity(count.min(limits::MAX_COLUMNS)), 0);
        for _ in 0..count {
            let number = reader.varint("a column number")?;
            let end = at + reader.size("a column's length")?;
            columns.push((number, at..end));
            at = end;
        }
        let bodies = reader.rest();
        Ok(Self { columns, bodies })
    }

    fn find(&self, id: ColumnId) -> Option<&'a [u8]> {
        let of = |(number, _): &(u64, _)| *number;
        let at = self.columns.binary_search_by_key(&u64::from(id.0), of);
        let (_, range) = self.columns.get(at.ok()?)?;
        self.bodies.get(range.clone())
    }

    /// See [`Directory::cells_of`].
    pub(super) fn cells_of(&self, id: ColumnId) -> Option<&'a [u8]> {
        known(u64::from(id.0))?;
        resolve(id, self.find(id)?, |of| self.find(of)).ok()
    }
}

/// Where the cells of some columns are, whose numbers rise, in a chunk that has been checked: in one pass
/// over the directory, and without a list of it.
pub(super) fn find_all<'a>(
    directory: Reader<'a>,
    ids: &[ColumnId],
) -> Result<[Option<&'a [u8]>; MOST_COLUMNS], Error> {
    let mut reader = directory;
    let mut left = reader.size("the number of columns")?;
    let entries = reader;
    let mut ranges = [(0, 0); MOST_COLUMNS];
    let mut wanted = ids.iter().map(|id| u64::from(id.0)).zip(&mut ranges);
    let (mut next, mut at) = (wanted.next(), 0_usize);
    while left > 0 && next.is_some() {
        let number = reader.varint("a column number")?;
        let end = at.saturating_add(reader.size("a column's length")?);
        while let Some((id, range)) = next.take_if(|(id, _)| *id <= number) {
            if id == number {
                *range = (at, end);
            }
            next = wanted.next();
        }
        (at, left) = (end, left - 1);
    }
    reader.pass_varints(2 * left)?;
    let bodies = reader.rest();
    let find = |of: ColumnId| {
        let (mut entries, mut at) = (entries, 0_usize);
        loop {
            let number = entries.varint("a column number").ok()?;
            let end = at.saturating_add(entries.size("a column's length").ok()?);
            if number >= u64::from(of.0) {
                return bodies.get(at..end).filter(|_| number == u64::from(of.0));
            }
            at = end;
        }
    };
    let mut found = [None; MOST_COLUMNS];
    for ((id, range), slot) in ids.iter().zip(ranges).zip(&mut found) {
        let body = bodies.get(range.0..range.1);
        let body = body.filter(|body| !body.is_empty() && known(u64::from(id.0)).is_some());
        *slot = body.and_then(|body| resolve(*id, body, find).ok());
    }
    Ok(found)
}

/// Where the cells are of a column with this body.
fn resolve<'a>(
    id: ColumnId,
    body: &'a [u8],
    find: impl Fn(ColumnId) -> Option<&'a [u8]>,
) -> Result<&'a [u8], Error> {
    if body.first() != Some(&COPY) {
        return Ok(body);
    }
    let mut reader = Reader::new(body);
    reader.byte("a column's flags")?;
    let number = reader.varint("the column that is copied")?;
    reader.finish("a column")?;
    // Of stamps alone: every version knows them.
    let of = known(number).filter(|of| *of < id && id.0 < FIRST_FIELD);
    let body = of.and_then(find);
    // A copy of a copy would be one of the first.
    let body = body.filter(|body| body.first() != Some(&COPY));
    body.ok_or(Error::Range("the column that is copied"))
}
