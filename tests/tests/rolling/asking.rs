//! Somebody who asks every replica again and again, and what must be in each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use testkit::again::Again;
use testkit::deadline::Deadline;
use testkit::http1::{Answer, Target};
use testkit::replicas::Replicas;
use testkit::usage::Recorded;

use super::ROOT;

/// Between two rounds: all replicas are asked some forty times a second.
const PACE: Duration = Duration::from_millis(25);

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(60);

/// Names of pods, of each node, one set for each tick that may be shown.
pub(super) type Whole = BTreeMap<String, Vec<BTreeSet<String>>>;

/// What the pods of each node are at these ticks.
pub(super) fn whole(recorded: &Recorded, ticks_ms: &[u64], span_ms: u64) -> Whole {
    let mut whole = Whole::new();
    for tick_ms in ticks_ms {
        let usages = recorded.usages(*tick_ms, span_ms);
        for node in usages.nodes.keys() {
            let pods = usages.pods.iter().filter(|(_, pod)| pod.node == *node);
            let names = pods.map(|((namespace, name), _)| format!("{namespace}/{name}"));
            whole.entry(node.clone()).or_default().push(names.collect());
        }
    }
    whole
}

/// Waits until there is something.
pub(super) fn until<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    Deadline::after(SOON).poll(look)
}

/// An answer without the times at which it was asked for.
pub(super) fn timeless(text: &str) -> String {
    const CREATED: &str = "\"creationTimestamp\":\"";
    let mut parts = text.split(CREATED);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once('"').map_or(part, |(_, rest)| rest));
    }
    kept
}

/// One replica as a client of its Service sees it.
#[derive(Clone)]
struct Asked {
    target: Target,
    is_ready: bool,
    has_answered: bool,
}

struct Shared {
    asked: BTreeMap<usize, Asked>,
    whole: Whole,
    answers: usize,
    problems: Vec<String>,
}

/// Asks in a thread of its own until it is ended.
pub(super) struct Asking {
    shared: Arc<Mutex<Shared>>,
    again: Again,
}

impl Asking {
    /// Asks all that run, which are ready, from now on.
    pub(super) fn start(replicas: &Replicas, whole: Whole) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            asked: BTreeMap::new(),
            whole,
            answers: 0,
            problems: Vec::new(),
        }));
        let seen = Arc::clone(&shared);
        let again = Again::every(PACE, move || round(&seen));
        let asking = Self { shared, again };
        for place in replicas.places() {
            asking.joins(replicas, place);
            asking.is_ready(place);
        }
        asking
    }

    /// A new one runs, and is not ready.
    pub(super) fn joins(&self, replicas: &Replicas, place: usize) {
        let asked = Asked {
            target: replicas.target(place).unwrap(),
            is_ready: false,
            has_answered: false,
        };
        lock(&self.shared).asked.insert(place, asked);
    }

    /// It is ready.
    pub(super) fn is_ready(&self, place: usize) {
        let mut shared = lock(&self.shared);
        shared.asked.get_mut(&place).unwrap().is_ready = true;
    }

    /// It is about to be asked to go: nobody is sent there any more.
    pub(super) fn leaves(&self, place: usize) {
        lock(&self.shared).asked.remove(&place);
    }

    /// What may be shown from now on.
    pub(super) fn expect(&self, whole: Whole) {
        lock(&self.shared).whole = whole;
    }

    /// How many answers there were, and what was wrong with some.
    pub(super) fn end(self) -> (usize, Vec<String>) {
        drop(self.again);
        let shared = lock(&self.shared);
        (shared.answers, shared.problems.clone())
    }
}

/// Asks everybody once.
fn round(shared: &Mutex<Shared>) {
    let asked = lock(shared).asked.clone();
    let mut is_served = false;
    for (place, one) in &asked {
        // What may be shown when it is asked and when it has answered.
        let before = lock(shared).whole.clone();
        let answer = one.target.get(&format!("{ROOT}/pods"));
        let mut seen = lock(shared);
        let Some(known) = seen.asked.get(place).cloned() else {
            // It was asked to go meanwhile.
            continue;
        };
        let problem = match &answer {
            Ok(answer) => judged(answer, &known, [&before, &seen.whole]),
            Err(error) => Some(format!("{error:?}")),
        };
        seen.answers += 1;
        let has_answered = answer.is_ok_and(|answer| answer.status == 200);
        if let Some(known) = seen.asked.get_mut(place) {
            known.has_answered |= has_answered;
        }
        seen.problems
            .extend(problem.map(|problem| format!("place {place}: {problem}")));
    }
    for (place, one) in asked.iter().filter(|(_, one)| one.is_ready) {
        let answer = one.target.get(ROOT);
        let is_there = lock(shared).asked.contains_key(place);
        is_served |= !is_there || answer.is_ok_and(|answer| answer.status == 200);
    }
    if !is_served {
        let text = "no ready replica says what is served".to_owned();
        lock(shared).problems.push(text);
    }
}

/// What is wrong with an answer: it is whole, or there is none yet.
fn judged(answer: &Answer, known: &Asked, allowed: [&Whole; 2]) -> Option<String> {
    match answer.status {
        503 if known.is_ready || known.has_answered => Some(format!("503: {}", answer.text())),
        503 => None,
        200 => {
            let Ok(list) = serde_json::from_slice::<Value>(&answer.body) else {
                return Some(format!("no JSON: {}", answer.text()));
            };
            let problem = |whole: &&Whole| part(&list, whole);
            let mut problems = allowed.iter().map(problem);
            // Either will do.
            let first = problems.next().flatten()?;
            problems.next().flatten().map(|_| first)
        }
        other => Some(format!("{other}: {}", answer.text())),
    }
}

/// A node of which the list shows other pods than it has at any of the ticks.
fn part(list: &Value, whole: &Whole) -> Option<String> {
    let text = |item: &Value, name: &str| {
        item["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let items = list["items"].as_array().into_iter().flatten();
    let shown: BTreeSet<String> = items
        .map(|item| format!("{}/{}", text(item, "namespace"), text(item, "name")))
        .collect();
    let known = whole.values().flatten().flatten();
    let known: BTreeSet<&String> = known.collect();
    if let Some(other) = shown.iter().find(|name| !known.contains(name)) {
        return Some(format!("{other} is shown, and is none"));
    }
    whole.iter().find_map(|(node, ticks)| {
        let of_node: BTreeSet<&String> = ticks.iter().flatten().collect();
        let shown: BTreeSet<String> = shown
            .iter()
            .filter(|name| of_node.contains(name))
            .cloned()
            .collect();
        let is_whole = ticks.contains(&shown);
        (!is_whole).then(|| format!("of {node} {shown:?} is shown, and there are {ticks:?}"))
    })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
