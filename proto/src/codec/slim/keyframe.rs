//! A row in little memory as one that refers to none: what a block begins with.
//!
//! The values stand there in whole bytes above their least, and so may a column tell its numbers (see
//! [`numbers`](crate::codec::dense)): they are copied. What [`row::keyframe`](crate::codec::row::keyframe)
//! makes of the same row is shorter and takes fifty times as long, and thousands of nodes that came
//! together begin their blocks together.

use super::{ALL, Column, Slim};
use crate::codec::DENSE;
use crate::codec::bits::Writer;
use crate::codec::dense::column::{Scaled, put_copy, put_head};
use crate::codec::entities::put_ids;
use crate::codec::varint::put;

impl Slim {
    /// The row as a keyframe of the dense codec: [`row::decode`](crate::codec::row::decode) makes the same
    /// row of it.
    #[must_use]
    pub fn keyframe(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes());
        put(&mut out, u64::from(DENSE));
        let count = self.entities.len() as u64;
        put(&mut out, if count == 0 { 0 } else { count + 1 });
        put_ids(&mut out, &self.entities);
        put(&mut out, self.columns.len() as u64);
        // Bodies are put together here: their length goes before them.
        let (mut body, mut values) = (Vec::new(), Vec::new());
        for (nth, column) in self.columns.iter().enumerate() {
            body.clear();
            match self.twin(nth, column) {
                Some(of) => put_copy(&mut body, of.id),
                None => self.put_column(column, &mut body, &mut values),
            }
            put(&mut out, u64::from(column.id.0));
            put(&mut out, body.len() as u64);
            out.extend_from_slice(&body);
        }
        out
    }

    /// An earlier column of times whose values are kept for this one too.
    fn twin(&self, nth: usize, column: &Column) -> Option<&Column> {
        let earlier = self.columns.get(..nth)?.iter();
        let mut times = earlier.filter(|one| one.id.is_time() && column.id.is_time());
        times.find(|one| {
            Column {
                id: column.id,
                ..**one
            } == *column
        })
    }

    fn put_column(&self, column: &Column, body: &mut Vec<u8>, values: &mut Vec<u64>) {
        let scaled = Scaled::of(column.least, column.shift.into());
        // Above the least there are so many low bits that no value has.
        let spare = u32::from(column.shift) - scaled.shift();
        let bits =
            (u32::from(column.width) * 8 + if column.width == 0 { 0 } else { spare }).min(64);
        let is_nothing = column.width == 0 && column.least == 0;
        let present = |body: &mut Vec<u8>| self.put_places(column.set, body);
        put_head(body, present, (!is_nothing).then_some((scaled, bits)));
        let count = self.size(column.set);
        if spare == 0 {
            body.extend_from_slice(self.bytes_of(column, count));
        } else if column.width > 0 {
            values.clear();
            self.read(column, count, values);
            let above = |value: &u64| value.wrapping_sub(column.least) >> scaled.shift();
            let mut writer = Writer::new(body);
            writer.put_each(values.iter().map(above), bits);
            writer.finish();
        }
    }

    /// A bit for each entity: is it in the set?
    fn put_places(&self, set: u16, body: &mut Vec<u8>) {
        let (count, start) = (self.entities.len(), body.len());
        let end = start + count.div_ceil(8);
        if set == ALL {
            body.resize(end, u8::MAX);
            let used = count % 8;
            if let Some(last) = body.last_mut().filter(|_| used > 0) {
                *last = (1 << used) - 1;
            }
        } else {
            let words = self.set(set).unwrap_or_default().iter();
            body.extend(words.flat_map(|word| word.to_le_bytes()));
            body.truncate(end);
        }
    }
}
