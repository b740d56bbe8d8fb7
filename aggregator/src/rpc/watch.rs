//! Sums, as they are published and corrected.
//!
//! One task a client, made by the listener for its connection. Nothing is queued for it: when it has
//! taken what it was sent, it gets what has changed since.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cairn_proto::catalogue::{Field, Sum};
use cairn_proto::v1;
use cairn_runtime::clock::ticker;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Interval, sleep_until};
use tonic::Status;

use super::{Answers, ask, status};
use crate::api::{Api, Cut, Seat};
use crate::query::{Choice, Total, View, totals};
use crate::store::Entity;

/// How often a watch looks whether the clock has published a tick that no row announced.
const LOOK: Duration = Duration::from_millis(250);

/// The least time between two looks, so that rows of many nodes cost one look and not one each.
const SPACING: Duration = Duration::from_millis(50);

/// What is known of a tick: nodes missing, and the sums.
type Said = (u32, Vec<Total>);

/// Where a client stands.
struct Watch {
    api: Api,
    asked: Asked,
    // What was said of each tick of the window from the first one on.
    said: BTreeMap<u64, Said>,
    queue: VecDeque<v1::WatchResponse>,
    version: u64,
    changes: Receiver<u64>,
    look: Interval,
    looked_at: Instant,
    _seat: Seat,
}

#[derive(Clone)]
struct Asked {
    choice: Choice,
    fields: Vec<&'static Field>,
}

pub(super) fn watch(
    api: &Api,
    request: v1::WatchRequest,
) -> Result<Answers<v1::WatchResponse>, Status> {
    let choice = ask::choice(request.selector)?;
    let fields = ask::fields(&choice, &request.fields)?;
    // One entity's values are no sum.
    if let Some(field) = fields.iter().find(|field| field.sum == Sum::None) {
        let why = format!("{} does not sum: see docs/metrics.md", field.name);
        return Err(Status::invalid_argument(why));
    }
    let seat = api.watch().map_err(status)?;
    let changes = api.store.subscribe();
    let version = *changes.borrow();
    let watch = Watch {
        api: api.clone(),
        asked: Asked { choice, fields },
        said: BTreeMap::new(),
        queue: VecDeque::new(),
        version,
        changes,
        look: ticker(LOOK),
        looked_at: Instant::now(),
        _seat: seat,
    };
    let lease = api.lease.clone();
    let over = Box::pin(lease.clone().over());
    let stream = unfold(Some((watch, lease, over)), |state| async move {
        let (mut watch, lease, mut over) = state?;
        let next = tokio::select! {
            biased;
            over = &mut over => Err(Cut::Over(over)),
            next = lease.settled(watch.next()) => next,
        };
        match next {
            Ok(response) => Some((Ok(response), Some((watch, lease, over)))),
            Err(cut) => Some((Err(status(cut)), None)),
        }
    });
    Ok(stream.boxed())
}

impl Watch {
    async fn next(&mut self) -> Result<v1::WatchResponse, Cut> {
        loop {
            if let Some(response) = self.queue.pop_front() {
                return Ok(response);
            }
            sleep_until(self.looked_at + SPACING).await;
            self.looked_at = Instant::now();
            self.look().await?;
            if !self.queue.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = self.api.token.cancelled() => return Err(Cut::Going),
                changed = self.changes.changed() => changed.map_err(|_| Cut::Going)?,
                _ = self.look.tick() => {}
            }
        }
    }

    /// Puts what is new into the queue.
    async fn look(&mut self) -> Result<(), Cut> {
        let version = *self.changes.borrow_and_update();
        // Too far behind to know what changed: everything may have.
        let changed = self.api.store.changed_since(self.version);
        let lowest = changed.map_or(Some(0), |lowest| lowest);
        self.version = version;
        let view = self.api.view();
        let newest = self.newest(&view);
        let (first_said, last_said) = (
            self.said.first_key_value().map(|(tick_ms, _)| *tick_ms),
            self.said.last_key_value().map(|(tick_ms, _)| *tick_ms),
        );
        let first = match (first_said, last_said) {
            (Some(first_said), Some(last_said)) => {
                let next = last_said.saturating_add(1);
                lowest
                    .map_or(next, |lowest| lowest.min(next))
                    .max(first_said)
            }
            _ => newest,
        };
        if newest == 0 || first > newest {
            return Ok(());
        }
        let bounds = ask::bounds(first, newest);
        let ticks_ms = view.ticks(newest, bounds);
        let asked = self.asked.clone();
        let sums = self.api.in_turn(move || sums(&view, &asked, &ticks_ms));
        for (tick_ms, said) in sums.await? {
            self.say(tick_ms, said);
        }
        let oldest = newest.saturating_sub(self.api.window_ms);
        self.said = self.said.split_off(&oldest);
        Ok(())
    }

    /// A node's own values do not wait for other nodes.
    fn newest(&self, view: &View) -> u64 {
        match &*self.asked.choice.node {
            "" => view.published_ms(),
            // One that may not be seen is as one that is not there.
            node if view.node(node).is_none() => view.published_ms(),
            node => view.newest_of_node(node),
        }
    }

    fn say(&mut self, tick_ms: u64, said: Said) {
        let before = self.said.insert(tick_ms, said.clone());
        if before.as_ref() == Some(&said) {
            return;
        }
        let (nodes_missing, sums) = said;
        let sums = sums.iter().map(|total| v1::WatchSum {
            value: total.value,
            entities: total.entities,
        });
        self.queue.push_back(v1::WatchResponse {
            tick_ms,
            revised: before.is_some(),
            nodes_missing,
            sums: sums.collect(),
        });
    }
}

fn sums(view: &View, asked: &Asked, ticks_ms: &[u64]) -> Vec<(u64, Said)> {
    let entities = asked.choice.find(view);
    let entities: Vec<&Entity> = entities.iter().collect();
    let is_one_node = !asked.choice.node.is_empty();
    let mut said: Vec<(u64, Said)> = ticks_ms
        .iter()
        .map(|tick_ms| {
            let missing = if is_one_node {
                0
            } else {
                view.nodes_missing_at(*tick_ms)
            };
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            (*tick_ms, (missing, Vec::new()))
        })
        .collect();
    for field in &asked.fields {
        let totals = totals(view, &entities, field, ticks_ms);
        for ((_, (_, sums)), total) in said.iter_mut().zip(totals) {
            sums.push(total);
        }
    }
    said
}
