//! The tables of ARCHITECTURE.md and deny.toml, held against the sources.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["proto", "runtime", "agent", "aggregator", "tests"];

struct Rule {
    modules: BTreeSet<String>,
    crates: BTreeSet<String>,
    forbidden: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split_whitespace().map(str::to_owned).collect()
}

/// The table "Allowed imports".
fn rules() -> BTreeMap<String, Rule> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text
        .split("## Allowed imports")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, module, modules, crates, forbidden, _] = cells[..] else {
            panic!("four columns: {row}")
        };
        let rule = Rule {
            modules: words(modules),
            crates: words(crates),
            forbidden: words(forbidden),
        };
        (module.trim_matches('`').to_owned(), rule)
    })
    .collect()
}

/// Every Rust source of a crate with the top-level module that it belongs to.
fn sources(name: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let src = root().join(name).join("src");
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inner = path.strip_prefix(&src).unwrap();
                let first = inner.iter().next().unwrap().to_str().unwrap();
                found.push((first.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    found
}

/// Code without comments; tests may use what they need.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap()
        .to_owned();
    text.lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Words that follow `prefix`, also in a braced list.
fn after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut before = None;
    for part in code.split(prefix) {
        // `xcrate::` is another path, and so is what follows a word of ours.
        if before.is_some_and(|c: Option<char>| !c.is_some_and(is_word)) {
            match part.strip_prefix('{') {
                Some(list) => found.extend(heads(list)),
                None => {
                    found.insert(part.chars().take_while(|c| is_word(*c)).collect());
                }
            }
        }
        before = Some(part.chars().next_back());
    }
    found
}

/// First words of the entries of a braced list, up to its closing brace.
fn heads(list: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let mut entries = vec![String::new()];
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => entries.push(String::new()),
            _ => entries.last_mut().unwrap().push(c),
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    let words = entries
        .iter()
        .map(|e| e.trim().chars().take_while(|c| is_word(*c)).collect());
    words.filter(|word: &String| !word.is_empty()).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn every_import_is_an_arrow_of_the_table() {
    let rules = rules();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for name in CRATES {
        for (module, path) in sources(name) {
            // lib.rs names the modules, main.rs starts them; bin/ are programs of their own.
            if ["lib", "main", "bin"].contains(&module.as_str())
                || path.file_name().is_some_and(|n| n == "tests.rs")
            {
                continue;
            }
            let own = format!("{name}::{module}");
            let rule = rules.get(&own).or_else(|| rules.get(&format!("{name}::*")));
            let Some(rule) = rule else {
                wrong.push(format!("{own} is not in the table"));
                continue;
            };
            let code = code(&path);
            let file = path.display();
            let siblings: BTreeSet<String> = sources(name).into_iter().map(|(m, _)| m).collect();
            for to in after(&code, "crate::").intersection(&siblings) {
                if *to != module && !rule.modules.contains("*") && !rule.modules.contains(to) {
                    wrong.push(format!("{file}: {own} may not use {to}"));
                }
            }
            for to in CRATES {
                if code.contains(&format!("cairn_{to}::")) && !rule.crates.contains(to) {
                    wrong.push(format!("{file}: {own} may not use the crate {to}"));
                }
            }
            for word in &rule.forbidden {
                let named = after(&code, "use ").contains(word)
                    || code.contains(&format!("{word}::")) && !code.contains(&format!("_{word}::"));
                if named {
                    wrong.push(format!("{file}: {own} must not name {word}"));
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} files were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_lists_and_paths() {
    let code = "use crate::{query, store::{Door, a::b}, api};\nlet x = crate::ingest::run();";
    let found: Vec<String> = after(code, "crate::").into_iter().collect();
    assert_eq!(found, ["api", "ingest", "query", "store"]);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let table = table.split("\n[").next().unwrap();
    let reasons = fs::read_to_string(root().join("deny.toml")).unwrap();
    let mut missing = Vec::new();
    for line in table
        .lines()
        .filter(|l| l.contains('=') && !l.starts_with('#'))
    {
        let name = line.split('=').next().unwrap().trim();
        let reason = format!("# dep {name}: ");
        if !name.starts_with("cairn-") && !reasons.contains(&reason) {
            missing.push(name);
        }
    }
    assert!(
        missing.is_empty(),
        "deny.toml has no line `# dep NAME: why` for {missing:?}"
    );
}

#[test]
fn every_queue_counter_of_the_table_exists_in_the_sources() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text
        .split("## Queues")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let all: String = CRATES
        .iter()
        .flat_map(|name| sources(name))
        .map(|(_, path)| fs::read_to_string(path).unwrap())
        .collect();
    let counters = section.split('`').filter(|w| w.starts_with("cairn_"));
    let mut seen = 0;
    for counter in counters {
        // Registered with a prefix of the area; the rest is the name as it stands in the source.
        let name = counter.trim_end_matches("_total");
        let parts: Vec<&str> = name.split('_').collect();
        let known =
            (2..parts.len()).any(|n| all.contains(&format!("\"{}\"", parts[n..].join("_"))));
        assert!(known, "{counter} is in ARCHITECTURE.md and in no source");
        seen += 1;
    }
    assert!(seen >= 8);
}
