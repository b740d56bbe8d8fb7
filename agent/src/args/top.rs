//! The flags of `cairn-agent top`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Output, SOCKET};

/// The flags of `top`. None of them is the agent's, which runs already, but where it is asked.
#[derive(Clone, Debug, clap::Args)]
#[command(version)]
pub struct TopArgs {
    /// The socket of the agent that runs, as its own --socket names it
    #[arg(long, env = "CAIRN_SOCKET", value_name = "FILE", default_value = SOCKET)]
    pub socket: PathBuf,

    /// What is listed first: cpu, memory, network, disk, each the most, or name
    #[arg(
        long,
        env = "CAIRN_TOP_SORT",
        value_name = "WHAT",
        default_value = "cpu",
        hide_possible_values = true
    )]
    pub sort: Sort,

    /// List each pod's containers below it
    #[arg(long, env = "CAIRN_TOP_CONTAINERS")]
    pub containers: bool,

    /// List the pods of this namespace only
    #[arg(long, env = "CAIRN_TOP_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Print one table and end, as is done where the output is no terminal
    #[arg(long, env = "CAIRN_TOP_ONCE")]
    pub once: bool,

    /// How it is told: text for people, or one JSON object for programs
    #[arg(
        long,
        env = "CAIRN_TOP_OUTPUT",
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub output: Output,

    /// Anything but an empty text: no colours, see <https://no-color.org>
    #[arg(long, env = "NO_COLOR", value_name = "ANY", hide = true)]
    pub no_color: Option<String>,
}

/// What is listed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The most CPU.
    Cpu,
    /// The largest working set.
    Memory,
    /// The most bytes a second received and sent.
    Network,
    /// The most bytes a second read and written.
    Disk,
    /// The first by name.
    Name,
}

impl Sort {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Cpu => "cpu",
            Sort::Memory => "memory",
            Sort::Network => "network",
            Sort::Disk => "disk",
            Sort::Name => "name",
        }
    }
}
