//! How many cells a chunk has, told without reading a value.

use super::all_rows;
use super::read::{Head, Sealed};
use crate::catalogue::FIRST_FIELD;
use crate::codec::Error;
use crate::limits;

impl Sealed {
    /// How many cells a payload has at most, told from where its columns begin: what a chunk costs does
    /// not show in its length. As many as it may have when it is in another codec, where the rows would
    /// have to be read; none when it is no chunk.
    #[must_use]
    pub fn most_cells(payload: &[u8]) -> usize {
        let head = match Head::parse(payload) {
            Ok(head) => head,
            Err(Error::Codec(_)) => return limits::MAX_CHUNK_CELLS,
            Err(_) => return 0,
        };
        let series = |(id, body)| Some(head.walk(head.directory.body(id, body).ok()?)?.left());
        let series: usize = head.directory.known().filter_map(series).sum();
        series.saturating_mul(head.rows.len())
    }

    /// Cells of fields of each row, stamps not counted.
    #[must_use]
    pub fn samples_by_row(&self) -> Vec<u32> {
        by_row(&self.head(), FIRST_FIELD)
    }

    /// The same with the stamps.
    #[must_use]
    pub fn cells_by_row(&self) -> Vec<u32> {
        by_row(&self.head(), 0)
    }
}

/// Cells of each row in the columns from this number on.
fn by_row(head: &Head<'_>, first: u16) -> Vec<u32> {
    let mut cells = vec![0; head.rows.len()];
    // Nearly every series is in every row.
    let (whole, mut in_all) = (all_rows(cells.len()), 0);
    let columns = head.directory.known().filter(|(id, _)| id.0 >= first);
    for series in columns
        .filter_map(|(id, body)| head.open(id, body))
        .flatten()
    {
        if series.mask == whole {
            in_all += 1;
            continue;
        }
        for (nth, cells) in cells.iter_mut().enumerate() {
            *cells += u32::from(series.mask >> nth & 1 == 1);
        }
    }
    cells.iter_mut().for_each(|cells| *cells += in_all);
    cells
}
