//! Rows of one series in few bytes: of each what differs from the one before.
//!
//! ```text
//! rows := count:u32  row[count]  0[8]
//! row  := sizes:u8  flags:u8  gap:u64?  said?  value[sizes & 15]  time[sizes >> 4]
//! said := flags:u8  source:u8?  start:u64?  (source:u8  start:u64)?
//! ```
//!
//! Numbers are written lowest byte first. `gap` is the distance of the ticks where that is another one than
//! before, `said` what a row says beside its value where that is. `value` and `time` are zigzag, less the zeros
//! at their end: the value less the one before, and the time of its measurement less the one before and the gap.
//! They begin at 0 and are there when the row has a point. What is never read in another process needs no
//! version.

use cairn_proto::catalogue::Source;
use cairn_proto::model::Stamp;
use cairn_proto::rate::Point;

use crate::store::RawRow;

/// The gap is another one.
const GAP: u8 = 1;
/// What is said beside the value is.
const SAID: u8 = 2;

/// The entity is there.
const PRESENT: u8 = 1;
/// It has a value, and by this source.
const POINT: u8 = 2;
/// Its stamp says when the measured thing began.
const START: u8 = 4;
/// Somebody says when the life began.
const BEGAN: u8 = 8;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// What a row says beside its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    present: bool,
    source: Option<Source>,
    start_ms: Option<u64>,
    began: Option<(Source, u64)>,
}

/// The row before.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    tick_ms: u64,
    gap_ms: u64,
    value: u64,
    time_ms: u64,
    said: Said,
}

impl Said {
    fn of(row: &RawRow) -> Self {
        Self {
            present: row.present,
            source: row.point.map(|point| point.stamp.source),
            start_ms: row.point.and_then(|point| point.stamp.start_ms),
            began: row.began,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let has = |bit: u8, is_there: bool| if is_there { bit } else { 0 };
        out.push(
            has(PRESENT, self.present)
                | has(POINT, self.source.is_some())
                | has(START, self.start_ms.is_some())
                | has(BEGAN, self.began.is_some()),
        );
        out.extend(self.source.map(|source| source as u8));
        out.extend(self.start_ms.into_iter().flat_map(u64::to_le_bytes));
        if let Some((source, start_ms)) = self.began {
            out.push(source as u8);
            out.extend_from_slice(&start_ms.to_le_bytes());
        }
    }
}

/// Packs rows of one run, whose ticks rise.
pub(super) fn pack(rows: &[RawRow]) -> Vec<u8> {
    // Most rows have two bytes and less than six of a value and its time.
    let mut out = Vec::with_capacity(2 * WORD + rows.len() * WORD);
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    let mut before = Before::default();
    for row in rows {
        let gap_ms = row.tick_ms.wrapping_sub(before.tick_ms);
        let said = Said::of(row);
        let (value, time_ms) = row.point.map_or((before.value, before.time_ms), |point| {
            (point.value, point.stamp.time_ms)
        });
        let (mut step, mut late) = (0, 0);
        if row.point.is_some() {
            step = zigzag(value.wrapping_sub(before.value));
            late = zigzag(time_ms.wrapping_sub(before.time_ms).wrapping_sub(gap_ms));
        }
        let (value_bytes, time_bytes) = (length(step), length(late));
        let is_other_gap = gap_ms != before.gap_ms;
        let says_other = said != before.said;
        out.push(value_bytes | time_bytes << 4);
        out.push(if is_other_gap { GAP } else { 0 } | if says_other { SAID } else { 0 });
        if is_other_gap {
            out.extend_from_slice(&gap_ms.to_le_bytes());
        }
        if says_other {
            said.put(&mut out);
        }
        for (number, length) in [(step, value_bytes), (late, time_bytes)] {
            out.extend(number.to_le_bytes().into_iter().take(usize::from(length)));
        }
        before = Before {
            tick_ms: row.tick_ms,
            gap_ms,
            value,
            time_ms,
            said,
        };
    }
    // A number can be read as a whole word.
    out.extend_from_slice(&[0; WORD]);
    out
}

/// Appends the rows that were packed.
pub(super) fn unpack(packed: &[u8], rows: &mut Vec<RawRow>) {
    // Every one of them is there.
    let _all = unpack_all(packed, rows);
}

fn unpack_all(packed: &[u8], rows: &mut Vec<RawRow>) -> Option<()> {
    let (count, rest) = packed.split_first_chunk()?;
    let count = u32::from_le_bytes(*count);
    let mut reader = Reader(rest);
    let mut before = Before::default();
    rows.reserve(count as usize);
    for _ in 0..count {
        let sizes = reader.byte()?;
        let flags = reader.byte()?;
        if flags & GAP != 0 {
            before.gap_ms = reader.word()?;
        }
        if flags & SAID != 0 {
            before.said = reader.said()?;
        }
        before.tick_ms = before.tick_ms.wrapping_add(before.gap_ms);
        let said = before.said;
        let mut point = None;
        if let Some(source) = said.source {
            let step = unzigzag(reader.number(sizes & 0xf)?);
            let late = unzigzag(reader.number(sizes >> 4)?);
            before.value = before.value.wrapping_add(step);
            before.time_ms = before
                .time_ms
                .wrapping_add(before.gap_ms)
                .wrapping_add(late);
            point = Some(Point {
                value: before.value,
                stamp: Stamp {
                    time_ms: before.time_ms,
                    start_ms: said.start_ms,
                    source,
                },
            });
        }
        rows.push(RawRow {
            tick_ms: before.tick_ms,
            present: said.present,
            point,
            began: said.began,
            interrupted: false,
        });
    }
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    /// One of so many bytes, at most eight.
    #[inline]
    fn number(&mut self, length: u8) -> Option<u64> {
        let word = u64::from_le_bytes(*self.0.first_chunk()?);
        self.0 = self.0.get(usize::from(length)..)?;
        let others = u64::BITS.checked_sub(8 * u32::from(length))?;
        Some(word & u64::MAX.checked_shr(others).unwrap_or(0))
    }

    fn source(&mut self) -> Option<Source> {
        Source::from_number(u64::from(self.byte()?))
    }

    #[cold]
    fn said(&mut self) -> Option<Said> {
        let flags = self.byte()?;
        let has = |bit| flags & bit != 0;
        let mut said = Said {
            present: has(PRESENT),
            ..Said::default()
        };
        if has(POINT) {
            said.source = Some(self.source()?);
        }
        if has(START) {
            said.start_ms = Some(self.word()?);
        }
        if has(BEGAN) {
            said.began = Some((self.source()?, self.word()?));
        }
        Some(said)
    }
}

/// How many bytes a number has without the zeros at its end.
fn length(number: u64) -> u8 {
    let bits = u64::BITS - number.leading_zeros();
    u8::try_from(bits.div_ceil(8)).unwrap_or(0)
}

fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            0..3_u64,
            (any::<u64>(), 0..64_u32).prop_map(|(number, by)| number >> by),
        ]
    }

    fn source() -> impl Strategy<Value = Source> {
        prop::sample::select(Source::ALL.to_vec())
    }

    fn point() -> impl Strategy<Value = Point> {
        let start = prop::option::of(number());
        (number(), number(), start, source()).prop_map(|(value, time_ms, start_ms, source)| Point {
            value,
            stamp: Stamp {
                time_ms,
                start_ms,
                source,
            },
        })
    }

    fn row() -> impl Strategy<Value = RawRow> {
        let began = prop::option::of((source(), number()));
        (number(), any::<bool>(), prop::option::of(point()), began).prop_map(
            |(tick_ms, present, point, began)| RawRow {
                tick_ms,
                present,
                point,
                began,
                interrupted: false,
            },
        )
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(rows in prop::collection::vec(row(), 0..40)) {
            let mut back = Vec::new();
            unpack(&pack(&rows), &mut back);
            prop_assert_eq!(back, rows);
        }
    }

    #[test]
    fn a_steady_series_takes_some_five_bytes_a_row() {
        let row = |nth: u64| RawRow {
            tick_ms: nth * 10_000,
            present: true,
            point: Some(Point {
                value: 1 << 30 | (nth % 7) << 12,
                stamp: Stamp {
                    time_ms: nth * 10_000 - 20 - nth % 5,
                    start_ms: Some(5_000),
                    source: Source::Cgroup,
                },
            }),
            began: Some((Source::Cgroup, 5_000)),
            interrupted: false,
        };
        let rows: Vec<RawRow> = (1_000..1_100).map(row).collect();
        let packed = pack(&rows);
        assert!(packed.len() < 600, "{}", packed.len());
        let mut back = Vec::new();
        unpack(&packed, &mut back);
        assert_eq!(back, rows);
    }
}
