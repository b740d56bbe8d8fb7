//! What the process is to do: run the aggregator, or check how it stands in its cluster.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::{Args, KubernetesArgs};

/// Keeps rolling windows of what the agents report and serves them.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cairn-aggregator",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do instead of running the aggregator.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The aggregator's flags.
    #[command(flatten)]
    pub args: Args,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Looks at how Cairn stands in its cluster: who serves metrics.k8s.io, certificates, rights,
    /// agents and replicas
    Check(Box<CheckArgs>),
}

/// The flags of `check`. Those about the Kubernetes API are the aggregator's own.
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

    /// The namespace that Cairn is deployed to [default: that of this pod, or cairn]
    #[arg(long, env = "CAIRN_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// File with the namespace of this pod
    #[arg(
        long,
        env = "CAIRN_NAMESPACE_FILE",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        hide = true
    )]
    pub namespace_file: PathBuf,

    /// File with a bearer token of the readers' audience, with which each replica is asked what it
    /// has; without one they are not asked
    #[arg(long, env = "CAIRN_READER_TOKEN_FILE", value_name = "FILE")]
    pub reader_token_file: Option<PathBuf>,

    /// The Kubernetes API.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    /// Which events are logged: a level, or target=level pairs separated by commas
    #[arg(long, env = "CAIRN_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
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

    fn read(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"cairn-aggregator").chain(args))
    }

    #[test]
    fn without_a_command_the_flags_are_the_aggregators() {
        let cli = read(&["--tls-cert", "c", "--interval", "1s"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.args.interval.as_secs(), 1);
    }

    #[test]
    fn check_takes_its_flags_after_its_name_and_none_before() {
        let cli = read(&[
            "check",
            "--kubernetes-api",
            "https://a:1",
            "--output",
            "json",
        ])
        .unwrap();
        let Some(Command::Check(check)) = cli.command else {
            panic!("{cli:?}")
        };
        let api = check.kubernetes.kubernetes_api.as_deref();
        assert_eq!((api, check.output), (Some("https://a:1"), Output::Json));
        // They would be read and not count.
        assert!(read(&["--kubernetes", "off", "check"]).is_err());
        assert!(read(&["check", "--interval", "1s"]).is_err());
        assert!(read(&["check", "--output", "xml"]).is_err());
        assert!(read(&["chekc"]).is_err());
    }

    #[test]
    fn the_flags_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
