//! How many clients may be read to at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::shares::{Part, READERS, Reader, Shares};

/// Counts open streams of one kind and knows how many there may be, and how many of one reader.
#[derive(Clone, Debug)]
pub struct Streams {
    open: Arc<AtomicUsize>,
    most: usize,
    of_one: Shares,
    // Those of other listeners too, for figures.
    all: Arc<AtomicUsize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// As many as may be are open.
    All,
    /// As many as may be of this reader.
    OfOne,
}

impl Streams {
    /// None is open yet.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
            of_one: Shares::of(most / READERS),
            all: Arc::default(),
        }
    }

    /// As many places again, of which nobody here takes any; [`Streams::count`] counts both.
    #[must_use]
    pub(super) fn beside(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            ..Self::new(self.most)
        }
    }

    /// How many are open, here and beside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// A place for one more, if there is any for this reader.
    pub(super) fn enter(&self, reader: &Reader) -> Result<Seat, Full> {
        let own = self.of_one.try_take(reader, 1).ok_or(Full::OfOne)?;
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            streams: self.clone(),
            _own: own,
        };
        if before < self.most {
            Ok(seat)
        } else {
            Err(Full::All)
        }
    }
}

/// One open stream; leaves when dropped.
#[derive(Debug)]
pub struct Seat {
    streams: Streams,
    _own: Part,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.streams.open.fetch_sub(1, Ordering::Relaxed);
        self.streams.all.fetch_sub(1, Ordering::Relaxed);
    }
}
