//! Other aggregators that are asked for history.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_runtime::logging;
use cairn_runtime::tls::{self, ServerName, Trust, TrustFiles};

use crate::args::PeerArgs;

/// One host name that leads to other aggregators, and maybe to this one too.
#[derive(Clone, Debug)]
pub struct PeerHost {
    /// Host name or address, to be resolved.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that a certificate must have.
    pub server_name: ServerName<'static>,
    /// What certificates are verified against.
    pub trust: Arc<Trust>,
}

impl PeerHost {
    /// Host and port as they stand in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// Whom to ask.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The hosts; empty asks nobody.
    pub hosts: Vec<PeerHost>,
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
            Ok(server_name) => peers.hosts.push(PeerHost {
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

/// Takes `https://HOST:PORT` apart; an IPv6 address stands in brackets and comes back without.
pub(super) fn https_host(text: &str) -> Option<(String, u16)> {
    let uri: http::Uri = text.parse().ok()?;
    let is_bare = uri.path_and_query().is_none_or(|path| path == "/");
    let authority = uri.authority()?;
    if uri.scheme_str() != Some("https") || !is_bare || authority.as_str().contains('@') {
        return None;
    }
    let port = authority.port_u16().filter(|port| *port != 0)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_https_url_with_a_port_and_nothing_else() {
        let read = |text| https_host(text).map(|(host, port)| format!("{host} {port}"));
        let name = "cairn-aggregator-ingest.cairn.svc";
        let url = format!("https://{name}:9443");
        assert_eq!(https_host(&url), Some((name.to_owned(), 9443)));
        assert_eq!(read("https://[::1]:9443/"), Some("::1 9443".to_owned()));
        for bad in [
            "http://peer:9443",
            "https://peer",
            "https://peer:0",
            "https://user@peer:9443",
            "https://peer:9443/path",
            "peer:9443",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

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
