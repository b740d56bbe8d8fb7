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

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::logging::Repeat;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use cairn_runtime::tls::Connector;
use tokio::time::Instant;

pub use self::error::Error;
use self::exchange::{Asked, Exchange};
use self::given::Given;
pub use self::once::{Once, once};
use super::cadvisor::{Ids, Teller};
use super::{Answer, Reading, Worker, cadvisor, metered, resource, scrape_deadline, summary};
use crate::config::{self, Config, Target};

/// A socket's bytes are taken in such pieces: a record of TLS each, of which a summary has some thirty.
const READ_BYTES: usize = 16 * 1024;

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
pub trait Body: Copy + fmt::Debug + Send + Sync + 'static {
    /// What becomes of an answer.
    type Values: Send + Sync + 'static;

    /// Where it comes from.
    fn endpoint(self) -> Endpoint;

    /// Parses an answer, in the room of an earlier one where that is worth it.
    ///
    /// # Errors
    ///
    /// It is not such an answer.
    fn parse(self, body: &[u8], spare: Option<Self::Values>) -> Result<Self::Values, Error>;
}

/// A kubelet's whole summary.
#[derive(Clone, Copy, Debug)]
pub struct WholeSummary;

impl Body for WholeSummary {
    type Values = summary::Summary;

    fn endpoint(self) -> Endpoint {
        SUMMARY
    }

    fn parse(self, body: &[u8], spare: Option<Self::Values>) -> Result<Self::Values, Error> {
        summary::parse_into(body, spare).map_err(|source| Error::Summary { source })
    }
}

/// A kubelet's stable small set.
#[derive(Clone, Copy, Debug)]
pub struct SmallSet;

impl Body for SmallSet {
    type Values = resource::Resource;

    fn endpoint(self) -> Endpoint {
        RESOURCE
    }

    fn parse(self, body: &[u8], spare: Option<Self::Values>) -> Result<Self::Values, Error> {
        resource::parse_into(body, spare).map_err(|source| Error::Resource { source })
    }
}

/// The text of a cAdvisor.
#[derive(Clone, Copy, Debug)]
pub struct CadvisorText {
    /// Who tells it.
    pub teller: Teller,
    /// Whether the runtime's ids in it are kept.
    pub ids: Ids,
}

impl Body for CadvisorText {
    type Values = cadvisor::Cadvisor;

    fn endpoint(self) -> Endpoint {
        match self.teller {
            Teller::Kubelet => CADVISOR,
            Teller::Beside | Teller::Alone => STANDALONE,
        }
    }

    fn parse(self, body: &[u8], _spare: Option<Self::Values>) -> Result<Self::Values, Error> {
        cadvisor::parse_of(body, self.teller, self.ids).map_err(|source| Error::Cadvisor { source })
    }
}

/// Which cAdvisor is asked, and what it is there for; `None` when none is.
#[must_use]
pub fn cadvisor_of(config: &Config) -> Option<(&Target, Teller)> {
    match (&config.cadvisor, &config.kubelet) {
        (config::Cadvisor::Off, _) | (config::Cadvisor::Kubelet, None) => None,
        (config::Cadvisor::Kubelet, Some(target)) => Some((target, Teller::Kubelet)),
        (config::Cadvisor::Standalone(target), Some(_)) => Some((target, Teller::Beside)),
        (config::Cadvisor::Standalone(target), None) => Some((target, Teller::Alone)),
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
    body: T,
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
            scraped = metered(client.scrape(body, deadline, &mut given)) => scraped,
        };
        let result = scraped
            .map(|values| Reading {
                values: given.keep(values),
                taken_ms,
            })
            .map_err(|error| error.failure(body.endpoint(), who));
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
    // An answer, and the room of the next one.
    room: Vec<u8>,
    // When it was last said that the port without TLS is read.
    told_read_only: Repeat,
}

impl Client {
    fn new(target: Target) -> Self {
        let trust = Arc::clone(target.trust.trust());
        let (name, hint) = (target.server_name.clone(), target.who.hint());
        Self {
            connector: Connector::new_with_hint(trust, name, &["http/1.1"], hint)
                .reading(READ_BYTES),
            target,
            preferred: 0,
            kept: None,
            room: Vec::new(),
            told_read_only: Repeat::new(),
        }
    }

    async fn scrape<T: Body>(
        &mut self,
        body: T,
        deadline: Duration,
        given: &mut Given<T::Values>,
    ) -> Result<T::Values, Error> {
        let read = tokio::time::timeout(deadline, self.read(body.endpoint(), deadline)).await;
        if !matches!(read, Ok(Ok(_))) {
            // Half an answer may still be on its way over a connection that failed.
            self.kept = None;
        }
        let parsed = match read {
            Ok(read) => read.and_then(|()| body.parse(&self.room, given.spare())),
            Err(_) => Err(Error::Deadline { deadline }),
        };
        // One answer that was much larger than the others does not hold its memory for ever.
        self.room.shrink_to(self.room.len().saturating_mul(2));
        parsed
    }

    /// Reads an answer into the room.
    async fn read(&mut self, endpoint: Endpoint, deadline: Duration) -> Result<(), Error> {
        if let Some(mut kept) = self.kept.take() {
            let bearer = self.bearer(&kept)?;
            let asked = Asked {
                target: &self.target,
                endpoint,
                bearer: bearer.as_ref(),
                deadline,
            };
            let result = kept.get(asked, &mut self.room).await;
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
        let asked = Asked {
            target: &self.target,
            endpoint,
            bearer: bearer.as_ref(),
            deadline,
        };
        fresh.get(asked, &mut self.room).await?;
        // Where nothing is verified the better addresses, if there are any, are tried again at each
        // scrape.
        let is_best = !fresh.is_plain || self.target.addresses.is_empty();
        self.kept = Some(fresh).filter(|_| is_best);
        Ok(())
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
