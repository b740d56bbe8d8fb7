//! Which of a node's interfaces are the node's own: the same for all sources that list them.

/// Beginnings of the names of interfaces that belong to one pod or virtual machine each: they come
/// and go with it, and its own statistics have the same counters.
const OF_PODS: [&str; 9] = [
    "veth", "cali", "lxc", "cilium", "tap", "vnet", "eni", "gke", "azv",
];

/// False for those of pods and for the loopback.
pub(super) fn is_own(name: &str) -> bool {
    name != "lo" && !OF_PODS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_pods_are_left_out() {
        let own = ["eth0", "ens5", "bond0", "cni0", "wg0"];
        assert!(own.into_iter().all(is_own));
        let others = ["lo", "veth12ab", "cali0", "lxc1"];
        assert!(!others.into_iter().any(is_own));
    }
}
