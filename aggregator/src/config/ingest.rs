//! How agents prove which node they are.

use std::path::PathBuf;

use super::review::{self, Accounts};
use crate::args::{IngestAuth, ReviewArgs};

/// How agents prove which node they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingest {
    /// By the token of their service account.
    TokenReview(Accounts),
    /// By a token whose hash is in this file.
    TokenFile(PathBuf),
    /// By a client certificate of a CA in these files.
    Mtls(Vec<PathBuf>),
    /// Not at all.
    None,
}

/// What the flags say.
pub(super) struct Given<'a> {
    pub(super) auth: Option<IngestAuth>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) client_ca: Vec<PathBuf>,
    pub(super) review: &'a ReviewArgs,
    /// Other aggregators are asked for history.
    pub(super) has_peers: bool,
    /// The gRPC listener is on loopback.
    pub(super) is_loopback: bool,
    /// There is a Kubernetes API.
    pub(super) is_watched: bool,
}

/// Checks the flags; what is wrong goes to `problem`.
pub(super) fn check(given: Given<'_>, mut problem: impl FnMut(String)) -> Option<Ingest> {
    let Given {
        auth,
        token_file,
        client_ca,
        review,
        has_peers,
        is_loopback,
        is_watched,
    } = given;
    let by_default = is_watched.then_some(IngestAuth::TokenReview);
    if auth != Some(IngestAuth::Mtls) && !client_ca.is_empty() {
        problem("--ingest-client-ca goes with --ingest-auth mtls".to_owned());
    }
    let wrong = match (auth.or(by_default), token_file) {
        (Some(IngestAuth::TokenReview), None) if is_watched => {
            let mut problems = 0;
            let accounts = review::accounts(review, |text| {
                problems += 1;
                problem(text);
            });
            return (problems == 0).then_some(Ingest::TokenReview(accounts));
        }
        (Some(IngestAuth::TokenReview), None) => {
            "--ingest-auth token-review needs the Kubernetes API: give --kubernetes-api, or use \
             token-file"
        }
        (Some(IngestAuth::TokenFile), Some(path)) => return Some(Ingest::TokenFile(path)),
        (Some(IngestAuth::TokenFile), None) => {
            "--ingest-auth token-file needs --ingest-token-file FILE"
        }
        (Some(IngestAuth::Mtls), None) if client_ca.is_empty() => {
            "--ingest-auth mtls needs --ingest-client-ca FILE: a CA that signs the agents' certificates and \
             nothing else"
        }
        (Some(IngestAuth::Mtls), None) if has_peers => {
            "--ingest-auth mtls knows agents alone, and so goes without --peer: replicas that ask each other \
             need token-review or token-file"
        }
        (Some(IngestAuth::Mtls), None) => return Some(Ingest::Mtls(client_ca)),
        (Some(IngestAuth::None), None) if is_loopback => return Some(Ingest::None),
        (Some(IngestAuth::None), None) => {
            "--ingest-auth none takes anybody's word for any node and so works only with \
             --grpc-listen on loopback: use token-file or mtls"
        }
        (Some(IngestAuth::None | IngestAuth::TokenReview | IngestAuth::Mtls), Some(_)) => {
            "--ingest-token-file goes with --ingest-auth token-file"
        }
        (None, _) => {
            "--ingest-auth is needed where there is no Kubernetes API: token-file with \
             --ingest-token-file FILE, mtls with --ingest-client-ca FILE, or none on a loopback listener"
        }
    };
    problem(wrong.to_owned());
    None
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    fn told(flags: &[&str]) -> Result<Ingest, String> {
        let args = Args::try_parse_from(["cairn-aggregator"].iter().chain(flags)).unwrap();
        let mut problems = Vec::new();
        let given = Given {
            auth: args.ingest_auth,
            token_file: args.ingest_token_file,
            client_ca: args.ingest_client_ca,
            review: &args.review,
            has_peers: !args.peers.peer.is_empty(),
            is_loopback: false,
            is_watched: false,
        };
        let found = check(given, |text| problems.push(text));
        match found {
            Some(ingest) if problems.is_empty() => Ok(ingest),
            _ => Err(problems.join("; ")),
        }
    }

    #[test]
    fn certificates_need_a_ca_of_their_own_and_go_without_peers() {
        let mtls = ["--ingest-auth", "mtls"];
        let ca = ["--ingest-client-ca", "a.pem,b.pem"];
        let both = [mtls, ca].concat();
        let files = ["a.pem", "b.pem"].map(PathBuf::from).to_vec();
        assert_eq!(told(&both), Ok(Ingest::Mtls(files)));
        for (flags, says) in [
            (mtls.to_vec(), "needs --ingest-client-ca"),
            (
                [&both[..], &["--peer", "https://b:9443"]].concat(),
                "without --peer",
            ),
            (
                [&both[..], &["--ingest-token-file", "t"]].concat(),
                "goes with --ingest-auth token-file",
            ),
            (
                [
                    &ca[..],
                    &["--ingest-auth", "token-file", "--ingest-token-file", "t"],
                ]
                .concat(),
                "--ingest-client-ca goes with --ingest-auth mtls",
            ),
            (ca.to_vec(), "--ingest-auth is needed"),
            (vec!["--ingest-auth", "none"], "only with"),
        ] {
            let problems = told(&flags).unwrap_err();
            assert!(problems.contains(says), "{flags:?}: {problems}");
        }
    }
}
