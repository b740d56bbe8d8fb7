//! The `labels` parameter of the model API: which of a metric's parts is meant.

/// Label pairs, sorted by key; empty when none were asked for.
pub(super) type Pairs = Vec<(String, String)>;

/// Reads `k:v,k2:v2`. Values may hold `:` and `/`; of a key given twice the last value counts, as
/// it does for the first server of this API.
///
/// # Errors
///
/// The pair that has no key or no value.
pub(super) fn parse(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    if text.is_empty() {
        return Ok(pairs);
    }
    for pair in text.split(',') {
        match pair.split_once(':') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                pairs.retain(|(known, _)| known != key);
                pairs.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("invalid label pair {pair:?}")),
        }
    }
    pairs.sort_unstable();
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        owned.collect()
    }

    #[test]
    fn pairs_are_split_at_the_first_colon_and_sorted() {
        assert_eq!(pairs(""), owned(&[]));
        assert_eq!(pairs("resource_id:/"), owned(&[("resource_id", "/")]));
        assert_eq!(
            pairs("resource_id:Volume:data"),
            owned(&[("resource_id", "Volume:data")])
        );
        assert_eq!(
            pairs("model:k80,make:nvidia"),
            owned(&[("make", "nvidia"), ("model", "k80")])
        );
        assert_eq!(pairs("a:1,a:2"), owned(&[("a", "2")]));
    }

    #[test]
    fn a_pair_without_key_or_value_is_named() {
        for (text, pair) in [
            ("a", "a"),
            (":", ":"),
            ("a:", "a:"),
            (":b", ":b"),
            ("a:b,", ""),
            (",a:b", ""),
            ("a:b,c\"", "c\\\""),
        ] {
            let expected = format!("invalid label pair \"{pair}\"");
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
