//! What the window means, against models that go through everything at each tick.

mod grid;
mod many;
mod named;
mod pieces;
mod range;
mod watermark;
