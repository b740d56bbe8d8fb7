//! What the bytes of a window are.

use super::block::Rows;
use super::node::Node;
use crate::store::frame::{Store, Window as _, lock};

/// Bytes that a window is counted as, by what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Chunks.
    pub sealed: u64,
    /// Rows of blocks that are not sealed yet, in wire form.
    pub open: u64,
    /// What things are called.
    pub names: u64,
    /// The newest row, and what is known of the CPU before it.
    pub newest: u64,
}

impl Parts {
    /// Each of them with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("sealed", self.sealed),
            ("open", self.open),
            ("names", self.names),
            ("newest", self.newest),
        ]
    }

    fn add(&mut self, node: &Node) {
        let mut rest = node.size().bytes;
        for run in &node.runs {
            for block in &run.blocks {
                match block.rows {
                    Rows::Sealed(_) => self.sealed += block.bytes(),
                    Rows::Open(_) => self.open += block.bytes(),
                }
                rest -= block.bytes();
            }
            let names = run.names.bytes() as u64;
            self.names += names;
            rest -= names;
        }
        self.newest += rest;
    }
}

impl Store<Node> {
    /// Bytes that everything is counted as, by what they are of; their sum is what
    /// [`Door::size`](crate::store::Door::size) says.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for (_, node) in self.selected(None) {
            parts.add(&lock(&node));
        }
        parts
    }
}
