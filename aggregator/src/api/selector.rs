//! Label selectors in the syntax of Kubernetes.
//!
//! Requirements are separated by commas and must all hold: `key`, `!key`, `key=value`,
//! `key==value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`, `key>1`, `key<1`.

/// A selector that was read; without requirements it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    // What lacks the label passes too.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    ///
    /// What was found and what was expected there.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        let mut requirements = Vec::new();
        while tokens.peek().is_some() {
            requirements.push(requirement(&mut tokens)?);
            match tokens.next() {
                None => break,
                Some(Token::Comma) if tokens.peek().is_some() => {}
                Some(Token::Comma) => {
                    return Err("found nothing after ',', expected a key or '!'".to_owned());
                }
                Some(other) => return Err(format!("found {}, expected ','", other.shown())),
            }
        }
        Ok(Self(requirements))
    }

    /// True when the labels, of any order, meet every requirement.
    pub(super) fn matches<T: AsRef<str>>(&self, labels: &[(T, T)]) -> bool {
        self.0.iter().all(|requirement| {
            let mut labels = labels.iter();
            let found = labels.find(|(key, _)| key.as_ref() == requirement.key);
            let value = found.map(|(_, value)| value.as_ref());
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                Test::Above(limit) => number().is_some_and(|number| number > *limit),
                Test::Below(limit) => number().is_some_and(|number| number < *limit),
            }
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equal,
    NotEqual,
    Above,
    Below,
}

impl Token {
    fn shown(&self) -> String {
        let sign = match self {
            Token::Word(word) => return format!("{word:?}"),
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::Not => "!",
            Token::Equal => "=",
            Token::NotEqual => "!=",
            Token::Above => ">",
            Token::Below => "<",
        };
        format!("'{sign}'")
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_ascii_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Above,
            '<' => Token::Below,
            '!' => match chars.next_if_eq(&'=') {
                Some(_) => Token::NotEqual,
                None => Token::Not,
            },
            '=' => {
                // One and two mean the same.
                chars.next_if_eq(&'=');
                Token::Equal
            }
            c if is_of_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| is_of_word(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
            other => return Err(format!("{other:?} is not part of any label")),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./".contains(c)
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn requirement(tokens: &mut Tokens) -> Result<Requirement, String> {
    let absent = tokens.next_if_eq(&Token::Not).is_some();
    let key = match tokens.next() {
        Some(Token::Word(word)) => key(word)?,
        other => return Err(format!("found {}, expected a key", shown(other.as_ref()))),
    };
    let at_end = matches!(tokens.peek(), None | Some(Token::Comma));
    let test = match (absent, at_end) {
        (true, _) => Test::Absent,
        (false, true) => Test::Exists,
        (false, false) => test(tokens)?,
    };
    Ok(Requirement { key, test })
}

fn test(tokens: &mut Tokens) -> Result<Test, String> {
    match tokens.next() {
        Some(Token::Equal) => Ok(Test::In(vec![one_value(tokens)?])),
        Some(Token::NotEqual) => Ok(Test::NotIn(vec![one_value(tokens)?])),
        Some(Token::Above) => Ok(Test::Above(number(tokens)?)),
        Some(Token::Below) => Ok(Test::Below(number(tokens)?)),
        Some(Token::Word(word)) if word == "in" => Ok(Test::In(values(tokens)?)),
        Some(Token::Word(word)) if word == "notin" => Ok(Test::NotIn(values(tokens)?)),
        other => {
            let found = shown(other.as_ref());
            Err(format!(
                "found {found}, expected '=', '==', '!=', 'in', 'notin', '>', '<', ',' or the end"
            ))
        }
    }
}

/// The value after a sign; none at all means the empty one.
fn one_value(tokens: &mut Tokens) -> Result<String, String> {
    match tokens.next_if(|token| matches!(token, Token::Word(_))) {
        Some(Token::Word(word)) => value(word),
        _ => Ok(String::new()),
    }
}

fn number(tokens: &mut Tokens) -> Result<i64, String> {
    let text = one_value(tokens)?;
    text.parse()
        .map_err(|_| format!("found {text:?}, expected a whole number after '>' or '<'"))
}

/// The values of a set, in their brackets.
fn values(tokens: &mut Tokens) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    match tokens.next() {
        Some(Token::Open) => {}
        other => return Err(format!("found {}, expected '('", shown(other.as_ref()))),
    }
    loop {
        values.push(one_value(tokens)?);
        match tokens.next() {
            Some(Token::Comma) => {}
            Some(Token::Close) => return Ok(values),
            other => {
                let found = shown(other.as_ref());
                return Err(format!("found {found}, expected ',' or ')'"));
            }
        }
    }
}

fn shown(token: Option<&Token>) -> String {
    token.map_or_else(|| "the end".to_owned(), Token::shown)
}

/// Checks a key: a name, before it a DNS name and a slash or nothing.
fn key(word: String) -> Result<String, String> {
    let (prefix, name) = word
        .rsplit_once('/')
        .map_or((None, &*word), |(p, n)| (Some(p), n));
    let prefix_is_dns = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.split('.').all(|label| {
                is_name(label, |c| c == '-') && !label.bytes().any(|b| b.is_ascii_uppercase())
            })
    });
    if prefix_is_dns && is_name(name, |c| "-_.".contains(c)) {
        return Ok(word);
    }
    Err(format!(
        "{word:?} is no label key: letters, digits, '-', '_' and '.', at most 63, after an \
         optional DNS name and '/'"
    ))
}

/// Checks a value: empty, or a name.
fn value(word: String) -> Result<String, String> {
    if word.is_empty() || is_name(&word, |c| "-_.".contains(c)) {
        return Ok(word);
    }
    Err(format!(
        "{word:?} is no label value: letters, digits, '-', '_' and '.', at most 63"
    ))
}

/// 1 to 63 characters that begin and end with a letter or digit.
fn is_name(text: &str, inner: impl Fn(char) -> bool) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text.chars().all(|c| is_plain(c) || inner(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        owned.collect()
    }

    #[test]
    fn every_operator_selects() {
        let these = labels(&[
            ("app", "web"),
            ("tier", ""),
            ("example.com/size", "12"),
            ("in", "notin"),
        ]);
        for (text, expected) in [
            ("", true),
            ("  ", true),
            ("app", true),
            ("nope", false),
            ("!app", false),
            ("! nope", true),
            ("app=web", true),
            ("app == web", true),
            ("app=db", false),
            ("app!=db", true),
            ("app!=web", false),
            ("nope!=web", true),
            ("nope=", false),
            ("tier=", true),
            ("tier!=", false),
            ("app in (db, web)", true),
            ("app in(db)", false),
            ("nope in (db)", false),
            ("tier in ()", true),
            ("tier in (a,)", true),
            ("app notin (db,cache)", true),
            ("app notin (web)", false),
            ("nope notin (web)", true),
            ("example.com/size>11", true),
            ("example.com/size < 12", false),
            ("app > 1", false),
            ("app=web,tier", true),
            ("app=web , !tier", false),
            ("app,app=web,app in (web)", true),
            // Words of the syntax are keys and values where these stand.
            ("in in (in,notin)", true),
            ("in", true),
            ("notin!=in", true),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(&these), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_says_where() {
        for (text, part) in [
            (",", "found ',', expected a key"),
            ("app,", "found nothing after ','"),
            ("=web", "found '=', expected a key"),
            ("!", "found the end, expected a key"),
            ("!app=web", "found '=', expected ','"),
            ("app web", "found \"web\", expected '='"),
            ("app=web db", "found \"db\", expected ','"),
            ("app in", "found the end, expected '('"),
            ("app in web", "expected '('"),
            ("app in (web", "found the end, expected ',' or ')'"),
            ("app in (web db)", "expected ',' or ')'"),
            ("app===web", "found '='"),
            ("app>x", "expected a whole number"),
            ("app=a/b", "no label value"),
            ("-app", "no label key"),
            ("app.=x", "no label key"),
            ("/app", "no label key"),
            ("Example.com/app", "no label key"),
            ("a/b/c", "no label key"),
            ("app=\"web\"", "'\"' is not part of any label"),
            ("app~web", "'~'"),
        ] {
            let error = Selector::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = format!("app={}", "x".repeat(64));
        assert!(Selector::parse(&long).is_err());
        assert!(Selector::parse(&format!("app={}", "x".repeat(63))).is_ok());
    }

    #[test]
    fn a_long_selector_is_read_in_one_pass() {
        let text = "app=web,".repeat(5_000) + "app";
        assert_eq!(Selector::parse(&text).unwrap().0.len(), 5_001);
    }
}
