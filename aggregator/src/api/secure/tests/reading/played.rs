//! An API server that is played: it knows everybody by their names, and what they may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::time::Instant;

use super::*;
use crate::access::{Attributes, Metrics, Reviews, Tokens};
use crate::cluster::access::{Access, Allowed};
use crate::cluster::authority::{Asked, Authority, Review, Unanswered};
use crate::cluster::token::Keys;

/// User, resource, and namespace; empty for all of them.
type Permit = (String, String, String);

/// A token is the name of who has it, unless it is said whose it is; `bad` is nobody's.
#[derive(Debug, Default)]
pub(super) struct Played {
    permits: Mutex<BTreeSet<Permit>>,
    tokens: Mutex<BTreeMap<String, String>>,
    is_away: AtomicBool,
    questions: AtomicUsize,
    // When each of these was asked.
    asked: Mutex<Vec<Instant>>,
}

fn owned((user, resource, namespace): (&str, &str, &str)) -> Permit {
    (user.to_owned(), resource.to_owned(), namespace.to_owned())
}

impl Played {
    pub(super) fn with(permits: &[(&str, &str, &str)]) -> Arc<Self> {
        let played = Self::default();
        *played.permits.lock().unwrap() = permits.iter().copied().map(owned).collect();
        Arc::new(played)
    }

    pub(super) fn permit(&self, permit: (&str, &str, &str)) {
        self.permits.lock().unwrap().insert(owned(permit));
    }

    pub(super) fn forbid(&self, permit: (&str, &str, &str)) {
        self.permits.lock().unwrap().remove(&owned(permit));
    }

    pub(super) fn know(&self, token: &str, user: &str) {
        let mut tokens = self.tokens.lock().unwrap();
        tokens.insert(token.to_owned(), user.to_owned());
    }

    pub(super) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    pub(super) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// The most questions about rights in any second.
    pub(super) fn busiest_second(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        let mut busiest = 0;
        let mut first = 0;
        for (last, at) in asked.iter().enumerate() {
            while *at - asked[first] >= Duration::from_secs(1) {
                first += 1;
            }
            busiest = busiest.max(last + 1 - first);
        }
        busiest
    }

    /// A listener that asks it.
    pub(super) fn listener(self: &Arc<Self>, api: Api) -> Listener {
        let mut listener = Listener::of(api);
        let authority = Arc::clone(self) as Arc<dyn Authority>;
        let reviews = Reviews::new(authority, vec!["cairn".to_owned()], Metrics::default());
        listener.secure.rights = Rights::Reviewed(reviews.clone());
        listener.secure.authenticators.tokens = Tokens::Reviewed(reviews);
        listener
    }

    fn answered(&self) -> Result<(), Unanswered> {
        if self.is_away.load(Ordering::Relaxed) {
            let why = "connection refused".to_owned();
            return Err(Unanswered { why });
        }
        Ok(())
    }
}

impl Authority for Played {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Asked<'a, Review> {
        Box::pin(async move {
            self.answered()?;
            let known = self.tokens.lock().unwrap().get(token).cloned();
            Ok(Review {
                authenticated: token != "bad",
                username: known.unwrap_or_else(|| token.to_owned()),
                audiences: audiences.to_vec(),
                ..Review::default()
            })
        })
    }

    fn access<'a>(&'a self, question: &'a Access) -> Asked<'a, Allowed> {
        Box::pin(async move {
            self.answered()?;
            self.questions.fetch_add(1, Ordering::Relaxed);
            self.asked.lock().unwrap().push(Instant::now());
            let Attributes::Resource(of) = &question.what else {
                return Ok(Allowed::default());
            };
            let what = if of.verb == "get" && of.resource == "nodes" {
                format!("nodes/{}", of.name)
            } else if of.group.is_empty() {
                format!("core/{}", of.resource)
            } else {
                of.resource.clone()
            };
            let permits = self.permits.lock().unwrap();
            let allowed = permits.iter().any(|(user, resource, namespace)| {
                *user == question.user.name
                    && (resource == "*" || *resource == what)
                    && (namespace.is_empty() || *namespace == of.namespace)
            });
            let reason = String::new();
            Ok(Allowed { allowed, reason })
        })
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn keys(&self) -> Asked<'_, Keys> {
        Box::pin(async { Ok(Keys::default()) })
    }
}
