//! The task that looks after the certificates.

mod api;
mod clock;
mod leader;
mod publish;

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::rfc3339;
use cairn_runtime::clock::{Clock, Line};
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use cairn_runtime::tls::{Identity, Reload, Trust};
use cairn_runtime::{files, logging};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use self::api::{Failed, Objects};
use self::leader::Leader;
use self::publish::Published;
use super::guard::Guard;
use super::held::{Found, Held};
use super::lease::{Lease, Now};
use super::metrics::Metrics;
use super::plan::{self, Change};
use super::requests::Requests;
use super::told::{About, Told};
use crate::config::SelfManaged;

/// How often it is looked. Another replica's certificate is served so long after it was written at most,
/// in which the one before is good.
const EVERY: Duration = Duration::from_secs(10);

/// As long as nothing is served: a replica that waits for another one's first certificate.
const SOON: Duration = Duration::from_secs(1);

/// The time in which a Lease is given back when the process goes.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// A host's name has 64 bytes.
const MAX_HOST_BYTES: usize = 256;

/// What it works with.
#[derive(Debug)]
pub struct Parts {
    /// Which objects, and which names.
    pub config: SelfManaged,
    /// The Kubernetes API.
    pub api: Arc<dyn Requests>,
    /// By which everything is judged.
    pub clock: Clock,
    /// Where what is served goes.
    pub identity: Arc<Identity>,
    /// Where the CAs go.
    pub trust: Arc<Trust>,
    /// Where it is said what is waited for, and what is wrong.
    pub readiness: Readiness,
    /// Figures.
    pub metrics: Metrics,
}

/// Looks after the certificates. One a process.
#[derive(Debug)]
pub struct Keeper {
    objects: Objects,
    names: Vec<String>,
    clock: Clock,
    // Goes straight on when somebody sets the clock.
    line: Line,
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    metrics: Metrics,
    told: Told,
    guard: Guard,
    lease: Lease,
    published: Published,
    // A Secret was good before.
    had_one: bool,
    // When the API server gave or took the Lease in this look, by its own clock, Unix seconds.
    server_s: Option<u64>,
}

impl Keeper {
    /// Makes one; the process is not ready before it has found or made a certificate.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let me = format!("{}_{:08x}", host_name(), fastrand::u32(..));
        Self::named(parts, me)
    }

    pub(super) fn named(parts: Parts, me: String) -> Self {
        let waits = "the first certificate has not been read from the Kubernetes API yet";
        let told = Told::new(&parts.readiness, parts.clock.line(), waits);
        let names = parts.config.names();
        Self {
            names,
            line: parts.clock.line(),
            clock: parts.clock,
            identity: parts.identity,
            trust: parts.trust,
            told,
            guard: Guard::default(),
            lease: Lease::new(me),
            published: Published::default(),
            had_one: false,
            server_s: None,
            metrics: parts.metrics,
            objects: Objects::new(parts.config, parts.api),
        }
    }

    /// Looks every ten seconds until it is told to stop.
    ///
    /// # Errors
    ///
    /// None: what does not work is told and tried again.
    pub async fn run(mut self, stop: Token) -> Result<(), TaskError> {
        loop {
            let look = async {
                self.look().await;
                sleep(if self.identity.is_there() {
                    EVERY
                } else {
                    SOON
                })
                .await;
            };
            // A look that is given up has written or not: the next one reads what came of it.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = look => {}
            }
        }
        drop(timeout(GIVE_BACK, self.goes()).await);
        Ok(())
    }

    /// Looks once, and does what is due.
    pub async fn look(&mut self) {
        let now = Now {
            unix_s: self.clock.unix_ms() / 1000,
            line_s: self.line.unix_ms() / 1000,
        };
        let now_s = now.unix_s;
        let leader = self.leader(now).await;
        let writes = leader == Leader::Me;
        self.metrics.leads(writes);
        if matches!(leader, Leader::Other(_) | Leader::Nobody) {
            // Another one looks at them. While nobody knows who writes, what was told stands.
            self.told.forget(About::Renewal);
            self.told.forget(About::ConfigMap);
            self.told.forget(About::ApiService);
            self.metrics.foreign(false);
        }
        let (object, server_s) = match self.objects.secret().await {
            Ok(read) => read,
            Err(failed) => {
                self.wrong(About::Secret, &failed);
                if self.server_s.is_some() {
                    self.is_right(now, self.server_s, writes);
                }
                return;
            }
        };
        let server_s = server_s.or(self.server_s);
        let is_right = self.is_right(now, server_s, writes);
        let held = match self.found(&object, now, server_s) {
            Found::Good(held) => *held,
            Found::Foreign(keys) => return self.foreign(&keys),
            // That was told; what is served stays.
            _ if !is_right => return self.told.forget(About::Secret),
            found if writes => {
                let why = match found {
                    Found::Broken(why) => why,
                    _ => "it is empty".to_owned(),
                };
                match self.begin(&object, &why, now_s).await {
                    Some(held) => held,
                    None => return,
                }
            }
            Found::Empty => return self.waits(&leader, "is empty"),
            Found::Broken(why) => return self.waits(&leader, &format!("is broken ({why})")),
        };
        // What does not hold by a wrong clock may well hold: what is served stays, and that was told.
        self.serve(&held, now_s, is_right);
        if !writes {
            return;
        }
        let is_published = self.published.is(&held.bundle());
        let held = match plan::due(&held.facts, is_published, now_s) {
            Some(_) if !is_right => held,
            Some(change) => match self.change(&object, held, change, now_s).await {
                Some(held) => held,
                None => return,
            },
            None => {
                self.told.well(About::Renewal);
                held
            }
        };
        self.publish(&held, now_s).await;
    }

    /// Makes everything anew.
    async fn begin(&mut self, object: &Value, why: &str, now_s: u64) -> Option<Held> {
        let made = Held::begin(&self.names, now_s);
        let held = self.write(object, made, now_s).await?;
        let secret = self.objects.secret_name();
        if self.had_one {
            tracing::warn!(
                secret,
                why,
                "the Secret was lost and a new CA was made: agents keep their rows and connect again when \
                 the ConfigMap has reached them, in about two minutes"
            );
        } else {
            tracing::info!(secret, why, "a CA and a serving certificate were made");
        }
        Some(held)
    }

    /// Makes one change of the Secret and writes it down.
    async fn change(
        &mut self,
        object: &Value,
        held: Held,
        change: Change,
        now_s: u64,
    ) -> Option<Held> {
        let names = &self.names;
        let made = match &change {
            Change::MakeNext => held.with_next(names, now_s),
            Change::NotePublished => held.published(names, now_s),
            Change::Promote => held.promoted(names, now_s),
            Change::RenewLeaf { .. } => held.renewed(names, now_s),
            Change::DropOld => held.without_old(names, now_s),
            Change::Begin => Held::begin(names, now_s),
        };
        let held = self.write(object, made, now_s).await?;
        let secret = self.objects.secret_name();
        match change {
            Change::MakeNext => {
                tracing::info!(
                    secret,
                    "a new CA was made; it signs a day after it is published"
                );
            }
            Change::NotePublished => tracing::info!(secret, "the new CA is published"),
            Change::Promote => {
                tracing::info!(
                    secret,
                    "the new CA signs; the old one stays until its last leaf ends"
                );
            }
            Change::RenewLeaf { fault: None } => {
                tracing::info!(secret, "the serving certificate was renewed");
            }
            Change::RenewLeaf { fault: Some(fault) } => {
                tracing::warn!(
                    secret,
                    fault,
                    "the serving certificate in the Secret does not hold and was made anew"
                );
            }
            Change::DropOld => {
                tracing::info!(secret, "a CA that signs no more is not published any more");
            }
            Change::Begin => tracing::warn!(
                secret,
                "the CA had ended and a new one was made: agents connect again when the ConfigMap has \
                 reached them. Was no aggregator running, or could none write the Secret?"
            ),
        }
        Some(held)
    }

    /// Writes what was made, if it holds.
    async fn write(
        &mut self,
        object: &Value,
        made: Result<Held, String>,
        now_s: u64,
    ) -> Option<Held> {
        let secret = self.objects.secret_name();
        let held = made.and_then(|held| match held.facts.fault() {
            Some(fault) => Err(fault),
            None => Ok(held),
        });
        let held = match held {
            Ok(held) => held,
            Err(why) => {
                self.metrics.failed(About::Secret, "make");
                let text = format!(
                    "Secret {secret}: no certificate can be made that holds: {why}; check the clock and \
                     --tls-service"
                );
                self.told.wrong(About::Renewal, "make", text);
                return None;
            }
        };
        match self.objects.put_secret(&held.write(object)).await {
            Ok(()) => {
                self.metrics.written(About::Secret, now_s);
                self.told.well(About::Renewal);
                self.serve(&held, now_s, true);
                Some(held)
            }
            // Another replica has written; the next look reads what.
            Err(failed) if failed.is_conflict() => None,
            Err(failed) => {
                self.wrong(About::Renewal, &failed);
                None
            }
        }
    }

    /// Serves and trusts what the Secret has, as far as it holds.
    fn serve(&mut self, held: &Held, now_s: u64, is_right: bool) {
        self.had_one = true;
        let secret = self.objects.secret_name();
        if let Err(error) = self
            .trust
            .put("ca.crt of the Secret", held.bundle().as_bytes())
        {
            let error = logging::chain(&error);
            self.told
                .wrong(About::Secret, "trust", format!("Secret {secret}: {error}"));
            return;
        }
        let leaf = match &held.facts.leaf {
            Ok(leaf) => leaf,
            Err(_) if !is_right => return,
            Err(_) if now_s < held.facts.ca.from_unix_s => {
                self.metrics.failed(About::Secret, "clock");
                let from = rfc3339::format(held.facts.ca.from_unix_s.saturating_mul(1000));
                let text = format!(
                    "Secret {secret}: its CA begins at {from}, which this clock says is to come: set the clock \
                     right; if it is, a clock was wrong when the CA was made: empty the Secret: {}",
                    self.objects.how_to_empty()
                );
                self.told.wrong(About::Secret, "clock", text);
                return;
            }
            Err(fault) => {
                self.metrics.failed(About::Secret, "leaf");
                let text = format!(
                    "Secret {secret}: its serving certificate does not hold and is not served: {fault}; the \
                     replica that holds the Lease makes it anew"
                );
                self.told.wrong(About::Secret, "leaf", text);
                return;
            }
        };
        let pair = &held.leaf;
        let called = ("tls.crt of the Secret", "tls.key of the Secret");
        let put = self
            .identity
            .put(called, pair.cert().as_bytes(), pair.key().as_bytes());
        match put {
            Ok(reload) => {
                self.metrics
                    .expiry(leaf.until_unix_s, held.facts.ca.until_unix_s);
                self.told.well(About::Secret);
                self.told.served();
                if reload == Reload::Changed {
                    tracing::info!(secret, "another serving certificate is in use");
                }
            }
            Err(error) => {
                let error = logging::chain(&error);
                self.told
                    .wrong(About::Secret, "pair", format!("Secret {secret}: {error}"));
            }
        }
    }

    fn foreign(&mut self, keys: &str) {
        self.metrics.failed(About::Secret, "foreign");
        let secret = self.objects.secret_name();
        let empty = self.objects.how_to_empty();
        self.told.wrong(
            About::Secret,
            "foreign",
            format!(
                "Secret {secret} has what Cairn did not make ({keys}) and is left alone. Was it filled by hand \
                 or by cert-manager? Then give --tls-cert and --tls-key in the place of --tls-self-managed; \
                 else empty it: {empty}"
            ),
        );
    }

    fn waits(&mut self, leader: &Leader, state: &str) {
        self.told.forget(About::Secret);
        let secret = self.objects.secret_name();
        let who = match leader {
            Leader::Other(holder) => format!("{holder} holds the Lease and writes it"),
            Leader::Me | Leader::Nobody | Leader::Unknown => {
                "a replica has to take the Lease and write it".to_owned()
            }
        };
        self.told.waits(&format!("Secret {secret} {state}: {who}"));
    }

    fn wrong(&mut self, about: About, failed: &Failed) {
        self.metrics.failed(about, failed.kind());
        self.told.wrong(about, failed.kind(), failed.to_string());
    }

    #[cfg(test)]
    pub(super) fn said(&self) -> usize {
        self.told.lines
    }
}

/// The name of the pod, where it has a network of its own.
fn host_name() -> String {
    let read = files::read_small("/proc/sys/kernel/hostname".as_ref(), MAX_HOST_BYTES);
    let name = read.ok().and_then(|name| String::from_utf8(name).ok());
    name.map_or_else(|| "aggregator".to_owned(), |name| name.trim().to_owned())
}
