//! Frames for which there was no room, so that none of them is looked for again in vain.
//!
//! What was refused says nothing of another scope: what somebody else may see may be much less.
//!
//! Bounds: [`MOST`] of them, of which the oldest goes for one more; one that is forgotten is looked for again in its turn.

use std::collections::VecDeque;

use super::Scope;

/// Of the window, the newest tick and some that were corrected, for a few kinds of readers.
const MOST: usize = 32;

/// Frames that were refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    // At most one of a scope and a span; the oldest first.
    all: VecDeque<One>,
}

#[derive(Debug)]
struct One {
    scope: Scope,
    // From its first tick to its last.
    span_ms: u64,
    bytes: usize,
}

impl Refused {
    /// True while so many bytes leave no room for a frame of the same scope and as many ticks as one that was refused.
    pub(super) fn is_full(&mut self, (scope, span_ms): (&Scope, u64), left: usize) -> bool {
        self.all.retain(|one| one.bytes > left);
        let mut all = self.all.iter();
        all.any(|one| one.span_ms <= span_ms && one.scope == *scope)
    }

    /// Takes note of a frame of so many bytes.
    pub(super) fn put(&mut self, (scope, span_ms): (Scope, u64), bytes: usize) {
        let is_other = |one: &One| one.span_ms != span_ms || one.scope != scope;
        self.all.retain(is_other);
        while self.all.len() >= MOST {
            self.all.pop_front();
        }
        self.all.push_back(One {
            scope,
            span_ms,
            bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Names, Visible};

    fn of(namespace: &str) -> Scope {
        Scope {
            node: None,
            visible: Visible {
                nodes: Names::none(),
                namespaces: Names::only([namespace.into()]),
                specs: false,
            },
        }
    }

    #[test]
    fn what_was_refused_is_so_for_its_scope_and_as_many_ticks_until_there_is_room() {
        let mut refused = Refused::default();
        refused.put((of("a"), 60), 100);
        for (scope, span_ms, left, expected) in [
            ("a", 60, 99, true),
            ("a", 61, 99, true),
            ("a", 59, 99, false),
            ("b", 60, 99, false),
            ("a", 60, 100, false),
            // There was room meanwhile.
            ("a", 60, 99, false),
        ] {
            let is_full = refused.is_full((&of(scope), span_ms), left);
            assert_eq!(is_full, expected, "{scope} {span_ms} {left}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut refused = Refused::default();
        for n in 0..=MOST {
            refused.put((of(&n.to_string()), 60), 100);
            refused.put((of("same"), 60), 100);
        }
        assert_eq!(refused.all.len(), MOST);
        for (scope, expected) in [("0", false), ("same", true), ("32", true)] {
            assert_eq!(refused.is_full((&of(scope), 60), 0), expected, "{scope}");
        }
    }
}
