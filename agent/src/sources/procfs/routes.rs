//! Which interfaces the default routes go through.

use std::collections::BTreeSet;
use std::path::Path;

use cairn_runtime::files;
use procfs::net::{RouteEntries, RouteEntry};
use procfs::prelude::FromRead as _;

/// Bytes of a routing table that are read: ten thousand IPv6 routes. A larger one has its default
/// route further down than is worth looking for at every tick.
const MAX_TABLE_BYTES: usize = 2 * 1024 * 1024;

/// The flag of a route that refuses traffic instead of carrying it.
const REJECT: u32 = 0x0200;

/// The interfaces of the IPv4 and IPv6 default routes; `None` when there is no such route.
pub(super) fn default_interfaces(net: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if let Ok(RouteEntries(routes)) = RouteEntries::from_file(net.join("route")) {
        names.extend(
            routes
                .into_iter()
                .filter(is_default)
                .map(|route| route.iface),
        );
    }
    if let Ok(bytes) = files::read_small(&net.join("ipv6_route"), MAX_TABLE_BYTES) {
        let text = String::from_utf8_lossy(&bytes);
        names.extend(text.lines().filter_map(default_ipv6).map(str::to_owned));
    }
    (!names.is_empty()).then_some(names)
}

fn is_default(route: &RouteEntry) -> bool {
    let everywhere = route.destination.is_unspecified() && route.mask.is_unspecified();
    everywhere && u32::from(route.flags) & REJECT == 0
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
