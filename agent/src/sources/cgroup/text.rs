//! The texts of cgroup files.
//!
//! Pure: bytes go in, numbers come out, and nothing is allocated. What is not understood is not
//! there.

/// A file with one number. `max` is none.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let is_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_digits.then_some(())?;
    text.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Lines of a name and a number with a space between them.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (name, value) = line.split_at_checked(space)?;
        Some((name, number(value)?))
    })
}

/// The totals of a pressure file, `some` and `full`, in microseconds.
pub(super) fn pressure(text: &[u8]) -> [Option<u64>; 2] {
    let mut totals = [None; 2];
    for line in text.split(|byte| *byte == b'\n') {
        let at = match line.get(..5) {
            Some(b"some ") => 0,
            Some(b"full ") => 1,
            _ => continue,
        };
        let total = words(line).find_map(|word| number(word.strip_prefix(b"total=")?));
        if let Some(slot) = totals.get_mut(at) {
            *slot = total;
        }
    }
    totals
}

/// What a cgroup did with one block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Io {
    pub(super) read_bytes: Option<u64>,
    pub(super) write_bytes: Option<u64>,
    pub(super) reads: Option<u64>,
    pub(super) writes: Option<u64>,
}

/// The number of a block device.
pub(super) type Device = (u32, u32);

/// Lines of v2's `io.stat`.
pub(super) fn io(text: &[u8]) -> impl Iterator<Item = (Device, Io)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = words(line);
        let device = device(words.next()?)?;
        let mut io = Io::default();
        for word in words {
            let Some(equals) = word.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = word.split_at_checked(equals)?;
            let value = number(value.get(1..)?);
            match name {
                b"rbytes" => io.read_bytes = value,
                b"wbytes" => io.write_bytes = value,
                b"rios" => io.reads = value,
                b"wios" => io.writes = value,
                _ => {}
            }
        }
        (io != Io::default()).then_some((device, io))
    })
}

/// What a `blkio` file of v1 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blkio {
    Bytes,
    Count,
}

/// Lines of such a file about reading and writing.
pub(super) fn blkio(text: &[u8], of: Blkio) -> impl Iterator<Item = (Device, Io)> {
    text.split(|byte| *byte == b'\n').filter_map(move |line| {
        let mut words = words(line);
        let device = device(words.next()?)?;
        let kind = words.next()?;
        let value = Some(number(words.next()?)?);
        let mut io = Io::default();
        let slot = match (kind, of) {
            (b"Read", Blkio::Bytes) => &mut io.read_bytes,
            (b"Write", Blkio::Bytes) => &mut io.write_bytes,
            (b"Read", Blkio::Count) => &mut io.reads,
            (b"Write", Blkio::Count) => &mut io.writes,
            _ => return None,
        };
        *slot = value;
        Some((device, io))
    })
}

/// Number of lines that end.
pub(super) fn line_count(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
}

fn device(word: &[u8]) -> Option<Device> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let (major, minor) = word.split_at_checked(colon)?;
    let part = |digits| number(digits).and_then(|number| u32::try_from(number).ok());
    Some((part(major)?, part(minor.get(1..)?)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in a file, nothing is said that does not stand in it.
        #[test]
        fn any_bytes_are_read(text in "[a-z0-9 :=.\n]{0,80}") {
            let text = text.as_bytes();
            let lines = usize::try_from(line_count(text)).unwrap() + 1;
            prop_assert!(pairs(text).count() <= lines);
            prop_assert!(io(text).count() <= lines);
            prop_assert!(blkio(text, Blkio::Bytes).count() <= lines);
            let [some, full] = pressure(text);
            let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
            prop_assert!(some.is_none() || has(b"some "));
            prop_assert!(full.is_none() || has(b"full "));
            prop_assert_eq!(number(text).is_some(), text.trim_ascii().iter().all(u8::is_ascii_digit)
                && !text.trim_ascii().is_empty()
                && std::str::from_utf8(text.trim_ascii()).unwrap().parse::<u64>().is_ok());
        }
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        assert_eq!(number(b"28184576\n"), Some(28_184_576));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b"18446744073709551616"[..], b"", b"max\n", b"-1", b"1 2"] {
            assert_eq!(number(text), None);
        }
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let text = b"usage_usec 7\nodd\n 9\nuser_usec x\nsystem_usec 3";
        let read: Vec<_> = pairs(text).collect();
        assert_eq!(
            read,
            [
                (&b"usage_usec"[..], 7),
                (&b""[..], 9),
                (&b"system_usec"[..], 3)
            ]
        );
    }

    #[test]
    fn pressure_has_its_totals_in_either_order_or_not_at_all() {
        let some = "some avg10=48.90 avg60=47.09 avg300=21.27 total=81025778\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        let both = format!("{full}{some}");
        assert_eq!(pressure(both.as_bytes()), [Some(81_025_778), Some(5)]);
        // Kernels before 5.13 have no full line for CPU.
        assert_eq!(pressure(some.as_bytes()), [Some(81_025_778), None]);
        assert_eq!(pressure(b"some total=x\nfull"), [None, None]);
    }

    #[test]
    fn block_devices_are_told_in_the_forms_of_both_versions() {
        let v2 = b"254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \nx rbytes=1\n";
        let read: Vec<_> = io(v2).collect();
        let all = Io {
            read_bytes: Some(1),
            write_bytes: Some(2),
            reads: Some(3),
            writes: Some(4),
        };
        assert_eq!(read, [((254, 0), all)]);
        let v1 = b"254:0 Read 10\n254:0 Write 20\n254:0 Sync 5\nTotal 30\n";
        let read: Vec<_> = blkio(v1, Blkio::Bytes).map(|(_, io)| io).collect();
        let of = |read_bytes, write_bytes| Io {
            read_bytes,
            write_bytes,
            ..Io::default()
        };
        assert_eq!(read, [of(Some(10), None), of(None, Some(20))]);
        let read: Vec<_> = blkio(v1, Blkio::Count).map(|(_, io)| io.writes).collect();
        assert_eq!(read, [None, Some(20)]);
    }
}
