//! Private keys beside the kubelet's certificate, which an agent in a cluster must not be able to read.
//!
//! With such a key anybody is this node for the API server. The certificate is readable for everybody
//! and its key for root alone, so whoever can read it runs as root, or in a directory that was opened
//! too far; both are mended before the agent runs.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Files of a directory that are looked at: a kubelet's has a handful.
const MAX_FILES: usize = 256;

/// Bytes of a file that are looked at: certificates stand before the key in the kubelet's own bundles.
const MAX_BYTES: u64 = 64 << 10;

/// What a PEM file with a key of any kind has.
const MARK: &[u8] = b"PRIVATE KEY-----";

/// Says when a private key can be read in a directory of these files.
pub(super) fn refuse(certificates: &[PathBuf], problems: &mut Vec<String>) {
    let mut directories: Vec<&Path> = certificates
        .iter()
        .filter_map(|path| path.parent())
        .collect();
    directories.sort_unstable();
    directories.dedup();
    let mut keys = directories.into_iter().flat_map(readable_keys);
    if let Some(key) = keys.next() {
        problems.push(format!(
            "{}: the agent can read this private key, with which anybody could be this node: run it as \
             another user than root (securityContext: runAsUser: 65532, runAsNonRoot: true), and leave \
             the key's mode at 0600",
            key.display()
        ));
    }
}

fn readable_keys(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let files = entries.filter_map(Result::ok).take(MAX_FILES);
    let paths = files.map(|entry| entry.path());
    let mut keys: Vec<PathBuf> = paths.filter(|path| has_key(path)).collect();
    keys.sort_unstable();
    keys
}

/// Follows links: the kubelet's newest certificate is one.
fn has_key(path: &Path) -> bool {
    let is_file = fs::metadata(path).is_ok_and(|known| known.is_file());
    let mut bytes = Vec::new();
    let read = |file: File| file.take(MAX_BYTES).read_to_end(&mut bytes);
    is_file
        && File::open(path).and_then(read).is_ok()
        && bytes.windows(MARK.len()).any(|part| part == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(certificate: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        refuse(&[certificate.to_owned()], &mut problems);
        problems
    }

    #[test]
    fn a_readable_key_beside_the_certificate_is_named_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = dir.path().join("kubelet.crt");
        fs::write(&certificate, "-----BEGIN CERTIFICATE-----").unwrap();
        fs::create_dir(dir.path().join("PRIVATE KEY-----")).unwrap();
        assert_eq!(problems(&certificate), [""; 0]);
        // As a kubelet's own bundle is named, and a link to it.
        let bundle = dir.path().join("kubelet-client-2026.pem");
        fs::write(
            &bundle,
            "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----",
        )
        .unwrap();
        let link = dir.path().join("kubelet-client-current.pem");
        std::os::unix::fs::symlink(&bundle, &link).unwrap();
        let text = problems(&certificate).join("; ");
        assert!(text.starts_with(&bundle.display().to_string()), "{text}");
        assert!(text.contains("runAsUser: 65532"), "{text}");
        assert_eq!(problems(Path::new("/nonexistent/kubelet.crt")), [""; 0]);
    }
}
