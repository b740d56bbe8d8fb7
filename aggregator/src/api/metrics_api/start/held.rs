//! Readiness while another replica is ready: not before there are answers here.
//!
//! A rolling update ends an old replica when a new one is ready, and requests go to whoever is ready. While
//! another one answers, one that would answer 503 stays away. A replica that is alone is ready at once: what is
//! served is told without any data, and without a ready replica nobody would be told.
//!
//! Bounds: 45 s after the start it is ready in any case, as there are answers then; 5 min after it where another one is
//! ready and the cluster's pods are not listed, or it is not known how the API server's proxy is known, without which
//! there are none. One question at a time, each with a deadline. Once it is ready it stays so.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cairn_runtime::logging;
use cairn_runtime::readiness::Blocker;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use tokio::time::{sleep, timeout};

use super::{Found, LONGEST_MS, LOOK, Start};
use crate::access::Published;
use crate::cluster::replicas::Replicas;

/// How often it is asked whether another one is ready.
const ASK: Duration = Duration::from_secs(2);

/// For one answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Beside a ready replica the first list of the cluster is awaited so long, ms: that of 150,000 pods takes about a minute.
/// A Deployment's rollout counts as stuck after 10 min.
const LISTED_MS: u64 = 300_000;

/// How the API server's proxy is known, once it was read.
type Proxy = Arc<ArcSwapOption<Published>>;

/// Under which name readiness is held back.
pub const HELD: &str = "nodes";

impl Start {
    /// Holds readiness back by this blocker until there are answers, or no other replica is ready; then waits for
    /// the end.
    ///
    /// # Errors
    ///
    /// None: what does not work is told, and tried again.
    pub async fn hold(
        self,
        replicas: Arc<dyn Replicas>,
        proxy: Option<Proxy>,
        (blocker, token): (Blocker, Token),
    ) -> Result<(), TaskError> {
        // Nothing before the first answer.
        let others = Mutex::new(None);
        let is_known = || proxy.as_ref().is_none_or(|proxy| proxy.load().is_some());
        let told = async {
            loop {
                let heard: Option<String> = lock(&others).clone();
                // Before the first answer it may be that another one is ready.
                if heard.is_some() && self.is_answering(is_known()) {
                    break;
                }
                let heard = heard.as_deref();
                let others = heard.unwrap_or("whether another replica is ready is being asked");
                blocker.set_reason(self.awaited(is_known(), others));
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            () = told => tracing::info!("ready: metrics.k8s.io has answers"),
            () = self.alone(&*replicas, &others) => {
                tracing::info!("no other replica is ready: this one is, without waiting for nodes");
            }
        }
        drop(blocker);
        token.cancelled().await;
        Ok(())
    }

    /// True when there are answers, or no more time to wait for them. Nobody gains by one that is not ready when it
    /// is not known that another is.
    fn is_answering(&self, is_proxy_known: bool) -> bool {
        let is_beside = self.inner.is_beside.load(Ordering::Relaxed);
        let has_all = is_proxy_known && *self.lock() != Found::Nothing;
        self.is_over() && (has_all || !is_beside || self.left_of_ms(LISTED_MS) == 0)
    }

    /// What is waited for, for people.
    fn awaited(&self, is_proxy_known: bool, others: &str) -> String {
        let of_beside_ms = if self.inner.is_beside.load(Ordering::Relaxed) {
            LISTED_MS
        } else {
            LONGEST_MS
        };
        let found = *self.lock();
        let (found, longest_ms) = match found {
            Found::Nothing => {
                let text = "the cluster's nodes and pods are not all known yet";
                (text.to_owned(), of_beside_ms)
            }
            Found::Some(share) if !self.is_over() => (share.to_string(), LONGEST_MS),
            _ if !is_proxy_known => {
                let text =
                    "how the API server's proxy is known was not read yet (front-proxy, below)";
                (text.to_owned(), of_beside_ms)
            }
            Found::Some(share) | Found::Without(share) => (share.to_string(), LONGEST_MS),
            Found::Enough => ("there are answers".to_owned(), LONGEST_MS),
        };
        let left_s = self.left_of_ms(longest_ms).div_ceil(1_000);
        format!("{found}; {others}; ready then, and in {left_s} s in any case")
    }

    /// Asks until no other replica is ready, and writes down what came.
    async fn alone(&self, replicas: &dyn Replicas, others: &Mutex<Option<String>>) {
        loop {
            let answer = timeout(DEADLINE, replicas.another_is_ready()).await;
            let is_beside = matches!(answer, Ok(Ok(true)));
            self.inner.is_beside.store(is_beside, Ordering::Relaxed);
            let text = match answer {
                Ok(Ok(false)) => return,
                Ok(Ok(true)) => "another replica is ready meanwhile".to_owned(),
                Ok(Err(unanswered)) => format!(
                    "whether another replica is ready could not be asked: {}; may the aggregator's service \
                     account list endpointslices in its namespace?",
                    logging::escape(&unanswered.to_string())
                ),
                Err(_) => format!(
                    "whether another replica is ready was asked, and nothing came in {} s",
                    DEADLINE.as_secs()
                ),
            };
            *lock(others) = Some(text);
            sleep(ASK).await;
        }
    }
}

fn lock(text: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
