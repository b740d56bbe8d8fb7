//! Other aggregators that are asked for history.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_runtime::logging;
use cairn_runtime::tls::{self, Trust, TrustFiles};

use super::host::{HttpsHost, https_host};
use crate::args::PeerArgs;

/// Whom to ask.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The hosts, which may lead to this aggregator too; empty asks nobody.
    pub hosts: Vec<HttpsHost>,
    /// File of the bearer token; `None` sends none.
    pub token_file: Option<PathBuf>,
    /// What certificates are verified against, to be read again when it changes.
    pub trust: Option<Arc<Trust>>,
}

/// Checks the flags about peers; what is wrong goes to `problem`.
pub(super) fn check(args: PeerArgs, mut problem: impl FnMut(String)) -> Peers {
    let mut peers = Peers {
        token_file: args.peer_token_file,
        ..Peers::default()
    };
    if args.peer.is_empty() {
        if peers.token_file.is_some() || !args.peer_ca.is_empty() {
            problem("--peer-ca and --peer-token-file go with --peer".to_owned());
        }
        return peers;
    }
    if args.peer_ca.is_empty() {
        problem("--peer needs --peer-ca: the CA that signed the peers' certificate".to_owned());
        return peers;
    }
    let files = TrustFiles {
        ca: args.peer_ca,
        ..TrustFiles::default()
    };
    let trust = match Trust::load(files) {
        Ok(trust) => trust,
        Err(error) => {
            problem(format!("--peer-ca: {}", logging::chain(&error)));
            return peers;
        }
    };
    for text in &args.peer {
        let Some((host, port)) = https_host(text) else {
            problem(format!("--peer {text:?} is not https://HOST:PORT"));
            continue;
        };
        match tls::server_name(&host) {
            Ok(server_name) => peers.hosts.push(HttpsHost {
                host,
                port,
                server_name,
                trust: Arc::clone(&trust),
            }),
            Err(error) => problem(format!("--peer {text:?}: {error}")),
        }
    }
    peers.trust = Some(trust);
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_need_a_ca_and_nothing_stands_without_peers() {
        let problems = |args: PeerArgs| {
            let mut problems = Vec::new();
            check(args, |text| problems.push(text));
            problems.join("; ")
        };
        let peer = vec!["https://peer:9443".to_owned()];
        let without_ca = PeerArgs {
            peer: peer.clone(),
            ..PeerArgs::default()
        };
        assert!(problems(without_ca).contains("--peer-ca"));
        let alone = PeerArgs {
            peer_token_file: Some("t".into()),
            ..PeerArgs::default()
        };
        assert!(problems(alone).contains("go with --peer"));
        let missing = PeerArgs {
            peer,
            peer_ca: vec!["/nowhere/ca.pem".into()],
            peer_token_file: None,
        };
        assert!(problems(missing).starts_with("--peer-ca:"));
        assert_eq!(problems(PeerArgs::default()), "");
    }
}
