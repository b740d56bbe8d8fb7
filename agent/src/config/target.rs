//! Who answers scrapes over HTTP: where, verified how, and with which token.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cairn_runtime::tls::{Hint, ServerName, Trust};

/// Who it is: what messages call it, and the flags that they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The node's kubelet.
    Kubelet,
    /// A cAdvisor of its own.
    Cadvisor,
}

impl Who {
    /// What messages call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Who::Kubelet => "kubelet",
            Who::Cadvisor => "cAdvisor",
        }
    }

    /// The flag that says where it is.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Who::Kubelet => "--kubelet",
            Who::Cadvisor => "--cadvisor",
        }
    }

    /// The flags that mend a refused certificate.
    #[must_use]
    pub fn hint(self) -> Hint {
        match self {
            Who::Kubelet => Hint {
                name_flag: "--kubelet-server-name",
                ca_flag: "--kubelet-ca",
                pin_flag: Some("--kubelet-cert"),
            },
            Who::Cadvisor => Hint {
                name_flag: "--cadvisor-server-name",
                ca_flag: "--cadvisor-ca",
                pin_flag: None,
            },
        }
    }
}

/// How its certificate is judged.
#[derive(Clone, Debug)]
pub enum TargetTrust {
    /// Against CAs and pinned certificates.
    Verified(Arc<Trust>),
    /// Not at all; only on loopback, and a token is sent only to a process of uid 0.
    Insecure(Arc<Trust>),
}

impl TargetTrust {
    /// What the connection is verified with.
    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        match self {
            TargetTrust::Verified(trust) | TargetTrust::Insecure(trust) => trust,
        }
    }
}

/// How it is reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who it is.
    pub who: Who,
    /// Addresses to try, in order.
    pub addresses: Vec<SocketAddr>,
    /// Addresses without TLS, to try when none of those answers. There is one at least in the two lists.
    pub plain: Vec<SocketAddr>,
    /// The name that its certificate must have.
    pub server_name: ServerName<'static>,
    /// What its certificate is verified against.
    pub trust: TargetTrust,
    /// File of the bearer token; `None` sends none.
    pub token_file: Option<PathBuf>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let trust = match &self.trust {
            TargetTrust::Verified(trust) if trust.is_empty() => "no certificate to verify with yet",
            TargetTrust::Verified(_) => "verified",
            TargetTrust::Insecure(_) => "not verified",
        };
        let name = self.server_name.to_str();
        let mut or = "";
        if !addresses.is_empty() {
            write!(f, "{} as {name}, {trust}", addresses.join(" or "))?;
            or = ", else ";
        }
        self.plain.iter().try_for_each(|address| {
            write!(
                f,
                "{}http://{address}",
                std::mem::replace(&mut or, ", else ")
            )
        })
    }
}
