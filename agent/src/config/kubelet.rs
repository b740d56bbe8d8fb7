//! The part of the configuration that is about the kubelet.

mod keys;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cairn_runtime::tls::{self, Trust, TrustFiles};

use super::target::{Target, TargetTrust, Who};
use super::{https_host, load, readable};
use crate::args::Args;

/// Where distributions keep the CA that signs kubelet certificates.
const DEFAULT_CAS: [&str; 6] = [
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/certs/ca.crt",
    "/var/lib/rancher/k3s/agent/server-ca.crt",
    "/var/lib/rancher/rke2/agent/server-ca.crt",
    "/var/snap/microk8s/current/certs/ca.crt",
];

/// Where kubelets keep the certificate that they make for themselves.
const DEFAULT_CERTS: [&str; 4] = [
    "/var/lib/kubelet/pki/kubelet.crt",
    "/var/lib/k0s/kubelet/pki/kubelet.crt",
    "/var/lib/rancher/k3s/agent/serving-kubelet.crt",
    "/var/lib/rancher/rke2/agent/serving-kubelet.crt",
];

/// Checks the kubelet's flags.
pub(super) fn check(args: &Args, node: &str, problems: &mut Vec<String>) -> Option<Target> {
    // Whether or not the kubelet is read: its directory may be mounted all the same.
    if args.kubernetes_service_host.is_some() {
        keys::refuse(&keys::places(args), problems);
    }
    if args.kubelet == "off" {
        return None;
    }
    let addresses = addresses(args, problems);
    let name = args.kubelet_server_name.as_deref().unwrap_or(node);
    let server_name = match tls::server_name(name) {
        Ok(name) => Some(name),
        // A missing node name is a problem of its own already.
        Err(_) if name.is_empty() => None,
        Err(error) => {
            problems.push(format!("--kubelet-server-name: {error}"));
            None
        }
    };
    let read_only = read_only(args, &addresses, problems);
    let trust = trust(args, &addresses, problems)?;
    let token_file = args.kubelet_token_file.clone();
    Some(Target {
        who: Who::Kubelet,
        addresses,
        plain: read_only,
        server_name: server_name?,
        trust,
        token_file,
    })
}

fn addresses(args: &Args, problems: &mut Vec<String>) -> Vec<SocketAddr> {
    if args.kubelet == "auto" {
        let port = args.kubelet_port;
        let mut found = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        match args.host_ip.as_deref().map(str::parse::<IpAddr>) {
            None => {}
            Some(Ok(host)) => found.push(SocketAddr::new(host, port)),
            Some(Err(_)) => problems.push("HOST_IP is not an IP address".to_owned()),
        }
        found.dedup();
        return found;
    }
    let address = https_host(&args.kubelet)
        .and_then(|(host, port)| Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port)));
    if address.is_none() {
        problems.push(format!(
            "--kubelet {:?} is not auto, off or https://ADDRESS:PORT with an IP address (the \
             certificate's name is --kubelet-server-name)",
            args.kubelet
        ));
    }
    address.into_iter().collect()
}

/// The addresses of the port without TLS, where it is allowed.
fn read_only(args: &Args, addresses: &[SocketAddr], problems: &mut Vec<String>) -> Vec<SocketAddr> {
    let port = args.kubelet_read_only_port;
    if port == 0 {
        return Vec::new();
    }
    if args.kubelet != "auto" {
        problems
            .push("--kubelet-read-only-port is for --kubelet auto only: leave it out".to_owned());
    }
    let other = |address: &SocketAddr| SocketAddr::new(address.ip(), port);
    addresses.iter().map(other).collect()
}

/// The files that pinned certificates are looked for in.
fn pins(args: &Args) -> Vec<PathBuf> {
    if args.kubelet_ca.is_empty() && args.kubelet_cert.is_empty() {
        DEFAULT_CERTS.map(PathBuf::from).into()
    } else {
        args.kubelet_cert.clone()
    }
}

fn trust(args: &Args, addresses: &[SocketAddr], problems: &mut Vec<String>) -> Option<TargetTrust> {
    if args.kubelet_insecure_skip_tls_verify {
        if !addresses.iter().all(|address| address.ip().is_loopback()) {
            problems.push(
                "--kubelet-insecure-skip-tls-verify is for a kubelet on loopback only: give \
                 --kubelet https://127.0.0.1:10250, or --kubelet-ca or --kubelet-cert"
                    .to_owned(),
            );
            return None;
        }
        return Some(TargetTrust::Insecure(Trust::insecure()));
    }
    let given = !args.kubelet_ca.is_empty() || !args.kubelet_cert.is_empty();
    let files = if given {
        let before = problems.len();
        for (flag, paths) in [
            ("--kubelet-ca", &args.kubelet_ca),
            ("--kubelet-cert", &args.kubelet_cert),
        ] {
            for path in paths.iter().filter(|path| !is_pattern(path)) {
                readable(flag, path, problems);
            }
        }
        if problems.len() > before {
            return None;
        }
        TrustFiles {
            ca: args.kubelet_ca.clone(),
            pins: pins(args),
            optional: false,
        }
    } else {
        // A kubelet may make its certificate after the agent has begun.
        TrustFiles {
            ca: DEFAULT_CAS.map(PathBuf::from).into(),
            pins: pins(args),
            optional: true,
        }
    };
    let flag = if args.kubelet_ca.is_empty() {
        "--kubelet-cert"
    } else {
        "--kubelet-ca"
    };
    load(flag, files, problems).map(TargetTrust::Verified)
}

fn is_pattern(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().contains('*'))
}
