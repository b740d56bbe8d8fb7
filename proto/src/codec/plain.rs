//! Codec 1: simple on purpose. What version N-1 speaks, and the oracle of the dense codec.

pub(super) mod chunk;
mod column;
pub(super) mod row;
