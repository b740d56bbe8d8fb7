//! How many clients may be read to at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts open streams of one kind and knows how many there may be.
#[derive(Clone, Debug)]
pub struct Streams {
    open: Arc<AtomicUsize>,
    most: usize,
}

impl Streams {
    /// None is open yet.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for one more, if there is any.
    pub(super) fn enter(&self) -> Option<Seat> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.clone());
        (before < self.most).then_some(seat)
    }
}

/// One open stream; leaves when dropped.
#[derive(Debug)]
pub struct Seat(Streams);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
