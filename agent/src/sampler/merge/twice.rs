//! File systems that the kubelet and `--host-root` both tell, once.
//!
//! The kubelet's word counts: it is the one that the Heapster API's clients know (`resource_id` `/` is
//! the file system of the kubelet's own directory, `imagefs` and `containerfs` are the runtime's),
//! and the one that the kubelet itself acts on. It names no path and no device, so the same file
//! system is known by its size in bytes; of several of that size it is the one with the nearest
//! number of bytes left. As long as the summary is silent, and without a kubelet, the host's word is
//! all there is.

use std::borrow::Cow;

use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::model::{EntityId, EntityKind};

use super::row::{Row, Statement};
use crate::sources::Part;

/// What the host's root is called when the kubelet calls another file system `/`.
const ROOT: &str = "rootfs";

impl Row<'_> {
    /// Adds the host's file systems, without those that the summary lists.
    pub(super) fn add_file_systems(
        &mut self,
        node: EntityId,
        of_host: &[Part],
        listed: &[Part],
        said: &Statement<'_>,
    ) {
        let told: Vec<&Part> = listed
            .iter()
            .filter(|part| part.kind == EntityKind::Filesystem)
            .filter(|part| self.summary_has(part))
            .collect();
        for part in others(of_host, &told) {
            self.add_parts(node, std::slice::from_ref(part.as_ref()), said);
        }
    }
}

/// The host's file systems that are not among those of the summary, under names that it does not use.
fn others<'a>(of_host: &'a [Part], told: &[&Part]) -> Vec<Cow<'a, Part>> {
    let mut same = vec![false; of_host.len()];
    for part in told {
        let nearest = of_host
            .iter()
            .enumerate()
            .filter(|(_, host)| may_be_same(host, part))
            .min_by_key(|(_, host)| {
                let [host, part] = [*host, *part].map(|part| value(part, Storage::Available));
                host.unwrap_or(0).abs_diff(part.unwrap_or(0))
            });
        if let Some(same) = nearest.and_then(|(at, _)| same.get_mut(at)) {
            *same = true;
        }
    }
    let others = of_host.iter().zip(same).filter(|(_, same)| !same);
    others
        .map(|(host, _)| {
            if told.iter().any(|part| part.name == host.name) {
                Cow::Owned(renamed(host))
            } else {
                Cow::Borrowed(host)
            }
        })
        .collect()
}

/// Without a size the name has to do.
fn may_be_same(host: &Part, part: &Part) -> bool {
    match value(part, Storage::Capacity) {
        Some(capacity) => value(host, Storage::Capacity) == Some(capacity),
        None => host.name == part.name,
    }
}

fn value(part: &Part, what: Storage) -> Option<u64> {
    part.figures.value(table::filesystem(what))
}

/// The summary's only name that is also a path is `/`.
fn renamed(host: &Part) -> Part {
    let mut part = host.clone();
    for (_, text) in &mut part.labels {
        if *text == host.name {
            ROOT.clone_into(text);
        }
    }
    ROOT.clone_into(&mut part.name);
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Figures;

    fn part(name: &str, capacity: Option<u64>, available: u64) -> Part {
        let mut figures = Figures::default();
        figures.push(table::filesystem(Storage::Capacity), capacity);
        figures.push(table::filesystem(Storage::Available), Some(available));
        Part {
            kind: EntityKind::Filesystem,
            name: name.to_owned(),
            labels: vec![("resource_id".to_owned(), name.to_owned())],
            figures,
        }
    }

    /// What is left of the host's, each as path, size and bytes left, beside those of a summary.
    fn check(host: &[(&str, u64, u64)], told: &[(&str, Option<u64>, u64)], expected: &[&str]) {
        let host: Vec<Part> = host.iter().map(|h| part(h.0, Some(h.1), h.2)).collect();
        let told: Vec<Part> = told.iter().map(|t| part(t.0, t.1, t.2)).collect();
        let told: Vec<&Part> = told.iter().collect();
        let found = others(&host, &told);
        let names: Vec<&str> = found.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, expected);
        let labels = found.iter().map(|part| part.labels[0].1.as_str());
        assert!(labels.eq(names.iter().copied()));
    }

    #[test]
    fn one_that_the_summary_tells_is_not_there_twice() {
        let host = [("/", 100, 40), ("/data", 900, 5), ("/var", 300, 30)];
        check(&host, &[], &["/", "/data", "/var"]);
        check(&host, &[("/", Some(100), 41)], &["/data", "/var"]);
        // The runtime's images are on the disk of the kubelet's directory, or on one of their own.
        let both = [("/", Some(100), 41), ("imagefs", Some(100), 40)];
        check(&host, &both, &["/data", "/var"]);
        let apart = [("/", Some(100), 41), ("imagefs", Some(300), 31)];
        check(&host, &apart, &["/data"]);
    }

    #[test]
    fn a_root_whose_name_the_kubelet_gives_to_another_gets_one_of_its_own() {
        let host = [("/", 100, 40), ("/var/lib", 300, 30)];
        check(&host, &[("/", Some(300), 30)], &["rootfs"]);
        // On a disk that the host does not list: nothing is the same.
        check(&host, &[("/", Some(7), 1)], &["rootfs", "/var/lib"]);
        check(&host, &[("/", None, 0)], &["/var/lib"]);
    }

    #[test]
    fn of_disks_of_one_size_only_the_one_that_is_told_is_left_out() {
        let host = [
            ("/", 100, 40),
            ("/d1", 900, 500),
            ("/d2", 900, 300),
            ("/d3", 900, 100),
        ];
        let told = [("/", Some(100), 40), ("imagefs", Some(900), 290)];
        check(&host, &told, &["/d1", "/d3"]);
    }
}
