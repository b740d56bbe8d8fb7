//! What a test can break, and for how many requests.

use std::collections::BTreeMap;
use std::time::Duration;

/// How answers are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole answer comes so late.
    Slow(Duration),
    /// Nothing is ever answered; the connection stays open.
    Hang,
    /// 429 with this `Retry-After`, seconds.
    TooMany(u64),
    /// 410: the version of a list's further page is gone. A watch answers 200 and says so in its first
    /// event, as the real one does.
    Gone,
    /// Another status, with a `Status` body.
    Status(u16),
}

/// The faults in force, by verb and resource.
#[derive(Debug, Default)]
pub(super) struct Faults {
    ordered: BTreeMap<(String, String), (Fault, u64)>,
}

impl Faults {
    /// Breaks so many requests from now on.
    pub(super) fn set(&mut self, verb: &str, resource: &str, fault: Fault, requests: u64) {
        let of = (verb.to_owned(), resource.to_owned());
        self.ordered.insert(of, (fault, requests));
    }

    /// Mends everything.
    pub(super) fn mend(&mut self) {
        self.ordered.clear();
    }

    /// The fault of the next request, which uses it up by one.
    pub(super) fn take(&mut self, verb: &str, resource: &str) -> Option<Fault> {
        let of = (verb.to_owned(), resource.to_owned());
        let (fault, left) = self.ordered.get_mut(&of)?;
        let taken = *fault;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.ordered.remove(&of);
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_for_the_requests_asked_for() {
        let mut faults = Faults::default();
        faults.set("list", "pods", Fault::Gone, 2);
        let taken: Vec<_> = (0..3).map(|_| faults.take("list", "pods")).collect();
        assert_eq!(taken, [Some(Fault::Gone), Some(Fault::Gone), None]);
        assert_eq!(faults.take("watch", "pods"), None);
    }
}
