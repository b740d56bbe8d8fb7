//! Replicas against an API server that is played, by a driven clock.

mod bed;
mod clocks;
mod loss;
mod model;
mod publishing;
mod rotation;
mod saying;
