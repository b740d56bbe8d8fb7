//! Which interfaces the default routes go through.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use cairn_runtime::files;

/// Bytes of a routing table that are read: ten thousand IPv6 routes. A larger one has its default
/// route further down than is worth looking for at every tick.
const MAX_TABLE_BYTES: usize = 2 * 1024 * 1024;

/// The flag of a route that refuses traffic instead of carrying it.
const REJECT: u32 = 0x0200;

/// The interfaces of the IPv4 and IPv6 default routes; `None` when there is no such route.
pub(super) fn default_interfaces(net: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    // What was found before an error counts.
    drop(read_ipv4(&net.join("route"), &mut names));
    if let Ok(bytes) = files::read_small(&net.join("ipv6_route"), MAX_TABLE_BYTES) {
        let text = String::from_utf8_lossy(&bytes);
        names.extend(text.lines().filter_map(default_ipv6).map(str::to_owned));
    }
    (!names.is_empty()).then_some(names)
}

/// Adds the interfaces of IPv4 default routes. The kernel lists routes by target, these first: whatever comes behind
/// them is not read, and of a table in another order as much as of any.
fn read_ipv4(path: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    let mut lines = BufReader::new(File::open(path)?.take(MAX_TABLE_BYTES as u64));
    let (mut line, mut any) = (Vec::new(), false);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = std::str::from_utf8(&line).unwrap_or_default();
        match default_ipv4(text) {
            Some((interface, flags)) => {
                any = true;
                if flags & REJECT == 0 {
                    names.insert(interface.to_owned());
                }
            }
            None if any => break,
            None => {}
        }
        line.clear();
    }
    Ok(())
}

/// The interface and the flags of a line of `route` that is of a default route: interface, target, gateway, flags,
/// reference count, use count, metric, mask.
fn default_ipv4(line: &str) -> Option<(&str, u32)> {
    let mut parts = line.split_ascii_whitespace();
    let interface = parts.next()?;
    let is_zero = |part: &str| u32::from_str_radix(part, 16) == Ok(0);
    let everywhere = is_zero(parts.next()?);
    let flags = u32::from_str_radix(parts.nth(1)?, 16).ok()?;
    let everywhere = everywhere && is_zero(parts.nth(3)?);
    everywhere.then_some((interface, flags))
}

/// The interface of a line of `ipv6_route` that is a default route: target, prefix length, source,
/// prefix length, next hop, metric, reference count, use count, flags, interface.
fn default_ipv6(line: &str) -> Option<&str> {
    let mut parts = line.split_ascii_whitespace();
    let everywhere = parts.next()?.bytes().all(|b| b == b'0') && parts.next()? == "00";
    let flags = u32::from_str_radix(parts.nth(6)?, 16).ok()?;
    let interface = parts.next()?;
    (everywhere && flags & REJECT == 0 && interface != "lo").then_some(interface)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use super::*;

    const DEFAULT: &str = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";

    /// Bytes that this thread has read, by the kernel's count.
    fn read_bytes() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        let mut lines = text.lines();
        let bytes = lines.find_map(|line| line.strip_prefix("rchar: "));
        bytes.unwrap().parse().unwrap()
    }

    /// A table in which the default route stands behind so many others, and is read; with the bytes read.
    fn read_behind(before: u32, after: u32) -> (Option<BTreeSet<String>>, u64) {
        let dir = tempfile::tempdir().unwrap();
        let mut text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n".to_owned();
        let others = |text: &mut String, from: u32, count: u32| {
            for at in from..from + count {
                let target = at.swap_bytes();
                writeln!(
                    text,
                    "cni0\t{target:08X}\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0"
                )
                .unwrap();
            }
        };
        others(&mut text, 1, before);
        text.push_str(DEFAULT);
        others(&mut text, before + 1, after);
        fs::write(dir.path().join("route"), text).unwrap();
        let began = read_bytes();
        let found = default_interfaces(dir.path());
        (found, read_bytes() - began)
    }

    #[test]
    fn of_a_large_table_only_what_is_needed_is_read() {
        let eth0 = Some(BTreeSet::from(["eth0".to_owned()]));
        // The kernel lists the default route first.
        let (found, bytes) = read_behind(0, 100_000);
        assert_eq!(found, eth0);
        assert!(bytes < 64 << 10, "{bytes}");
        // Whoever does not is read to the end, and no further than there is to be read.
        assert_eq!(read_behind(1_000, 10).0, eth0);
        let (found, bytes) = read_behind(100_000, 0);
        assert_eq!(found, None);
        assert!(bytes <= MAX_TABLE_BYTES as u64 + 4_096, "{bytes}");
    }

    #[test]
    fn a_route_that_refuses_or_covers_half_is_no_default_route() {
        let dir = tempfile::tempdir().unwrap();
        let refuses = DEFAULT.replace("0003", "0200");
        let half = DEFAULT.replace("\t00000000\t0\t0\t0\n", "\t00000080\t0\t0\t0\n");
        for text in [&refuses, &half, "", "eth0\n", "eth0\t00000000\tx\n"] {
            fs::write(dir.path().join("route"), text).unwrap();
            assert_eq!(default_interfaces(dir.path()), None, "{text}");
        }
        let second = DEFAULT.replace("eth0", "eth1");
        let all = [half.as_str(), DEFAULT, &refuses, &second].concat();
        fs::write(dir.path().join("route"), all).unwrap();
        let found = default_interfaces(dir.path()).unwrap();
        assert!(found.iter().eq(["eth0", "eth1"]), "{found:?}");
    }
}
