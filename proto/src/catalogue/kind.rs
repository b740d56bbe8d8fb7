//! What can be measured.

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntityKind {
    /// The whole machine.
    Node = 1,
    /// A system container of the kubelet: `pods`, `kubelet`, `runtime`, `misc`.
    System = 2,
    /// A pod's own cgroup and network.
    Pod = 3,
    /// A pod's pause container.
    Sandbox = 4,
    /// A container of a pod.
    Container = 5,
    /// A file system or volume.
    Filesystem = 6,
    /// A network interface.
    Interface = 7,
    /// A block device.
    BlockDevice = 8,
    /// An extended resource of a container.
    Resource = 9,
}

impl EntityKind {
    /// Every kind, in wire order.
    pub const ALL: [EntityKind; 9] = [
        EntityKind::Node,
        EntityKind::System,
        EntityKind::Pod,
        EntityKind::Sandbox,
        EntityKind::Container,
        EntityKind::Filesystem,
        EntityKind::Interface,
        EntityKind::BlockDevice,
        EntityKind::Resource,
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
            EntityKind::BlockDevice => "device",
            EntityKind::Resource => "resource",
        }
    }
}
