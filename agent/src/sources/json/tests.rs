//! Against `serde_json`: the same texts are taken, and mean the same.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

const RECORDED: &[u8] = include_bytes!("../../../testdata/stats_summary");

/// All of a body as a tree; `None` where [`Lexer`] leaves it to its reader to refuse a value.
fn tree(body: &[u8]) -> Option<Value> {
    let mut lexer = Lexer::new(body);
    let value = branch(&mut lexer)?;
    lexer.end().ok()?;
    Some(value)
}

fn branch(lexer: &mut Lexer<'_>) -> Option<Value> {
    Some(match lexer.token().ok()? {
        Token::Null => Value::Null,
        Token::Bool(value) => value.into(),
        Token::Whole(value) => value.into(),
        Token::Float(value) if value.is_finite() => value.into(),
        Token::Float(_) => return None,
        Token::Text(text) => text?.into_owned().into(),
        Token::Object(mut inside) => {
            let mut object = Map::new();
            while let Some(key) = lexer.key(&mut inside).ok()? {
                object.insert(key.into_owned(), branch(lexer)?);
            }
            object.into()
        }
        Token::List(mut inside) => {
            let mut list = Vec::new();
            while lexer.item(&mut inside).ok()? {
                list.push(branch(lexer)?);
            }
            list.into()
        }
    })
}

/// The same, where a float may be rounded in another way.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let [a, b] = [one, other].map(|n| n.as_f64().unwrap());
            one == other || (a - b).abs() <= a.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

fn check(body: &[u8]) {
    let expected: Option<Value> = serde_json::from_slice(body).ok();
    let found = tree(body);
    let agree = match (&expected, &found) {
        (Some(expected), Some(found)) => same(expected, found),
        (expected, found) => expected.is_none() && found.is_none(),
    };
    let text = String::from_utf8_lossy(body);
    assert!(agree, "{text}\nis {expected:?}\nread as {found:?}");
}

const TEXTS: &[&str] = &[
    "0",
    "-0",
    "00",
    "01",
    "1.",
    ".5",
    "1.5",
    "-1.5e-3",
    "1e5",
    "1E+5",
    "1e",
    "1e+",
    "-",
    "+1",
    "--1",
    "1-",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1234567890123456789",
    "null",
    "nul",
    "nulll",
    "true",
    "False",
    "\"\"",
    "\"",
    "\"\\\"",
    "\"\\\\\"",
    "\"\\",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ud83dx\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ude00\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\x\"",
    "\"a\\/b\\b\\f\\n\\r\\t\"",
    "\"tab\there\"",
    "\"new\nline\"",
    "\"\u{7f}\u{80}\u{e9}\"",
    "\"seven77\"",
    "\"eight888\"",
    "\"nine99999\"",
    "\"1234567\\\"89\"",
    "\"12345678\\n\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,]",
    "[,]",
    "[1 2]",
    "[1,2",
    "[1]]",
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\" : 1 , \"b\":[{}]}",
    "{\"a\":1,}",
    "{a:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1}}",
    "{1:2}",
    "{\"\\u0061\":1,\"a\":2}",
    "{\"\\x\":1}",
    "",
    " ",
    "\n\n",
    " 1\r\n\t ",
    "\n         1",
    "\u{a0}1",
    "1 1",
    "/**/1",
    "{\"a\":1]",
    "[1}",
];

#[test]
fn what_is_json_is_read_and_what_is_not_is_refused() {
    check(RECORDED);
    for text in TEXTS {
        check(text.as_bytes());
    }
    check(b"\"\xff\"");
    // A key that is no text is passed over with its value.
    let replaced = tree(b"{\"\xc3\":1}").unwrap();
    assert_eq!(replaced.to_string(), "{\"\u{fffd}\":1}");
}

#[test]
fn what_is_too_deep_is_refused_before_it_fills_the_stack() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Lexer::new(nested(128).as_bytes()).skip().is_ok());
    for depth in [129, 1_000_000] {
        let problem = Lexer::new(nested(depth).as_bytes()).skip().unwrap_err();
        assert_eq!(problem.at, 129, "{problem}");
    }
}

#[test]
fn a_refusal_says_where() {
    let mut lexer = Lexer::new(b"{\"a\": nothing}");
    assert_eq!(
        lexer.skip().unwrap_err().to_string(),
        "no JSON from byte 6 on: not the beginning of a value"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(value in value()) {
        check(value.to_string().as_bytes());
        check(serde_json::to_string_pretty(&value).unwrap().as_bytes());
    }

    #[test]
    fn a_changed_byte_is_taken_or_refused_alike(value in value(), at: prop::sample::Index, byte: u8) {
        let mut body = serde_json::to_vec(&value).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        // Keys may be told apart in another way when they are no text.
        if str::from_utf8(&body).is_ok() {
            check(&body);
        } else {
            drop(tree(&body));
        }
    }

    #[test]
    fn a_missing_end_is_refused_alike(at in 0..RECORDED.len()) {
        check(&RECORDED[..at]);
    }
}
