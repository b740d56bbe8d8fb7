//! What is read of the Kubernetes API: each answer in time, of bounded size, and if there is none, why.

use std::time::Duration;

use cairn_runtime::logging;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::cluster::{Client, Error};

/// For one request.
const DEADLINE: Duration = Duration::from_secs(5);

/// Objects of a page: such of nodes, which name their images, are tens of kilobytes each.
const PAGE: usize = 50;

/// Pages of a list; more nodes or pods than that are not looked at.
const MOST_PAGES: usize = 400;

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// There is no such thing.
    Absent,
    /// Whoever asks may not see it; the right that is missing.
    Forbidden(String),
    /// Another reason, for people.
    Failed(String),
}

impl Missed {
    /// What was found instead of it, and what to do.
    pub(super) fn told(&self, what: &str) -> (String, String) {
        match self {
            Self::Absent => (
                format!("there is no {what}"),
                "apply deploy/base".to_owned(),
            ),
            Self::Forbidden(right) => (
                format!("not allowed to {right}"),
                format!("give whoever checks the right to {right} (docs/check.md has all of them)"),
            ),
            Self::Failed(why) => (
                why.clone(),
                "try again; then check the API server".to_owned(),
            ),
        }
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    client: Client,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: String,
}

impl Asker {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// One object. `right` is what it needs, such as `get daemonsets.apps in cairn`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        right: &str,
    ) -> Result<T, Missed> {
        let answer = in_time(path, self.client.get(path)).await;
        let body = answer.map_err(|error| missed(&error, right))?;
        read(path, &body)
    }

    /// Posts a review and gives what came back.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
        right: &str,
    ) -> Result<T, Missed> {
        let answer = in_time(path, self.client.post(path, body)).await;
        let body = answer.map_err(|error| missed(&error, right))?;
        read(path, &body)
    }

    /// All objects of a list; `query` stands after the path without `?` and `limit`.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &str,
        right: &str,
    ) -> Result<Vec<T>, Missed> {
        let mut all = Vec::new();
        let mut next = String::new();
        for _ in 0..MOST_PAGES {
            let page = format!("{path}?limit={PAGE}&{query}&continue={next}");
            let List { metadata, items }: List<T> = self.get(&page, right).await?;
            all.extend(items);
            if metadata.next.is_empty() {
                return Ok(all);
            }
            next = metadata.next;
        }
        let most = PAGE * MOST_PAGES;
        Err(Missed::Failed(format!(
            "more than {most} objects: they are too many to be looked at"
        )))
    }

    /// Whether a list has anything.
    pub(super) async fn any(&self, path: &str, query: &str, right: &str) -> Result<bool, Missed> {
        #[derive(Deserialize)]
        struct Nothing {}
        let path = format!("{path}?limit=1&{query}");
        let List { items, .. }: List<Nothing> = self.get(&path, right).await?;
        Ok(!items.is_empty())
    }
}

/// The answer to a request, or that none came in time.
async fn in_time(
    path: &str,
    asked: impl Future<Output = Result<bytes::Bytes, Error>>,
) -> Result<bytes::Bytes, Error> {
    timeout(DEADLINE, asked).await.unwrap_or_else(|_| {
        Err(Error::Deadline {
            path: path.to_owned(),
            deadline: DEADLINE,
        })
    })
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Missed> {
    serde_json::from_slice(body).map_err(|source| {
        let path = path.to_owned();
        Missed::Failed(logging::chain(&Error::Decode { path, source }))
    })
}

fn missed(error: &Error, right: &str) -> Missed {
    match error {
        Error::Status { code: 404, .. } => Missed::Absent,
        Error::Status { code: 403, .. } => Missed::Forbidden(right.to_owned()),
        error => Missed::Failed(logging::chain(error)),
    }
}
