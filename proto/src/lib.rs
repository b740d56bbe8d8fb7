//! The Cairn wire contract.
//!
//! What agent and aggregator have in common and nothing else: the frames of `cairn.v1`, the table
//! of metrics, the row codec, the one implementation of rates and holding, and every limit.
//!
//! ```text
//! sources -> model::Snapshot -> codec -> Row -> codec -> model::Snapshot -> rate -> APIs
//! ```
//!
//! Everything here is pure: bytes or values go in, values come out. No IO, no clock, no logging,
//! no async runtime; the generated gRPC code is behind the feature `grpc`.

pub mod limits;

pub mod model;

pub mod catalogue;

pub mod codec;

pub mod rate;

pub mod rfc3339;

#[cfg(feature = "grpc")]
pub mod wire;

#[cfg(feature = "grpc")]
pub mod stream;

/// The generated messages, client and server of `cairn.v1`.
#[cfg(feature = "grpc")]
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("cairn.v1");
}
