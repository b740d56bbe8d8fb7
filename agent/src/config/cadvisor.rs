//! The part of the configuration that is about cAdvisor.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use cairn_runtime::tls::{self, TrustFiles};

use super::target::{Target, TargetTrust, Who};
use super::{Host, load, readable, url_host};
use crate::args::Args;

/// What a cAdvisor of its own serves its text under.
const PATH: &str = "/metrics";

/// Which cAdvisor is read.
#[derive(Clone, Debug)]
pub enum Cadvisor {
    /// None.
    Off,
    /// The kubelet's, where a kubelet is read.
    Kubelet,
    /// One of its own.
    Standalone(Box<Target>),
}

impl fmt::Display for Cadvisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cadvisor::Off => f.write_str("off"),
            Cadvisor::Kubelet => f.write_str("the kubelet's"),
            Cadvisor::Standalone(target) => target.fmt(f),
        }
    }
}

/// Checks the flags of cAdvisor.
pub(super) fn check(args: &Args, problems: &mut Vec<String>) -> Cadvisor {
    let is_url = args.cadvisor.contains("://");
    if !(is_url && args.cadvisor.starts_with("https:")) {
        let useless = [
            ("--cadvisor-ca", !args.cadvisor_ca.is_empty()),
            (
                "--cadvisor-server-name",
                args.cadvisor_server_name.is_some(),
            ),
        ];
        for (flag, _) in useless.iter().filter(|(_, is_given)| *is_given) {
            problems.push(format!(
                "{flag} is for --cadvisor https://ADDRESS:PORT only: leave it out"
            ));
        }
    }
    match args.cadvisor.as_str() {
        "off" => Cadvisor::Off,
        "auto" => Cadvisor::Kubelet,
        text => standalone(text, args, problems).map_or(Cadvisor::Off, |target| {
            Cadvisor::Standalone(Box::new(target))
        }),
    }
}

fn standalone(text: &str, args: &Args, problems: &mut Vec<String>) -> Option<Target> {
    let found = url_host(text).filter(|host| matches!(&*host.path, "" | "/" | PATH));
    let address = found.as_ref().and_then(address);
    let (Some(host), Some(address)) = (found, address) else {
        problems.push(format!(
            "--cadvisor {text:?} is not auto, off, http://ADDRESS:PORT or https://ADDRESS:PORT with an \
             IP address (the certificate's name is --cadvisor-server-name)"
        ));
        return None;
    };
    if host.is_tls {
        return over_tls(address, args, problems);
    }
    if !address.ip().is_loopback() {
        problems.push(format!(
            "--cadvisor {text:?} is not on loopback, and nothing is encrypted or verified over http: read \
             it on 127.0.0.1, or over https with --cadvisor-ca"
        ));
        return None;
    }
    // Nothing is verified with it: only an address without TLS is tried.
    let trust = load(
        "--cadvisor",
        TrustFiles {
            optional: true,
            ..TrustFiles::default()
        },
        problems,
    )?;
    Some(Target {
        who: Who::Cadvisor,
        addresses: Vec::new(),
        plain: vec![address],
        server_name: tls::server_name(&address.ip().to_string()).ok()?,
        trust: TargetTrust::Verified(trust),
        token_file: None,
    })
}

/// An IP address, or this machine's own name for itself.
fn address(host: &Host) -> Option<SocketAddr> {
    let ip = match host.name.as_str() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        name => name.parse().ok()?,
    };
    Some(SocketAddr::new(ip, host.port))
}

fn over_tls(address: SocketAddr, args: &Args, problems: &mut Vec<String>) -> Option<Target> {
    let before = problems.len();
    if args.cadvisor_ca.is_empty() {
        problems.push(
            "--cadvisor https://... needs --cadvisor-ca: the CA that signed the certificate there"
                .to_owned(),
        );
    }
    for path in &args.cadvisor_ca {
        readable("--cadvisor-ca", path, problems);
    }
    let ip = address.ip().to_string();
    let name = tls::server_name(args.cadvisor_server_name.as_deref().unwrap_or(&ip));
    if let Err(error) = &name {
        problems.push(format!("--cadvisor-server-name: {error}"));
    }
    let files = TrustFiles {
        ca: args.cadvisor_ca.clone(),
        ..TrustFiles::default()
    };
    let trust = (problems.len() == before)
        .then(|| load("--cadvisor-ca", files, problems))
        .flatten()?;
    Some(Target {
        who: Who::Cadvisor,
        addresses: vec![address],
        plain: Vec::new(),
        server_name: name.ok()?,
        trust: TargetTrust::Verified(trust),
        token_file: None,
    })
}
