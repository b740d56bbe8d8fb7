//! How often the same is written again where somebody takes it away.

/// The least time between two writes of the same.
pub(super) const AGAIN_S: u64 = 60;

/// What was written last to one object, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    last: Option<(String, u64)>,
    // It was seen that what was written last is gone.
    is_gone: bool,
}

impl Pace {
    /// Tells whether this may be written at this time, Unix seconds: something else than before at once, the
    /// same once a minute. A clock that was set back begins the minute anew.
    pub(super) fn may(&mut self, wanted: &str, now_s: u64) -> bool {
        match &mut self.last {
            Some((last, at_s)) if last == wanted => {
                if now_s < *at_s {
                    *at_s = now_s;
                }
                now_s - *at_s >= AGAIN_S
            }
            _ => true,
        }
    }

    /// True when this was written before: somebody has taken it away since.
    pub(super) fn wrote(&self, wanted: &str) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == wanted)
    }

    /// Notes that what was written is gone; true the first time.
    pub(super) fn gone(&mut self) -> bool {
        !std::mem::replace(&mut self.is_gone, true)
    }

    /// Remembers that this was written.
    pub(super) fn written(&mut self, wanted: &str, now_s: u64) {
        self.is_gone = false;
        self.last = Some((wanted.to_owned(), now_s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_written_once_a_minute_and_something_else_at_once() {
        let mut pace = Pace::default();
        assert!(pace.may("a", 1_000) && !pace.wrote("a"));
        pace.written("a", 1_000);
        assert!(pace.wrote("a") && !pace.may("a", 1_059) && pace.may("a", 1_060));
        assert!(pace.may("b", 1_001));
        assert!(pace.gone() && !pace.gone());
        // The clock was set back by an hour: not another hour's wait.
        let mut back = pace.clone();
        assert!(!back.may("a", 100) && !back.may("a", 159) && back.may("a", 160));
    }
}
