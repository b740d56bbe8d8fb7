//! What a source gave to the sampler, until its room can be used again.

use std::sync::Arc;

/// The last two answers: the sampler holds the newer until it has the next.
#[derive(Debug)]
pub(super) struct Given<T> {
    older: Option<Arc<T>>,
    newer: Option<Arc<T>>,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self {
            older: None,
            newer: None,
        }
    }
}

impl<T> Given<T> {
    /// Keeps hold of an answer.
    pub(super) fn keep(&mut self, values: T) -> Arc<T> {
        let given = Arc::new(values);
        self.older = self.newer.replace(Arc::clone(&given));
        given
    }

    /// The older answer when nobody else has it any more. Whoever still does keeps it.
    pub(super) fn spare(&mut self) -> Option<T> {
        self.older.take().and_then(Arc::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_once_nobody_has_it_and_the_next_was_given() {
        let mut given = Given::default();
        let first = given.keep(1);
        assert_eq!(given.spare(), None);
        drop(first);
        let second = given.keep(2);
        assert_eq!(given.spare(), Some(1));
        let third = given.keep(3);
        // The sampler is behind: it has not let go of the second one, which is not asked for again.
        assert_eq!(given.spare(), None);
        assert_eq!((*second, *third), (2, 3));
        drop((second, third));
        let _fourth = given.keep(4);
        assert_eq!(given.spare(), Some(3));
    }
}
