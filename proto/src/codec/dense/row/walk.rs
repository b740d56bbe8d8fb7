//! What a row lists beside what the row before had, column by column.

use crate::codec::Error;
use crate::codec::dense::column;
use crate::codec::entities::Wanted;
use crate::codec::varint::Reader;
use crate::limits;
use crate::model::ColumnId;

/// A row that is being decoded: what becomes of each of its columns, in rising order.
pub(in crate::codec) trait Onto {
    /// The next column of the base row, if one is left.
    fn next(&mut self) -> Option<ColumnId>;

    /// Takes it over as it is.
    fn keep(&mut self) -> Result<(), Error>;

    /// Leaves it, if it is this one.
    fn leave(&mut self, id: ColumnId);

    /// Takes the cells of an earlier column of this row once more.
    fn copy(&mut self, id: ColumnId, of: u64) -> Result<(), Error>;

    /// Takes a column that is told: what is next of the base row, if it is the same one, changed by it.
    fn change(&mut self, id: ColumnId, body: &[u8]) -> Result<(), Error>;
}

/// Goes through the columns that a row lists, of those that are wanted, and through those of the base row
/// between them.
pub(in crate::codec) fn walk(
    mut reader: Reader<'_>,
    wanted: &Wanted<'_>,
    onto: &mut impl Onto,
) -> Result<(), Error> {
    let count = reader.size("the number of columns")?;
    if count > limits::MAX_COLUMNS {
        return Err(Error::Limit("columns"));
    }
    let mut previous = None;
    for _ in 0..count {
        let number = reader.varint("a column number")?;
        let length = reader.size("a column's length")?;
        let body = reader.take(length, "a column")?;
        if previous.is_some_and(|p| p >= number) {
            return Err(Error::Order("columns"));
        }
        previous = Some(number);
        let Some(id) = wanted.read(number) else {
            continue;
        };
        while onto.next().is_some_and(|next| next < id) {
            onto.keep()?;
        }
        if body.is_empty() {
            onto.leave(id);
        } else if let Some(of) = column::copied(body)? {
            onto.leave(id);
            onto.copy(id, of)?;
        } else {
            onto.change(id, body)?;
        }
    }
    reader.finish("a row")?;
    while onto.next().is_some() {
        onto.keep()?;
    }
    Ok(())
}
