//! How much history may come in until memory is looked at again.
//!
//! A look makes room anew. What comes is taken off it; when nothing is left nobody asks for more,
//! and a look is wanted, which is made at once: it costs those who wait no more than the look takes. Without
//! this, what comes between two looks would be bounded by the network alone, and with little memory that is
//! more than there is.

use tokio::sync::{Notify, watch};

/// Room that several take from.
#[derive(Debug)]
pub(super) struct Room {
    // Bytes that may still come.
    left: watch::Sender<u64>,
    // Rung when nothing is left.
    wanted: Notify,
    #[cfg(test)]
    pub(super) once_read: OnceRead,
}

/// What a test lets happen between two reads.
#[cfg(test)]
#[derive(Default)]
pub(super) struct OnceRead(pub(super) std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);

#[cfg(test)]
impl std::fmt::Debug for OnceRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnceRead")
    }
}

impl Room {
    /// So many bytes until the first look.
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            left: watch::Sender::new(bytes),
            wanted: Notify::new(),
            #[cfg(test)]
            once_read: OnceRead::default(),
        }
    }

    /// Makes room for so many bytes, at least one.
    pub(super) fn set(&self, bytes: u64) {
        self.left.send_replace(bytes);
    }

    /// Takes what has come off it.
    pub(super) fn take(&self, bytes: u64) {
        let mut is_used_up = false;
        self.left.send_if_modified(|left| {
            is_used_up = *left > 0 && *left <= bytes;
            *left = left.saturating_sub(bytes);
            false
        });
        if is_used_up {
            self.wanted.notify_one();
        }
    }

    /// True when something is left.
    pub(super) fn is_left(&self) -> bool {
        let is_left = *self.left.borrow() > 0;
        #[cfg(test)]
        {
            let then = self.once_read.0.lock().unwrap().take();
            then.into_iter().for_each(|then| then());
        }
        is_left
    }

    /// Waits until something is left. Cancel safe.
    pub(super) async fn left(&self) {
        let mut left = self.left.subscribe();
        // The sender is in `self`, so it cannot be gone.
        drop(left.wait_for(|left| *left > 0).await);
    }

    /// Waits until everything is used up. For the one task that looks. Cancel safe.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Room;

    #[test]
    fn a_look_is_wanted_once_when_nothing_is_left() {
        let room = Room::new(100);
        room.take(99);
        assert!(room.is_left() && room.wanted().now_or_never().is_none());
        room.take(5);
        assert!(!room.is_left() && room.left().now_or_never().is_none());
        assert!(room.wanted().now_or_never().is_some());
        // What was on its way still comes.
        room.take(5);
        assert!(room.wanted().now_or_never().is_none());
        room.set(1);
        assert!(room.left().now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_woken_by_the_look() {
        let room = Room::new(10);
        room.take(10);
        tokio::join!(room.left(), async {
            room.wanted().await;
            room.set(10);
        });
        assert!(room.is_left());
    }
}
