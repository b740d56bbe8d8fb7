//! What a directory's name says, by its place in the tree.
//!
//! Pure. A name alone means nothing: a container may make cgroups below its own that are called like
//! another pod's. Whoever asks here says where the directory is: directly below one of the kubelet's
//! parents of pods, or directly below a pod.

/// Letters of a container's id: CRI runtimes and Docker give 32 random bytes.
const ID_LETTERS: usize = 64;

/// What runtimes put before the id, containerd, CRI-O and Docker. Of CRI-O's other cgroups
/// (`crio-conmon-ID`) the rest is no id.
const RUNTIMES: [&str; 3] = ["cri-containerd-", "crio-", "docker-"];

/// Who names the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// systemd: each name has those of all its parents in it.
    Systemd,
    /// The kubelet and the runtime make directories themselves.
    Cgroupfs,
}

impl Driver {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Driver::Systemd => "systemd",
            Driver::Cgroupfs => "cgroupfs",
        }
    }
}

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
        ["", "burstable", "besteffort"].map(|class| match last.strip_suffix(".slice") {
            Some(stem) if class.is_empty() => Self {
                path: pods.to_owned(),
                front: format!("{stem}-pod"),
                driver: Driver::Systemd,
            },
            Some(stem) => Self {
                path: format!("{pods}/{stem}-{class}.slice"),
                front: format!("{stem}-{class}-pod"),
                driver: Driver::Systemd,
            },
            None => Self {
                path: format!("{pods}/{class}").trim_end_matches('/').to_owned(),
                front: "pod".to_owned(),
                driver: Driver::Cgroupfs,
            },
        })
    }

    /// Who named it.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The UID of the pod whose cgroup directly below has this name; `None` for what is no pod.
    #[must_use]
    pub fn pod_uid(&self, name: &str) -> Option<String> {
        let name = match self.driver {
            Driver::Systemd => name.strip_suffix(".slice")?,
            Driver::Cgroupfs => name,
        };
        uid(name.strip_prefix(self.front.as_str())?)
    }
}

/// The UID of a pod in the form that cgroups have it in: systemd takes `-` for a step down, so there
/// it is written `_`. A static pod has a hash of its file, without either.
#[must_use]
pub fn uid(text: &str) -> Option<String> {
    let is_uid = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
    let fits = matches!(text.len(), 32 | 36) && text.bytes().all(is_uid);
    fits.then(|| text.replace('_', "-"))
}

/// The runtime's id of the container whose cgroup directly below a pod's has this name; `None` for
/// what is no container.
#[must_use]
pub fn runtime_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = RUNTIMES
        .iter()
        .find_map(|front| name.strip_prefix(front))
        .unwrap_or(name);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (id.len() == ID_LETTERS && id.bytes().all(is_hex)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";
    const ID: &str = "305f1c79670865583009fa5bbf7a2949978da6f8fe86c0ee96139cba69f3d6cd";

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

    #[test]
    fn three_runtimes_name_containers_with_both_drivers() {
        for name in [
            format!("cri-containerd-{ID}.scope"),
            format!("crio-{ID}.scope"),
            format!("docker-{ID}.scope"),
            format!("crio-{ID}"),
            ID.to_owned(),
        ] {
            assert_eq!(runtime_id(&name), Some(ID), "{name}");
        }
        for name in [
            format!("crio-conmon-{ID}.scope"),
            format!("crio-conmon-{ID}"),
            "init.scope".to_owned(),
            "container".to_owned(),
            ID.to_uppercase(),
            format!("{ID}0"),
        ] {
            assert_eq!(runtime_id(&name), None, "{name}");
        }
    }
}
