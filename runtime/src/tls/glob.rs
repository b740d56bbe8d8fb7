//! File patterns with `*` in the last component, and nothing else.

use std::path::{Path, PathBuf};

/// The most files one pattern may name: a directory of certificates has a handful.
const MAX_MATCHES: usize = 64;

/// Returns the files a pattern names, sorted. A path without `*` is itself, present or not; a pattern
/// over a directory that is not there names none.
pub(super) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let Some(name) = name.filter(|name| name.contains('*')) else {
        return vec![pattern.to_owned()];
    };
    let directory = match pattern.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| matches(&name, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found.truncate(MAX_MATCHES);
    found
}

/// Tells whether a name has the parts between the stars, in order. A leading dot is matched only by
/// a dot, so that a star does not reach into the hidden directories of mounted secrets.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run_and_never_a_hidden_file() {
        for (pattern, name, expected) in [
            ("*.crt", "kubelet.crt", true),
            ("*.crt", ".crt", false),
            ("kubelet*.crt", "kubelet.crt", true),
            ("kubelet*.crt", "kubelet.crt.bak", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*b", "ab", false),
            ("*", "x", true),
            ("exact", "exact", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn expansion_is_sorted_and_a_plain_path_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.crt", "a.crt", "a.key"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = expand(&dir.path().join("*.crt"));
        assert_eq!(found, [dir.path().join("a.crt"), dir.path().join("b.crt")]);
        let absent = dir.path().join("absent.crt");
        assert_eq!(expand(&absent), [absent]);
        assert!(expand(&dir.path().join("none/*.crt")).is_empty());
    }
}
