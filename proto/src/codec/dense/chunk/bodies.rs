//! The columns of a chunk that is being written, one behind the other.

use super::COPY;
use super::body::BodyWriter;
use super::cells::Cells;
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

    /// Appends a column; returns how many cells it has. `there` says in which of so many rows each entity
    /// is.
    pub(super) fn add(&mut self, id: ColumnId, cells: &Cells, there: &[u64], rows: usize) -> usize {
        let start = self.bytes.len();
        let count = self.writer.put(&mut self.bytes, cells, there, rows);
        self.end(id, start, count);
        count
    }

    /// Appends a column that `put` writes; it says of how many cells. None of no cells.
    pub(super) fn put(&mut self, id: ColumnId, put: impl FnOnce(&mut Vec<u8>) -> usize) -> usize {
        let start = self.bytes.len();
        let cells = put(&mut self.bytes);
        if cells > 0 {
            self.end(id, start, cells);
        }
        cells
    }

    /// Appends a column with the so many cells of an earlier one.
    pub(super) fn copy(&mut self, id: ColumnId, of: ColumnId, cells: usize) {
        let start = self.bytes.len();
        self.bytes.push(COPY);
        put(&mut self.bytes, u64::from(of.0));
        self.end(id, start, cells);
    }

    fn end(&mut self, id: ColumnId, start: usize, cells: usize) {
        self.listed += 1;
        put(&mut self.directory, u64::from(id.0));
        put(&mut self.directory, (self.bytes.len() - start) as u64);
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
