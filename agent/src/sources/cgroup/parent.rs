//! The kubelet's parents of pods, and which names directly below them are pods.

use std::borrow::Cow;

use crate::sources::place::{self, CLASSES, Driver};

/// One of the kubelet's cgroups directly below which pods are: that of all pods for Guaranteed ones,
/// and those of the other two classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its path below the root of the tree.
    pub path: String,
    // What the names of its pods begin with.
    front: String,
    driver: Driver,
}

impl Parent {
    /// The three parents below the cgroup of all pods, whose path ends in `kubepods` or
    /// `kubepods.slice`.
    #[must_use]
    pub fn all(pods: &str) -> [Self; 3] {
        let last = pods.rsplit('/').next().unwrap_or(pods);
        let (stem, driver) = match last.strip_suffix(Driver::Systemd.suffix()) {
            Some(stem) => (stem, Driver::Systemd),
            None => (last, Driver::Cgroupfs),
        };
        let parent = |path: String, name: &str| Self {
            path,
            front: driver.child(name, "pod").into_owned(),
            driver,
        };
        let of_class = |class| {
            let name = driver.child(stem, class);
            parent(format!("{pods}/{name}{}", driver.suffix()), &name)
        };
        let [burstable, besteffort] = CLASSES.map(of_class);
        [parent(pods.to_owned(), stem), burstable, besteffort]
    }

    /// Who named it.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The UID of the pod whose cgroup directly below has this name; `None` for what is no pod.
    #[must_use]
    pub fn pod_uid(&self, name: &str) -> Option<String> {
        let name = name.strip_suffix(self.driver.suffix())?;
        let uid = place::pod_uid(name.strip_prefix(self.front.as_str())?)?;
        Some(Cow::into_owned(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";

    #[test]
    fn pods_of_the_systemd_driver_are_named_after_their_parents() {
        let [guaranteed, burstable, besteffort] = Parent::all("kubepods.slice");
        assert_eq!(guaranteed.path, "kubepods.slice");
        assert_eq!(burstable.path, "kubepods.slice/kubepods-burstable.slice");
        let escaped = UID.replace('-', "_");
        let of = |class: &str| format!("kubepods{class}-pod{escaped}.slice");
        assert_eq!(guaranteed.pod_uid(&of("")).as_deref(), Some(UID));
        assert_eq!(burstable.pod_uid(&of("-burstable")).as_deref(), Some(UID));
        assert_eq!(besteffort.pod_uid(&of("-besteffort")).as_deref(), Some(UID));
        // In another place the same names mean nothing.
        assert_eq!(guaranteed.pod_uid(&of("-burstable")), None);
        assert_eq!(burstable.pod_uid(&of("")), None);
        assert_eq!(guaranteed.pod_uid("kubepods-burstable.slice"), None);
        assert_eq!(guaranteed.pod_uid(&format!("kubepods-pod{escaped}")), None);
    }

    #[test]
    fn pods_of_the_cgroupfs_driver_have_their_uid_alone() {
        let [guaranteed, burstable, _] = Parent::all("kubepods");
        assert_eq!(burstable.path, "kubepods/burstable");
        assert_eq!(burstable.driver(), Driver::Cgroupfs);
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            guaranteed.pod_uid(&format!("pod{UID}")).as_deref(),
            Some(UID)
        );
        assert_eq!(
            burstable.pod_uid(&format!("pod{hash}")).as_deref(),
            Some(hash)
        );
        for name in ["burstable", "pod", "podx", "cgroup.procs", UID] {
            assert_eq!(guaranteed.pod_uid(name), None, "{name}");
        }
    }

    #[test]
    fn a_kubelet_below_another_cgroup_has_its_name_in_those_of_its_pods() {
        let [guaranteed, burstable, _] = Parent::all("kubelet.slice/kubelet-kubepods.slice");
        let escaped = UID.replace('-', "_");
        let name = format!("kubelet-kubepods-pod{escaped}.slice");
        assert_eq!(guaranteed.pod_uid(&name).as_deref(), Some(UID));
        assert_eq!(
            burstable.path,
            "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"
        );
    }
}
