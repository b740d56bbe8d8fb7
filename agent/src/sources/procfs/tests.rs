//! A made-up /proc in a directory, and one look at the real one.

use std::fs;

use super::*;

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

#[test]
fn default_routes_of_both_families_name_the_interfaces_that_count() {
    let dir = root(&[
        ("net/dev", DEV),
        ("net/route", ROUTE),
        ("net/ipv6_route", ROUTE6),
    ]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!(
        (host.rx_bytes, host.tx_bytes, host.time_ms),
        (Some(1_030), Some(2_040), 7)
    );
}

#[test]
fn without_a_default_route_all_but_the_loopback_count() {
    let dir = root(&[("net/dev", DEV)]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!((host.rx_bytes, host.tx_bytes), (Some(1_035), Some(2_046)));
}

#[test]
fn cpu_time_is_what_was_neither_idle_nor_waiting_nor_counted_twice() {
    let dir = root(&[("stat", STAT)]);
    let host = read(dir.path(), 7).unwrap();
    let tick_nanos = 1_000_000_000 / procfs::ticks_per_second();
    assert_eq!(
        host.cpu_busy_nanos,
        Some((100 + 20 + 30 + 6 + 7 + 8) * tick_nanos)
    );
    assert_eq!(
        (host.load_milli, host.memory_total_bytes, host.rx_bytes),
        (None, None, None)
    );
}

#[test]
fn load_is_in_thousandths() {
    let dir = root(&[("loadavg", "0.57 12.30 1999.99 3/571 4242\n")]);
    let host = read(dir.path(), 7).unwrap();
    assert_eq!(host.load_milli, Some([570, 12_300, 1_999_990]));
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
    assert!(host.load_milli.is_some() && host.cpu_busy_nanos.is_some_and(|n| n > 0));
    assert!(host.memory_available_bytes <= host.memory_total_bytes);
}
