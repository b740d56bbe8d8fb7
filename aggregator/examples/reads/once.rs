//! One field of entities that have few or many.

pub(crate) fn run(_fields: usize) {}
