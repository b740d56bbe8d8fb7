//! Whose tokens are taken, where the Kubernetes API reviews them.

use std::path::Path;

use cairn_runtime::files;

use crate::args::ReviewArgs;

/// A namespace is a DNS label.
const MAX_NAMESPACE_BYTES: usize = 256;

/// Whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// User name of the agents.
    pub agent: String,
    /// User name of the aggregators.
    pub peer: String,
    /// What a token of theirs must be made for.
    pub audience: String,
}

/// Makes user names of the flags; what is wrong goes to `problem`.
pub(super) fn accounts(args: &ReviewArgs, mut problem: impl FnMut(String)) -> Accounts {
    let namespace = own_namespace(&args.namespace_file);
    let mut user = |flag: &str, given: &Option<String>, name: &str| {
        let (namespace, name) = match (given, &namespace) {
            (Some(given), _) => match given.split_once('/') {
                Some((namespace, name)) if is_name(namespace) && is_name(name) => (namespace, name),
                _ => {
                    problem(format!("{flag} {given:?} is not NAMESPACE/NAME"));
                    return String::new();
                }
            },
            (None, Some(namespace)) => (namespace.as_str(), name),
            (None, None) => {
                problem(format!(
                    "--ingest-auth token-review needs {flag} NAMESPACE/NAME: this pod's own namespace \
                     is not known, since {} cannot be read",
                    args.namespace_file.display()
                ));
                return String::new();
            }
        };
        format!("system:serviceaccount:{namespace}:{name}")
    };
    let accounts = Accounts {
        agent: user(
            "--agent-service-account",
            &args.agent_service_account,
            "cairn-agent",
        ),
        peer: user(
            "--peer-service-account",
            &args.peer_service_account,
            "cairn-aggregator",
        ),
        audience: args.ingest_audience.clone(),
    };
    if accounts.agent == accounts.peer && !accounts.agent.is_empty() {
        problem(
            "--agent-service-account and --peer-service-account are the same: agents report and get no \
             history, aggregators the other way round"
                .to_owned(),
        );
    }
    accounts
}

pub(super) fn own_namespace(file: &Path) -> Option<String> {
    let text = files::read_small(file, MAX_NAMESPACE_BYTES).ok()?;
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some(text.trim().to_owned()).filter(|text| is_name(text))
}

pub(super) fn is_name(text: &str) -> bool {
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(file: &Path) -> ReviewArgs {
        ReviewArgs {
            agent_service_account: None,
            peer_service_account: None,
            ingest_audience: "cairn-aggregator".to_owned(),
            reader_audience: "cairn".to_owned(),
            namespace_file: file.to_owned(),
        }
    }

    fn check(args: &ReviewArgs) -> (Accounts, Vec<String>) {
        let mut problems = Vec::new();
        let accounts = accounts(args, |problem| problems.push(problem));
        (accounts, problems)
    }

    #[test]
    fn accounts_are_of_the_own_namespace_unless_they_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("namespace");
        std::fs::write(&file, "monitoring\n").unwrap();
        let mut args = args(&file);
        let (accounts, problems) = check(&args);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            accounts.agent,
            "system:serviceaccount:monitoring:cairn-agent"
        );
        assert_eq!(
            accounts.peer,
            "system:serviceaccount:monitoring:cairn-aggregator"
        );
        args.agent_service_account = Some("nodes/reporter".to_owned());
        assert_eq!(check(&args).0.agent, "system:serviceaccount:nodes:reporter");
        args.agent_service_account = Some("reporter".to_owned());
        assert_eq!(
            check(&args).1,
            ["--agent-service-account \"reporter\" is not NAMESPACE/NAME"]
        );
    }

    #[test]
    fn without_a_namespace_they_must_be_given() {
        let mut args = args(Path::new("/nonexistent/namespace"));
        assert_eq!(check(&args).1.len(), 2);
        args.agent_service_account = Some("cairn/cairn-agent".to_owned());
        args.peer_service_account = Some("cairn/cairn-aggregator".to_owned());
        assert!(check(&args).1.is_empty());
    }
}
