//! The part of the configuration that is about the kubelet.

mod keys;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_runtime::tls::{self, ServerName, Trust, TrustFiles};

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

/// How the kubelet's certificate is judged.
#[derive(Clone, Debug)]
pub enum KubeletTrust {
    /// Against CAs and pinned certificates.
    Verified(Arc<Trust>),
    /// Not at all; only on loopback, and a token is sent only to a process of uid 0.
    Insecure(Arc<Trust>),
}

impl KubeletTrust {
    /// What the connection is verified with.
    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        match self {
            KubeletTrust::Verified(trust) | KubeletTrust::Insecure(trust) => trust,
        }
    }
}

/// How the kubelet is reached.
#[derive(Clone, Debug)]
pub struct Kubelet {
    /// Addresses to try, in order; never empty.
    pub addresses: Vec<SocketAddr>,
    /// Addresses without TLS, to try when none of those answers; mostly empty.
    pub read_only: Vec<SocketAddr>,
    /// The name that its certificate must have.
    pub server_name: ServerName<'static>,
    /// What its certificate is verified against.
    pub trust: KubeletTrust,
    /// File of the bearer token; `None` sends none.
    pub token_file: Option<PathBuf>,
    /// Whether the runtime's ids in its answers are kept: beside cgroups.
    pub keeps_ids: bool,
}

impl fmt::Display for Kubelet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let trust = match &self.trust {
            KubeletTrust::Verified(trust) if trust.is_empty() => {
                "no certificate to verify with yet"
            }
            KubeletTrust::Verified(_) => "verified",
            KubeletTrust::Insecure(_) => "not verified",
        };
        let name = self.server_name.to_str();
        write!(f, "{} as {name}, {trust}", addresses.join(" or "))?;
        self.read_only
            .iter()
            .try_for_each(|address| write!(f, ", else http://{address}"))
    }
}

/// Checks the kubelet's flags.
pub(super) fn check(args: &Args, node: &str, problems: &mut Vec<String>) -> Option<Kubelet> {
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
    let trust = trust(args, &addresses, problems);
    if args.kubernetes_service_host.is_some() {
        keys::refuse(&keys::places(args), problems);
    }
    let trust = trust?;
    let token_file = args.kubelet_token_file.clone();
    Some(Kubelet {
        addresses,
        read_only,
        server_name: server_name?,
        trust,
        token_file,
        keeps_ids: false,
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

fn trust(
    args: &Args,
    addresses: &[SocketAddr],
    problems: &mut Vec<String>,
) -> Option<KubeletTrust> {
    if args.kubelet_insecure_skip_tls_verify {
        if !addresses.iter().all(|address| address.ip().is_loopback()) {
            problems.push(
                "--kubelet-insecure-skip-tls-verify is for a kubelet on loopback only: give \
                 --kubelet https://127.0.0.1:10250, or --kubelet-ca or --kubelet-cert"
                    .to_owned(),
            );
            return None;
        }
        return Some(KubeletTrust::Insecure(Trust::insecure()));
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
    load(flag, files, problems).map(KubeletTrust::Verified)
}

fn is_pattern(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().contains('*'))
}
