//! What many pods have in common is kept once: the pods of a workload ask for the same, and have the same labels.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// So many are kept before those that nobody has any more are looked for.
const LEAST: usize = 64;

/// Values that are shared by whoever has an equal one. It has at most twice as many as were in use when it
/// last looked, so that looking costs a small constant a value.
#[derive(Debug)]
pub(super) struct Pool<T: ?Sized> {
    held: HashSet<Arc<T>>,
    look_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            held: HashSet::new(),
            look_at: LEAST,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// Puts the one that others have in the place of an equal one.
    pub(super) fn share(&mut self, value: &mut Arc<T>) {
        if let Some(held) = self.held.get(&**value) {
            *value = Arc::clone(held);
            return;
        }
        if self.held.len() >= self.look_at {
            self.held.retain(|held| Arc::strong_count(held) > 1);
            self.look_at = (2 * self.held.len()).max(LEAST);
        }
        self.held.insert(Arc::clone(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_what_nobody_has_goes() {
        let mut pool: Pool<str> = Pool::default();
        let mut kept: Arc<str> = "web".into();
        pool.share(&mut kept);
        for n in 0..10 * LEAST {
            let mut equal: Arc<str> = "web".into();
            pool.share(&mut equal);
            assert!(Arc::ptr_eq(&kept, &equal));
            let mut other: Arc<str> = n.to_string().into();
            pool.share(&mut other);
            assert!(pool.held.len() <= LEAST, "{}", pool.held.len());
        }
    }
}
