"""Kubernetes' Pod Security Standards, as of version 1.37, for what a pod's specification says.

Each control has the name that the admission controller gives it. `violations` returns those that a pod breaks.
"""

LEVELS = ("privileged", "baseline", "restricted")

CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
    "secret",
}


def violations(pod, level):
    """The controls of `level` (and of those below it) that the pod's specification breaks."""
    if level == "privileged":
        return set()
    controls = dict(BASELINE)
    if level == "restricted":
        controls |= RESTRICTED
    return {name for name, breaks in controls.items() if breaks(pod)}


def containers(pod):
    return [found for kind in ("initContainers", "containers", "ephemeralContainers") for found in pod.get(kind, [])]


def contexts(pod):
    """The pod's own security context and those of its containers."""
    return [pod.get("securityContext") or {}, *(own(container) for container in containers(pod))]


def own(container):
    return container.get("securityContext") or {}


def added(container):
    return set((own(container).get("capabilities") or {}).get("add") or [])


def host_namespaces(pod):
    return any(pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC"))


def host_process(pod):
    return any((context.get("windowsOptions") or {}).get("hostProcess") for context in contexts(pod))


def host_path_volumes(pod):
    return any("hostPath" in volume for volume in pod.get("volumes", []))


def host_ports(pod):
    # A container's port of a pod in the node's network is the node's port.
    on_node = pod.get("hostNetwork")
    ports = [port for container in containers(pod) for port in container.get("ports", [])]
    return any(on_node or port.get("hostPort") for port in ports)


def host_of_probes(pod):
    for container in containers(pod):
        handlers = [container.get(probe) or {} for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
        hooks = container.get("lifecycle") or {}
        handlers += [hooks.get(hook) or {} for hook in ("postStart", "preStop")]
        if any((handler.get(how) or {}).get("host") for handler in handlers for how in ("httpGet", "tcpSocket")):
            return True
    return False


def app_armor(pod):
    kinds = [(context.get("appArmorProfile") or {}).get("type") for context in contexts(pod)]
    return any(kind == "Unconfined" for kind in kinds)


def selinux(pod):
    options = [context.get("seLinuxOptions") or {} for context in contexts(pod)]
    return any(
        found.get("type", "") not in SELINUX_TYPES or found.get("user") or found.get("role") for found in options
    )


def proc_mount(pod):
    return any(own(container).get("procMount", "Default") != "Default" for container in containers(pod))


def unconfined(pod):
    return any((context.get("seccompProfile") or {}).get("type") == "Unconfined" for context in contexts(pod))


def sysctls(pod):
    return any(found["name"] not in SYSCTLS for found in (pod.get("securityContext") or {}).get("sysctls", []))


def restricted_volumes(pod):
    return any(not RESTRICTED_VOLUMES & volume.keys() for volume in pod.get("volumes", []))


def run_as_non_root(pod):
    of_pod = (pod.get("securityContext") or {}).get("runAsNonRoot")
    return any(own(container).get("runAsNonRoot", of_pod) is not True for container in containers(pod))


def restricted_seccomp(pod):
    of_pod = (pod.get("securityContext") or {}).get("seccompProfile")
    profiles = [own(container).get("seccompProfile", of_pod) or {} for container in containers(pod)]
    return any(profile.get("type") not in ("RuntimeDefault", "Localhost") for profile in profiles)


def restricted_capabilities(pod):
    dropped = [set((own(container).get("capabilities") or {}).get("drop") or []) for container in containers(pod)]
    return any("ALL" not in drop for drop in dropped) or any(
        added(container) - {"NET_BIND_SERVICE"} for container in containers(pod)
    )


BASELINE = {
    "hostNamespaces": host_namespaces,
    "windowsHostProcess": host_process,
    "privileged": lambda pod: any(own(container).get("privileged") for container in containers(pod)),
    "capabilities_baseline": lambda pod: any(added(container) - CAPABILITIES for container in containers(pod)),
    "hostPathVolumes": host_path_volumes,
    "hostPorts": host_ports,
    "hostProbesAndHostLifecycle": host_of_probes,
    "appArmorProfile": app_armor,
    "seLinuxOptions": selinux,
    "procMount": proc_mount,
    "seccompProfile_baseline": unconfined,
    "sysctls": sysctls,
}

RESTRICTED = {
    "restrictedVolumes": restricted_volumes,
    "allowPrivilegeEscalation": lambda pod: any(
        own(container).get("allowPrivilegeEscalation") is not False for container in containers(pod)
    ),
    "runAsNonRoot": run_as_non_root,
    "runAsUser": lambda pod: any(context.get("runAsUser") == 0 for context in contexts(pod)),
    "seccompProfile_restricted": restricted_seccomp,
    "capabilities_restricted": restricted_capabilities,
}
