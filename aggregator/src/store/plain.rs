//! One node's rows, decoded.

mod node;
mod run;

pub(super) use node::Node;
