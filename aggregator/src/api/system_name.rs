//! What the Heapster API calls the kubelet's system containers.
//!
//! Two of them had other names there, and its clients ask for those.

/// The kubelet's name and Heapster's, where they differ.
const RENAMED: [(&str, &str); 2] = [("runtime", "docker-daemon"), ("misc", "system")];

/// The name that is shown for one of the kubelet's.
pub(super) fn shown(name: &str) -> &str {
    let renamed = RENAMED.iter().find(|(own, _)| *own == name);
    renamed.map_or(name, |(_, shown)| shown)
}

/// The kubelet's name for one that is asked for; its own names are understood too.
pub(super) fn meant(name: &str) -> &str {
    let renamed = RENAMED.iter().find(|(_, shown)| *shown == name);
    renamed.map_or(name, |(own, _)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_changed_and_changed_back() {
        for (own, name) in [
            ("runtime", "docker-daemon"),
            ("misc", "system"),
            ("kubelet", "kubelet"),
            ("pods", "pods"),
        ] {
            assert_eq!((shown(own), meant(name), meant(own)), (name, own, own));
        }
    }
}
