//! What many items of a list have in common.

use std::ptr;

use super::items::{Item, Labels};

/// What is written of an item's namespace and labels, once for all that follow each other with the same ones: the
/// pods of a namespace have one text for its name, and those of a workload one list of labels.
#[derive(Debug, Default)]
pub(super) struct Common<'f> {
    of: Option<(&'f str, &'f Labels)>,
    text: Vec<u8>,
}

impl<'f> Common<'f> {
    /// What `write` makes of an item, or made of the one before where that is the same.
    pub(super) fn of(&mut self, item: &Item<'f, '_>, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        // Where they stand is enough to tell them: as long as they are looked at nothing else stands there.
        let is_same = |(namespace, labels): (&str, &Labels)| {
            ptr::eq(namespace, item.namespace) && ptr::eq(labels, item.labels)
        };
        if !self.of.is_some_and(is_same) {
            self.text.clear();
            write(&mut self.text);
            self.of = Some((item.namespace, item.labels));
        }
        &self.text
    }
}
