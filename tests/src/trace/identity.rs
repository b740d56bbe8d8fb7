//! Names and UIDs of pods that the recording does not have: deterministic, and never twice the
//! same on one node.

/// The letters Kubernetes uses in generated names.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How long the generated ending of a pod's name is.
const SUFFIX_LENGTH: usize = 5;

/// 27 to the power of five: how many endings there are.
const SUFFIX_COUNT: u64 = 14_348_907;

/// Not divisible by three, so that multiples of it meet every ending once before repeating.
const SUFFIX_STRIDE: u64 = 9_368_311;

/// Mixes a number so that every bit of the input moves half of the output's (splitmix64).
pub(super) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hashes a text with a seed; stable over releases, unlike the standard library's hasher.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    text.bytes()
        .fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)))
}

/// Gives the `ordinal`-th generated ending of names that begin with `base`. Two ordinals of one
/// base give two endings, up to 14 million of them.
pub(super) fn suffix(seed: u64, base: &str, ordinal: u64) -> String {
    let start = hash(seed, base) % SUFFIX_COUNT;
    let mut rest = (start + (ordinal % SUFFIX_COUNT) * SUFFIX_STRIDE) % SUFFIX_COUNT;
    let mut text = String::with_capacity(SUFFIX_LENGTH);
    for _ in 0..SUFFIX_LENGTH {
        let letter = LETTERS
            .iter()
            .zip(0_u64..)
            .find(|(_, index)| *index == rest % 27);
        text.push(letter.map_or('x', |(letter, _)| char::from(*letter)));
        rest /= 27;
    }
    text
}

/// Gives a version-4 shaped UID for the `ordinal`-th life of the pod `key`.
pub(super) fn uid(seed: u64, key: &str, ordinal: u64) -> String {
    let high = mix(hash(seed, key) ^ mix(ordinal));
    let low = mix(high ^ 0x5bd1_e995);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

/// Gives the part before the generated ending when the name is one that a Deployment gives its
/// pods (`web-7ffcbbddf7-djszf` -> `web-7ffcbbddf7`), else `None`.
pub(super) fn deployment_base(name: &str) -> Option<&str> {
    let (base, ending) = name.rsplit_once('-')?;
    let (_, hash) = base.rsplit_once('-')?;
    let generated = |text: &str| text.bytes().all(|byte| LETTERS.contains(&byte));
    let shaped =
        ending.len() == SUFFIX_LENGTH && (8..=10).contains(&hash.len()) && generated(ending);
    shaped.then_some(base)
}

#[cfg(test)]
mod tests {
    use super::{SUFFIX_COUNT, deployment_base, suffix, uid};
    use std::collections::HashSet;

    #[test]
    fn endings_of_one_base_do_not_repeat() {
        let all: HashSet<String> = (0..20_000)
            .map(|n| suffix(7, "web-7ffcbbddf7", n))
            .collect();
        assert_eq!(all.len(), 20_000);
        assert_eq!(
            suffix(7, "web-7ffcbbddf7", 3),
            suffix(7, "web-7ffcbbddf7", 3 + SUFFIX_COUNT)
        );
    }

    #[test]
    fn a_uid_has_the_shape_of_version_four() {
        let text = uid(1, "shop/web", 2);
        let parts: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
        assert_ne!(text, uid(2, "shop/web", 2));
        assert_ne!(text, uid(1, "shop/web", 3));
    }

    #[test]
    fn only_deployment_names_have_a_base() {
        assert_eq!(
            deployment_base("web-7ffcbbddf7-djszf"),
            Some("web-7ffcbbddf7")
        );
        for other in ["crasher", "kube-proxy-x7z2q", "db-0", "a-b-c"] {
            assert_eq!(deployment_base(other), None, "{other}");
        }
    }
}
