//! What the containers of one node use, taken once and kept in little room: a list of all pods keeps one of these
//! of each node while it is written, and reads no node twice.
//!
//! Nearly all of it is in the newest rows, which the store has at hand. What is not, such as a container that is
//! younger than the span, is read from the window as [`View::usages`] reads it.

mod names;

use std::collections::HashSet;
use std::sync::Arc;

use cairn_proto::catalogue::{FieldId, table};
use cairn_proto::rate::Point;

use super::super::present::is_current_at;
use super::super::watermark::is_off;
use super::super::{NODE_MAX_AGE_MS, View};
use super::{Usage, cpu_over};
use crate::store::{Entity, Recent, Selector, Ticks};
pub use names::{ContainerNames, PodKey};

/// Of the containers of one node.
#[derive(Debug, Default)]
pub struct OfNode {
    // Ends of spans are so long before this, Unix ms.
    until_ms: u64,
    // Rising by key.
    pods: Box<[PodAt]>,
    // Of one pod after the other, by name.
    containers: Box<[ContainerAt]>,
    // Of each container, where any has it; `NO_SWAP` of one that has not.
    swap: Box<[u64]>,
}

/// Where the containers of one pod stand.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    from: u32,
    to: u32,
}

#[derive(Clone, Copy, Debug)]
struct PodAt {
    key: PodKey,
    from: u32,
    to: u32,
}

#[derive(Clone, Copy, Debug)]
struct ContainerAt {
    cpu_nanocores: u64,
    memory_bytes: u64,
    // 0 of one that is not measured.
    over_ms: u32,
    before_ms: u32,
    name: u32,
}

const NO_SWAP: u64 = u64::MAX;

/// A container that is there: its name, and what it uses; `None` when that is not measured.
pub type Measured<'a> = (&'a str, Option<Usage>);

/// A container while they are collected.
#[derive(Clone, Copy, Debug)]
struct Told {
    key: PodKey,
    name: u32,
    usage: Option<Usage>,
}

/// What the rows at hand say.
#[derive(Debug, Default)]
struct AtHand {
    told: Vec<Told>,
    // The newest row is too old to count.
    is_gone: bool,
    // There are such rows.
    is_at_hand: bool,
}

impl OfNode {
    /// Where the containers of a pod stand, which [`ContainerNames::key`] tells from others; `None` when the node tells
    /// none of it.
    #[must_use]
    pub fn places(&self, pod: PodKey) -> Option<Places> {
        let at = self.pods.binary_search_by_key(&pod, |pod| pod.key);
        let PodAt { from, to, .. } = *self.pods.get(at.ok()?)?;
        Some(Places { from, to })
    }

    /// A little of what stands at some places, so that it is at hand when [`OfNode::at`] reads it.
    #[must_use]
    pub fn touch(&self, places: Places) -> u64 {
        let memory = |at: u32| {
            self.containers
                .get(at as usize)
                .map_or(0, |one| one.memory_bytes)
        };
        memory(places.from) ^ memory(places.to.saturating_sub(1))
    }

    /// The containers at some places, by name.
    pub fn at<'a, 'n>(
        &'a self,
        places: Places,
        names: &'n ContainerNames,
    ) -> impl Iterator<Item = Measured<'n>> + Clone + use<'a, 'n> {
        let places = places.from as usize..places.to as usize;
        places.filter_map(move |at| {
            let container = self.containers.get(at)?;
            Some((names.name(container.name)?, self.usage(at, container)))
        })
    }

    fn usage(&self, at: usize, container: &ContainerAt) -> Option<Usage> {
        let swap = self.swap.get(at).copied();
        (container.over_ms > 0).then(|| Usage {
            cpu_nanocores: container.cpu_nanocores,
            over_ms: u64::from(container.over_ms),
            time_ms: self.until_ms.saturating_sub(u64::from(container.before_ms)),
            memory_bytes: container.memory_bytes,
            swap_bytes: swap.filter(|swap| *swap != NO_SWAP),
        })
    }

    /// Of containers in the order of [`in_order`].
    fn of(told: &[Told]) -> Self {
        let times = told.iter().filter_map(|one| Some(one.usage?.time_ms));
        let until_ms = times.max().unwrap_or(0);
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut pods: Vec<PodAt> = Vec::new();
        for (at, one) in told.iter().enumerate() {
            match pods.last_mut().filter(|pod| pod.key == one.key) {
                Some(pod) => pod.to = place(at + 1),
                None => pods.push(PodAt {
                    key: one.key,
                    from: place(at),
                    to: place(at + 1),
                }),
            }
        }
        let swaps = || told.iter().map(|one| one.usage.and_then(|u| u.swap_bytes));
        let swap = if swaps().any(|swap| swap.is_some()) {
            swaps().map(|swap| swap.unwrap_or(NO_SWAP)).collect()
        } else {
            Box::default()
        };
        let containers = told.iter().map(|one| {
            let short = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
            ContainerAt {
                cpu_nanocores: one.usage.map_or(0, |usage| usage.cpu_nanocores),
                memory_bytes: one.usage.map_or(0, |usage| usage.memory_bytes),
                over_ms: one.usage.map_or(0, |usage| short(usage.over_ms)),
                before_ms: one.usage.map_or(0, |u| short(until_ms - u.time_ms)),
                name: one.name,
            }
        });
        Self {
            until_ms,
            pods: pods.into(),
            containers: containers.collect(),
            swap,
        }
    }
}

/// Puts containers in order: those of a pod together, by name.
fn in_order(told: &mut [Told], names: &ContainerNames) {
    told.sort_unstable_by_key(|one| one.key);
    for pod in told.chunk_by_mut(|a, b| a.key == b.key) {
        // Nearly always a few.
        pod.sort_by(|a, b| names.name(a.name).cmp(&names.name(b.name)));
    }
}

impl View {
    /// What the containers of a node use now, those of one namespace or all.
    #[must_use]
    pub fn of_node(
        &self,
        node: &str,
        (namespace, span_ms): (Option<&str>, u64),
        names: &ContainerNames,
    ) -> OfNode {
        let asked = (namespace, span_ms);
        let known_ms = self.known_published_ms();
        let at_hand = self.at_hand(node, asked, names, known_ms);
        let by_published = || self.at_hand(node, asked, names, Some(self.published_ms()));
        let at_hand = at_hand.or_else(by_published);
        let AtHand {
            mut told,
            is_gone,
            is_at_hand,
        } = at_hand.unwrap_or_default();
        if is_gone {
            return OfNode::default();
        }
        in_order(&mut told, names);
        // Of two of one name the later life counts, and which that is, these rows do not say.
        let twins = told.windows(2).filter_map(|two| match two {
            [one, next] if (one.key, one.name) == (next.key, next.name) => Some(one.key),
            _ => None,
        });
        let open = told.iter().filter(|one| one.usage.is_none());
        let open: HashSet<PodKey> = open.map(|one| one.key).chain(twins).collect();
        if is_at_hand && open.is_empty() {
            return OfNode::of(&told);
        }
        told.retain(|one| !open.contains(&one.key));
        let is_asked = |key: PodKey| !is_at_hand || open.contains(&key);
        told.extend(self.read_pods(node, asked, names, is_asked));
        in_order(&mut told, names);
        OfNode::of(&told)
    }

    /// What the rows at hand say of a node's containers; `None` if it depends on which tick is published, and that is
    /// not given. The node waits meanwhile, so it cannot be found out here.
    fn at_hand(
        &self,
        node: &str,
        (namespace, span_ms): (Option<&str>, u64),
        names: &ContainerNames,
        published_ms: Option<u64>,
    ) -> Option<AtHand> {
        let mut found = AtHand::default();
        let mut called = names.last();
        let mut is_told = true;
        found.is_at_hand = self.recent(node, namespace, &mut |one| {
            let Some(tick_ms) = self.newest_at_once(one.ticks, published_ms) else {
                is_told = false;
                return;
            };
            let offset_ms = self.shown_offset_ms(node, one.ticks);
            let row_ms = one.cpu.last().map_or(0, |row| row.tick_ms);
            found.is_gone |= tick_ms.saturating_sub(row_ms) > NODE_MAX_AGE_MS;
            let usage = at_hand(one, tick_ms, span_ms).map(|usage| Usage {
                time_ms: usage
                    .time_ms
                    .saturating_add_signed(offset_ms.saturating_neg()),
                ..usage
            });
            found.told.push(Told {
                key: called.key(one.pod_uid, one.pod),
                name: called.place(one.name),
                usage,
            });
        });
        is_told.then_some(found)
    }

    /// How far a node's clock is off that may be seen, ms; 0 of one that is right.
    fn shown_offset_ms(&self, node: &str, ticks: Ticks) -> i64 {
        if is_off(ticks) && self.visible.nodes.has(node) {
            ticks.offset_ms
        } else {
            0
        }
    }

    /// Reads the containers of some pods of a node from the window; of two lives of a name the later.
    fn read_pods(
        &self,
        node: &str,
        (namespace, span_ms): (Option<&str>, u64),
        names: &ContainerNames,
        is_asked: impl Fn(PodKey) -> bool,
    ) -> Vec<Told> {
        let newest_ms = self.newest_of_node(node);
        let mut entities = self.entities(&Selector::ContainersOfNode(node));
        entities.retain(|one| {
            namespace.is_none_or(|namespace| *one.namespace == *namespace)
                && is_current_at(one, newest_ms)
                && is_asked(names.key(&one.pod_uid, &one.pod))
        });
        entities.sort_by(|a, b| {
            let of = |one: &Entity| (Arc::clone(&one.pod_uid), Arc::clone(&one.name));
            (of(a), b.start_ms).cmp(&(of(b), a.start_ms))
        });
        entities.dedup_by(|later, kept| later.pod_uid == kept.pod_uid && later.name == kept.name);
        let asked: Vec<&Entity> = entities.iter().collect();
        let usages = self.usages(&asked, span_ms);
        let told = entities.iter().zip(usages).map(|(one, usage)| Told {
            key: names.key(&one.pod_uid, &one.pod),
            name: names.place(&one.name),
            usage,
        });
        told.collect()
    }
}

/// What a container uses at a tick, if the rows at hand say so; times by the node's own clock.
fn at_hand(one: &Recent<'_>, tick_ms: u64, span_ms: u64) -> Option<Usage> {
    // Lives are told apart by the stamps of CPU alone, and the newest row is what counts.
    let mut points = one.cpu.iter().filter_map(|row| row.point);
    let is_plain = points.all(|point| point.stamp.start_ms.is_some());
    let is_newest = one.cpu.last().is_some_and(|row| row.tick_ms <= tick_ms);
    if !is_plain || !is_newest {
        return None;
    }
    let cpu = cpu_over(one.cpu, tick_ms, span_ms, false)?;
    Some(Usage {
        cpu_nanocores: cpu.rate.nanocores(),
        over_ms: cpu.rate.over_ms,
        time_ms: cpu.time_ms,
        memory_bytes: held(table::MEMORY_WORKING_SET, one.memory, tick_ms)?,
        swap_bytes: held(table::SWAP_USAGE, one.swap, tick_ms),
    })
}

/// A gauge as it is at a tick, if it is not too old.
fn held(field: FieldId, point: Option<Point>, tick_ms: u64) -> Option<u64> {
    let max_age_ms = table::field(field)?.group.max_age_ms();
    let point = point.filter(|p| tick_ms.saturating_sub(p.stamp.time_ms) <= max_age_ms)?;
    Some(point.value)
}

#[cfg(test)]
mod tests;
