//! What can be measured.

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntityKind {
    /// The whole machine.
    Node = 1,
    /// A system container of the kubelet: `pods`, `kubelet`, `runtime`, `misc`; on a host without one
    /// what belongs to no pod: a container, or a cgroup of the system.
    System = 2,
    /// A pod's own cgroup and network.
    Pod = 3,
    /// A pod's pause container.
    Sandbox = 4,
    /// A container of a pod.
    Container = 5,
    /// A file system of the node or of a container.
    Filesystem = 6,
    /// A network interface.
    Interface = 7,
    /// A block device.
    BlockDevice = 8,
    /// An extended resource of a container.
    Resource = 9,
    /// A volume of a pod.
    Volume = 10,
    /// An accelerator of a container.
    Accelerator = 11,
    /// A processor of the node.
    Processor = 12,
}

impl EntityKind {
    /// Every kind, in wire order.
    pub const ALL: [EntityKind; 12] = [
        EntityKind::Node,
        EntityKind::System,
        EntityKind::Pod,
        EntityKind::Sandbox,
        EntityKind::Container,
        EntityKind::Filesystem,
        EntityKind::Interface,
        EntityKind::BlockDevice,
        EntityKind::Resource,
        EntityKind::Volume,
        EntityKind::Accelerator,
        EntityKind::Processor,
    ];

    /// The word for it in documents and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EntityKind::Node => "node",
            EntityKind::System => "system",
            EntityKind::Pod => "pod",
            EntityKind::Sandbox => "sandbox",
            EntityKind::Container => "container",
            EntityKind::Filesystem => "filesystem",
            EntityKind::Interface => "interface",
            EntityKind::BlockDevice => "blockdevice",
            EntityKind::Resource => "resource",
            EntityKind::Volume => "volume",
            EntityKind::Accelerator => "accelerator",
            EntityKind::Processor => "processor",
        }
    }

    /// True for what the Heapster API shows under the thing it belongs to, told apart by labels.
    #[must_use]
    pub const fn is_labeled(self) -> bool {
        matches!(
            self,
            EntityKind::Filesystem | EntityKind::Volume | EntityKind::Accelerator
        )
    }

    /// The labels by which the Heapster API tells parts of this kind apart, sorted.
    #[must_use]
    pub const fn heapster_labels(self) -> &'static [&'static str] {
        match self {
            EntityKind::Filesystem | EntityKind::Volume => &["resource_id"],
            EntityKind::Accelerator => &["accelerator_id", "make", "model"],
            _ => &[],
        }
    }
}
