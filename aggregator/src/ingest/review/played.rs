//! An API server that is played: what it says of tokens.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Rules;
use crate::cluster::access::{Access, Allowed};
use crate::cluster::authority::{Asked, Authority, Review, Unanswered};
use crate::cluster::token::Keys;

const AGENT: &str = "system:serviceaccount:cairn:cairn-agent";

/// Those of a cluster.
pub(in crate::ingest) fn rules() -> Rules {
    Rules {
        audiences: vec!["cairn-aggregator".to_owned()],
        agent: AGENT.to_owned(),
        peer: "system:serviceaccount:cairn:cairn-aggregator".to_owned(),
    }
}

/// Answers each token by what it is called, and counts the questions.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Played {
    pub(in crate::ingest) reviews: Mutex<HashMap<String, Review>>,
    pub(in crate::ingest) asked: AtomicUsize,
    pub(in crate::ingest) is_away: AtomicBool,
    // How long an answer takes.
    pub(in crate::ingest) takes: Duration,
    // When it was asked about which, in order.
    pub(in crate::ingest) log: Mutex<Vec<(Instant, String)>>,
}

impl Authority for Played {
    fn review<'a>(&'a self, token: &'a str, _: &'a [String]) -> Asked<'a, Review> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut log = self.log.lock().unwrap();
        log.push((Instant::now(), token.to_owned()));
        drop(log);
        let is_away = self.is_away.load(Ordering::Relaxed);
        let review = self.reviews.lock().unwrap().get(token).cloned();
        Box::pin(async move {
            sleep(self.takes).await;
            if is_away {
                let why = "connection refused".to_owned();
                return Err(Unanswered { why });
            }
            Ok(review.unwrap_or_else(|| Review {
                error: "invalid bearer token".to_owned(),
                ..Review::default()
            }))
        })
    }

    fn access<'a>(&'a self, _: &'a Access) -> Asked<'a, Allowed> {
        Box::pin(async { Ok(Allowed::default()) })
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn keys(&self) -> Asked<'_, Keys> {
        Box::pin(async {
            Err(Unanswered {
                why: "forbidden".to_owned(),
            })
        })
    }
}

/// Of a pod of the agents on this node.
pub(in crate::ingest) fn good(pod: &str, node: &str) -> Review {
    Review {
        authenticated: true,
        username: AGENT.to_owned(),
        audiences: vec!["cairn-aggregator".to_owned()],
        pod_name: pod.to_owned(),
        pod_uid: format!("uid-of-{pod}"),
        node_name: node.to_owned(),
        ..Review::default()
    }
}
