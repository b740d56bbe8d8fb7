//! What was asked for lately: series, packed, so that who asks again reads only the rows that came since, and the
//! names of the pods of a namespace.
//!
//! A page or a dashboard asks for the same series every few seconds, and of a quarter of an hour of rows one is
//! new then. To read them means to walk over the series of all other entities in each chunk, which lie in memory
//! that is in no cache; a series that is at hand is a few hundred bytes in one place.
//!
//! Owned by the node and looked at with its lock held; filled by readers, without it, from rows that they have
//! read. What they put in counts only if nothing but newer rows came meanwhile: everything else forgets all
//! that is here. Bounded by [`MOST_BYTES`] and [`NAMES_BYTES`] a node, and by [`MOST_IDLE_MS`] after the last question.

mod names;
mod rows;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cairn_proto::catalogue::FieldId;

use crate::store::{EntityPath, RawRow};
pub(super) use names::NamedPod;
use names::Names;

/// Bytes of the series of one node: four of a quarter of an hour of ten-second rows, about a kilobyte each (computed, of
/// containers). With five thousand nodes, each of them full, it is 22 MB.
const MOST_BYTES: usize = 4608;

/// What nobody has asked for over so long, ms, goes. It is looked at once an interval.
const MOST_IDLE_MS: u64 = 120_000;

/// Fewer rows are read as quickly where they are: a question about one tick has eleven at ten seconds. Tests of both
/// stores have shorter windows.
const LEAST_ROWS: usize = if cfg!(test) { 8 } else { 12 };

/// What a piece of memory is counted as beside its bytes: two counts of references and what the allocator adds.
const PIECE_BYTES: usize = 24;

/// The series of a node.
#[derive(Debug, Default)]
pub(super) struct Lately {
    // Made when somebody asks: nearly all nodes have none.
    kept: OnceLock<Arc<Mutex<Kept>>>,
    // Bytes as they were at the last look, so that what readers put in is counted by a writer.
    counted: usize,
}

/// What readers see of it.
#[derive(Debug, Default)]
struct Kept {
    // Rises when everything is forgotten: what was read before that is not taken any more.
    number: u64,
    series: Vec<One>,
    names: Names,
}

#[derive(Debug)]
struct One {
    path: EntityPath,
    field: FieldId,
    known: Known,
    // Since somebody asked for it, by the interval of its node.
    idle_ms: u64,
}

/// All rows that were there from one tick to another, but for those that have expired since: who reads them cuts at the
/// node's oldest tick, which never falls without [`Lately::clear`].
#[derive(Clone, Debug)]
struct Known {
    first_ms: u64,
    last_ms: u64,
    packed: Arc<[u8]>,
}

/// What was found of some series, in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Looked {
    kept: Arc<Mutex<Kept>>,
    number: u64,
    field: FieldId,
    known: Vec<Known>,
    // None when nothing is left to be read.
    paths: Vec<EntityPath>,
}

impl Lately {
    /// Forgets everything: rows came or went in between, or things have other names.
    pub(super) fn clear(&mut self) {
        self.counted = 0;
        if let Some(kept) = self.kept.get() {
            let mut kept = lock(kept);
            kept.number += 1;
            kept.series = Vec::new();
            kept.names = Names::default();
        }
    }

    /// Forgets what nobody asked for since a while, and counts what is left. To be called once in so many ms.
    pub(super) fn tidy(&mut self, interval_ms: u64) {
        if let Some(kept) = self.kept.get() {
            let mut kept = lock(kept);
            let series = kept.series.iter_mut();
            series.for_each(|one| one.idle_ms = one.idle_ms.saturating_add(interval_ms));
            kept.series.retain(|one| one.idle_ms <= MOST_IDLE_MS);
            if kept.series.is_empty() {
                kept.series = Vec::new();
            }
            kept.names.tidy(interval_ms);
            self.counted = kept.bytes() + kept.names.bytes();
        }
    }

    /// Bytes that it took when they were counted last.
    pub(super) fn bytes(&self) -> usize {
        self.counted
    }

    /// The pods of a namespace, rising by id, as [`Lately::name`] was told of them. Called with the node locked, and of
    /// a node with one run.
    pub(super) fn names(&self, namespace: &str) -> Option<Arc<[NamedPod]>> {
        lock(self.kept.get()?).names.find(namespace)
    }

    /// Keeps the names of the pods of a namespace, unless they are too many.
    pub(super) fn name(&self, namespace: &str, pods: &Arc<[NamedPod]>) {
        let kept = self.kept.get_or_init(Arc::default);
        lock(kept).names.put(namespace, pods);
    }

    /// Looks for rows of a field from a tick on. Either all of those that are asked for are known from there, or
    /// none of them counts as known.
    pub(super) fn look(&self, paths: &[&EntityPath], field: FieldId, first_ms: u64) -> Looked {
        let shared = Arc::clone(self.kept.get_or_init(Arc::default));
        let mut kept = lock(&shared);
        let known = paths.iter().map(|path| kept.known(path, field, first_ms));
        let known: Option<Vec<Known>> = known.collect();
        let number = kept.number;
        drop(kept);
        Looked {
            kept: shared,
            number,
            field,
            known: known.unwrap_or_default(),
            paths: Vec::new(),
        }
    }
}

impl Kept {
    fn find(&mut self, path: &EntityPath, field: FieldId) -> Option<&mut One> {
        let is_it = |one: &&mut One| one.field == field && one.path == *path;
        self.series.iter_mut().find(is_it)
    }

    fn known(&mut self, path: &EntityPath, field: FieldId, first_ms: u64) -> Option<Known> {
        let one = self.find(path, field)?;
        let known = &one.known;
        // What ends before what is asked for begins is no help: more would be read than without it.
        if known.first_ms > first_ms || known.last_ms.saturating_add(1) < first_ms {
            return None;
        }
        one.idle_ms = 0;
        Some(one.known.clone())
    }

    fn bytes(&self) -> usize {
        self.series.iter().map(One::bytes).sum()
    }

    /// Takes one in, and lets go of others as far as it needs room: those that were not asked for the longest, and
    /// of those asked for since the last look the one that came first.
    fn put(&mut self, new: One) {
        if let Some(old) = self.find(&new.path, new.field) {
            let (old, new) = (&mut old.known, new.known);
            // Another reader may have seen more. Of what grew too large the part that is asked for goes on.
            let is_longer = new.first_ms <= old.first_ms && new.last_ms == old.last_ms;
            if new.last_ms > old.last_ms || is_longer {
                *old = new;
            }
        } else {
            self.series.push(new);
        }
        while self.bytes() > MOST_BYTES {
            let idle = self.series.iter().enumerate();
            let longest = idle.rev().max_by_key(|(_, one)| one.idle_ms);
            let Some((at, _)) = longest else { break };
            self.series.remove(at);
        }
    }
}

impl One {
    fn bytes(&self) -> usize {
        let rows = self.known.packed.len() + PIECE_BYTES;
        size_of::<Self>() + path_bytes(&self.path) + rows
    }
}

/// What a path takes beside itself.
fn path_bytes(path: &EntityPath) -> usize {
    match path {
        EntityPath::Node => 0,
        EntityPath::Pod(uid) => PIECE_BYTES + uid.len(),
        EntityPath::Container {
            pod,
            name,
            runtime_id,
        } => 3 * PIECE_BYTES + pod.len() + name.len() + runtime_id.len(),
        EntityPath::Part { parent, name, .. } => {
            size_of::<EntityPath>() + 2 * PIECE_BYTES + name.len() + path_bytes(parent)
        }
    }
}

impl Looked {
    /// The first tick behind what is known of all; `None` where nothing is.
    pub(super) fn behind_ms(&self) -> Option<u64> {
        let ends = self.known.iter().map(|known| known.last_ms);
        Some(ends.min()?.saturating_add(1))
    }

    /// More is read than what is known: it is to be kept.
    pub(super) fn keep_more(&mut self, paths: &[&EntityPath]) {
        self.paths.extend(paths.iter().map(|path| (*path).clone()));
    }

    /// The rows that are known, as they are packed.
    pub(super) fn packed(&self) -> impl Iterator<Item = &[u8]> {
        self.known.iter().map(|known| &*known.packed)
    }

    /// Appends the rows that are known of one of them; gives the first tick behind them.
    pub(super) fn tell(&self, nth: usize, rows: &mut Vec<RawRow>) -> Option<u64> {
        let known = self.known.get(nth)?;
        rows::unpack(&known.packed, rows);
        Some(known.last_ms.saturating_add(1))
    }

    /// Keeps the rows of one of them: what was known, and what was read behind it; or, where nothing was, all
    /// from a tick on.
    pub(super) fn keep(&self, nth: usize, first_ms: u64, rows: &[RawRow]) {
        let (Some(path), Some(last)) = (self.paths.get(nth), rows.last()) else {
            return;
        };
        let one = |first_ms: u64, rows: &[RawRow]| {
            // A row is a byte at least.
            let is_some = (LEAST_ROWS..MOST_BYTES).contains(&rows.len());
            let one = is_some.then(|| One {
                path: path.clone(),
                field: self.field,
                known: Known {
                    first_ms,
                    last_ms: last.tick_ms,
                    packed: rows::pack(rows).into(),
                },
                idle_ms: 0,
            });
            one.filter(|one| one.bytes() <= MOST_BYTES)
        };
        let known = self.known.get(nth);
        let whole = one(known.map_or(first_ms, |known| known.first_ms), rows);
        // It grows as long as it is asked for: when it is too large for that what is asked for now is enough.
        let asked = rows.partition_point(|row| row.tick_ms < first_ms);
        let rest = rows.get(asked..).filter(|_| asked > 0);
        let new = whole.or_else(|| one(first_ms, rest?));
        let mut kept = lock(&self.kept);
        if let Some(new) = new.filter(|_| kept.number == self.number) {
            kept.put(new);
        }
    }
}

/// A panic in another thread leaves nothing half-changed that matters: what is here can be read anew.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cairn_proto::catalogue::table;

    use super::{Lately, MOST_BYTES, MOST_IDLE_MS};
    use crate::store::{EntityPath, RawRow};

    fn rows(count: u64) -> Vec<RawRow> {
        let row = |nth| RawRow {
            tick_ms: (nth + 1) * 10_000,
            present: true,
            point: None,
            began: None,
            interrupted: false,
        };
        (0..count).map(row).collect()
    }

    fn path(nth: u64) -> EntityPath {
        EntityPath::Pod(format!("uid-{nth}").into())
    }

    /// Keeps so many rows of a path as a reader does who asked from the beginning.
    fn read(lately: &Lately, path: &EntityPath, count: u64) {
        let mut looked = lately.look(&[path], table::CPU, 0);
        looked.keep_more(&[path]);
        looked.keep(0, 0, &rows(count));
    }

    fn behind_ms(lately: &Lately, path: &EntityPath, first_ms: u64) -> Option<u64> {
        lately.look(&[path], table::CPU, first_ms).behind_ms()
    }

    #[test]
    fn what_was_read_is_known_from_where_it_was_read_on() {
        let lately = Lately::default();
        let mut looked = lately.look(&[&path(1)], table::CPU, 20_000);
        looked.keep_more(&[&path(1)]);
        looked.keep(0, 20_000, &rows(20)[1..]);
        assert_eq!(behind_ms(&lately, &path(1), 20_000), Some(200_001));
        assert_eq!(behind_ms(&lately, &path(1), 19_999), None);
        assert_eq!(behind_ms(&lately, &path(2), 20_000), None);
        let (one, other) = (path(1), path(2));
        let both = lately.look(&[&one, &other], table::CPU, 20_000);
        assert_eq!(both.behind_ms(), None);
        let other_field = lately.look(&[&one], table::MEMORY_WORKING_SET, 20_000);
        assert_eq!(other_field.behind_ms(), None);
        let mut told = Vec::new();
        let looked = lately.look(&[&one], table::CPU, 30_000);
        assert_eq!(looked.tell(0, &mut told), Some(200_001));
        assert_eq!(told, rows(20)[1..]);
    }

    #[test]
    fn what_was_found_before_all_was_forgotten_is_not_taken() {
        let mut lately = Lately::default();
        let path = path(1);
        let mut looked = lately.look(&[&path], table::CPU, 0);
        looked.keep_more(&[&path]);
        lately.clear();
        looked.keep(0, 0, &rows(20));
        assert_eq!(behind_ms(&lately, &path, 0), None);
    }

    #[test]
    fn a_slower_reader_does_not_take_back_what_another_one_knows() {
        let lately = Lately::default();
        let path = path(1);
        let mut slow = lately.look(&[&path], table::CPU, 0);
        slow.keep_more(&[&path]);
        read(&lately, &path, 30);
        slow.keep(0, 0, &rows(20));
        assert_eq!(behind_ms(&lately, &path, 0), Some(300_001));
    }

    #[test]
    fn of_many_those_that_were_asked_for_last_are_kept_within_the_bound() {
        let mut lately = Lately::default();
        read(&lately, &path(0), 60);
        for nth in 1..100 {
            lately.tidy(10_000);
            assert_eq!(behind_ms(&lately, &path(0), 0), Some(600_001), "{nth}");
            read(&lately, &path(nth), 60);
        }
        lately.tidy(10_000);
        assert!((1..=MOST_BYTES).contains(&lately.bytes()));
        assert_eq!(behind_ms(&lately, &path(99), 0), Some(600_001));
        assert_eq!(behind_ms(&lately, &path(50), 0), None);
        lately.clear();
        assert_eq!(lately.bytes(), 0);
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let mut lately = Lately::default();
        read(&lately, &path(0), 60);
        for _ in 0..MOST_IDLE_MS / 10_000 {
            lately.tidy(10_000);
        }
        assert!(lately.bytes() > 0);
        lately.tidy(10_000);
        assert_eq!(lately.bytes(), 0);
        let kept: Arc<_> = lately.kept.get().cloned().unwrap();
        assert!(super::lock(&kept).series.is_empty());
    }

    #[test]
    fn one_that_grew_too_large_goes_on_with_what_is_asked_for() {
        let lately = Lately::default();
        let path = path(1);
        let all = rows(30_000);
        let last = |count: u64| count * 10_000;
        read(&lately, &path, 100);
        let mut count = 100;
        // Ninety rows are asked for, over and over, and one comes between two questions.
        while count < 29_000 {
            count += 50;
            let first_ms = last(count - 89);
            let mut looked = lately.look(&[&path], table::CPU, first_ms);
            assert!(looked.behind_ms().is_some(), "{count}");
            looked.keep_more(&[&path]);
            let mut told = Vec::new();
            let behind_ms = looked.tell(0, &mut told).unwrap();
            let fresh = all
                .iter()
                .filter(|row| row.tick_ms >= behind_ms && row.tick_ms <= last(count));
            told.extend(fresh.copied());
            looked.keep(0, first_ms, &told);
        }
        assert_eq!(
            behind_ms(&lately, &path, last(count - 40)),
            Some(last(count) + 1)
        );
        // What ends before that is no help.
        assert_eq!(behind_ms(&lately, &path, last(count) + 2), None);
    }

    #[test]
    fn a_few_rows_are_not_worth_it() {
        let lately = Lately::default();
        read(&lately, &path(0), 7);
        assert_eq!(behind_ms(&lately, &path(0), 0), None);
    }
}
