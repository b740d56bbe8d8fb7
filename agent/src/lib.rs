//! The Cairn agent: reads its own node's statistics and streams them to the aggregator.
//!
//! Data flows one way, and every hop is bounded:
//!
//! ```text
//! sources ----> sampler ----> ring ----> uplink ----> aggregator
//! kubelet       one row       the last   one session
//! /proc         a tick        15 min     an address
//! ```
//!
//! Each source runs in a task (or thread) of its own and holds its newest reading; a slow or broken
//! one delays no other. The sampler is the only writer of the ring, and the sessions only read it.
//! What it wants to know of an aggregator, and what that says, waits in `names`.
//! It deliberately speaks to no Kubernetes API, keeps no row on a disk, and computes no rate: what a
//! source said travels with the time at which the source measured it. What outlives the process is the
//! [`marker`]: from which tick to which it sampled.

pub mod args;

pub mod config;

pub mod sources;

pub mod marker;

pub mod names;

pub mod sampler;

pub mod ring;

pub mod uplink;

pub mod metrics;

pub mod check;

pub mod top;

pub mod app;
