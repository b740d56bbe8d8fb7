//! What reading one answer of a source allocates, and handing a row on, when everything is as it was.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use allocation_counter::measure;
use cairn_agent::ring::Ring;
use cairn_agent::sampler::merge::{self, Merged};
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sources::cadvisor::{self, Cadvisor, Ids, Teller};
use cairn_agent::sources::procfs::{self, ProcRoot, Traffic};
use cairn_agent::sources::{Reading, resource, summary};
use cairn_proto::model::Run;
use testkit::system::HostFiles;
use testkit::trace::Replay;

use crate::node::{self, INTERVAL_MS};
use crate::texts::{self, Told};

/// Answers until nearly all room is made.
const FIRST: u64 = 4;

/// Answers that are counted.
const COUNTED: u64 = 6;

/// More allocations that twice the values may cost: a list of all of them that grows once more.
const MORE: u64 = 8;

/// The most that one of the later answers allocates; `read` is called for each of them.
fn most(mut read: impl FnMut(u64)) -> u64 {
    let counted = (0..FIRST + COUNTED).map(|n| measure(|| read(n)).count_total);
    let counted: Vec<u64> = counted.collect();
    counted
        .into_iter()
        .skip(usize::try_from(FIRST).unwrap())
        .max()
        .unwrap()
}

/// Scenario: the resource endpoint of the recorded kubelet with 110 pods, and with 220.
/// Guarantees: twice the values cost no more allocations, since each answer is read in the room of an earlier
/// one.
#[test]
fn a_resource_answer_allocates_nothing_for_a_sample() {
    let [few, many] = [110, 220].map(|pods| {
        let (begin_ms, replay) = node::replay(pods).unwrap();
        let mut rooms = [None, None];
        let answers: Vec<_> = (0..FIRST + COUNTED)
            .map(|n| replay.at(begin_ms + n * INTERVAL_MS).resource)
            .collect();
        let most = most(|n| {
            let answer = &answers[usize::try_from(n).unwrap()];
            let [older, newer] = &mut rooms;
            let read = resource::parse_into(answer, older.take()).unwrap();
            *older = newer.replace(read);
        });
        let read = rooms[1].as_ref().unwrap();
        (most, read.pods().count() + read.containers().count())
    });
    println!("{few:?} and {many:?} allocations and things of a resource answer");
    assert!(many.1 > few.1 * 3 / 2, "{few:?}, {many:?}");
    assert!(many.0 <= few.0 + MORE, "{few:?}, {many:?}");
}

/// Values that cAdvisor told of containers and their parts.
fn values(read: &Cadvisor) -> usize {
    let pods = read
        .pods
        .values()
        .flat_map(|named| named.values())
        .flatten();
    let cgroups = pods.flat_map(|pod| {
        pod.own
            .iter()
            .chain(pod.containers.values().map(AsRef::as_ref))
    });
    let cgroups = cgroups.chain(read.free.values().map(AsRef::as_ref));
    let of = |cgroup: &cadvisor::Cgroup| {
        let of_parts = cgroup.parts.iter().map(|part| part.figures.values().len());
        cgroup.figures.values().len() + of_parts.sum::<usize>()
    };
    cgroups.map(of).sum()
}

/// Scenario: a kubelet's cAdvisor, and one where there is no kubelet, tell of the same cgroups half of what they
/// can, and then all.
/// Guarantees: twice the values cost no more allocations.
#[test]
fn an_answer_of_cadvisor_allocates_nothing_for_a_sample() {
    for (teller, text) in [
        (Teller::Kubelet, texts::of_kubelet as fn(Told) -> String),
        (Teller::Alone, texts::alone as fn(Told) -> String),
    ] {
        let [few, many] = [Told::Half, Told::All].map(|told| {
            let text = text(told);
            let read = || cadvisor::parse_of(text.as_bytes(), teller, Ids::Unwanted).unwrap();
            (most(|_| drop(read())), values(&read()))
        });
        println!("{teller:?}: {few:?} and {many:?} allocations and values of cAdvisor");
        assert!(few.1 > 700 && many.1 == few.1 * 2, "{few:?}, {many:?}");
        assert!(many.0 <= few.0 + MORE, "{few:?}, {many:?}");
    }
}

/// What each further interface and disk may cost: its name, the list of its values, and what the line of it is
/// read into.
const OF_A_PART: u64 = 8;

/// Scenario: the recorded files of /proc, and the same with 20 interfaces and 20 disks more.
/// Guarantees: a value more costs less than one allocation, the names of the parts included.
#[test]
fn the_host_allocates_nothing_for_a_sample() {
    let [few, many] = [0, 20].map(|more| {
        let dir = tempfile::tempdir().unwrap();
        proc_files(dir.path(), more);
        let root = ProcRoot {
            path: dir.path().to_owned(),
            per_cpu: false,
        };
        let mut traffic = Traffic::default();
        let mut values = 0;
        let most = most(|n| {
            let host = procfs::read(&root, n * INTERVAL_MS, &mut traffic).unwrap();
            let of_parts = host.parts.iter().map(|part| part.figures.values().len());
            values = host.figures.values().len() as u64 + of_parts.sum::<usize>() as u64;
        });
        (most, values)
    });
    println!("{few:?} and {many:?} allocations and values of the host");
    assert!(many.1 >= few.1 + 40 * 4, "{few:?}, {many:?}");
    assert!(many.0 <= few.0 + 40 * OF_A_PART, "{few:?}, {many:?}");
    assert!(many.0 - few.0 < many.1 - few.1, "{few:?}, {many:?}");
}

/// The recorded files, with so many interfaces and disks more.
fn proc_files(dir: &Path, more: u64) {
    let files = HostFiles::recorded().unwrap();
    files.show(0, dir).unwrap();
    for (name, line) in [
        ("net/dev", "eth1{}: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"),
        (
            "diskstats",
            " 253 {} vd{} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
        ),
    ] {
        let mut text = fs::read_to_string(dir.join(name)).unwrap();
        for n in 0..more {
            let letter = char::from(b'c' + u8::try_from(n).unwrap());
            let number = if name == "net/dev" {
                n.to_string()
            } else {
                letter.to_string()
            };
            let line = line.replacen(" 253 {}", &format!(" 253 {}", n * 16), 1);
            text += &line.replace("{}", &number);
        }
        fs::write(dir.join(name), text).unwrap();
    }
}

/// The row of a tick, of the summary alone.
pub(crate) fn merged(replay: &Replay, tick: u64, registry: &mut Registry) -> Merged {
    let values = Arc::new(summary::parse(&replay.at(tick).summary).unwrap());
    let reading = Reading {
        values,
        taken_ms: tick,
    };
    merge::merge(&node::of_summary(tick, &reading), registry)
}

/// Scenario: rows of 110 pods, and of 220, are handed to the ring.
/// Guarantees: twice the values cost no more allocations.
#[test]
fn handing_a_row_on_allocates_nothing_for_a_sample() {
    let [few, many] = [110, 220].map(|pods| {
        let (begin_ms, replay) = node::replay(pods).unwrap();
        let run = Run {
            epoch_ms: begin_ms,
            boot_id: [7; 16],
            clock_stepped: false,
        };
        let ring = Ring::new(run, 900_000, 1 << 24);
        let mut registry = Registry::default();
        let (mut most, mut samples) = (0, 0);
        for n in 0..40 {
            let tick = begin_ms + n * INTERVAL_MS;
            let merged = merged(&replay, tick, &mut registry);
            samples = merged.snapshot.sample_count();
            let counted = measure(|| {
                ring.push(tick, merged.snapshot, merged.defs);
            });
            ring.seal();
            if n >= 20 {
                most = most.max(counted.count_total);
            }
        }
        (most, samples)
    });
    println!("{few:?} and {many:?} allocations and values of a row that is handed on");
    assert!(many.1 > few.1 * 3 / 2, "{few:?}, {many:?}");
    assert!(many.0 <= few.0 + MORE, "{few:?}, {many:?}");
}
