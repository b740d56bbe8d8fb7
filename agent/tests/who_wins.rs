//! The table "Who wins" of docs/sources.md says what the catalogue says.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what cannot go on has failed"
)]

use std::path::Path;

use cairn_proto::catalogue::table::{self, FIELDS, PressureOf, Storage};
use cairn_proto::catalogue::{Field, FieldId, Source, field};

/// A line: of what, which figures, and the cells of the sources, best first.
struct Line {
    of: String,
    figures: String,
    cells: Vec<String>,
}

fn lines() -> Vec<Line> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("## Who wins\n").nth(1).unwrap();
    // One table up to the next section.
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows = rows.map(|row| {
        let mut cells = row
            .trim_matches('|')
            .split('|')
            .map(|of| of.trim().to_owned());
        Line {
            of: cells.next().unwrap(),
            figures: cells.next().unwrap(),
            cells: cells.filter(|cell| !cell.is_empty()).collect(),
        }
    });
    rows.collect()
}

/// Which fields the words of the page are about.
fn named(word: &str) -> Vec<FieldId> {
    use table as t;
    match word {
        "CPU" => vec![t::CPU],
        "memory" => vec![
            t::MEMORY_USAGE,
            t::MEMORY_WORKING_SET,
            t::MEMORY_RSS,
            t::MEMORY_AVAILABLE,
        ],
        "page faults" => vec![t::MEMORY_PAGE_FAULTS, t::MEMORY_MAJOR_PAGE_FAULTS],
        "pressure" => PressureOf::ALL
            .into_iter()
            .flat_map(|of| [false, true].map(|full| t::pressure_total(of, full)))
            .collect(),
        "swap" => vec![t::SWAP_USAGE],
        "processes" => vec![t::PROCESS_COUNT],
        "throttling" => vec![
            t::CFS_PERIODS,
            t::CFS_THROTTLED_PERIODS,
            t::CFS_THROTTLED_TIME,
        ],
        "page cache" => vec![t::MEMORY_CACHE],
        "mapped files" => vec![t::MEMORY_MAPPED_FILE],
        "OOM kills" => vec![t::OOM_EVENTS],
        "threads" => vec![t::THREADS],
        "block I/O" => vec![
            t::IO_READ_BYTES,
            t::IO_WRITE_BYTES,
            t::IO_READS,
            t::IO_WRITES,
        ],
        "open files" => vec![t::FILE_DESCRIPTORS],
        "packets by interface" => vec![t::NETWORK_RX_PACKETS, t::NETWORK_TX_DROPPED],
        "network" => vec![t::NETWORK_RX, t::NETWORK_TX],
        "volumes" => vec![t::volume(Storage::Usage)],
        "ephemeral storage" => vec![t::EPHEMERAL_STORAGE_USAGE],
        "everything that begins with `host_`" => {
            let host = FIELDS.iter().filter(|of| of.name.starts_with("host_"));
            host.map(|of| of.id).collect()
        }
        "disks" => vec![t::DISK_READS, t::DISK_WRITE_TIME],
        "interfaces" => vec![t::INTERFACE_RX_BYTES, t::INTERFACE_TX_DROPPED],
        other => panic!("the test does not know what {other:?} is"),
    }
}

/// The sources of a line for a field: what stands in brackets after one limits it to what is named there.
fn sources(line: &Line, field: &Field) -> Vec<Source> {
    let of = |cell: &String| {
        let word = cell.split([' ', ',']).next().unwrap();
        let source = Source::ALL.into_iter().find(|of| of.as_str() == word);
        let source = source.unwrap_or_else(|| panic!("{cell:?} names no source"));
        let is_limited = cell.contains("(working set and swap)");
        let is_meant = [table::MEMORY_WORKING_SET, table::SWAP_USAGE].contains(&field.id);
        (!is_limited || is_meant).then_some(source)
    };
    line.cells.iter().filter_map(of).collect()
}

/// Guarantees: of pods and containers the page names all sources of a field in the catalogue's order, cAdvisor
/// where there is no kubelet aside; of a node some of them in that order.
#[test]
fn the_page_names_the_sources_in_the_order_of_the_catalogue() {
    let lines = lines();
    assert!(lines.len() >= 10, "{} lines", lines.len());
    let alone = lines
        .iter()
        .find(|line| line.of.starts_with("host without a kubelet"));
    let alone = alone.unwrap();
    assert!(alone.cells[0].starts_with("cgroup") && alone.cells[1] == "cadvisor");
    let mut compared = 0;
    for line in lines.iter().filter(|line| line.of != alone.of) {
        for id in line.figures.split(", ").flat_map(named) {
            let field = field(id).unwrap();
            let mut told = sources(line, field);
            let mut ranked = field.sources.iter();
            let in_order = told.iter().all(|of| ranked.any(|other| other == of));
            assert!(
                in_order,
                "{}: {:?}, the page {told:?}",
                field.name, field.sources
            );
            if line.of == "node" {
                continue;
            }
            let also_alone = field.sources.ends_with(&[Source::Cadvisor]);
            if also_alone && !told.contains(&Source::Cadvisor) {
                told.push(Source::Cadvisor);
            }
            assert_eq!(field.sources, told, "{} of {}", field.name, line.of);
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared}");
}
