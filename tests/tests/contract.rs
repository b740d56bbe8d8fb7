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
    let is_there = if file.ends_with(".py") {
        is_python_test(&text, name)
    } else {
        is_rust_test(&text, name)
    };
    (!is_there).then(|| format!("{file} has no test {name}"))
}

/// True when the file has a function of the name that pytest runs.
fn is_python_test(text: &str, name: &str) -> bool {
    let begins = format!("def {name}(");
    let mut lines = text.lines().map(str::trim_start);
    name.starts_with("test_") && lines.any(|line| line.starts_with(&begins))
}

/// True when the file has a function of the name that is marked as a test, and not left out; so are
/// those of proptest, inside of its block.
fn is_rust_test(text: &str, name: &str) -> bool {
    let begins = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_fn = |line: &str| line.trim_start_matches("async ").starts_with(&begins);
    let ends = |line: &str| line.is_empty() || line.ends_with(['{', '}', ';']);
    let mut places = (0..lines.len()).filter(|at| is_fn(lines[*at]));
    places.any(|at| {
        let above = lines[..at].iter().rev();
        let marks: Vec<&&str> = above.take_while(|line| !ends(line)).collect();
        let has = |mark: &str| marks.iter().any(|line| line.starts_with(mark));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
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

#[test]
fn only_what_runs_as_a_test_is_one() {
    let rust = "\
        #[test]\nfn plain() {}\n\
        #[tokio::test(start_paused = true)]\nasync fn waiting() {}\n\
        #[test]\n#[expect(\n    lint,\n    reason = \"a\"\n)]\nfn with_more() {}\n\
        proptest! {\n    #[test]\n    fn property(x in 0..3) {}\n}\n\
        #[test]\n#[ignore]\nfn left_out() {}\n\
        // #[test]\nfn commented() {}\n\
        #[test]\nfn other() {}\nfn helper() {}\n\
        async fn another_helper() {}\n\
        // fn only_named() {}\n";
    for name in ["plain", "waiting", "with_more", "property", "other"] {
        assert!(is_rust_test(rust, name), "{name}");
    }
    for name in [
        "left_out",
        "commented",
        "helper",
        "another_helper",
        "only_named",
        "pla",
    ] {
        assert!(!is_rust_test(rust, name), "{name}");
    }
    let python = "class A:\n    def test_of_a(self):\n        pass\n\ndef helper():\n    pass\n";
    assert!(is_python_test(python, "test_of_a"));
    assert!(!is_python_test(python, "helper"));
    assert!(!is_python_test(python, "test_of"));
}

/// Cargo is told which files are tests (`autotests = false`), so one that nobody lists would never run.
#[test]
fn every_file_of_tests_is_run() {
    let tests = root().join("tests");
    let manifest = fs::read_to_string(tests.join("Cargo.toml")).unwrap();
    let together = fs::read_to_string(tests.join("tests/e2e.rs")).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(tests.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        files += 1;
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_alone = manifest.contains(&format!("path = \"tests/{name}.rs\""));
        let is_together = together.lines().any(|line| line == format!("mod {name};"));
        assert!(
            is_alone != is_together,
            "tests/tests/{name}.rs has to be in tests/tests/e2e.rs or in tests/Cargo.toml, and in one of them alone"
        );
    }
    assert!(files > 50, "{files} files");
}

/// `make test` runs the programs of tests in two calls: e2e, and those whose second letter is no 2.
#[test]
fn every_program_of_tests_is_run() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(makefile.contains("--lib --bins --test '?[!2]*' ||"));
    assert!(makefile.contains("--test e2e -- "));
    let manifest = fs::read_to_string(root().join("tests/Cargo.toml")).unwrap();
    let listed = manifest.split("[[test]]\n").skip(1);
    let listed = listed.map(|target| target.split('"').nth(1).unwrap().to_owned());
    let mut programs: Vec<String> = listed.collect();
    let kit = programs.len();
    for package in ["agent", "aggregator", "proto", "runtime"] {
        let Ok(files) = fs::read_dir(root().join(package).join("tests")) else {
            continue;
        };
        let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        programs.extend(files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)));
    }
    assert!(kit > 15 && programs.len() > kit + 10, "{programs:?}");
    for program in programs {
        let is_other = program.chars().nth(1).is_some_and(|second| second != '2');
        assert!(
            is_other || program == "e2e",
            "no call of `make test` runs the program {program}: name it otherwise"
        );
    }
}
