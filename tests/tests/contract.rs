//! `docs/contract.md` says which test shows each rule: the tests must be there.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rows of the page's tables: what is said, and the tests that show it.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let tables = page.lines().filter(|line| line.starts_with("| "));
    let rows = tables.filter(|line| !line.starts_with("| rule |"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let tests = cells.last().unwrap().split('`').skip(1).step_by(2);
        (
            cells[0].trim().to_owned(),
            tests.map(str::to_owned).collect(),
        )
    })
    .collect()
}

/// Why a test cannot be found; `None` when it is there.
fn fault(test: &str) -> Option<String> {
    let Some((file, name)) = test.split_once("::") else {
        return Some(format!("{test} is not FILE::TEST"));
    };
    let Ok(text) = fs::read_to_string(root().join(file)) else {
        return Some(format!("{file} is not there"));
    };
    let is_test = |line: &str| {
        let line = line.trim_start().trim_start_matches("async ");
        [format!("fn {name}("), format!("def {name}(")]
            .iter()
            .any(|begins| line.starts_with(begins))
    };
    (!text.lines().any(is_test)).then(|| format!("{file} has no test {name}"))
}

#[test]
fn every_rule_names_tests_and_every_test_is_there() {
    let page = fs::read_to_string(root().join("docs/contract.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() > 60, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (rule, tests) in &rows {
        if tests.is_empty() {
            wrong.push(format!("no test: {rule}"));
        }
        wrong.extend(tests.iter().filter_map(|test| fault(test)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rule_without_a_test_and_a_test_that_is_gone_are_seen() {
    let page = "| rule | how | shown by |\n|---|---|---|\n| one | so | `a.rs::b`, `c.rs::d` |\n\
                | two | so | nothing |\n";
    let found = rows(page);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, ["a.rs::b", "c.rs::d"]);
    assert!(found[1].1.is_empty());
    let own = "tests/tests/contract.rs";
    assert_eq!(
        fault(&format!(
            "{own}::every_rule_names_tests_and_every_test_is_there"
        )),
        None
    );
    for gone in ["tests/tests/contract.rs::gone", "gone.rs::rows", "rows"] {
        assert!(fault(gone).is_some(), "{gone}");
    }
}
