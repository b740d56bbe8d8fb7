//! Private keys beside the kubelet's certificate, which an agent in a cluster must not be able to read.
//!
//! With such a key anybody is this node for the API server. The certificate is readable for everybody
//! and its key for root alone, so whoever can read it runs as root, or in a directory that was opened
//! too far; both are mended before the agent runs.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{DEFAULT_CAS, DEFAULT_CERTS};
use crate::args::Args;

/// Files of a directory that are looked at: a kubelet's has a handful.
const MAX_FILES: usize = 256;

/// Bytes of a file that are looked at: certificates stand before the key in the kubelet's own bundles.
const MAX_BYTES: u64 = 64 << 10;

/// What a PEM file with a key of any kind has.
const MARK: &[u8] = b"PRIVATE KEY-----";

/// Of the default CAs those whose directory is not a kubelet's: a pod's own, and the API server's.
const NOT_A_KUBELETS: [&str; 2] = [
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "/etc/kubernetes/pki/ca.crt",
];

/// A directory that a kubelet may keep its key in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    directory: PathBuf,
    // Nothing but a kubelet's keys is kept there, however they are named. Elsewhere the key of somebody
    // else may lie beside a CA, and is no business of the agent's.
    any_key: bool,
}

impl Place {
    fn beside(certificate: &Path, any_key: bool) -> Self {
        let directory = certificate.parent().map_or("".as_ref(), Path::as_os_str);
        let directory = if directory.is_empty() {
            PathBuf::from(".")
        } else {
            directory.into()
        };
        Self { directory, any_key }
    }
}

/// Where to look, whatever the flags say: who gives a CA may have the kubelet's directory mounted as well.
pub(super) fn places(args: &Args) -> Vec<Place> {
    let of_kubelets = DEFAULT_CERTS.into_iter();
    let of_kubelets = of_kubelets.map(|path| Place::beside(path.as_ref(), true));
    let cas = DEFAULT_CAS.into_iter();
    let cas = cas.filter(|path| !NOT_A_KUBELETS.contains(path));
    let given = args.kubelet_ca.iter().chain(&args.kubelet_cert);
    let others = cas.map(Path::new).chain(given.map(PathBuf::as_path));
    let others = others.map(|path| Place::beside(path, false));
    let mut places: Vec<Place> = of_kubelets.chain(others).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Says when a kubelet's private key can be read in one of these places.
pub(super) fn refuse(places: &[Place], problems: &mut Vec<String>) {
    if let Some(key) = places.iter().flat_map(readable_keys).next() {
        problems.push(format!(
            "{}: the agent can read this private key, with which anybody could be this node: run it as \
             another user than root (securityContext: runAsUser: 65532, runAsNonRoot: true), and leave \
             the key's mode at 0600",
            key.display()
        ));
    }
}

fn readable_keys(place: &Place) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(&place.directory) else {
        return Vec::new();
    };
    let files = entries.filter_map(Result::ok).take(MAX_FILES);
    let paths = files.map(|entry| entry.path());
    let mut keys: Vec<PathBuf> = paths
        .filter(|path| place.any_key || is_a_kubelets(path))
        .filter(|path| has_key(path))
        .collect();
    keys.sort_unstable();
    keys
}

/// By its name: `kubelet.key`, `kubelet-client-current.pem`, `serving-kubelet.key`, `kubeletserver.key`.
fn is_a_kubelets(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().contains("kubelet"))
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
    use clap::Parser as _;

    use super::*;

    fn problems(certificate: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        refuse(&[Place::beside(certificate, false)], &mut problems);
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

    /// Where is looked with these flags.
    fn looked_in(flags: &[&str]) -> Vec<Place> {
        let flags = ["cairn-agent"].iter().chain(flags);
        places(&Args::try_parse_from(flags).unwrap())
    }

    #[test]
    fn kubelets_directories_are_looked_into_whatever_the_flags_say() {
        let by_default = looked_in(&[]);
        let pki = Place::beside(Path::new("/var/lib/kubelet/pki/kubelet.crt"), true);
        let microk8s = Path::new("/var/snap/microk8s/current/certs/ca.crt");
        let aks = Path::new("/etc/kubernetes/certs/ca.crt");
        for place in [
            pki,
            Place::beside(microk8s, false),
            Place::beside(aks, false),
        ] {
            assert!(by_default.contains(&place), "{place:?}");
        }
        let has = |places: &[Place], directory: &str| {
            let directory = Path::new(directory);
            places.iter().any(|place| place.directory == directory)
        };
        for other in NOT_A_KUBELETS.map(|path| Path::new(path).parent().unwrap()) {
            assert!(!has(&by_default, &other.display().to_string()), "{other:?}");
        }
        let given = looked_in(&["--kubelet-ca", "/a/ca.crt", "--kubelet-cert", "here.crt"]);
        assert!(by_default.iter().all(|place| given.contains(place)));
        assert!(has(&given, "/a") && has(&given, "."), "{given:?}");
    }

    #[test]
    fn beside_a_ca_that_is_given_a_kubelets_key_counts_and_another_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        let found = |ca: &Path| {
            let mut problems = Vec::new();
            let given = looked_in(&["--kubelet-ca", ca.to_str().unwrap()]);
            // Those of the machine that runs the test say nothing of this.
            let own = |place: &Place| place.directory == dir.path();
            let given: Vec<Place> = given.into_iter().filter(own).collect();
            assert_eq!(given.len(), 1);
            refuse(&given, &mut problems);
            problems.concat()
        };
        fs::write(&ca, "-----BEGIN CERTIFICATE-----").unwrap();
        // As a mounted secret has it.
        let key = "-----BEGIN PRIVATE KEY-----";
        fs::write(dir.path().join("tls.key"), key).unwrap();
        assert_eq!(found(&ca), "");
        let own = dir.path().join("kubelet.key");
        fs::write(&own, key).unwrap();
        let text = found(&ca);
        assert!(text.starts_with(&own.display().to_string()), "{text}");
    }
}
