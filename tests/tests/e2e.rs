//! The end-to-end tests that say what Cairn does, in one binary: they are linked once, and run beside each other.
//!
//! What others beside it would disturb (wall time, CPU time, the machine's memory, counted allocations) is a binary of
//! its own: see `Cargo.toml`.

mod aggregator_check;
mod aggregator_versions;
mod autoscaling;
mod away;
mod bad_clocks;
mod bad_input;
mod broken_frames;
mod broken_replay;
mod browser;
mod budgets;
mod cadvisor;
mod certificates;
mod cgroups;
mod check;
mod client_certificates;
mod cluster;
mod contract;
mod cut;
mod dashboard;
mod exact;
mod faults;
mod fleet_sim;
mod gap;
mod heapster;
mod host_file_systems;
mod hostile;
mod identity;
mod kubectl;
mod kubelet_faults;
mod kubelet_reach;
mod kubelet_sim;
mod layering;
mod listeners;
mod lives;
mod messages;
mod names;
mod newcomers;
mod query;
mod readers;
mod recipes;
mod rendered_pods;
mod replay;
mod standalone_cadvisor;
mod top;
mod trust;
mod versions;
mod wrong_clocks;
