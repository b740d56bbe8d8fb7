//! Names that aggregators tell.
//!
//! Pure. Who has no name is asked for at once, and then less and less often. What is told is held to where
//! the cgroup is and to what the node itself says: a name that a summary of its time does not list is not
//! shown, and asked for again, for another aggregator may know better; what the node finds out takes its place.

use cairn_proto::limits::MAX_RESOLVE_IDS;
use cairn_proto::v1::names;

use super::recognise::LISTED_WITHIN_MS;
use super::{Called, OfContainer, OfPod, PodName, Roster, Seen};
use crate::names::{Question, Told};
use crate::sources::summary;

/// How far apart two questions for the same are, ms, at least and at most. In between it is half of the time
/// for which it was asked: a pod's status comes moments after its containers, and of a sandbox nobody ever
/// tells.
const LEAST_APART_MS: u64 = 1_000;
const MOST_APART_MS: u64 = 300_000;

/// A name that summaries list and that nothing speaks against is taken for the node's own when its container
/// has been there for so long, ms: twice as long as the summaries have before others are asked.
const BELIEVED_AFTER_MS: u64 = 150_000;

/// Of the containers that an aggregator told, how many of what was told are odd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odd {
    /// They are of no use: not where the aggregator has them, or with a name that the node gave to another one
    /// or does not list.
    pub misplaced: usize,
    /// Another one that is there was told by this name too: the one that began later is shown by it.
    pub doubled: usize,
}

/// When somebody was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inquiry {
    // The first time and the last.
    asked: Option<(u64, u64)>,
}

impl Inquiry {
    fn is_due(self, tick: u64) -> bool {
        self.asked.is_none_or(|(first, last)| {
            let apart_ms = last.saturating_sub(first) / 2;
            let apart_ms = apart_ms.clamp(LEAST_APART_MS, MOST_APART_MS);
            tick.saturating_sub(last) >= apart_ms
        })
    }

    fn ask(&mut self, tick: u64) {
        let first = self.asked.map_or(tick, |(first, _)| first);
        self.asked = Some((first, tick));
    }

    pub(super) fn forget_times(&mut self) {
        self.asked = None;
    }

    /// Somebody else can be asked, who may know.
    fn begin_again(&mut self) {
        if let Some((first, last)) = &mut self.asked {
            *first = *last;
        }
    }
}

impl Roster {
    /// Asks for some of those who are there without a name and have not been asked for lately; `None` when
    /// there are none.
    pub fn ask(&mut self, tick: u64) -> Option<Question> {
        let last_tick = self.last_tick;
        let is_there = |seen: Option<Seen>| {
            let seen = seen.map(|seen| seen.last_tick);
            seen.is_some() && seen == last_tick
        };
        let mut question = Question::default();
        let pods = self.pods.iter_mut();
        let pods = pods.filter(|(_, of)| of.named.is_none() && is_there(of.cgroup));
        let due = pods.filter(|(_, of)| of.inquiry.is_due(tick));
        for (uid, of) in due.take(MAX_RESOLVE_IDS) {
            of.inquiry.ask(tick);
            question.pods.push(uid.clone());
        }
        let containers = self.containers.iter_mut();
        let containers = containers.filter(|(_, of)| of.is_unnamed() && is_there(of.seen));
        let due = containers.filter(|(_, of)| of.inquiry.is_due(tick));
        for (id, of) in due.take(MAX_RESOLVE_IDS) {
            of.inquiry.ask(tick);
            question.containers.push(id.clone());
        }
        let is_none = question.pods.is_empty() && question.containers.is_empty();
        (!is_none).then_some(question)
    }

    /// Asks for everybody soon again.
    pub fn ask_anew(&mut self) {
        let pods = self.pods.values_mut().map(|of| &mut of.inquiry);
        let containers = self.containers.values_mut().map(|of| &mut of.inquiry);
        pods.chain(containers).for_each(Inquiry::begin_again);
    }

    /// Takes what an aggregator told.
    pub fn learn_told(&mut self, told: &Told) -> Odd {
        for pod in &told.pods {
            let known = self.pods.get_mut(pod.uid.as_str());
            // What the node said meanwhile stands.
            if let Some(known) = known.filter(|of| of.named.is_none()) {
                known.is_told = true;
                known.named = Some(PodName {
                    namespace: pod.namespace.as_str().into(),
                    name: pod.name.as_str().into(),
                    start_ms: None,
                });
            }
        }
        let mut odd = Odd::default();
        for of in &told.containers {
            let [is_taken, is_doubled] = self.others(&of.pod_uid, &of.container);
            let known = self.containers.get_mut(of.runtime_id.as_str());
            let Some(known) = known.filter(|known| known.is_unnamed()) else {
                continue;
            };
            let is_doubted = matches!(&known.called, Called::Told(old) if **old == *of.container);
            if *known.uid != *of.pod_uid || is_taken || is_doubted {
                odd.misplaced += 1;
                continue;
            }
            odd.doubled += usize::from(is_doubled);
            if known.is_doubted {
                known.start_ms = None;
            }
            known.called = Called::Told(of.container.as_str().into());
            known.is_doubted = false;
            if let Some(pod) = self.pods.get_mut(of.pod_uid.as_str()) {
                pod.has_told = true;
            }
        }
        for id in &told.question.containers {
            if let Some(known) = self.containers.get_mut(id) {
                let is_said =
                    |of: &names::Container| of.runtime_id == **id && *known.uid == *of.pod_uid;
                let is_said = told.containers.iter().any(is_said);
                known.is_passed_over = known.is_unnamed() && !is_said;
            }
        }
        odd
    }

    /// Whether a cgroup is there that is this container, by what the node itself says; and by an aggregator's word that
    /// nothing speaks against.
    fn others(&self, uid: &str, name: &str) -> [bool; 2] {
        let (mut by_node, mut by_word) = (false, false);
        let all = self.containers.values();
        let all = all.filter(|of| *of.uid == *uid && of.name() == Some(name));
        for of in all.filter(|of| self.is_there(of.seen)) {
            by_node |= !of.is_open();
            by_word |= of.is_open();
        }
        [by_node, by_word]
    }

    /// True when an aggregator that knows others of its pod does not know it, and the summary lists nobody
    /// who it could be: then it is the sandbox, or a container that is just coming.
    pub(super) fn is_no_container(&self, of: &OfContainer) -> bool {
        let pod = self.pods.get(&of.uid);
        of.is_passed_over && pod.is_some_and(|pod| pod.has_told && !pod.is_short)
    }

    /// Holds a name that was told to what a summary, read at `taken_ms`, lists of the pod.
    pub(super) fn compare(&mut self, tick: u64, id: &str, told: &summary::Pod, taken_ms: u64) {
        let first_tick = self.first_tick;
        let Some(known) = self.containers.get_mut(id) else {
            return;
        };
        let Called::Told(name) = &known.called else {
            return;
        };
        // One that has just come is listed a moment later; those that were there before the agent are listed now.
        let is_of_now = known.seen.is_some_and(|seen| {
            let was_there = seen.is_from_before(first_tick);
            let late_ms = if was_there { 0 } else { LISTED_WITHIN_MS };
            seen.first_tick.saturating_add(late_ms) <= taken_ms
        });
        let is_listed = told.containers.iter().any(|of| *of.name == **name);
        let is_doubted = is_of_now && !is_listed;
        if is_doubted && !known.is_doubted {
            // The time for which it had that name is no time for which it was asked for.
            known.inquiry = Inquiry::default();
        }
        known.is_doubted = is_doubted;
        let waited_ms = known.waited_ms(tick).unwrap_or_default();
        if is_listed && known.is_listed && waited_ms >= BELIEVED_AFTER_MS {
            let name = name.clone();
            known.call(Called::Container(name));
        }
    }

    /// Takes a name back from whoever has it by an aggregator's word: the node gave it to another one. It is asked for
    /// again, since another aggregator may know better.
    pub(super) fn take_back(&mut self, ids: &[&str], name: &str) {
        for id in ids {
            let Some(known) = self.containers.get_mut(*id) else {
                continue;
            };
            if matches!(&known.called, Called::Told(told) if **told == *name) {
                (known.called, known.start_ms) = (Called::Nothing, None);
                known.inquiry = Inquiry::default();
            }
        }
    }
}

impl OfPod {
    /// True while the node itself has not named it.
    pub(super) fn is_unlisted(&self) -> bool {
        self.named.is_none() || self.is_told
    }
}

impl OfContainer {
    /// Forgets what was taken from a name that is not its.
    pub(super) fn correct(&mut self, called: &Called) {
        let is_same = |old: &str| matches!(called, Called::Container(new) if **new == *old);
        if matches!(&self.called, Called::Told(old) if !is_same(old)) {
            self.start_ms = None;
        }
    }
}
