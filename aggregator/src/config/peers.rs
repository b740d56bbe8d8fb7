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
    /// True: nothing was named, and the CAs that this process makes are to be put into the trust.
    pub own_ca: bool,
}

/// Checks the flags about peers; what is wrong goes to `problem`. With `own_ca` this process makes the CA of all
/// replicas, and needs no file of it.
pub(super) fn check(args: PeerArgs, own_ca: bool, mut problem: impl FnMut(String)) -> Peers {
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
    peers.own_ca = own_ca && args.peer_ca.is_empty();
    if args.peer_ca.is_empty() && !own_ca {
        problem("--peer needs --peer-ca: the CA that signed the peers' certificate".to_owned());
        return peers;
    }
    let files = TrustFiles {
        ca: args.peer_ca,
        ..TrustFiles::default()
    };
    let loaded = if peers.own_ca {
        Ok(Trust::empty())
    } else {
        Trust::load(files)
    };
    let trust = match loaded {
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
            check(args, false, |text| problems.push(text));
            problems.join("; ")
        };
        let peer = vec!["https://peer:9443".to_owned()];
        let without_ca = PeerArgs {
            peer: peer.clone(),
            ..PeerArgs::default()
        };
        assert!(problems(without_ca).contains("--peer-ca"));
        let own = PeerArgs {
            peer: peer.clone(),
            ..PeerArgs::default()
        };
        let own = check(own, true, |text| panic!("{text}"));
        assert!(own.own_ca && own.trust.is_some_and(|trust| trust.is_empty()));
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
