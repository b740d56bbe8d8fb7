//! A list of everything, page by page.

use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::body;
use kube::api::ListParams;
use kube::core::Request;
use tokio::time::{Instant, sleep};

use super::{BACKOFF, Watcher};
use crate::cluster::decode::wire::List;
use crate::cluster::{Change, Error, Resource};

/// Objects a page: what an API server itself takes for a page, some 3 MB of pods.
pub(super) const PAGE: u32 = 500;

/// The largest page. Of one that is larger smaller ones are asked for.
const MAX_PAGE_BYTES: usize = 32 * 1024 * 1024;

/// Time for a page to come; an API server under load sends some megabytes a second.
const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// Pages of a list at most, with one object each of the largest cluster: a server that always says that
/// there is more is not listened to for ever.
const MOST_PAGES: u32 = 1_000_000;

/// For how long a page after the first is asked for again and again: as long as an API server itself knows where it
/// begins.
const PATIENCE: Duration = Duration::from_secs(300);

impl Watcher {
    /// Reads everything once; what is there takes effect page by page. Gives the version to watch from: that of the
    /// first page, so that no change is missed where a further page is of a later one.
    pub(super) async fn list(&mut self) -> Result<String, Error> {
        let resource = self.resource;
        self.parts.known.begin_list(resource);
        let (version, mut next) = self.page(None).await?;
        for _ in 0..MOST_PAGES {
            if next.is_empty() {
                let gone = self.parts.known.end_list(resource);
                self.parts.metrics.listed(resource);
                let objects = self.parts.known.count(resource);
                let resource = resource.as_str();
                tracing::info!(resource, objects, gone, "the cluster's objects were listed");
                return Ok(version);
            }
            next = self.further(next).await?;
        }
        Err(Error::Request {
            why: format!("the list of {} has no end", resource.as_str()),
        })
    }

    /// Reads a page after the first: gives where the next one begins. A list of hundreds of pages that began anew for
    /// each one that does not come might never end.
    async fn further(&mut self, mut next: String) -> Result<String, Error> {
        let (base, cap, min_life) = BACKOFF;
        let mut backoff = Backoff::new(base, cap, min_life);
        let began = Instant::now();
        loop {
            let error = match self.page(Some(next.clone())).await {
                Ok((_, further)) => {
                    self.well();
                    return Ok(further);
                }
                Err(error) => error,
            };
            if began.elapsed() >= PATIENCE {
                return Err(error);
            }
            match &error {
                // The rest as it is now: what has changed before it since the list began, the watch tells.
                Error::Gone { next: Some(later) } => next.clone_from(later),
                error if error.is_passing() => {}
                _ => return Err(error),
            }
            self.failed(&error);
            // A short wish is no promise that the page comes then: the delay grows all the same.
            let wish = error.retry_after().unwrap_or_default().min(cap);
            sleep(backoff.next().max(wish)).await;
        }
    }

    /// Reads a page: its version, and where the next one begins.
    async fn page(&mut self, next: Option<String>) -> Result<(String, String), Error> {
        let path = path(self.resource);
        let params = ListParams {
            limit: Some(self.page),
            continue_token: next,
            ..ListParams::default()
        };
        let request = Request::new(path).list(&params);
        let request = request.map_err(|error| Error::Request {
            why: error.to_string(),
        })?;
        let answer = self.parts.client.open(request).await?;
        let read = body::read_capped(answer, MAX_PAGE_BYTES, PAGE_DEADLINE).await;
        let page = read.inspect_err(|error| {
            if matches!(error, body::Error::TooLarge { .. }) {
                self.page = (self.page / 4).max(1);
            }
        })?;
        let list: List<'_> = serde_json::from_slice(&page).map_err(|source| Error::Decode {
            path: path.to_owned(),
            source,
        })?;
        for item in &list.items {
            self.take(self.resource.present(item.get().as_bytes()));
        }
        let metadata = list.metadata;
        let version = metadata.resource_version.into_owned();
        Ok((version, metadata.next.into_owned()))
    }

    /// Takes in what an object says, or counts it.
    pub(super) fn take(&self, change: serde_json::Result<Change>) {
        let (metrics, resource) = (&self.parts.metrics, self.resource);
        metrics.heard(resource);
        match change {
            Ok(change) => {
                metrics.bad_amounts(resource, change.bad_amounts());
                self.parts.known.apply(change);
            }
            Err(error) => {
                metrics.bad_object(resource);
                tracing::debug!(resource = resource.as_str(), %error, "object passed over");
            }
        }
    }
}

pub(super) fn path(resource: Resource) -> &'static str {
    match resource {
        Resource::Nodes => "/api/v1/nodes",
        Resource::Pods => "/api/v1/pods",
    }
}

#[cfg(test)]
mod tests;
