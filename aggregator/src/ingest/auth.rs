//! Who may report which node.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use cairn_proto::limits;
use cairn_proto::model::{EntityKind, check_name};
use cairn_runtime::clock::Clock;
use cairn_runtime::files;
use cairn_runtime::listen::Peer;
use cairn_runtime::tls::Reloadable;
use tonic::metadata::MetadataMap;

use super::certified::{Certified, Clients};
use super::refusal::{Over, Refusal};
use super::review::{Grant, Reviewer};
use crate::cluster::token::{Hash, hash};

/// Bytes of a token file: 10,000 nodes with the longest names.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// What stands for a node's name in the line of another aggregator's token. No node can have this
/// name.
const PEER: &str = "@peer";

/// Why the file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("--ingest-token-file cannot be read")]
    Read(#[source] files::Error),
    /// A line is not `node-name sha256-of-token`.
    #[error(
        "--ingest-token-file {path}, line {line}: expected `node-name sha256-of-token`, or \
         `@peer sha256-of-token` for another aggregator ({why}); the hash is what `printf %s \"$TOKEN\" | sha256sum` prints"
    )]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No line in it names a node.
    #[error("--ingest-token-file {path} names no node: nobody could report anything")]
    Empty {
        /// The file.
        path: String,
    },
}

/// What an authenticated stream may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Report this node, by the token with this hash.
    Node(Arc<str>, Hash),
    /// Ask for history, and report nothing, by the token with this hash.
    Peer(Hash),
    /// What the token of a service account is good for.
    Reviewed(Arc<Grant>),
    /// Report the node of a client certificate.
    Certified(Arc<Certified>),
    /// Any: nobody asked who it is.
    Anyone,
}

impl Identity {
    /// The one node that it may report; `None` when it may report none or any.
    pub(super) fn node(&self) -> Option<&Arc<str>> {
        match self {
            Identity::Node(node, _) => Some(node),
            Identity::Reviewed(grant) => grant.node(),
            Identity::Certified(certified) => Some(&certified.node),
            Identity::Peer(_) | Identity::Anyone => None,
        }
    }

    pub(super) fn may_report(&self, node: &str) -> bool {
        *self == Identity::Anyone || self.node().is_some_and(|own| **own == *node)
    }

    /// True for another aggregator.
    pub(crate) fn may_replay(&self) -> bool {
        match self {
            Identity::Peer(_) | Identity::Anyone => true,
            Identity::Reviewed(grant) => grant.may_replay(),
            Identity::Node(..) | Identity::Certified(_) => false,
        }
    }
}

/// Tells who a stream is.
#[derive(Debug)]
pub enum Authenticator {
    /// By a file with lines `node-name sha256-of-token`, or `@peer sha256-of-token` for another
    /// aggregator, read again when it changes.
    TokenFile {
        /// Where it is.
        path: PathBuf,
        /// Node, or `@peer`, by hash of its token, and the bytes that it was read from.
        known: ArcSwap<Known>,
    },
    /// By tokens of service accounts.
    TokenReview {
        /// Knows them.
        reviewer: Reviewer,
        /// Ages tokens.
        clock: Clock,
    },
    /// By client certificates.
    Certificates(Clients),
    /// Takes everybody at their word; only on loopback.
    None,
}

/// A file of tokens as read.
#[derive(Debug, Default)]
pub struct Known {
    content: Hash,
    nodes: HashMap<Hash, Arc<str>>,
}

impl Authenticator {
    /// Reads a file of tokens.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn token_file(path: PathBuf) -> Result<Self, Error> {
        let known = ArcSwap::from_pointee(read(&path)?);
        Ok(Authenticator::TokenFile { path, known })
    }

    /// Reads the file again if its content has changed; true when it has. After an error the old
    /// content stays in force.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn reload(&self) -> Result<bool, Error> {
        let Authenticator::TokenFile { path, known } = self else {
            return Ok(false);
        };
        let new = read(path)?;
        let changed = new.content != known.load().content;
        if changed {
            known.store(Arc::new(new));
        }
        Ok(changed)
    }

    /// Who sent this. May wait for the Kubernetes API, [`Refusal::Unanswered`] at the latest.
    pub(crate) async fn identify(
        &self,
        metadata: &MetadataMap,
        peer: Option<&Peer>,
    ) -> Result<Identity, Refusal> {
        if let Authenticator::Certificates(clients) = self {
            let shown = peer.and_then(|peer| peer.tls.as_ref());
            let certified = clients.identify(shown)?;
            return Ok(Identity::Certified(Arc::new(certified)));
        }
        let bearer = metadata
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        self.identify_token(bearer).await
    }

    pub(super) async fn identify_token(&self, token: Option<&str>) -> Result<Identity, Refusal> {
        if matches!(self, Authenticator::None) {
            return Ok(Identity::Anyone);
        }
        let token = token.filter(|t| !t.is_empty() && t.len() <= limits::MAX_TOKEN_BYTES);
        let token = token.ok_or(Refusal::NoToken)?;
        let hash = hash(token.as_bytes());
        match self {
            Authenticator::TokenFile { known, .. } => {
                let node = known.load().nodes.get(&hash).map(Arc::clone);
                match node.ok_or(Refusal::Unknown)? {
                    node if *node == *PEER => Ok(Identity::Peer(hash)),
                    node => Ok(Identity::Node(node, hash)),
                }
            }
            Authenticator::TokenReview { reviewer, .. } => {
                let grant = reviewer.identify(token, hash).await?;
                Ok(Identity::Reviewed(grant))
            }
            Authenticator::Certificates(_) => Err(Refusal::NoCertificate),
            Authenticator::None => Ok(Identity::Anyone),
        }
    }

    /// The certificates that are to be read again when they change; `None` without any.
    pub(crate) fn reloadable(&self) -> Option<Reloadable> {
        match self {
            Authenticator::Certificates(clients) => Some(clients.reloadable()),
            _ => None,
        }
    }

    /// Whether an identity given out earlier is still good.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn admits(&self, identity: &Identity) -> Result<(), Over> {
        let listed = |is_listed: bool| is_listed.then_some(()).ok_or(Over::Removed);
        match (self, identity) {
            (Authenticator::None, _) => Ok(()),
            (Authenticator::TokenFile { known, .. }, Identity::Node(node, hash)) => {
                listed(known.load().nodes.get(hash) == Some(node))
            }
            (Authenticator::TokenFile { known, .. }, Identity::Peer(hash)) => {
                let known = known.load();
                listed(known.nodes.get(hash).is_some_and(|name| **name == *PEER))
            }
            (Authenticator::TokenReview { clock, .. }, Identity::Reviewed(grant)) => {
                grant.over(clock.unix_ms()).map_or(Ok(()), Err)
            }
            (Authenticator::Certificates(clients), Identity::Certified(certified)) => {
                clients.over(certified).map_or(Ok(()), Err)
            }
            // Nobody gives these out.
            (
                Authenticator::TokenFile { .. }
                | Authenticator::TokenReview { .. }
                | Authenticator::Certificates(_),
                _,
            ) => Err(Over::Removed),
        }
    }
}

fn read(path: &Path) -> Result<Known, Error> {
    let bytes = files::read_small(path, MAX_FILE_BYTES).map_err(Error::Read)?;
    let content = hash(&bytes);
    let shown = path.display().to_string();
    let text = String::from_utf8_lossy(&bytes);
    let mut nodes = HashMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let wrong = |why| Error::Line {
            path: shown.clone(),
            line,
            why,
        };
        let (node, hex) = text
            .split_once(char::is_whitespace)
            .ok_or(wrong("one word only"))?;
        if node != PEER {
            check_name(EntityKind::Node, node).map_err(|_| wrong("not a node name"))?;
        }
        let token = parse_hex(hex.trim()).ok_or(wrong("the hash is not 64 hexadecimal digits"))?;
        if nodes.insert(token, Arc::from(node)).is_some() {
            return Err(wrong("another node has this token"));
        }
    }
    if nodes.values().all(|node| **node == *PEER) {
        return Err(Error::Empty { path: shown });
    }
    Ok(Known { content, nodes })
}

fn parse_hex(text: &str) -> Option<Hash> {
    let mut out = [0u8; 32];
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // sha256 of "secret".
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[tokio::test]
    async fn a_token_is_known_by_its_hash_and_names_its_node() {
        let (_dir, path) = file(&format!("# nodes\nnode1 {SECRET}\n"));
        let auth = Authenticator::token_file(path).unwrap();
        let node1 = auth.identify_token(Some("secret")).await.unwrap();
        assert!(node1.may_report("node1") && !node1.may_report("node2"));
        assert_eq!(
            auth.identify_token(Some("other")).await,
            Err(Refusal::Unknown)
        );
        assert_eq!(auth.identify_token(Some("")).await, Err(Refusal::NoToken));
        assert_eq!(auth.identify_token(None).await, Err(Refusal::NoToken));
    }

    #[tokio::test]
    async fn a_peers_token_reports_nothing_and_a_nodes_token_asks_for_nothing() {
        let other = "a".repeat(64);
        let (_dir, path) = file(&format!("node1 {other}\n@peer {SECRET}\n"));
        let auth = Authenticator::token_file(path.clone()).unwrap();
        let peer = auth.identify_token(Some("secret")).await.unwrap();
        assert!(peer.may_replay() && !peer.may_report("node1") && !peer.may_report(PEER));
        assert_eq!(auth.admits(&peer), Ok(()));
        std::fs::write(&path, format!("node1 {SECRET}\n")).unwrap();
        assert!(auth.reload().unwrap() && auth.admits(&peer).is_err());
        let node = auth.identify_token(Some("secret")).await.unwrap();
        assert!(node.may_report("node1") && !node.may_replay());
        std::fs::write(&path, format!("@peer {SECRET}\n")).unwrap();
        assert!(auth.reload().is_err(), "nobody could report anything");
    }

    #[tokio::test]
    async fn a_changed_file_counts_and_a_broken_one_does_not() {
        let (_dir, path) = file(&format!("node1 {SECRET}\n"));
        let auth = Authenticator::token_file(path.clone()).unwrap();
        assert!(!auth.reload().unwrap());
        let node1 = auth.identify_token(Some("secret")).await.unwrap();
        assert_eq!(auth.admits(&node1), Ok(()));
        std::fs::write(&path, format!("node2 {SECRET}\n")).unwrap();
        assert!(auth.reload().unwrap());
        std::fs::write(&path, "node3\n").unwrap();
        assert!(auth.reload().is_err());
        assert!(
            auth.identify_token(Some("secret"))
                .await
                .unwrap()
                .may_report("node2")
        );
        assert_eq!(auth.admits(&node1), Err(Over::Removed));
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["node1", "node1 abc", "Node1 x", "", "# only a comment"] {
            let (_dir, path) = file(bad);
            assert!(Authenticator::token_file(path).is_err(), "{bad:?}");
        }
        let (_dir, path) = file(&format!("node1 {SECRET}\nnode2 {SECRET}\n"));
        let error = Authenticator::token_file(path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("another node"),
            "{error}"
        );
    }
}
