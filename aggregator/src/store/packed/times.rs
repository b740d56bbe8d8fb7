//! When the rows of a block are, and how many samples each has.

/// The rows of a block. Nearly always they are at even distances and have as many samples each, and
/// then nothing is kept for each of them.
#[derive(Clone, Debug)]
pub(super) struct Times {
    // Bit n: the row n after the first of the block is there. Never 0.
    mask: u64,
    first_tick_ms: u64,
    // From row to row, there or not.
    step_ms: u64,
    samples: u32,
    each: Option<Box<[(u64, u32)]>>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Its seq less that of the block's first row.
    pub(super) offset: u64,
    /// Grid time, Unix ms.
    pub(super) tick_ms: u64,
    /// Its samples.
    pub(super) samples: u32,
}

impl Times {
    /// Of rows in rising order; `None` of none.
    pub(super) fn of(moments: &[Moment]) -> Option<Self> {
        let (first, last) = (moments.first()?, moments.last()?);
        let span = (last.offset - first.offset).max(1);
        let mut times = Self {
            mask: moments
                .iter()
                .fold(0, |mask, m| mask | 1 << (m.offset & 63)),
            first_tick_ms: first.tick_ms,
            step_ms: (last.tick_ms - first.tick_ms) / span,
            samples: first.samples,
            each: None,
        };
        if !times.iter().eq(moments.iter().copied()) {
            let each = moments.iter().map(|m| (m.tick_ms, m.samples));
            times.each = Some(each.collect());
        }
        Some(times)
    }

    /// The rows, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = Moment> + '_ {
        let first = u64::from(self.mask.trailing_zeros());
        let offsets = (first..64).filter(|offset| self.mask >> offset & 1 == 1);
        offsets.enumerate().map(move |(nth, offset)| {
            let even = (
                self.first_tick_ms + (offset - first) * self.step_ms,
                self.samples,
            );
            let each = self.each.as_deref().and_then(|each| each.get(nth));
            let (tick_ms, samples) = each.copied().unwrap_or(even);
            Moment {
                offset,
                tick_ms,
                samples,
            }
        })
    }

    pub(super) fn first_tick_ms(&self) -> u64 {
        self.first_tick_ms
    }

    pub(super) fn last_tick_ms(&self) -> u64 {
        if let Some((tick_ms, _)) = self.each.as_deref().and_then(<[_]>::last) {
            return *tick_ms;
        }
        let first = self.mask.trailing_zeros();
        let last = (u64::BITS - 1).saturating_sub(self.mask.leading_zeros());
        self.first_tick_ms + u64::from(last.saturating_sub(first)) * self.step_ms
    }

    /// How many rows.
    pub(super) fn count(&self) -> u64 {
        u64::from(self.mask.count_ones())
    }

    /// Bit n says that the row n after the first of the block is there.
    pub(super) fn mask(&self) -> u64 {
        self.mask
    }

    /// Bytes that it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.each.as_deref().map_or(0, size_of_val)
    }
}
