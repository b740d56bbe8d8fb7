//! What the process is to do: run the agent, or one of the commands beside it.

use clap::{Parser, Subcommand, ValueEnum};

use super::{Args, TopArgs};

/// Reads this node's statistics and streams them to the Cairn aggregator.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cairn-agent",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do instead of running the agent.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The agent's flags.
    #[command(flatten)]
    pub args: Args,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Reads every configured source and asks every aggregator once, and says what came of it
    Check(Box<CheckArgs>),
    /// Shows what the node, its pods and containers use, as the agent that runs here knows it
    Top(TopArgs),
}

/// The flags of `check`: the agent's own, and how to answer.
#[derive(Clone, Debug, clap::Args)]
#[command(version)]
pub struct CheckArgs {
    /// How the result is written: a table for people, or JSON for programs
    #[arg(
        long,
        env = "CAIRN_CHECK_OUTPUT",
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub output: Output,

    /// The agent's flags.
    #[command(flatten)]
    pub args: Args,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Sort;

    fn read(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"cairn-agent").chain(args))
    }

    #[test]
    fn without_a_command_the_flags_are_the_agents() {
        let cli = read(&["--node-name", "node1", "--ring-bytes", "1Mi"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.args.node_name.as_deref(), Some("node1"));
        assert_eq!(cli.args.ring_bytes, 1 << 20);
    }

    #[test]
    fn check_takes_the_same_flags_after_its_name_and_none_before() {
        let cli = read(&["check", "--node-name", "node1", "--output", "json"]).unwrap();
        let Some(Command::Check(check)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(check.args.node_name.as_deref(), Some("node1"));
        assert_eq!(check.output, Output::Json);
        // They would be read and not count.
        assert!(read(&["--node-name", "node1", "check"]).is_err());
        assert!(read(&["--output", "json"]).is_err());
        assert!(read(&["check", "--output", "xml"]).is_err());
        assert!(read(&["chekc"]).is_err());
    }

    #[test]
    fn top_has_flags_of_its_own() {
        let cli = read(&[
            "top",
            "--sort",
            "memory",
            "--containers",
            "--socket",
            "x.sock",
        ])
        .unwrap();
        let Some(Command::Top(top)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!((top.sort, top.containers), (Sort::Memory, true));
        assert_eq!(top.socket, std::path::Path::new("x.sock"));
        assert!(read(&["top", "--node-name", "node1"]).is_err());
        assert!(read(&["top", "--sort", "pods"]).is_err());
    }

    #[test]
    fn the_flags_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
