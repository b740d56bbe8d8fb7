//! One node's rows, decoded.

mod exchange;
mod node;
mod run;

pub(super) use node::Node;
