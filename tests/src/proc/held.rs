//! What a process holds, as the kernel and the process itself tell it.

use std::collections::BTreeSet;
use std::{fmt, fs};

use anyhow::{Context as _, Result};

use super::Proc;

/// What a process holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
    /// Names and labels of its own metrics' series.
    pub series: BTreeSet<String>,
}

impl Held {
    /// Looks at a process that has an admin listener.
    ///
    /// # Errors
    ///
    /// When it has ended or does not answer.
    pub fn by(process: &Proc) -> Result<Self> {
        let metrics = process.get("admin", "/metrics")?.text();
        let series = metrics.lines().filter(|line| !line.starts_with('#'));
        let series = series.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        let of_kernel = |name: &str| format!("/proc/{}/{name}", process.id());
        let status = fs::read_to_string(of_kernel("status"))?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.with_context(|| format!("the kernel does not tell {key}"))
        };
        Ok(Self {
            resident_kib: number("VmRSS:")?.parse()?,
            descriptors: fs::read_dir(of_kernel("fd"))?.count(),
            threads: number("Threads:")?.parse()?,
            series: series.collect(),
        })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resident_kib,
            descriptors,
            threads,
            series,
        } = self;
        let series = series.len();
        write!(
            f,
            "{resident_kib} KiB resident, {descriptors} descriptors, {threads} threads, {series} series"
        )
    }
}
