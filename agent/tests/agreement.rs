//! Cgroups, /proc and the kubelet of one node, recorded at one time: they say the same. How near, says
//! `agreement/pairs.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: what cannot go on has failed, and how many pairs there were is told"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cairn_agent::sampler::roster::Roster;
use cairn_agent::sources::cadvisor::{self, Identity, Ids};
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Stat, Tree};
use cairn_agent::sources::resource::Usage;
use cairn_agent::sources::summary::Summary;
use cairn_agent::sources::{Part, Reading};
use cairn_proto::catalogue::table;
use cairn_proto::catalogue::{EntityKind, FieldId};
use cairn_runtime::clock::Clock;

#[path = "agreement/pairs.rs"]
mod pairs;
#[path = "agreement/recorded.rs"]
mod recorded;

use pairs::{ByField, GAUGE_PERMILLE, Thing, compare, judge, measured};
use recorded::{Moment, files, fixture, memory_dir, moments, show};

/// How far the node's memory may lie outside of what /proc said: it goes up and down all the time.
const NODE_MEMORY_PERMILLE: u64 = 50;

/// The moments, for ever, so that closures may say for how long they lend.
fn recorded_moments() -> &'static [Moment] {
    static ALL: OnceLock<Vec<Moment>> = OnceLock::new();
    ALL.get_or_init(moments)
}

/// Who cAdvisor says that there is.
fn identities() -> &'static HashMap<Box<str>, Identity> {
    let mut moments = recorded_moments().iter();
    let known = moments.find_map(|moment| moment.cadvisor.as_ref());
    &known.unwrap().identities
}

/// The pods that the kubelet ever told of: UID, namespace and name.
fn pods() -> BTreeSet<[&'static str; 3]> {
    let moments = recorded_moments().iter();
    let pods = moments.flat_map(|moment| &moment.summary.pods);
    pods.map(|pod| [&*pod.uid, &*pod.namespace, &*pod.name])
        .collect()
}

/// The containers with a name that the pod has: runtime id and name.
fn containers(uid: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_pod = identities().iter().filter(move |(_, of)| *of.uid == *uid);
    of_pod.filter_map(|(id, of)| Some((&**id, of.container.as_deref()?)))
}

fn own(moment: &'static Moment, uid: &str) -> Option<&'static Stat> {
    Some(&moment.cgroups.pod(uid)?.own)
}

fn container(moment: &'static Moment, uid: &str, id: &str) -> Option<&'static Stat> {
    let mut containers = moment.cgroups.pod(uid)?.containers.iter();
    Some(&containers.find(|container| *container.id == *id)?.stat)
}

/// Compares what a source tells of something with its cgroup.
fn compare_with_cgroup(
    told: impl Fn(&'static Moment, FieldId) -> Option<(u64, u64)>,
    stat: impl Fn(&'static Moment) -> Option<&'static Stat>,
    found: &mut ByField,
) {
    let thing = Thing {
        told,
        files: |moment: &'static Moment, id| stat(moment)?.figures.value(id),
        moves: |moment: &'static Moment| stat(moment)?.figures.value(table::CPU),
    };
    compare(recorded_moments(), &thing, GAUGE_PERMILLE, found);
}

#[test]
fn what_the_kubelet_measures_lies_between_what_cgroups_say_before_and_after() {
    let [mut of_pods, mut of_containers, mut of_slice] = [(); 3].map(|()| pairs::usage());
    let (mut of_node, mut of_details) = (pairs::cpu(), pairs::details());
    for [uid, namespace, name] in pods() {
        let listed =
            |moment: &'static Moment| moment.summary.pods.iter().find(|pod| pod.uid == uid);
        compare_with_cgroup(
            |moment, id| measured(&listed(moment)?.stats.figures, id),
            |moment| own(moment, uid),
            &mut of_pods,
        );
        for (id, called) in containers(uid) {
            compare_with_cgroup(
                |moment, field| {
                    let mut containers = listed(moment)?.containers.iter();
                    measured(
                        &containers.find(|stats| stats.name == called)?.figures,
                        field,
                    )
                },
                |moment| container(moment, uid, id),
                &mut of_containers,
            );
            compare_with_cgroup(
                |moment, field| {
                    let pod = moment.cadvisor.as_ref()?.pod(namespace, name, uid)?;
                    measured(&pod.containers.get(called)?.figures, field)
                },
                |moment| container(moment, uid, id),
                &mut of_details,
            );
        }
    }
    compare_with_cgroup(
        |moment, id| measured(&moment.summary.node.figures, id),
        |moment| moment.cgroups.node.as_ref(),
        &mut of_node,
    );
    compare_with_cgroup(
        |moment, id| {
            let mut slices = moment.summary.system.iter();
            measured(&slices.find(|stats| stats.name == "pods")?.figures, id)
        },
        |moment| moment.cgroups.system.as_ref(),
        &mut of_slice,
    );
    // Its limit is that of the machine, which is no cgroup's.
    of_slice.remove(&table::MEMORY_AVAILABLE);
    judge("pods", &of_pods, 100);
    judge("containers", &of_containers, 100);
    judge("details of containers", &of_details, 2);
    judge("the node", &of_node, 10);
    judge("all pods", &of_slice, 10);
}

/// The same of the resource endpoint, whose times are milliseconds.
#[test]
fn what_the_resource_endpoint_tells_lies_between_what_cgroups_say_before_and_after() {
    let usage_of = |usage: &Usage, id: FieldId| match id {
        table::CPU => {
            let cpu = usage.cpu?;
            Some((cpu.time_ms?, cpu.usage_core_nanos))
        }
        _ => {
            let memory = usage.memory?;
            Some((memory.time_ms?, memory.bytes))
        }
    };
    let [mut of_pods, mut of_containers] = [(); 2].map(|()| pairs::cpu_and_memory());
    let mut of_node = pairs::cpu();
    for [uid, namespace, name] in pods() {
        compare_with_cgroup(
            |moment, id| usage_of(&moment.resource.pod(namespace, name)?.usage, id),
            |moment| own(moment, uid),
            &mut of_pods,
        );
        for (id, called) in containers(uid) {
            compare_with_cgroup(
                |moment, field| {
                    let told = moment.resource.container(namespace, name, called)?;
                    usage_of(&told.usage, field)
                },
                |moment| container(moment, uid, id),
                &mut of_containers,
            );
        }
    }
    compare_with_cgroup(
        |moment, id| usage_of(&moment.resource.node, id),
        |moment| moment.cgroups.node.as_ref(),
        &mut of_node,
    );
    judge("resource: pods", &of_pods, 100);
    judge("resource: containers", &of_containers, 100);
    judge("resource: the node", &of_node, 10);
}

fn part<'p>(parts: &'p [Part], kind: EntityKind, name: &str) -> Option<&'p Part> {
    let mut parts = parts.iter();
    parts.find(|part| part.kind == kind && part.name == name)
}

/// What cAdvisor tells of the disks of containers, which is of one moment.
#[test]
fn the_block_io_that_cadvisor_tells_lies_between_what_cgroups_say_before_and_after() {
    let mut of_disks = pairs::io();
    for [uid, namespace, name] in pods() {
        for (id, called) in containers(uid) {
            let disk = |moment: &'static Moment| {
                part(
                    &container(moment, uid, id)?.devices,
                    EntityKind::BlockDevice,
                    "vda",
                )
            };
            let thing = Thing {
                told: |moment: &'static Moment, field| {
                    let pod = moment.cadvisor.as_ref()?.pod(namespace, name, uid)?;
                    let told = &pod.containers.get(called)?.parts;
                    let told = part(told, EntityKind::BlockDevice, "vda")?;
                    measured(&told.figures, field)
                },
                files: |moment: &'static Moment, field| disk(moment)?.figures.value(field),
                moves: |moment: &'static Moment| disk(moment)?.figures.value(table::IO_WRITES),
            };
            compare(recorded_moments(), &thing, GAUGE_PERMILLE, &mut of_disks);
        }
    }
    judge("disks of containers", &of_disks, 2);
}

/// What the kubelet tells of the machine, and what stands in /proc.
#[test]
fn what_the_kubelet_tells_of_the_node_lies_between_what_proc_says_before_and_after() {
    let (mut of_cpu, mut of_memory) = (pairs::cpu(), pairs::memory_usage());
    let mut of_interfaces = pairs::traffic();
    let told = |moment: &'static Moment, id: FieldId| measured(&moment.summary.node.figures, id);
    let of_host = |moment: &'static Moment, id: FieldId| moment.host.figures.value(id);
    let cpu = Thing {
        told,
        files: |moment: &'static Moment, _| of_host(moment, table::HOST_CPU_BUSY),
        moves: |moment: &'static Moment| Some(moment.began_ms),
    };
    compare(recorded_moments(), &cpu, 0, &mut of_cpu);
    let memory = Thing {
        told,
        files: |moment: &'static Moment, _| {
            // A kubelet counts what processes have and what is of files.
            let parts = [
                table::HOST_MEMORY_ANON,
                table::HOST_MEMORY_CACHED,
                table::HOST_MEMORY_BUFFERS,
            ];
            parts.into_iter().map(|part| of_host(moment, part)).sum()
        },
        moves: |moment: &'static Moment| Some(moment.began_ms),
    };
    compare(
        recorded_moments(),
        &memory,
        NODE_MEMORY_PERMILLE,
        &mut of_memory,
    );
    for name in ["eth0", "cni0"] {
        let counted = |moment: &'static Moment, id: FieldId| {
            // /proc's have fields of their own.
            let id = match id {
                table::NETWORK_RX => table::INTERFACE_RX_BYTES,
                table::NETWORK_RX_ERRORS => table::INTERFACE_RX_ERRORS,
                table::NETWORK_TX => table::INTERFACE_TX_BYTES,
                _ => table::INTERFACE_TX_ERRORS,
            };
            let part = part(&moment.host.parts, EntityKind::Interface, name)?;
            part.figures.value(id)
        };
        let interface = Thing {
            told: |moment: &'static Moment, id| {
                let parts = &moment.summary.node.parts;
                measured(&part(parts, EntityKind::Interface, name)?.figures, id)
            },
            files: counted,
            moves: |moment: &'static Moment| {
                let [received, sent] = [table::NETWORK_RX, table::NETWORK_TX];
                Some(counted(moment, received)? + counted(moment, sent)?)
            },
        };
        compare(recorded_moments(), &interface, 0, &mut of_interfaces);
    }
    judge("the machine", &of_cpu, 10);
    judge("the machine", &of_memory, 10);
    judge("interfaces of the machine", &of_interfaces, 10);
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
