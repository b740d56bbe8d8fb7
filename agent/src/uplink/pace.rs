//! How fast the frames of one aggregator are read.
//!
//! Pure. An aggregator may ask for what it likes, but reading it and saying no is work too, and the node
//! pays for it. What is too much is not refused: it waits in the aggregator's own connection. Rows go on
//! meanwhile.

use std::time::Duration;

use cairn_proto::v1::aggregator_frame::Kind;
use tokio::time::Instant;

/// Time for one frame: ten a second, where an aggregator has one or two to send.
const FRAME: Duration = Duration::from_millis(100);

/// Time for one byte of it: the names of all containers of a large node are a tenth of a second.
const BYTE: Duration = Duration::from_micros(1);

/// Time for a frame of an unknown kind, whose size nobody tells.
const UNKNOWN: Duration = Duration::from_secs(1);

/// What may be read at once: several requests for each block of a window at one row a second.
const AT_ONCE: Duration = Duration::from_millis(256 * 100);

/// The pace of one address, over all of its sessions.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    // When all that was read is paid for.
    paid_at: Option<Instant>,
}

impl Pace {
    /// Notes that a frame was read.
    pub fn read(&mut self, kind: Option<&Kind>, now: Instant) {
        let bytes = kind.map(|kind| u32::try_from(kind.encoded_len()).unwrap_or(u32::MAX));
        let price = bytes.map_or(UNKNOWN, |bytes| FRAME + BYTE * bytes);
        let from = self.paid_at.map_or(now, |paid_at| paid_at.max(now));
        self.paid_at = Some(from + price);
    }

    /// From when on the next frame is read; `None` when that is now.
    #[must_use]
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        let again = self.paid_at?.checked_sub(AT_ONCE)?;
        (again > now).then_some(again)
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::v1::{Ack, Names, Want, names};

    use super::*;

    /// Frames that are read within a time by who always waits.
    fn read(kind: Option<&Kind>, within: Duration) -> u32 {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let (mut now, mut count) = (began, 0);
        while now <= began + within {
            pace.read(kind, now);
            now = pace.rests_until(now).unwrap_or(now);
            count += 1;
        }
        count
    }

    #[test]
    fn ten_frames_a_second_after_256() {
        let want = Kind::Want(Want::default());
        // Its bytes count as well.
        assert_eq!(read(Some(&want), Duration::ZERO), 256);
        assert_eq!(read(Some(&want), Duration::from_secs(60)), 256 + 600);
    }

    #[test]
    fn large_frames_and_unknown_ones_cost_more() {
        let container = names::Container {
            container: "x".repeat(4 << 20),
            ..names::Container::default()
        };
        let names = Kind::Names(Names {
            containers: vec![container],
            ..Names::default()
        });
        let of = |kind| read(kind, Duration::from_secs(60));
        assert!(
            (15..=25).contains(&of(Some(&names))),
            "{}",
            of(Some(&names))
        );
        assert_eq!(of(None), 26 + 60);
    }

    #[test]
    fn who_acknowledges_once_a_second_is_always_read() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let ack = Kind::Ack(Ack::default());
        for second in 0..10_000 {
            let now = began + Duration::from_secs(second);
            pace.read(Some(&ack), now);
            assert_eq!(pace.rests_until(now), None);
        }
    }
}
