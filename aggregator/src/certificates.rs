//! The aggregator's own CA and serving certificate, which look after themselves (`--tls-self-managed`).
//!
//! All replicas share one Secret: what is in it is served, and its CAs are trusted. Whoever holds the Lease
//! writes; the others read. One task, [`Keeper`], looks every few seconds: it reads the Secret, asks the
//! plan what is due, and writes at most one change of each object a look.
//!
//! ```text
//! make       keys and certificates
//! held       what the Secret has: read, judged, written
//! plan       what is to be done next; pure
//! lease      whose turn it is to write; pure
//! guard      whether the clock can be believed by which this is judged; pure
//! bundle     the CAs as the ConfigMap and the APIService have them; pure
//! pace       how often somebody who takes them away again is answered
//! told       what went wrong: each thing is said once, and stands in /readyz?verbose
//! requests   the few requests, so that tests may play the API server
//! keeper     the task
//! ```
//!
//! Bounds: four objects by name, each of at most the size that the API server takes; at most two CAs before
//! the one that signs, and one after it. Writes compare the version that was read, so two replicas
//! that both believe to hold the Lease cannot undo each other's work.

mod bundle;
mod guard;
mod held;
mod keeper;
mod lease;
mod make;
mod metrics;
mod pace;
mod plan;
mod requests;
#[cfg(test)]
mod tests;
mod told;

pub use keeper::{Keeper, Parts};
pub use metrics::Metrics;
pub use requests::{Answered, Requests};
