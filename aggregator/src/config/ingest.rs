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
    /// Not at all.
    None,
}

/// What the flags say.
pub(super) struct Given<'a> {
    pub(super) auth: Option<IngestAuth>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) review: &'a ReviewArgs,
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
        review,
        is_loopback,
        is_watched,
    } = given;
    let by_default = is_watched.then_some(IngestAuth::TokenReview);
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
        (Some(IngestAuth::None), None) if is_loopback => return Some(Ingest::None),
        (Some(IngestAuth::None), None) => {
            "--ingest-auth none takes anybody's word for any node and so works only with \
             --grpc-listen on loopback: use token-file"
        }
        (Some(IngestAuth::None | IngestAuth::TokenReview), Some(_)) => {
            "--ingest-token-file goes with --ingest-auth token-file"
        }
        (None, _) => {
            "--ingest-auth is needed where there is no Kubernetes API: token-file with \
             --ingest-token-file FILE, or none on a loopback listener"
        }
    };
    problem(wrong.to_owned());
    None
}
