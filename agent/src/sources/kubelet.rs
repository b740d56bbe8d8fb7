//! The kubelet's endpoints over HTTPS, and that of a cAdvisor of its own by the same rules.
//!
//! One task an endpoint, and one kept connection each: two endpoints on one connection would wait
//! for each other. A scrape has one deadline for everything, the body a cap, and no redirect is
//! followed: the token must not travel elsewhere.

mod dial;
mod error;
mod exchange;
mod given;
mod once;
mod owner;

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::logging::Repeat;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use cairn_runtime::tls::Connector;
use tokio::time::Instant;

pub use self::error::Error;
use self::exchange::Exchange;
use self::given::Given;
pub use self::once::{Once, once};
use super::cadvisor::{Ids, Teller};
use super::{Answer, Reading, Worker, cadvisor, metered, resource, scrape_deadline, summary};
use crate::config::Target;

/// One thing that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The request's path.
    pub path: &'static str,
    /// The right that it needs; empty where none is asked for.
    pub right: &'static str,
    /// What the answer's content type begins with.
    pub content_type: &'static str,
}

/// The whole summary.
pub const SUMMARY: Endpoint = Endpoint {
    path: "/stats/summary",
    right: "get nodes/stats",
    content_type: "application/json",
};

/// The stable small set, as text.
pub const RESOURCE: Endpoint = Endpoint {
    path: "/metrics/resource",
    right: "get nodes/metrics",
    content_type: "text/plain",
};

/// What cAdvisor tells and nobody else.
pub const CADVISOR: Endpoint = Endpoint {
    path: "/metrics/cadvisor",
    right: "get nodes/metrics",
    content_type: "text/plain",
};

/// What a cAdvisor of its own tells, in the same words.
pub const STANDALONE: Endpoint = Endpoint {
    path: "/metrics",
    right: "",
    content_type: "text/plain",
};

/// An endpoint whose answer becomes values.
pub trait Body: 'static {
    /// What becomes of an answer.
    type Values: Send + Sync + 'static;

    /// Where it comes from.
    const ENDPOINT: Endpoint;

    /// Parses an answer, in the room of an earlier one where that is worth it, with runtime ids where
    /// they are wanted and told.
    ///
    /// # Errors
    ///
    /// It is not such an answer.
    fn parse(body: &[u8], spare: Option<Self::Values>, ids: Ids) -> Result<Self::Values, Error>;
}

impl Body for summary::Summary {
    type Values = Self;

    const ENDPOINT: Endpoint = SUMMARY;

    fn parse(body: &[u8], spare: Option<Self>, _ids: Ids) -> Result<Self, Error> {
        summary::parse_into(body, spare).map_err(|source| Error::Summary { source })
    }
}

impl Body for resource::Resource {
    type Values = Self;

    const ENDPOINT: Endpoint = RESOURCE;

    fn parse(body: &[u8], spare: Option<Self>, _ids: Ids) -> Result<Self, Error> {
        resource::parse_into(body, spare).map_err(|source| Error::Resource { source })
    }
}

impl Body for cadvisor::Cadvisor {
    type Values = Self;

    const ENDPOINT: Endpoint = CADVISOR;

    fn parse(body: &[u8], _spare: Option<Self>, ids: Ids) -> Result<Self, Error> {
        cadvisor::parse(body, ids).map_err(|source| Error::Cadvisor { source })
    }
}

/// A cAdvisor of its own beside a kubelet.
#[derive(Clone, Copy, Debug)]
pub struct Beside;

impl Body for Beside {
    type Values = cadvisor::Cadvisor;

    const ENDPOINT: Endpoint = STANDALONE;

    fn parse(body: &[u8], _spare: Option<Self::Values>, ids: Ids) -> Result<Self::Values, Error> {
        let parsed = cadvisor::parse_of(body, Teller::Beside, ids);
        parsed.map_err(|source| Error::Cadvisor { source })
    }
}

/// A cAdvisor of its own where no kubelet is read.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Body for Alone {
    type Values = cadvisor::Cadvisor;

    const ENDPOINT: Endpoint = STANDALONE;

    fn parse(body: &[u8], _spare: Option<Self::Values>, ids: Ids) -> Result<Self::Values, Error> {
        let parsed = cadvisor::parse_of(body, Teller::Alone, ids);
        parsed.map_err(|source| Error::Cadvisor { source })
    }
}

/// Scrapes an endpoint at each question until the token is cancelled or the sampler is gone. The
/// questions are `every_ms` apart, or farther while the endpoint costs too much; what a scrape may take
/// goes by `every_ms`.
///
/// # Errors
///
/// None: the result is what a supervised task returns.
pub async fn run<T: Body>(
    target: Target,
    every_ms: u64,
    mut worker: Worker<T::Values>,
    token: Token,
) -> Result<(), TaskError> {
    let deadline = scrape_deadline(every_ms);
    let who = target.who;
    let mut client = Client::new(target);
    let mut given = Given::default();
    loop {
        let trigger = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            trigger = worker.next() => trigger,
        };
        let Some(trigger) = trigger else {
            return Ok(());
        };
        let began = Instant::now();
        let taken_ms = trigger.line.unix_ms();
        let (scraped, cpu) = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            scraped = metered(client.scrape::<T>(deadline, &mut given)) => scraped,
        };
        let result = scraped
            .map(|values| Reading {
                values: given.keep(values),
                taken_ms,
            })
            .map_err(|error| error.failure(T::ENDPOINT, who));
        let took = began.elapsed();
        worker.answer_at(Answer { result, took }, cpu);
    }
}

/// Scrapes one endpoint over one kept connection.
#[derive(Debug)]
struct Client {
    target: Target,
    connector: Connector,
    // The address that worked last.
    preferred: usize,
    kept: Option<Exchange>,
    // When it was last said that the port without TLS is read.
    told_read_only: Repeat,
}

impl Client {
    fn new(target: Target) -> Self {
        let trust = Arc::clone(target.trust.trust());
        let (name, hint) = (target.server_name.clone(), target.who.hint());
        Self {
            connector: Connector::new_with_hint(trust, name, &["http/1.1"], hint),
            target,
            preferred: 0,
            kept: None,
            told_read_only: Repeat::new(),
        }
    }

    async fn scrape<T: Body>(
        &mut self,
        deadline: Duration,
        given: &mut Given<T::Values>,
    ) -> Result<T::Values, Error> {
        let body = tokio::time::timeout(deadline, self.read(T::ENDPOINT, deadline)).await;
        if !matches!(body, Ok(Ok(_))) {
            // Half an answer may still be on its way over a connection that failed.
            self.kept = None;
        }
        match body {
            Ok(body) => T::parse(&body?, given.spare(), Ids::kept(self.target.keeps_ids)),
            Err(_) => Err(Error::Deadline { deadline }),
        }
    }

    async fn read(
        &mut self,
        endpoint: Endpoint,
        deadline: Duration,
    ) -> Result<bytes::Bytes, Error> {
        if let Some(mut kept) = self.kept.take() {
            let bearer = self.bearer(&kept)?;
            let result = kept
                .get(&self.target, endpoint, bearer.as_ref(), deadline)
                .await;
            match result {
                // A kubelet closes idle connections and restarts: that is no failure of a scrape.
                Err(Error::Exchange { .. }) => {}
                result => {
                    self.kept = Some(kept);
                    return result;
                }
            }
        }
        let mut fresh = Exchange::open(self.dial(deadline).await?.line).await?;
        let bearer = self.bearer(&fresh)?;
        let body = fresh
            .get(&self.target, endpoint, bearer.as_ref(), deadline)
            .await?;
        // Where nothing is verified the better addresses, if there are any, are tried again at each
        // scrape.
        let is_best = !fresh.is_plain || self.target.addresses.is_empty();
        self.kept = Some(fresh).filter(|_| is_best);
        Ok(body)
    }

    /// The token, read anew: it is replaced about every hour. None where none may be sent.
    fn bearer(&self, exchange: &Exchange) -> Result<Option<http::HeaderValue>, Error> {
        match &self.target.token_file {
            Some(path) if exchange.takes_token => exchange::bearer(path).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
