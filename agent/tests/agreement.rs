//! Cgroups and the kubelet of one node, recorded at one time: they say the same.
//!
//! A kubelet's figure was measured at a time that it tells, in whole seconds. The files of the node's
//! cgroups were read before and after it. A counter lies between what they said then; where nothing ran
//! in between, all that is measured is equal to the last digit.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: what cannot go on has failed, and how many pairs there were is told"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_agent::sampler::roster::Roster;
use cairn_agent::sources::cadvisor::{self, Cadvisor, Ids};
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Stat, Tree};
use cairn_agent::sources::summary::{self, Summary};
use cairn_agent::sources::{Figures, Reading};
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, field};
use cairn_runtime::clock::Clock;

/// The kubelet's times are rounded down to this.
const ROUNDED_MS: u64 = 1_000;

/// One moment of the recording.
struct Moment {
    // When the reading of cgroups began, and when the kubelet was asked after it had ended.
    began_ms: u64,
    ended_ms: u64,
    cgroups: Cgroups,
    summary: Summary,
    // Recorded of one moment.
    cadvisor: Option<Cadvisor>,
}

/// What came of all pairs of a field.
#[derive(Debug, Default)]
struct Found {
    pairs: usize,
    // The files said the same before and after, and so did the kubelet.
    equal: usize,
    between: usize,
    odd: Vec<String>,
}

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/kubelet-1.36");
    let file = fs::File::open(fixtures.join(name)).unwrap();
    let mut bytes = Vec::new();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The files of an archive by path.
fn files(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let plain = fixture(name);
    let mut archive = tar::Archive::new(&plain[..]);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).unwrap();
        files.insert(entry.path().unwrap().into_owned(), body);
    }
    files
}

fn millis(seconds: &[u8]) -> u64 {
    let digits: Vec<u8> = seconds.iter().copied().filter(u8::is_ascii_digit).collect();
    String::from_utf8(digits).unwrap().parse().unwrap()
}

/// Writes the files of such a text.
fn show(text: &str, dir: &Path) {
    for file in text.split("= ").filter(|file| !file.is_empty()) {
        let (path, body) = file.split_once('\n').unwrap();
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }
}

fn memory_dir() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// What the agent reads of the cgroups in such a text.
fn read(text: &str, began_ms: u64) -> Cgroups {
    let dir = memory_dir();
    show(text, dir.path());
    let sandboxes = Sandboxes::default();
    let mut tree = Tree::open(dir.path(), Path::new("/proc"), 10_000, sandboxes).unwrap();
    let mut read = Cgroups::default();
    let clock = Clock::driven(began_ms);
    tree.read(began_ms, &clock.line(), &mut read).unwrap();
    read
}

fn moments() -> Vec<Moment> {
    let (cgroups, kubelet) = (files("cgroup-v2-files.tar.gz"), files("cgroup-v2.tar.gz"));
    let text = fixture("cadvisor/cgroup-v2.gz");
    let moment = |n: usize| {
        let cgroup = |name: &str| &cgroups[&PathBuf::from(format!("cgroup/node3/{n:02}/{name}"))];
        let kubelet = |name: &str| &kubelet[&PathBuf::from(format!("trace/node3/{n:02}/{name}"))];
        let began_ms = millis(cgroup("read_at"));
        Moment {
            began_ms,
            ended_ms: millis(kubelet("captured_at")),
            cgroups: read(std::str::from_utf8(cgroup("cgroup.txt")).unwrap(), began_ms),
            summary: summary::parse(kubelet("stats_summary")).unwrap(),
            cadvisor: (n == 10).then(|| cadvisor::parse(&text, Ids::Wanted).unwrap()),
        }
    };
    (1..=18).map(moment).collect()
}

/// Compares all that the kubelet says of a thing with what its cgroup says before and after.
fn compare<'a>(
    moments: &'a [Moment],
    told: impl Fn(&'a Moment) -> Option<&'a Figures>,
    of: impl Fn(&'a Cgroups) -> Option<&'a Stat>,
    found: &mut BTreeMap<FieldId, Found>,
) {
    for (id, found) in found {
        let group = field(*id).unwrap().group;
        let mut seen = Vec::new();
        for moment in moments {
            let measured = told(moment)
                .and_then(|figures| Some((figures.time_ms(group)?, figures.value(*id)?)));
            let Some((time_ms, value)) = measured.filter(|measured| !seen.contains(measured))
            else {
                continue;
            };
            seen.push((time_ms, value));
            let value_of = |moment: &'a Moment, id| of(&moment.cgroups)?.figures.value(id);
            let before = moments.iter().rfind(|other| other.ended_ms <= time_ms);
            let after = moments
                .iter()
                .find(|other| other.began_ms >= time_ms + ROUNDED_MS);
            let Some((before, after)) = before.zip(after) else {
                continue;
            };
            let both = value_of(before, *id).zip(value_of(after, *id));
            let Some((low, high)) = both else { continue };
            let ran = value_of(before, table::CPU) != value_of(after, table::CPU);
            found.pairs += 1;
            match (ran, id) {
                (false, _) if low == value && value == high => found.equal += 1,
                (true, _) if is_counter(*id) && (low..=high).contains(&value) => {
                    found.between += 1;
                }
                // A gauge may go anywhere meanwhile.
                (true, _) if !is_counter(*id) => found.between += 1,
                _ => found.odd.push(format!("{low} {value} {high}, ran: {ran}")),
            }
        }
    }
}

fn is_counter(id: FieldId) -> bool {
    field(id).unwrap().kind == cairn_proto::catalogue::Kind::Counter
}

/// What the summary and cgroups tell.
fn usage() -> BTreeMap<FieldId, Found> {
    let pressures = PressureOf::ALL
        .map(|of| [false, true].map(|full| table::pressure_total(of, full)))
        .into_iter()
        .flatten();
    let others = [
        table::CPU,
        table::MEMORY_USAGE,
        table::MEMORY_WORKING_SET,
        table::MEMORY_RSS,
        table::MEMORY_AVAILABLE,
        table::MEMORY_PAGE_FAULTS,
        table::MEMORY_MAJOR_PAGE_FAULTS,
        table::SWAP_USAGE,
    ];
    let all = others.into_iter().chain(pressures);
    all.map(|id| (id, Found::default())).collect()
}

/// What cAdvisor and cgroups tell.
fn details() -> BTreeMap<FieldId, Found> {
    let all = [
        table::CFS_PERIODS,
        table::CFS_THROTTLED_PERIODS,
        table::CFS_THROTTLED_TIME,
        table::MEMORY_CACHE,
        table::MEMORY_MAPPED_FILE,
        table::OOM_EVENTS,
        table::THREADS,
    ];
    all.map(|id| (id, Found::default())).into()
}

/// Says what came of it; `least` is how many have to be equal, or between.
fn judge(what: &str, found: &BTreeMap<FieldId, Found>, least: usize) {
    for (id, found) in found {
        let name = field(*id).unwrap().name;
        let Found {
            pairs,
            equal,
            between,
            odd,
        } = found;
        println!("{what} {name}: {pairs} pairs, {equal} equal, {between} between");
        assert!(odd.is_empty(), "{what} {name}: {odd:?}");
        assert!(pairs >= &least, "{what} {name}: {found:?}");
    }
}

#[test]
fn what_the_kubelet_measures_lies_between_what_cgroups_say_before_and_after() {
    // For ever, so that closures may say for how long they lend.
    let moments: &'static [Moment] = Vec::leak(moments());
    let [mut of_pods, mut of_containers] = [usage(), usage()];
    let mut of_details = details();
    let known = moments.iter().find_map(|moment| moment.cadvisor.as_ref());
    let identities = &known.unwrap().identities;
    let mut uids: Vec<&str> = moments
        .iter()
        .flat_map(|moment| &moment.summary.pods)
        .map(|pod| pod.uid.as_str())
        .collect();
    uids.sort_unstable();
    uids.dedup();
    for uid in uids {
        let listed =
            |moment: &'static Moment| moment.summary.pods.iter().find(|pod| pod.uid == uid);
        compare(
            moments,
            |moment| Some(&listed(moment)?.stats.figures),
            |cgroups| Some(&cgroups.pod(uid)?.own),
            &mut of_pods,
        );
        for (id, identity) in identities.iter().filter(|(_, of)| *of.uid == *uid) {
            let Some(name) = &identity.container else {
                continue;
            };
            let own = |cgroups: &'static Cgroups| {
                let mut containers = cgroups.pod(uid)?.containers.iter();
                let found = containers.find(|container| *container.id == **id)?;
                Some(&found.stat)
            };
            compare(
                moments,
                |moment| {
                    let mut containers = listed(moment)?.containers.iter();
                    Some(&containers.find(|stats| *stats.name == **name)?.figures)
                },
                own,
                &mut of_containers,
            );
            compare(
                moments,
                |moment| {
                    let cadvisor = moment.cadvisor.as_ref()?;
                    let pod = cadvisor.pod(&identity.namespace, &identity.pod, uid)?;
                    Some(&pod.containers.get(name)?.figures)
                },
                own,
                &mut of_details,
            );
        }
    }
    judge("pods", &of_pods, 100);
    judge("containers", &of_containers, 100);
    judge("details of containers", &of_details, 2);
}

/// The directories of cgroups in such a text.
fn directories(text: &str) -> BTreeSet<PathBuf> {
    let files = text.lines().filter_map(|line| line.strip_prefix("= "));
    let of_cpu = files.filter_map(|path| path.strip_suffix("cpu.stat"));
    of_cpu.map(PathBuf::from).collect()
}

/// Guarantees: of real containers whose cgroups are read every 12 to 48 s most are known by what they used,
/// and each of them, sandboxes too, is who cAdvisor says it is.
#[test]
fn what_a_summary_measured_tells_whose_cgroup_is_whose() {
    let files = files("cgroup-v2-files.tar.gz");
    let known = cadvisor::parse(&fixture("cadvisor/cgroup-v2.gz"), Ids::Wanted).unwrap();
    let dir = memory_dir();
    let (mut before, mut roster) = (BTreeSet::new(), Roster::default());
    let (mut tree, mut sandboxes) = (None, std::collections::HashSet::new());
    let mut last: Option<Reading<Summary>> = None;
    let mut ids = BTreeSet::new();
    for (n, moment) in moments().into_iter().enumerate() {
        let path = PathBuf::from(format!("cgroup/node3/{:02}/cgroup.txt", n + 1));
        let text = std::str::from_utf8(&files[&path]).unwrap();
        let there = directories(text);
        for gone in before.difference(&there).map(|path| dir.path().join(path)) {
            if gone.is_dir() {
                fs::write(gone.join("cpu.stat"), "").unwrap();
                fs::remove_dir_all(gone).unwrap();
            }
        }
        before = there;
        show(text, dir.path());
        let tree = tree.get_or_insert_with(|| {
            Tree::open(dir.path(), Path::new("/proc"), 10_000, Sandboxes::default()).unwrap()
        });
        let (tick, mut read) = (moment.began_ms, Cgroups::default());
        tree.read(tick, &Clock::driven(tick).line(), &mut read)
            .unwrap();
        let containers = read.pods.iter().flat_map(|pod| &pod.containers);
        ids.extend(containers.map(|of| of.id.to_string()));
        roster.see(tick, &read);
        let next = Reading {
            taken_ms: moment.ended_ms,
            values: Arc::new(moment.summary),
        };
        // As at a tick at which nobody is asked, and at the one at which the summary is.
        for summary in last.iter().chain([&next]) {
            roster.learn_pods(tick, &summary.values);
            sandboxes.extend(roster.recognise(tick, &read, summary).into_iter().flatten());
        }
        last = Some(next);
    }
    let (mut right, mut open) = ([0, 0], 0);
    for (id, identity) in &known.identities {
        let named = roster
            .is_named(id)
            .then(|| roster.container(0, id))
            .flatten();
        match (&identity.container, named) {
            (Some(expected), Some(name)) => {
                assert_eq!(name, &**expected, "{id}");
                right[0] += 1;
            }
            (None, None) if sandboxes.contains(id) => right[1] += 1,
            (Some(_), None) => {
                assert!(!sandboxes.contains(id), "{id} is {identity:?}");
                open += 1;
            }
            (None, None) => open += 1,
            (None, Some(name)) => panic!("the sandbox {id} is called {name}"),
        }
    }
    println!(
        "{right:?} containers and sandboxes are known of {}, {open} are not",
        ids.len()
    );
    assert!(right[0] >= 8 && right[1] >= 6, "{right:?}, {open}");
}
