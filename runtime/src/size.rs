//! Numbers of bytes as people write them on a command line: `1073741824`, `512Mi`, `2Gi`.

/// Reads a number of bytes, with the binary suffixes of Kubernetes.
///
/// # Errors
///
/// What is expected, for anything else and for what does not fit.
pub fn parse(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix('i') {
        Some(rest) => match rest.char_indices().next_back() {
            Some((at, 'K')) => (rest.get(..at), 1 << 10),
            Some((at, 'M')) => (rest.get(..at), 1 << 20),
            Some((at, 'G')) => (rest.get(..at), 1 << 30),
            _ => (None, 0),
        },
        None => (Some(text), 1),
    };
    number
        .and_then(|number| number.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes such as 1073741824, 512Mi or 2Gi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn bytes_have_the_suffixes_of_kubernetes() {
        assert_eq!(parse("512Mi"), Ok(512 << 20));
        assert_eq!(parse("0"), Ok(0));
        for bad in ["", "Mi", "1MB", "1.5Gi", "-1", "99999999999Gi", "1Ti"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
