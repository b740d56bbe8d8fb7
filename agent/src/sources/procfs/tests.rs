//! A made-up /proc in a directory, and one look at the real one.

use std::fs;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};
use cairn_proto::model::EntityKind;

use super::*;

fn value(host: &Host, field: FieldId) -> Option<u64> {
    host.figures.value(field)
}

const DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 7777777     100    0    0    0     0          0         0  7777777     100    0    0    0     0       0          0
  eth0:    1000      10    1    0    0     0          0         0     2000      20    2    0    0     0       0          0
  eth1:      30       1    0    0    0     0          0         0       40       1    0    0    0     0       0          0
  cni0:       5       1    0    0    0     0          0         0        6       1    0    0    0     0       0          0
";
const ROUTE: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
cni0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
const ROUTE6: &str = "\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00000200     cni0
";
const STAT: &str = "cpu  100 20 30 4000 500 6 7 8 50 0
cpu0 100 20 30 4000 500 6 7 8 50 0
intr 0
ctxt 1
btime 1795332220
processes 1
";

fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("net")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// All that there is of it but processors.
fn all(root: &Path) -> ProcRoot {
    ProcRoot {
        path: root.to_owned(),
        per_cpu: false,
    }
}

/// The first reading of a process.
fn read(root: &Path, time_ms: u64) -> Result<Host, Failure> {
    super::read(&all(root), time_ms, &mut Traffic::default())
}

#[test]
fn default_routes_of_both_families_name_the_interfaces_that_count() {
    let dir = root(&[
        ("net/dev", DEV),
        ("net/route", ROUTE),
        ("net/ipv6_route", ROUTE6),
    ]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!(
        (
            value(&host, table::HOST_NETWORK_RX),
            value(&host, table::HOST_NETWORK_TX)
        ),
        (Some(1_030), Some(2_040))
    );
}

#[test]
fn of_a_mounted_proc_the_interfaces_of_its_first_process_are_the_nodes() {
    let own = DEV.replace("1000", "5555");
    let dir = root(&[("net/dev", &own), ("net/ipv6_route", ROUTE6)]);
    let sums = || {
        let host = read(dir.path(), 7).unwrap();
        [table::HOST_NETWORK_RX, table::HOST_NETWORK_TX].map(|field| value(&host, field))
    };
    // Without a first process that can be looked at it is the reader's own.
    assert_eq!(sums(), [Some(30), Some(40)]);
    fs::create_dir_all(dir.path().join("1/net")).unwrap();
    fs::write(dir.path().join("1/net/dev"), DEV).unwrap();
    fs::write(dir.path().join("1/net/route"), ROUTE).unwrap();
    assert_eq!(sums(), [Some(1_000), Some(2_000)]);
}

#[test]
fn a_default_route_that_moves_makes_no_traffic() {
    let dir = root(&[("net/dev", DEV), ("net/route", ROUTE)]);
    let mut traffic = Traffic::default();
    let mut sums = || {
        let host = super::read(&all(dir.path()), 7, &mut traffic).unwrap();
        [table::HOST_NETWORK_RX, table::HOST_NETWORK_TX].map(|field| value(&host, field))
    };
    assert_eq!(sums(), [Some(1_000), Some(2_000)]);
    let moved = ROUTE.replace("eth0", "eth1");
    fs::write(dir.path().join("net/route"), moved).unwrap();
    assert_eq!(sums(), [Some(1_000), Some(2_000)]);
    let later = DEV.replace("      30 ", "      37 ");
    fs::write(dir.path().join("net/dev"), later).unwrap();
    assert_eq!(sums(), [Some(1_007), Some(2_000)]);
}

#[test]
fn without_a_default_route_all_but_the_loopback_count() {
    let dir = root(&[("net/dev", DEV)]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!(value(&host, table::HOST_NETWORK_RX), Some(1_035));
    assert_eq!(value(&host, table::HOST_NETWORK_TX), Some(2_046));
    let names: Vec<&str> = host.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["cni0", "eth0", "eth1"]);
    assert_eq!(
        host.parts[1].figures.value(table::INTERFACE_TX_ERRORS),
        Some(2)
    );
    assert_eq!(host.parts[1].figures.time_ms(Group::Host), Some(7));
}

#[test]
fn cpu_time_is_what_was_neither_idle_nor_waiting_nor_counted_twice() {
    let dir = root(&[("stat", STAT)]);
    let host = read(dir.path(), 7).unwrap();
    let tick_nanos = 1_000_000_000 / procfs::ticks_per_second();
    assert_eq!(
        value(&host, table::HOST_CPU_BUSY),
        Some((100 + 20 + 30 + 6 + 7 + 8) * tick_nanos)
    );
    let modes = (table::HOST_CPU_MODES.0..).take(table::HOST_CPU_MODE_COUNT);
    let ticks: Vec<u64> = modes
        .map(|id| value(&host, FieldId(id)).unwrap() / tick_nanos)
        .collect();
    assert_eq!(ticks, [100, 20, 30, 4_000, 500, 6, 7, 8, 50, 0]);
    // Two of CPU and twelve of it, switches and forks: the kernel of this file counts no tasks.
    assert_eq!(host.figures.values().len(), 13);
}

#[test]
fn load_is_in_thousandths() {
    let dir = root(&[("loadavg", "0.57 12.30 1999.99 3/571 4242\n")]);
    let host = read(dir.path(), 7).unwrap();
    let load = [table::HOST_LOAD1, table::HOST_LOAD5, table::HOST_LOAD15];
    assert_eq!(
        load.map(|field| value(&host, field)),
        [Some(570), Some(12_300), Some(1_999_990)]
    );
    assert_eq!(value(&host, table::HOST_THREADS), Some(571));
}

#[test]
fn nothing_readable_is_a_failure_that_names_the_flag() {
    let failure = read(Path::new("/nonexistent"), 7).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Read);
    assert!(failure.reason.contains("--proc-root"), "{}", failure.reason);
}

#[test]
fn this_machines_own_proc_is_read_whole() {
    let host = read(Path::new("/proc"), 7).unwrap();
    let value = |field| value(&host, field);
    assert!(value(table::HOST_LOAD1).is_some() && value(table::HOST_CPU_BUSY) > Some(0));
    assert!(value(table::HOST_MEMORY_AVAILABLE) <= value(table::HOST_MEMORY_TOTAL));
    assert!(value(table::HOST_VM_PAGE_FAULTS) > Some(0) && value(table::HOST_UPTIME) > Some(0));
}

#[test]
fn pressure_is_read_where_the_kernel_has_it() {
    let dir = root(&[("loadavg", "0.57 12.30 1999.99 3/571 4242\n")]);
    fs::create_dir(dir.path().join("pressure")).unwrap();
    let line = "some avg10=86.37 avg60=80.10 avg300=56.40 total=295349588\n";
    fs::write(dir.path().join("pressure/cpu"), line).unwrap();
    let host = read(dir.path(), 7).unwrap();
    let total = |of, full| value(&host, table::host_pressure_total(of, full));
    assert_eq!(total(PressureOf::Cpu, false), Some(295_349_588));
    assert_eq!(
        (total(PressureOf::Cpu, true), total(PressureOf::Io, false)),
        (None, None)
    );
    let averages = [0, 1, 2].map(|at| {
        let field = table::host_pressure_average(PressureOf::Cpu, false, at);
        value(&host, field)
    });
    assert_eq!(averages, [Some(8_637), Some(8_010), Some(5_640)]);
}

#[test]
fn disks_are_parts_and_partitions_are_not() {
    let stats = " 254 0 vda 1301 455 564242 2092 2804 3679 2046816 10266 1 6556 13074 0 0 0 0 821 715\n\
                 254 1 vda1 1301 455 564242 2092 2804 3679 2046816 10266 0 6556 13074 0 0 0 0 821 715\n";
    let dir = root(&[("diskstats", stats)]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!(host.parts.len(), 1);
    let value = |field| host.parts[0].figures.value(field);
    assert_eq!(value(table::DISK_READ_BYTES), Some(564_242 * 512));
    assert_eq!(
        (value(table::DISK_READS), value(table::DISK_WRITES)),
        (Some(1_301), Some(2_804))
    );
    assert_eq!(
        (value(table::DISK_READ_TIME), value(table::DISK_WRITE_TIME)),
        (Some(2_092), Some(10_266))
    );
    assert_eq!(
        (
            value(table::DISK_IO_IN_PROGRESS),
            value(table::DISK_IO_TIME)
        ),
        (Some(1), Some(6_556))
    );
}

#[test]
fn disks_and_interfaces_beyond_the_most_are_counted() {
    let disks = (0..66).map(|n| {
        format!(" 254 {n} dm-{n} 1301 455 564242 2092 2804 3679 2046816 10266 1 6556 13074\n")
    });
    let zeros = "0 ".repeat(16);
    let interfaces = (0..67).map(|n| format!("  eth{n}: {zeros}\n"));
    let head: String = DEV.split_inclusive('\n').take(2).collect();
    let dir = root(&[
        ("diskstats", &disks.collect::<String>()),
        ("net/dev", &(head + &interfaces.collect::<String>())),
    ]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!((host.parts.len(), host.dropped_count), (128, 2 + 3));
}

#[test]
fn processors_are_told_where_asked_for_by_the_names_that_they_have() {
    // The second of four is offline.
    let text = "cpu  30 0 3 300 0 0 0 0 0 0\ncpu0 10 0 1 100 0 0 0 0 0 0\n\
                cpu2 20 0 2 200 0 0 0 0 0 0\ncpu3 0 0 0 0 0 0 0 0 0 0\nintr 1 2\nctxt 3\n\
                btime 4\nprocesses 5\nprocs_running 1\nprocs_blocked 0\n";
    let dir = root(&[("stat", text)]);
    assert!(read(dir.path(), 7).unwrap().parts.is_empty());
    let asked = ProcRoot {
        per_cpu: true,
        ..all(dir.path())
    };
    let host = super::read(&asked, 7, &mut Traffic::default()).unwrap();
    let tick_nanos = 1_000_000_000 / procfs::ticks_per_second();
    let told: Vec<_> = host
        .parts
        .iter()
        .map(|part| {
            let user = part.figures.value(table::PROCESSOR_MODES).unwrap();
            let modes = part.figures.values().len();
            (part.kind, part.name.as_str(), user / tick_nanos, modes)
        })
        .collect();
    let processor = |name, user| (EntityKind::Processor, name, user, 10);
    let expected = [
        processor("cpu0", 10),
        processor("cpu2", 20),
        processor("cpu3", 0),
    ];
    assert_eq!(told, expected);
    assert_eq!(host.parts[0].figures.time_ms(Group::Host), Some(7));

    let line = |n: usize| format!("cpu{n} 1 0 0 0 0 0 0 0 0 0\n");
    let many: String = (0..600).map(line).collect();
    fs::write(
        dir.path().join("stat"),
        text.replace("cpu0 10 0 1 100 0 0 0 0 0 0\n", &many),
    )
    .unwrap();
    let host = super::read(&asked, 7, &mut Traffic::default()).unwrap();
    assert_eq!((host.parts.len(), host.dropped_count), (512, 602 - 512));
}
