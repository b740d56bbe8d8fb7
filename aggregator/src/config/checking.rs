//! What a check is made with.

use std::path::PathBuf;

use cairn_runtime::exit::Failure;

use super::kubernetes::{self, ApiServer, Kubernetes};
use super::review;
use crate::args::CheckArgs;

/// The namespace of `deploy/base`.
const NAMESPACE: &str = "cairn";

/// What a check is made with.
#[derive(Clone, Debug)]
pub struct Checking {
    /// Whom to ask.
    pub api: ApiServer,
    /// Where Cairn is deployed.
    pub namespace: String,
    /// Holds the token that replicas are shown; without one they are not asked.
    pub reader_token_file: Option<PathBuf>,
}

impl TryFrom<CheckArgs> for Checking {
    type Error = Failure;

    fn try_from(args: CheckArgs) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let kubernetes = kubernetes::check(args.kubernetes, |text| problems.push(text));
        let own = || review::own_namespace(&args.namespace_file);
        let namespace = args.namespace.or_else(own);
        let namespace = namespace.unwrap_or_else(|| NAMESPACE.to_owned());
        if !review::is_name(&namespace) {
            problems.push(format!(
                "--namespace {namespace:?} is no name of a namespace"
            ));
        }
        match kubernetes {
            Kubernetes::Watched(api) if problems.is_empty() => Ok(Self {
                api,
                namespace,
                reader_token_file: args.reader_token_file,
            }),
            Kubernetes::Off(why) if problems.is_empty() => Err(Failure::Config(format!(
                "there is no Kubernetes API to ask ({why}): give --kubernetes-api, --kubernetes-ca and \
                 --kubernetes-token-file, or run the check in the aggregator's pod"
            ))),
            _ => Err(Failure::Config(problems.join("; "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn checking(flags: &[&str]) -> String {
        let given = ["cairn-aggregator", "check"].iter().chain(flags);
        let Some(Command::Check(args)) = Cli::try_parse_from(given).unwrap().command else {
            panic!("no check")
        };
        match Checking::try_from(*args) {
            Err(Failure::Config(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_an_api_there_is_nothing_to_check() {
        let text = checking(&["--kubernetes", "off"]);
        assert!(
            text.contains("--kubernetes-api") && text.contains("--kubernetes off"),
            "{text}"
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let flags = ["--kubernetes-api", "http://a", "--namespace", "No"];
        let text = checking(&flags);
        assert!(
            text.contains("https://HOST:PORT") && text.contains("--namespace"),
            "{text}"
        );
    }
}
