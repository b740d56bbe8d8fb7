//! Whose cgroup it is, by the labels that the kubelet puts on it and by its place in the tree.

use super::Labels;
use super::family::What;
use crate::sources::cgroup::place;
use crate::sources::exposition::Refused;

/// The name that dockershim gave to sandboxes; containerd and CRI-O give none.
const SANDBOX: &str = "POD";

/// Whose cgroup it is.
#[derive(Debug)]
pub(super) enum Of {
    /// The root.
    Node,
    /// A pod's own: by namespace and name.
    Pod(Box<str>, Box<str>),
    /// The pause container of a pod.
    Sandbox(Box<str>, Box<str>),
    /// A container of a pod.
    Container(Box<str>, Box<str>, Box<str>),
}

/// Whose container a runtime's id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The UID of its pod.
    pub uid: Box<str>,
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub pod: Box<str>,
    /// The container's name; `None` of the sandbox.
    pub container: Option<Box<str>>,
}

impl Of {
    /// The runtime's id in a path, and whose it is; `None` of what is no container, and where a path
    /// has no ids.
    pub(super) fn identity(&self, path: &str) -> Option<(Box<str>, Identity)> {
        let (namespace, pod, container) = match self {
            Of::Node | Of::Pod(..) => return None,
            Of::Sandbox(namespace, pod) => (namespace, pod, None),
            Of::Container(namespace, pod, container) => (namespace, pod, Some(container)),
        };
        let id = place::runtime_id(path.rsplit('/').next()?)?;
        let identity = Identity {
            uid: pod_uid(path)?,
            namespace: namespace.clone(),
            pod: pod.clone(),
            container: container.cloned(),
        };
        Some((id.into(), identity))
    }

    /// `None` for what belongs to no pod and is not the root.
    pub(super) fn told_by(labels: &Labels<'_>) -> Result<Option<Self>, Refused> {
        if labels.id.is_empty() {
            return Err(Refused::Odd);
        }
        if labels.id == "/" {
            return Ok(Some(Of::Node));
        }
        let (namespace, pod) = (labels.namespace.as_ref(), labels.pod.as_ref());
        if namespace.is_empty() || pod.is_empty() {
            return Ok(None);
        }
        let (namespace, pod) = (namespace.into(), pod.into());
        Ok(Some(match labels.container.as_ref() {
            "" if labels.name.is_empty() => Of::Pod(namespace, pod),
            "" | SANDBOX => Of::Sandbox(namespace, pod),
            container => Of::Container(namespace, pod, container.into()),
        }))
    }

    /// Whether such a value is kept of it.
    pub(super) fn takes(&self, what: What) -> bool {
        match self {
            // Its disks are the machine's: /proc tells them, and cAdvisor lists each mount too.
            Of::Node => what != What::Device,
            Of::Sandbox(..) => what == What::Interface,
            Of::Pod(..) | Of::Container(..) => true,
        }
    }
}

/// The UID of the pod in whose cgroup a path lies, with the cgroupfs and the systemd driver.
pub(super) fn pod_uid(path: &str) -> Option<Box<str>> {
    path.split('/').find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let (front, uid) = part.rsplit_once("pod")?;
        let is_front = front.is_empty() || front.ends_with('-');
        let uid = place::uid(uid).filter(|_| is_front)?;
        Some(uid.into_boxed_str())
    })
}
