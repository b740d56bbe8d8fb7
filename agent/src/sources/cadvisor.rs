//! cAdvisor's text, parsed: what no other endpoint of a kubelet tells of cgroups, or all of it where
//! there is no kubelet.
//!
//! Pure, line by line: a line that is not understood is counted and the rest survives, and of lines
//! of other families no more than the name is read. What a line is about is told by its labels and by
//! the place of its cgroup: what a container makes below its own is nobody's, whatever its name. Pods
//! and containers are kept by cgroup first, since two lives of a container share their names; then
//! each is put to its pod, the later life of two. Of a sandbox only its network is taken, which is the
//! pod's. Slices and what belongs to no pod are left out beside a kubelet, whose entities are others; on
//! a host without one they are entities too.

mod beyond;

mod family;

mod identity;

mod labels;

mod usage;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use cairn_proto::catalogue::EntityKind;

use self::beyond::Beyond;
use self::family::{Family, What};
pub use self::identity::Identity;
use self::identity::{Of, Owner};
use self::labels::Labels;
use self::usage::Usage;
use super::exposition::{self, Refused, Sample};
use super::{Figures, Part};

/// Cgroups that are kept of one answer: as many pods as are taken of a node, each with its own, its
/// sandbox and half a dozen containers. With twice as many a hostile text would take the memory that
/// the agent has.
const MAX_CGROUPS: usize = 8_192;

/// Devices and interfaces that are kept of one cgroup; more are none that anybody looks at.
const MAX_PARTS: usize = 64;

/// The same of all cgroups together: two of each.
const MAX_PARTS_IN_ALL: usize = 16_384;

/// The most values of one cgroup, and of a device or an interface of it, that a kubelet tells, and that a
/// cAdvisor does where there is none: room for all of them is made with the first one.
const VALUES: [usize; 2] = [8, 22];
const VALUES_OF_A_PART: [usize; 2] = [4, 8];

/// Pods of one name that are kept: an old one that still goes, and the one in its place.
const MAX_NAMESAKES: usize = 8;

/// Why a body is no answer of that endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It says itself that it could not read its containers.
    #[error("container_scrape_error is 1: look into the log there for what could not be read")]
    ScrapeError,
    /// No line of the endpoint in it.
    #[error("answer has none of the metrics of cAdvisor: check what answers there")]
    Nothing,
}

/// Who tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teller {
    /// A kubelet, of its own pods.
    #[default]
    Kubelet,
    /// A cAdvisor of its own beside a kubelet: it names pods in other labels.
    Beside,
    /// A cAdvisor of its own where no kubelet is read: what it tells of is what is there, and all
    /// figures are its.
    Alone,
}

/// What is said of one cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Its values, with one measurement time.
    pub figures: Figures,
    /// When this life of it began, Unix ms.
    pub start_ms: Option<u64>,
    /// Its devices and interfaces.
    pub parts: Vec<Part>,
}

/// What is said of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its UID, when its cgroup's path has one.
    pub uid: Option<Box<str>>,
    /// Its own cgroup, with the network of its sandbox.
    pub own: Option<Cgroup>,
    /// Its containers by name; boxed, because a map has room for three more than it holds.
    pub containers: HashMap<Box<str>, Box<Cgroup>>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cadvisor {
    /// The root cgroup.
    pub node: Option<Cgroup>,
    /// Pods by namespace, then by name; more than one of a name while one takes another's place.
    pub pods: HashMap<Box<str>, HashMap<Box<str>, Vec<Pod>>>,
    /// What belongs to no pod, by name, where no kubelet is read: a container by the name that its
    /// runtime gives it, any other cgroup by its path without the first slash.
    pub free: HashMap<Box<str>, Box<Cgroup>>,
    /// Whose cgroup is called by which runtime id, where that is wanted.
    pub identities: HashMap<Box<str>, Identity>,
    /// Lines that were not understood.
    pub odd_count: u64,
    /// Cgroups, devices and interfaces beyond the most that are kept.
    pub dropped_count: u64,
}

impl Cadvisor {
    /// What is said of a pod: of the one with this UID; else of one of that name whose UID nobody
    /// told.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str, uid: &str) -> Option<&Pod> {
        let named = self.pods.get(namespace)?.get(name)?;
        let told = |pod: &&Pod| pod.uid.as_deref() == Some(uid);
        let untold = || named.iter().find(|pod| pod.uid.is_none());
        named.iter().find(told).or_else(untold)
    }
}

/// Whether an answer's runtime ids are kept: nobody but who reads cgroups has a use for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// They are not.
    #[default]
    Unwanted,
    /// They are.
    Wanted,
}

impl Ids {
    /// Wanted when they are to be kept.
    #[must_use]
    pub fn kept(is_kept: bool) -> Self {
        if is_kept {
            Self::Wanted
        } else {
            Self::Unwanted
        }
    }
}

/// Parses one answer of a kubelet.
///
/// # Errors
///
/// [`Error::ScrapeError`], [`Error::Nothing`].
pub fn parse(body: &[u8], ids: Ids) -> Result<Cadvisor, Error> {
    parse_of(body, Teller::Kubelet, ids)
}

/// Parses one answer.
///
/// # Errors
///
/// [`Error::ScrapeError`], [`Error::Nothing`].
pub fn parse_of(body: &[u8], teller: Teller, ids: Ids) -> Result<Cadvisor, Error> {
    let mut reader = Reader {
        teller,
        ..Reader::default()
    };
    let (lines, is_cut) = exposition::lines(body);
    lines.for_each(|line| reader.line(line));
    reader.odd_count += u64::from(is_cut);
    match reader {
        Reader {
            scrape_error: true, ..
        } => Err(Error::ScrapeError),
        Reader { known_count: 0, .. } => Err(Error::Nothing),
        reader => Ok(reader.finish(ids)),
    }
}

/// One cgroup in the making.
#[derive(Debug)]
struct Draft {
    owner: Owner,
    time_ms: Option<u64>,
    usage: Usage,
    cgroup: Cgroup,
}

#[derive(Debug, Default)]
struct Reader {
    teller: Teller,
    drafts: HashMap<Box<str>, Box<Draft>>,
    // Devices and interfaces of all drafts.
    part_count: usize,
    beyond: Beyond,
    odd_count: u64,
    scrape_error: bool,
    known_count: u64,
}

impl Reader {
    fn line(&mut self, bytes: &[u8]) {
        let Some(family) = Family::of(exposition::name(bytes), self.teller) else {
            return;
        };
        let Some((labels, sample)) = Labels::parse(bytes, family, self.teller) else {
            self.odd_count += 1;
            return;
        };
        match self.take(family, &labels, sample) {
            Ok(()) => self.known_count += 1,
            Err(Refused::Odd) => self.odd_count += 1,
            Err(Refused::Dropped) => self.beyond.leave_out(&labels.id, &labels.part),
        }
    }

    fn take(
        &mut self,
        family: Family,
        labels: &Labels<'_>,
        sample: Sample<'_>,
    ) -> Result<(), Refused> {
        let value = sample.scaled(family.scale).ok_or(Refused::Odd)?;
        if matches!(family.what, What::Error) {
            self.scrape_error |= value != 0;
            return Ok(());
        }
        if !labels.fits() {
            return Err(Refused::Odd);
        }
        let room = self.part_count < MAX_PARTS_IN_ALL;
        let teller = self.teller;
        let Some(draft) = self.draft(labels)? else {
            return Ok(());
        };
        match family.what {
            What::Start => draft.cgroup.start_ms = Some(value),
            What::Limit => draft.usage.limit(value),
            _ => {}
        }
        if matches!(family.what, What::Start | What::Limit) {
            return Ok(());
        }
        if !draft.owner.of.takes(family.what, &labels.part) {
            return Ok(());
        }
        // cAdvisor reads all of a cgroup at one time, and a group has one.
        match draft.time_ms {
            None => draft.time_ms = sample.time_ms(),
            before if before == sample.time_ms() => {}
            Some(_) => return Err(Refused::Odd),
        }
        let field = match family.what {
            What::Cpu => return draft.usage.cpu(&labels.part, value),
            What::Faults => usage::faults(&labels.part, &labels.scope),
            _ => Some(family.field),
        };
        let Some(field) = field else {
            return Ok(());
        };
        let before = draft.cgroup.parts.len();
        let (figures, [by_kubelet, alone]) = match family.what.part() {
            Some(kind) => {
                let figures = draft.cgroup.part(kind, &labels.part, room)?;
                (figures, VALUES_OF_A_PART)
            }
            None => (&mut draft.cgroup.figures, VALUES),
        };
        if figures.value(field).is_some() {
            return Err(Refused::Odd);
        }
        if figures.values().is_empty() {
            figures.reserve(if teller == Teller::Alone {
                alone
            } else {
                by_kubelet
            });
        }
        figures.push(field, Some(value));
        let more = draft.cgroup.parts.len() - before;
        self.part_count += more;
        Ok(())
    }

    /// The cgroup that a line is about; `None` for one that is not kept.
    fn draft(&mut self, labels: &Labels<'_>) -> Result<Option<&mut Draft>, Refused> {
        // Looked up twice, because the borrow of a found one would last.
        if !self.drafts.contains_key(&*labels.id) {
            let Some(owner) = Of::told_by(labels, self.teller)? else {
                return Ok(None);
            };
            if self.drafts.len() >= MAX_CGROUPS {
                return Err(Refused::Dropped);
            }
            let draft = Draft {
                owner,
                time_ms: None,
                usage: Usage::default(),
                cgroup: Cgroup::default(),
            };
            let path = labels.id.as_ref().into();
            self.drafts.insert(path, Box::new(draft));
        }
        Ok(self.drafts.get_mut(&*labels.id).map(Box::as_mut))
    }

    fn finish(self, ids: Ids) -> Cadvisor {
        let mut all = Cadvisor {
            odd_count: self.odd_count,
            dropped_count: self.beyond.count(),
            ..Cadvisor::default()
        };
        // In the order of their paths, so that of two that are equal always the same one is taken.
        let mut drafts: Vec<(Box<str>, Box<Draft>)> = self.drafts.into_iter().collect();
        drafts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        // Before anything gets its name from another.
        let contested = identity::contested(drafts.iter().map(|(_, draft)| &draft.owner));
        drafts.retain(|(_, draft)| {
            let claim = draft.owner.claim();
            claim.is_none_or(|uid| !contested.contains(uid))
        });
        let names = identity::names_of_pods(drafts.iter().map(|(_, draft)| &draft.owner));
        let mut raw = Vec::new();
        for (path, mut draft) in drafts {
            if ids == Ids::Wanted {
                all.identities.extend(draft.owner.identity(&path));
            }
            draft.owner.take_name(&names);
            match draft.owner.of {
                Of::Raw(_) => raw.push(draft),
                _ => all.put(*draft),
            }
        }
        // After the containers, which have their names before any path.
        raw.into_iter().for_each(|draft| all.put(*draft));
        if self.teller == Teller::Alone {
            all.settle_networks();
        }
        all
    }
}

impl Cgroup {
    /// The figures of a device or an interface; of a new one if there is `room`.
    fn part(&mut self, kind: EntityKind, name: &str, room: bool) -> Result<&mut Figures, Refused> {
        let name = name.strip_prefix("/dev/").unwrap_or(name);
        if name.is_empty() {
            return Err(Refused::Odd);
        }
        let is_same = |part: &Part| part.kind == kind && part.name == name;
        let at = match self.parts.iter().position(is_same) {
            Some(at) => at,
            None if !room || self.parts.len() >= MAX_PARTS => return Err(Refused::Dropped),
            None => {
                // Most have one, and a list that grows by itself begins with room for four.
                self.parts.reserve_exact(usize::from(self.parts.is_empty()));
                self.parts.push(Part {
                    kind,
                    name: name.to_owned(),
                    labels: Vec::new(),
                    figures: Figures::default(),
                });
                self.parts.len() - 1
            }
        };
        let part = self.parts.get_mut(at).ok_or(Refused::Dropped)?;
        Ok(&mut part.figures)
    }

    fn is_empty(&self) -> bool {
        self.figures.values().is_empty() && self.parts.is_empty()
    }

    /// Takes the place of another of the same name when it began later, or as the first.
    fn replace(self, slot: &mut Option<Self>) {
        if slot
            .as_ref()
            .is_none_or(|old| old.start_ms <= self.start_ms)
        {
            *slot = Some(self);
        }
    }
}

impl Cadvisor {
    fn put(&mut self, draft: Draft) {
        let Draft {
            owner: Owner { of, uid, .. },
            time_ms,
            usage,
            mut cgroup,
        } = draft;
        usage.settle(&mut cgroup.figures);
        if cgroup.is_empty() {
            return;
        }
        if let Some(time_ms) = time_ms {
            let parts = cgroup.parts.iter_mut().map(|part| &mut part.figures);
            for figures in parts.chain([&mut cgroup.figures]) {
                usage::measured(figures, time_ms);
            }
        }
        let (namespace, name, container) = match of {
            Of::Node => {
                self.node = Some(cgroup);
                return;
            }
            Of::Free(name) => {
                let mut slot = self.free.remove(&name).map(|boxed| *boxed);
                cgroup.replace(&mut slot);
                let kept = slot.map(|cgroup| (name, Box::new(cgroup)));
                self.free.extend(kept);
                return;
            }
            // No path takes the place of a container that somebody called like it.
            Of::Raw(name) if self.free.contains_key(&name) => {
                self.dropped_count += 1;
                return;
            }
            Of::Raw(name) => {
                self.free.insert(name, Box::new(cgroup));
                return;
            }
            Of::Nameless => return,
            Of::Pod(namespace, name) => (namespace, name, None),
            Of::Container(namespace, name, container) => (namespace, name, Some(container)),
            Of::Sandbox(namespace, name) => {
                let Some(pod) = self.kept(uid, namespace, name) else {
                    return;
                };
                let own = pod.own.get_or_insert_with(Cgroup::default);
                own.parts.append(&mut cgroup.parts);
                let dropped = own.parts.len().saturating_sub(2 * MAX_PARTS);
                own.parts.truncate(2 * MAX_PARTS);
                self.dropped_count += dropped as u64;
                return;
            }
        };
        let Some(pod) = self.kept(uid, namespace, name) else {
            return;
        };
        match container {
            None => cgroup.replace(&mut pod.own),
            Some(container) => {
                let mut slot = pod.containers.remove(&container).map(|boxed| *boxed);
                cgroup.replace(&mut slot);
                let kept = slot.map(|cgroup| (container, Box::new(cgroup)));
                pod.containers.extend(kept);
            }
        }
    }

    /// The pod of this UID and name; `None` when there are too many of its name.
    fn kept(
        &mut self,
        uid: Option<Box<str>>,
        namespace: Box<str>,
        name: Box<str>,
    ) -> Option<&mut Pod> {
        let named = self.pods.entry(namespace).or_default();
        let pods = named.entry(name).or_default();
        let at = match pods.iter().position(|pod| pod.uid == uid) {
            Some(at) => at,
            None if pods.len() >= MAX_NAMESAKES => {
                self.dropped_count += 1;
                return None;
            }
            None => {
                pods.reserve_exact(1);
                pods.push(Pod {
                    uid,
                    ..Pod::default()
                });
                pods.len() - 1
            }
        };
        pods.get_mut(at)
    }
}
