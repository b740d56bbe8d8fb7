//! Replicas against an API server that is played, by a driven clock.

mod bed;
mod loss;
mod model;
mod publishing;
mod rotation;
