//! The room that a summary took, for the next one.
//!
//! From scrape to scrape nearly the same pods are listed in the same order. What one summary was made of
//! is given out in the order in which it was read, so that most things find their own names and as
//! much room as they need: nothing is allocated for them, and the heap gets no holes.

use cairn_proto::model::EntityKind;

use crate::sources::summary::{Pod, Stats, Summary};
use crate::sources::{Figures, Part};

/// Room that is not needed and still kept, in items of a list or bytes of a text.
const SLACK: usize = 16;

/// What an earlier summary was made of, the first thing that was read last. What is not taken is gone with
/// it: no more is ever kept than one summary had.
#[derive(Debug, Default)]
pub(super) struct Spare {
    // Without anything in them.
    pods: Vec<Pod>,
    // Without parts.
    stats: Vec<Stats>,
    parts: Vec<Part>,
    // Empty.
    containers: Vec<Vec<Stats>>,
    listed: Vec<Vec<Part>>,
}

impl Spare {
    /// Takes a summary apart.
    pub(super) fn of(old: Summary) -> Self {
        let Summary {
            node,
            system,
            mut pods,
            ..
        } = old;
        let all = |stats: &[Stats]| -> usize { stats.iter().map(|stats| stats.parts.len()).sum() };
        let listed = pods.iter().map(|pod| 1 + pod.containers.len());
        let parts = pods
            .iter()
            .map(|pod| pod.stats.parts.len() + all(&pod.containers));
        let mut spare = Self {
            stats: Vec::with_capacity(1 + system.len() + listed.sum::<usize>()),
            parts: Vec::with_capacity(node.parts.len() + all(&system) + parts.sum::<usize>()),
            containers: Vec::with_capacity(1 + pods.len()),
            ..Self::default()
        };
        pods.reverse();
        for pod in &mut pods {
            spare.put(std::mem::take(&mut pod.stats));
            spare.put_all(std::mem::take(&mut pod.containers));
        }
        spare.pods = pods;
        spare.put(node);
        spare.put_all(system);
        spare
    }

    fn put_all(&mut self, mut list: Vec<Stats>) {
        trim(&mut list);
        list.drain(..).rev().for_each(|stats| self.put(stats));
        self.containers.push(list);
    }

    fn put(&mut self, mut stats: Stats) {
        trim(&mut stats.parts);
        self.parts.extend(stats.parts.drain(..).rev());
        self.stats.push(stats);
    }

    /// How many pods there were.
    pub(super) fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// A pod without values.
    pub(super) fn pod(&mut self, [namespace, name, uid]: [&str; 3]) -> Pod {
        let mut pod = self.pods.pop().unwrap_or_default();
        write(&mut pod.namespace, &[namespace]);
        write(&mut pod.name, &[name]);
        write(&mut pod.uid, &[uid]);
        pod
    }

    /// A cgroup without values and parts.
    pub(super) fn stats(&mut self, name: &str) -> Stats {
        let mut stats = self.stats.pop().unwrap_or_default();
        write(&mut stats.name, &[name]);
        stats.start_ms = None;
        stats.figures.clear();
        stats
    }

    /// A part without values; its labels are anything until [`label`] has set them all.
    pub(super) fn part(&mut self, kind: EntityKind, name: &str) -> Part {
        let Some(mut part) = self.parts.pop() else {
            return Part {
                kind,
                name: name.to_owned(),
                labels: Vec::new(),
                figures: Figures::default(),
            };
        };
        part.kind = kind;
        write(&mut part.name, &[name]);
        part.figures.clear();
        part
    }

    /// Takes back a part that is none.
    pub(super) fn put_part(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// A list for containers.
    pub(super) fn containers(&mut self) -> Vec<Stats> {
        self.containers.pop().unwrap_or_default()
    }

    /// A list for parts, for as long as they are read.
    pub(super) fn listed(&mut self) -> Vec<Part> {
        self.listed.pop().unwrap_or_default()
    }

    /// Takes back a list for parts.
    pub(super) fn put_listed(&mut self, mut list: Vec<Part>) {
        list.clear();
        self.listed.push(list);
    }
}

/// Sets a part's label, made of these pieces, after so many others.
pub(super) fn label(part: &mut Part, at: usize, key: &str, pieces: &[&str]) {
    if part.labels.len() <= at {
        part.labels.push(Default::default());
    }
    if let Some((said, text)) = part.labels.get_mut(at) {
        write(said, &[key]);
        write(text, pieces);
    }
}

/// Writes a text in the place of another.
fn write(text: &mut String, pieces: &[&str]) {
    text.clear();
    let len = pieces.iter().map(|piece| piece.len()).sum();
    // The room of a name that was long once is not kept for ever.
    if text.capacity() > 4 * len + SLACK {
        text.shrink_to(len);
    }
    // Mostly it is the same text as before: it gets no more room than it needs.
    text.reserve_exact(len);
    pieces.iter().for_each(|piece| text.push_str(piece));
}

/// Gives back the room of a list that was long once.
fn trim<T>(list: &mut Vec<T>) {
    if list.capacity() > 4 * list.len() + SLACK {
        list.shrink_to_fit();
    }
}
