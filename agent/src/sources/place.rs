//! Whose cgroup a path is, by its place in the tree.
//!
//! Pure. A pod's cgroup lies directly below the kubelet's `kubepods` or one of its two parents for
//! classes of service, a container's directly below a pod's. What lies deeper was made by what runs
//! there, under any name that it likes, so it is nobody's: a pattern would find a victim's name there
//! too. For the same reason `kubepods` counts at the top or directly below a root that an administrator
//! gave to the kubelet, and not below what users, services, machines and containers may fill.
//!
//! What single names mean is here too, for those who walk the tree: a name alone means nothing, so
//! whoever asks knows where it is.

use std::borrow::Cow;

/// The longest id of a container, as every runtime makes them.
const MAX_ID_BYTES: usize = 64;

/// The shortest id that a runtime gives to a container outside of pods: what is shorter is a name.
const MIN_ID_BYTES: usize = 32;

/// Cgroups at the top whose users make cgroups of any name below them: those of systemd, and how the
/// parents of containers outside of pods begin.
const FOREIGN: [&str; 3] = [USERS, "machine.slice", "system.slice"];
const FOREIGN_SUFFIXES: [&str; 2] = [".scope", ".service"];
const FOREIGN_PREFIXES: [&str; 2] = ["lxc", "docker"];

/// The one of them that is people's own.
const USERS: &str = "user.slice";

/// The kubelet's parents of pods below `kubepods`; pods with guarantees have none.
pub(super) const CLASSES: [&str; 2] = ["burstable", "besteffort"];

/// The UID of the pod and, when it is a container's cgroup, the container's runtime id; `None` for
/// what is neither a pod's nor a container's.
///
/// Knows the cgroupfs driver (`/kubepods/burstable/pod<uid>/<id>`), the systemd driver
/// (`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/<runtime>-<id>.scope`),
/// both below a root of the kubelet's own, and what a runtime with the one makes of the other's paths
/// (`<slice>:<runtime>:<id>`). The sandbox of a pod is a container here: nothing in a path tells it.
#[must_use]
pub fn place(path: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    let path = path.strip_prefix('/')?;
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    if last.contains(':') {
        return is_of_runtime(above).then(|| mixed(last)).flatten();
    }
    let mut parts = path.split('/');
    let top = parts.next()?;
    let (parent, driver) = match root(top) {
        Some(found) => found,
        None if is_foreign(top) => return None,
        None => root(parts.next()?)?,
    };
    let mut pod = parts.next()?;
    let mut parent = Cow::Borrowed(parent);
    for class in CLASSES {
        let own = driver.child(&parent, class);
        if pod.strip_suffix(driver.suffix()) == Some(&own) {
            parent = own;
            pod = parts.next()?;
            break;
        }
    }
    let front = driver.child(&parent, "pod");
    let uid = pod.strip_suffix(driver.suffix())?.strip_prefix(&*front)?;
    let uid = pod_uid(uid)?;
    let id = match parts.next() {
        None => None,
        Some(part) => Some(container_id(part)?),
    };
    parts.next().is_none().then_some((uid, id))
}

/// What a cgroup outside of pods is called on a host without a kubelet: a container as its runtime calls
/// it, any other by its path without the first slash; `None` for what is nobody's.
///
/// What lies below a container was made by what runs there, under any name that it likes. A runtime that
/// a user runs for himself is none that cAdvisor asks, so a name below `user.slice` is borrowed from
/// somebody else's container. Of what nobody names the two upper levels are taken: those below are
/// anybody's to make where they were given away.
#[must_use]
pub fn free<'a>(path: &'a str, name: &'a str) -> Option<&'a str> {
    let path = path.strip_prefix('/').filter(|path| !path.is_empty())?;
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    let is_inside = |part: &str| {
        part.ends_with(".scope")
            || part.starts_with("lxc.")
            || container_id(part).is_some_and(|id| id.len() >= MIN_ID_BYTES)
    };
    let mut parts = above.split('/');
    if parts.clone().any(is_inside) {
        return None;
    }
    if name.is_empty() {
        return (parts.count() == 1).then_some(path);
    }
    (parts.next() != Some(USERS)).then_some(name)
}

/// Whether who runs below this cgroup at the top may make others of any name there.
fn is_foreign(top: &str) -> bool {
    let is_container = container_id(top).is_some_and(|id| id.len() >= MIN_ID_BYTES);
    let is_begun = FOREIGN_PREFIXES.iter().any(|begin| top.starts_with(begin));
    let is_ended = FOREIGN_SUFFIXES.iter().any(|end| top.ends_with(end));
    is_container || is_begun || is_ended || top.contains(':') || FOREIGN.contains(&top)
}

/// Whether a runtime itself may run in this cgroup, below which it makes those of its containers when
/// it takes a name of systemd's for a path: the root, one that is nobody else's, or a service of the
/// machine.
fn is_of_runtime(above: &str) -> bool {
    match above.split_once('/') {
        None => above.is_empty() || !is_foreign(above),
        Some((top, service)) => {
            top == "system.slice" && service.ends_with(".service") && !service.contains('/')
        }
    }
}

/// Who names the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The kubelet and the runtime make directories themselves.
    Cgroupfs,
    /// systemd: each name has those of all its parents in it.
    Systemd,
}

impl Driver {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Driver::Cgroupfs => "cgroupfs",
            Driver::Systemd => "systemd",
        }
    }

    /// What the names of slices end with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Driver::Cgroupfs => "",
            Driver::Systemd => ".slice",
        }
    }

    /// How a cgroup below another is named, without the suffix: systemd wants the whole path in it.
    pub(super) fn child<'a>(self, parent: &str, name: &'a str) -> Cow<'a, str> {
        match self {
            Driver::Cgroupfs => Cow::Borrowed(name),
            Driver::Systemd => Cow::Owned(format!("{parent}-{name}")),
        }
    }
}

/// The name that pods' slices begin with, when this is the kubelet's parent of all pods.
fn root(part: &str) -> Option<(&str, Driver)> {
    if part == "kubepods" {
        return Some((part, Driver::Cgroupfs));
    }
    let name = part.strip_suffix(".slice")?;
    let is_root = name == "kubepods" || name.ends_with("-kubepods");
    is_root.then_some((name, Driver::Systemd))
}

/// A container's cgroup as a runtime with the cgroupfs driver names it below a kubelet with the
/// systemd driver.
fn mixed(part: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    let mut parts = part.split(':');
    let slice = parts.next()?.strip_suffix(".slice")?;
    let (_runtime, id) = (parts.next()?, container_id(parts.next()?)?);
    let (parent, uid) = slice.rsplit_once("-pod")?;
    let class = parent.rsplit_once('-');
    let root = class.filter(|(_, class)| CLASSES.contains(class));
    let root = root.map_or(parent, |(root, _)| root);
    let is_root = root == "kubepods" || root.ends_with("-kubepods");
    (is_root && parts.next().is_none()).then_some((pod_uid(uid)?, Some(id)))
}

/// A pod's UID as the kubelet knows it; systemd takes `-` for a step down, so there it is written `_`. A
/// static pod has a hash of its file, without either.
pub(super) fn pod_uid(text: &str) -> Option<Cow<'_, str>> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let is_uuid = |byte: (usize, u8)| match byte {
        (at, b'-' | b'_') => DASHES.contains(&at),
        (at, byte) => byte.is_ascii_hexdigit() && !DASHES.contains(&at),
    };
    match text.len() {
        32 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        36 => text.bytes().enumerate().all(is_uuid),
        _ => false,
    }
    .then(|| match text.contains('_') {
        true => Cow::Owned(text.replace('_', "-")),
        false => Cow::Borrowed(text),
    })
}

/// A container's runtime id; `None` for what else lies below a pod: the processes that watch
/// containers, and what a runtime makes inside of one.
pub(super) fn container_id(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, id) = match name.rsplit_once('-') {
        Some((runtime, id)) => (runtime, id),
        None if part == name => ("", part),
        None => return None,
    };
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_id = (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_hex);
    (is_id && !runtime.ends_with("conmon")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "1df17ad5-f176-4aad-a700-aface64000ef";
    const OTHER: &str = "0e4a2568-ffb2-4ae7-80e6-4e24fc8ec2d5";
    const STATIC: &str = "0123456789abcdef0123456789abcdef";
    const ID: &str = "64a6e01fb4464807e269423a61527480e1abaefa321a37d0eeed5a0944229d1b";

    /// The words in a shape stand for these: the pod's UID as each driver writes it, another pod's, a
    /// container's id.
    fn path(shape: &str) -> String {
        shape
            .replace("U_ID", &UID.replace('-', "_"))
            .replace("UID", UID)
            .replace("OTHER", OTHER)
            .replace("STATIC", STATIC)
            .replace("ID", ID)
    }

    #[test]
    fn pods_and_containers_of_every_driver_and_runtime_are_found() {
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice";
        for (shape, uid, is_container) in [
            ("/kubepods/podUID", UID, false),
            ("/kubepods/podUID/ID", UID, true),
            ("/kubepods/burstable/podUID", UID, false),
            ("/kubepods/besteffort/podUID/ID", UID, true),
            ("/kubepods/burstable/podUID/crio-ID", UID, true),
            ("/kubepods/burstable/podSTATIC", STATIC, false),
            ("/kubelet/kubepods/burstable/podUID/ID", UID, true),
            // What ends like an id of a container, and is too short for one.
            ("/kube-1/kubepods/podUID/ID", UID, true),
            ("/cafe/kubepods/podUID", UID, false),
            ("/kubepods-podU_ID.slice:cri-containerd:ID", UID, true),
            ("/runtime/kubepods-podU_ID.slice:crio:ID", UID, true),
            (slice, UID, false),
            (&format!("{slice}/cri-containerd-ID.scope"), UID, true),
            (&format!("{slice}/crio-ID.scope"), UID, true),
            (&format!("{slice}/docker-ID.scope"), UID, true),
            (
                "/kubepods.slice/kubepods-podSTATIC.slice/docker-ID.scope",
                STATIC,
                true,
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-podU_ID.slice/cri-containerd-ID.scope",
                UID,
                true,
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-podU_ID.slice:cri-containerd:ID",
                UID,
                true,
            ),
        ] {
            let path = path(shape);
            let (found, id) = place(&path).unwrap();
            assert_eq!((&*found, id), (uid, is_container.then_some(ID)), "{path}");
        }
    }

    #[test]
    fn what_lies_anywhere_else_is_nobodys() {
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice";
        for shape in [
            "",
            "/",
            "/kubepods",
            "/kubepods.slice/kubepods-besteffort.slice",
            "/kubepods/burstable",
            "/tripodUID",
            "/podUID",
            "kubepods/podUID",
            "/system.slice/kubelet.service",
            // What else a runtime makes below a pod, and inside of a container.
            &format!("{slice}/crio-conmon-ID.scope"),
            &format!("{slice}/crio-ID.scope/container"),
            &format!("{slice}/init.scope"),
            "/kubepods/podUID/",
            "/kubepods/podUID/system.slice",
            // Names of one driver below the other, and of another parent.
            "/kubepods/burstable/kubepods-burstable-podU_ID.slice",
            "/kubepods.slice/podUID",
            "/kubepods.slice/kubepods-burstable-podU_ID.slice",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-podU_ID.slice",
            "/kubepods/burstable/besteffort/podUID",
            "/kubepods/other/podUID",
            // No UID and no id.
            "/kubepods/pod1df17ad5f-176-4aad-a700-aface64000ef",
            "/kubepods/podnone",
            "/kubepods/podUID/IDID",
        ] {
            assert_eq!(place(&path(shape)), None, "{shape}");
        }
    }

    #[test]
    fn kubepods_below_what_users_services_and_machines_fill_is_nobodys() {
        for above in [
            "/user.slice",
            "/user.slice/user-1000.slice/user@1000.service",
            "/user.slice/user-1000.slice/user@1000.service/app.slice",
            "/machine.slice",
            "/machine.slice/x.scope",
            "/system.slice",
            "/system.slice/containerd.service/x",
            "/system.slice/x.scope",
            "/init.scope",
            "/x.service",
            "/lxc/web",
            "/lxc.payload.web",
            "/docker",
            "/docker/x",
            "/ID",
            "/crio-ID.scope",
            "/STATIC",
            "/kubelet/other",
            "/kubepods-podOTHER.slice:cri-containerd:ID",
            "/system.slice/kubepods-podU_ID.slice:cri-containerd:ID",
        ] {
            for made in [
                "/kubepods/podUID",
                "/kubepods/burstable/podUID/ID",
                "/kubepods.slice/kubepods-podU_ID.slice/crio-ID.scope",
                "/kubepods-burstable-podU_ID.slice:cri-containerd:ID",
            ] {
                let path = path(&format!("{above}{made}"));
                assert_eq!(place(&path), None, "{path}");
            }
        }
        // A service of the machine may be a runtime, and then its containers are named so there alone.
        let path = path("/system.slice/containerd.service/kubepods/podUID");
        assert_eq!(place(&path), None);
    }

    #[test]
    fn what_a_container_makes_is_not_found_whatever_its_name() {
        for inside in [
            "/kubepods/burstable/podUID/ID",
            "/kubepods.slice/kubepods-podU_ID.slice/crio-ID.scope",
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/system.slice/containerd.service/kubepods-podU_ID.slice:cri-containerd:ID",
        ] {
            for made in [
                "/ID",
                "/cri-containerd-ID.scope",
                "/podOTHER",
                "/podOTHER/ID",
                "/kubepods/podOTHER/ID",
                "/kubepods/burstable/podOTHER",
                "/kubepods.slice/kubepods-podSTATIC.slice",
                "/kubepods-podSTATIC.slice:cri-containerd:ID",
            ] {
                assert_eq!(
                    place(&path(&format!("{inside}{made}"))),
                    None,
                    "{inside}{made}"
                );
            }
        }
    }

    #[test]
    fn outside_of_pods_containers_have_their_runtimes_name_and_others_their_path() {
        for (shape, name, called) in [
            ("/docker/ID", "web", Some("web")),
            ("/system.slice/docker-ID.scope", "web", Some("web")),
            ("/machine.slice/libpod-ID.scope", "db", Some("db")),
            ("/a/b/c/docker/ID", "deep", Some("deep")),
            ("/docker/ID", "", Some("docker/ID")),
            ("/system.slice", "", Some("system.slice")),
            (
                "/system.slice/docker.service",
                "",
                Some("system.slice/docker.service"),
            ),
            ("/lxc.payload.web", "", Some("lxc.payload.web")),
            // What others may make.
            ("/system.slice/x.service/made", "", None),
            ("/lxc.payload.web/made", "", None),
            ("/init.scope/made", "", None),
            ("/docker/ID/made", "", None),
            ("/docker/ID/docker/ID", "web", None),
            ("/system.slice/docker-ID.scope/docker-ID.scope", "web", None),
            ("/user.slice/user-1000.slice/docker-ID.scope", "web", None),
            ("/", "web", None),
            ("", "", None),
        ] {
            let path = path(shape);
            let called = called.map(|called| called.replace("ID", ID));
            assert_eq!(free(&path, name), called.as_deref(), "{path}");
        }
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
            assert_eq!(container_id(&name), Some(ID), "{name}");
        }
        for name in [
            format!("crio-conmon-{ID}.scope"),
            format!("crio-conmon-{ID}"),
            "init.scope".to_owned(),
            "container".to_owned(),
            ID.to_uppercase(),
            format!("{ID}0"),
        ] {
            assert_eq!(container_id(&name), None, "{name}");
        }
    }
}
