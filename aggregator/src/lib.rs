//! The Cairn aggregator: keeps rolling windows of what the agents report, and serves them.
//!
//! ```text
//! agents == gRPC over TLS ==> ingest --> store --> query --> api ==> page, Heapster, Dashboard
//!                                          ^
//! peers <== gRPC over TLS ==> replay ------+
//! ```
//!
//! It is a cache: the agents hold the truth, and an aggregator that starts empty asks them for
//! what it lacks. It writes nothing to disk, and computes nothing before somebody asks.

pub mod args;

pub mod config;

pub mod pressure;

pub mod ingest;

pub mod replay;

pub mod store;

pub mod query;

pub mod cluster;

pub mod access;

pub mod certificates;

pub mod api;

mod rpc;

mod metrics;

mod upkeep;

pub mod check;

pub mod app;
