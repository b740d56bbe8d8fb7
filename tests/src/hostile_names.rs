//! Names that an attacker would give to pods, containers, volumes and nodes.
//!
//! One corpus for every output: what takes names refuses them or shows them escaped.

/// A word that some names put on a line of its own: where a line begins with it, a name was believed.
pub const FORGED: &str = "forged-line";

/// A name, and what is hostile about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostileName {
    /// For the report of a failing test.
    pub what: &'static str,
    /// The name itself.
    pub text: String,
}

/// All of them; none is one that Kubernetes would take for a pod.
#[must_use]
pub fn all() -> Vec<HostileName> {
    let named = |(what, text): (&'static str, String)| HostileName { what, text };
    let fixed = [
        ("empty", ""),
        ("a space", " "),
        ("upper case", "Web-1"),
        ("a nul", "web\0"),
        ("a bell", "web\u{7}"),
        ("delete", "web\u{7f}"),
        ("a C1 control", "web\u{9b}31m"),
        ("colours of a terminal", "\u{1b}[31mred\u{1b}[0m"),
        ("a title of a terminal", "\u{1b}]0;owned\u{7}"),
        ("right to left", "web\u{202e}gpj.exe"),
        ("isolates", "\u{2066}web\u{2069}"),
        ("marks of direction", "w\u{200e}e\u{200f}b\u{61c}"),
        ("a line separator", "web\u{2028}forged-line"),
        ("a paragraph separator", "web\u{2029}forged-line"),
        ("a path upwards", "../../../etc/passwd"),
        ("dots", ".."),
        ("a spelt path upwards", "..%2f..%2fetc%2fpasswd"),
        ("a path of another system", "..\\..\\boot.ini"),
        ("quotes", "web\"',\"a\":\"b"),
        ("a backslash", "web\\"),
        ("braces", "{\"a\":1}]"),
        ("a tag", "<script>alert(1)</script>"),
        ("an attribute", "\" onmouseover=\"alert(1)"),
        ("an entity", "&lt;b&gt;"),
        ("a formula", "=HYPERLINK(\"http://x\")"),
        ("a label of metrics", "web\",uid=\"0\"} 1"),
        ("a list of pods", "web,db"),
        ("a query", "web?labelSelector=a#b"),
        ("a format", "%s%n{}${x}$(x)`x`"),
        ("an emoji", "\u{1f4a5}\u{fe0f}"),
        ("letters that look alike", "w\u{435}b"),
        ("nothing to see", "we\u{200b}b\u{feff}"),
    ]
    .map(|(what, text)| (what, text.to_owned()));
    let made = [
        ("a line of a log", format!("web\n{FORGED} level=error")),
        ("a line of a header", format!("web\r\n{FORGED}: 1")),
        ("300 bytes", "a".repeat(300)),
        ("300 bytes of emoji", "\u{1f4a5}".repeat(75)),
    ];
    fixed.into_iter().chain(made).map(named).collect()
}

/// What in a text for people would act on a terminal, a page or a line: a control character other
/// than the line's end, a bidirectional one, a line separator, or a line that was forged.
#[must_use]
pub fn acting(text: &str) -> Option<String> {
    let acts = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(c) = text.chars().find(|c| acts(*c)) {
        return Some(format!("the character {:#x}", u32::from(c)));
    }
    let forged = text
        .lines()
        .find(|line| line.trim_start().starts_with(FORGED));
    forged.map(|line| format!("the line {line:?}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{acting, all};

    #[test]
    fn every_name_is_there_once_and_is_said_to_be_something_else() {
        let names = all();
        let texts: BTreeSet<&str> = names.iter().map(|name| name.text.as_str()).collect();
        let words: BTreeSet<&str> = names.iter().map(|name| name.what).collect();
        assert_eq!((texts.len(), words.len()), (names.len(), names.len()));
    }

    #[test]
    fn what_acts_is_found_and_what_is_only_odd_is_not() {
        let found = |text: &str| acting(text).is_some();
        for text in [
            "\u{1b}[31m",
            "a\rb",
            "a\u{202e}b",
            "\u{2028}",
            "a\u{9b}b",
            "ok\n  forged-line",
        ] {
            assert!(found(text), "{text:?}");
        }
        for text in [
            "",
            "one\ntwo",
            "a \\u{202e} b",
            "not a forged-line",
            "\u{1f4a5}",
        ] {
            assert!(!found(text), "{text:?}");
        }
    }
}
