//! Which boot of the machine this is.

use std::path::Path;

use cairn_runtime::files;

/// A UUID and a line's end have 37 bytes.
const MAX_BYTES: usize = 64;

/// Reads the kernel's boot id below `proc_root`.
///
/// Without one every run stands for a boot of its own: random bytes, so that no rate reaches from an
/// earlier run into it.
#[must_use]
pub fn boot_id(proc_root: &Path) -> [u8; 16] {
    let path = proc_root.join("sys/kernel/random/boot_id");
    let read = files::read_small(&path, MAX_BYTES).ok();
    read.and_then(|bytes| parse(&bytes)).unwrap_or_else(|| {
        tracing::warn!(path = %path.display(), "no boot id is readable, taking a random one");
        fastrand::u128(1..).to_be_bytes()
    })
}

/// Reads a UUID in its usual form; `None` for anything else and for all zeros.
fn parse(bytes: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(bytes).ok()?.trim_ascii();
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || text.len() != 36 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_sixteen_bytes() {
        let id = parse(b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n").unwrap();
        assert_eq!((id[0], id[15]), (0x0f, 0xf0));
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn without_one_every_start_differs() {
        let nowhere = Path::new("/nonexistent");
        assert_ne!(boot_id(nowhere), boot_id(nowhere));
    }
}
