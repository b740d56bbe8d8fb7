//! The columns of a chunk that is being written, one behind the other.

use std::ops::Range;

use super::COPY;
use super::body::BodyWriter;
use super::cells::Cells;
use super::there::There;
use crate::catalogue::FIRST_FIELD;
use crate::codec::varint::put;
use crate::model::ColumnId;

/// The directory and the bodies, as far as they are.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    listed: u64,
    directory: Vec<u8>,
    bytes: Vec<u8>,
    cells: usize,
    samples: usize,
    writer: BodyWriter,
}

impl Bodies {
    /// Makes room for so many bytes, which need not be enough.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Appends a column; returns how many cells it has. `there` says in which rows each entity is.
    pub(super) fn add(&mut self, id: ColumnId, cells: &Cells, there: There<'_>) -> usize {
        let (body, count) = self.write(cells, there);
        self.list(id, &body, count);
        count
    }

    /// Appends a body, of a column that is still to be listed; returns where it stands and how many cells it
    /// has.
    pub(super) fn write(&mut self, cells: &Cells, there: There<'_>) -> (Range<usize>, usize) {
        let start = self.bytes.len();
        let count = self.writer.put(&mut self.bytes, cells, there);
        (start..self.bytes.len(), count)
    }

    /// Takes back the body that was appended last and not listed.
    pub(super) fn take_back(&mut self, body: &Range<usize>) {
        self.bytes.truncate(body.start);
    }

    /// The bytes of a body.
    pub(super) fn body(&self, at: &Range<usize>) -> &[u8] {
        self.bytes.get(at.clone()).unwrap_or_default()
    }

    /// Appends a column that `put` writes; it says of how many cells. None of no cells.
    pub(super) fn put(&mut self, id: ColumnId, put: impl FnOnce(&mut Vec<u8>) -> usize) -> usize {
        let start = self.bytes.len();
        let cells = put(&mut self.bytes);
        if cells > 0 {
            self.list(id, &(start..self.bytes.len()), cells);
        }
        cells
    }

    /// Appends a column with the so many cells of an earlier one.
    pub(super) fn copy(&mut self, id: ColumnId, of: ColumnId, cells: usize) {
        let start = self.bytes.len();
        self.bytes.push(COPY);
        put(&mut self.bytes, u64::from(of.0));
        self.list(id, &(start..self.bytes.len()), cells);
    }

    /// Lists the column of the body that was appended last.
    pub(super) fn list(&mut self, id: ColumnId, body: &Range<usize>, cells: usize) {
        self.listed += 1;
        put(&mut self.directory, u64::from(id.0));
        put(&mut self.directory, body.len() as u64);
        self.cells += cells;
        self.samples += if id.0 >= FIRST_FIELD { cells } else { 0 };
    }

    /// Appends everything to the header of the chunk.
    pub(super) fn finish(self, mut out: Vec<u8>) -> Written {
        // The length goes into the list of numbers at once, so that nothing is copied twice.
        out.reserve_exact(self.directory.len() + self.bytes.len() + 10);
        put(&mut out, self.listed);
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.bytes);
        Written {
            bytes: out,
            samples: self.samples,
            cells: self.cells,
        }
    }
}

/// A chunk, and what is known of it.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// Cells of fields, stamps not counted.
    pub(super) samples: usize,
    /// Cells of all columns, which may be more than one may have.
    pub(super) cells: usize,
}
