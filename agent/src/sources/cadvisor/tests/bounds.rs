//! More than is kept.

use super::*;

fn device(family: &str, path: &str, device: &str) -> String {
    let labels = format!("container=\"c\",name=\"x\",device=\"{device}\"");
    line(family, path, &labels, "1 100")
}

#[test]
fn devices_of_one_cgroup_are_bounded_and_each_left_out_counts_once() {
    let path = format!("{SYSTEMD}/aa");
    let families = ["fs_reads_total", "fs_writes_total", "fs_reads_bytes_total"];
    let text: String = families
        .iter()
        .flat_map(|family| (0..200).map(|n| device(family, &path, &n.to_string())))
        .collect();
    let all = parsed(&text);
    assert_eq!(pod(&all).containers["c"].parts.len(), MAX_PARTS);
    assert_eq!(
        (all.odd_count, all.dropped_count),
        (0, 200 - MAX_PARTS as u64)
    );
}

#[test]
fn cgroups_are_bounded_and_each_left_out_counts_once() {
    let of = |family: &str, n: usize| {
        format!("container_{family}{{id=\"/p/{n}\",namespace=\"a\",pod=\"{n}\"}} 1\n")
    };
    let text: String = ["threads", "memory_cache"]
        .iter()
        .flat_map(|family| (0..MAX_CGROUPS + 10).map(|n| of(family, n)))
        .collect();
    let all = parsed(&text);
    assert_eq!(all.pods["a"].len(), MAX_CGROUPS);
    assert_eq!((all.odd_count, all.dropped_count), (0, 10));
}

#[test]
fn devices_of_all_cgroups_together_are_bounded() {
    let text: String = (0..MAX_PARTS_IN_ALL / 8 + 3)
        .flat_map(|n| (0..8).map(move |m| (format!("{SYSTEMD}/{n:x}"), m)))
        .map(|(path, m)| device("fs_reads_total", &path, &m.to_string()))
        .collect();
    let mut reader = Reader::default();
    let (lines, _) = exposition::lines(text.as_bytes());
    lines.for_each(|line| reader.line(line));
    let parts = reader.drafts.values().map(|draft| draft.cgroup.parts.len());
    assert_eq!(parts.sum::<usize>(), MAX_PARTS_IN_ALL);
    assert_eq!((reader.odd_count, reader.beyond.count()), (0, 24));
}
