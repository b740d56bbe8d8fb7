//! Cgroups of the kernel that runs this, with processes in them that do what is known.
//!
//! Needs the right to make cgroups, and the kernel's controllers in the version that a test is of. What is
//! missing is said on standard error, and the test is over; in the virtual machine of `make test-vm`, where
//! the tests of `v2` run, it has failed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: what cannot go on has failed, and what was measured is told"
)]

#[path = "real_cgroups/bed.rs"]
mod bed;
#[path = "real_cgroups/claims.rs"]
mod claims;
#[path = "real_cgroups/v1.rs"]
mod v1;
#[path = "real_cgroups/v2.rs"]
mod v2;
#[path = "real_cgroups/worker.rs"]
mod worker;
