//! Process scaffolding shared by the Cairn binaries.
//!
//! Everything here is about being a well-behaved process, nothing about metrics of a cluster:
//!
//! ```text
//! logging, exit, flags     what the process says, how it ends, how it is told what to do
//! clock                    wall time (system, or driven by a test), tickers
//! tasks, shutdown          who owns each task, and how all of them stop
//! files, tls, listen       files read with a cap; every TLS config; every server socket
//! http2, bearer            connections as a client; tokens in files
//! admin, readiness         /livez /readyz /metrics /debug/clock
//! local                    a socket in the file system, for its owner's programs
//! lookup                   the addresses of a name
//! backoff, body, bound,    retry delays, capped bodies, the file of bound addresses,
//! duration, size           durations, and numbers of bytes, as people write them
//! memory                   what the process uses, and what its control group allows
//! hash                     a hash that stays the same
//! ```
//!
//! It deliberately knows no wire format, no Kubernetes type and no metric of another crate. It reads
//! no environment variable, installs no global except the log subscriber, and spawns only in
//! [`tasks`].
#![cfg_attr(
    not(feature = "secure-listen"),
    expect(
        dead_code,
        unused_imports,
        reason = "what serves certificates is left out"
    )
)]

pub mod logging;

pub mod exit;

pub mod flags;

pub mod clock;

pub mod tasks;

pub mod shutdown;

pub mod readiness;

pub mod files;

pub mod tls;

pub mod listen;

pub mod http2;

pub mod bearer;

pub mod admin;

pub mod local;

pub mod backoff;

pub mod lookup;

pub mod body;

pub mod bound;

pub mod duration;

pub mod size;

pub mod memory;

pub mod hash;
