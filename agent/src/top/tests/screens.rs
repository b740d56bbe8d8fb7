//! What is drawn, whole: the files beside this one are screens as a terminal has them.

use super::{TICK, node};
use crate::args::{Cli, Command, TopArgs};
use crate::top::document::Document;
use crate::top::keys::Key;
use crate::top::view::{self, Line, Pressed, Size, Style, View};

fn args(flags: &[&str]) -> TopArgs {
    let all = ["cairn-agent", "top"].iter().chain(flags);
    match <Cli as clap::Parser>::try_parse_from(all).unwrap().command {
        Some(Command::Top(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn view(flags: &[&str]) -> View {
    View::new(&args(flags))
}

fn size(columns: usize, rows: usize) -> Size {
    Size { columns, rows }
}

/// The lines as text; each is drawn whole, so none may be longer than the screen is wide.
fn drawn(document: &Document, view: &mut View, size: Size) -> String {
    let lines = view::screen(document, view, size);
    assert!(lines.len() <= size.rows, "{} lines", lines.len());
    let mut text = String::new();
    for Line(spans) in &lines {
        let line: String = spans.iter().map(|span| span.text.as_str()).collect();
        assert!(line.chars().count() <= size.columns, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert!(text == expected, "drawn:\n{text}\nexpected:\n{expected}");
}

#[test]
fn a_usual_screen() {
    let text = drawn(&node(), &mut view(&[]), size(80, 24));
    check(&text, include_str!("80x24.txt"));
}

#[test]
fn a_tiny_screen() {
    let text = drawn(&node(), &mut view(&["--sort", "memory"]), size(20, 5));
    check(&text, include_str!("20x5.txt"));
}

#[test]
fn a_large_screen_with_containers() {
    let text = drawn(&node(), &mut view(&["--containers"]), size(200, 50));
    check(&text, include_str!("200x50.txt"));
}

#[test]
fn one_table_of_a_namespace_as_text() {
    let shown = view(&["--namespace", "shop", "--containers", "--sort", "name"]);
    check(&view::text(&node(), &shown), include_str!("once.txt"));
}

#[test]
fn every_size_is_drawn_within_itself() {
    for rows in 0..30 {
        for columns in (0..130).step_by(7) {
            for silent in [None, Some("nobody answers".to_owned())] {
                let mut view = view(&["--containers"]);
                view.silent = silent;
                drawn(&node(), &mut view, size(columns, rows));
                drawn(&Document::default(), &mut view, size(columns, rows));
            }
        }
    }
}

/// The names in the first column, in their order.
fn names(document: &Document, view: &mut View, rows: usize) -> Vec<String> {
    let text = drawn(document, view, size(80, rows));
    let rows = text.lines().skip_while(|line| !line.starts_with("NAME"));
    let mut rows: Vec<&str> = rows.skip(1).collect();
    // The last line is of keys.
    rows.pop();
    let names = rows.into_iter().take_while(|line| !line.is_empty());
    names
        .map(|line| {
            line.split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn press(view: &mut View, keys: &[Key]) {
    for key in keys {
        assert_eq!(view.press(*key, size(80, 24)), Pressed::Stays);
    }
}

#[test]
fn keys_sort_filter_and_scroll() {
    let (document, mut view) = (node(), view(&["--sort", "name"]));
    let first = |view: &mut View| names(&document, view, 24)[2].clone();
    assert_eq!(first(&mut view), "default/new");
    for (key, expected) in [
        ('c', "shop/"),
        ('m', "kube-system/"),
        ('n', "shop/"),
        ('d', "default/"),
        ('a', "default/new"),
    ] {
        press(&mut view, &[Key::Char(key)]);
        let first = first(&mut view);
        assert!(first.starts_with(expected), "{key}: {first}");
    }
    // A filter finds containers, too; while it is typed, letters are letters.
    press(
        &mut view,
        &[
            Key::Char('/'),
            Key::Char('p'),
            Key::Char('r'),
            Key::Char('q'),
            Key::Backspace,
        ],
    );
    assert!(drawn(&document, &mut view, size(80, 24)).ends_with("/pr_\n"));
    press(
        &mut view,
        &[Key::Char('o'), Key::Char('x'), Key::Enter, Key::Char(' ')],
    );
    let found = names(&document, &mut view, 24);
    assert_eq!(found[1..], ["app\\u{a}NAME", "proxy"], "{found:?}");
    press(&mut view, &[Key::Escape, Key::Char(' ')]);
    // Six rows, and room for two: no key goes beyond either end.
    let ends = [
        (Key::End, "kube-system/"),
        (Key::Down, "kube-system/"),
        (Key::Up, "default/red"),
        (Key::PageDown, "kube-system/"),
        (Key::Home, "(kubelet)"),
        (Key::PageUp, "(kubelet)"),
    ];
    for (key, expected) in ends {
        press(&mut view, &[key]);
        let found = names(&document, &mut view, 9);
        let is_there = found.len() == 2 && found[0].starts_with(expected);
        assert!(is_there, "{key:?}: {found:?}");
    }
    assert_eq!(view.press(Key::Char('q'), size(80, 24)), Pressed::Quit);
    press(&mut view, &[Key::Char('/'), Key::Char('q')]);
    assert_eq!(view.press(Key::Interrupt, size(80, 24)), Pressed::Quit);
}

fn styled(lines: &[Line], style: Style) -> String {
    let spans = lines.iter().flat_map(|line| &line.0);
    let own = spans.filter(|span| span.style == style);
    own.map(|span| span.text.as_str()).collect()
}

#[test]
fn what_is_wrong_stands_out() {
    let mut document = node();
    let mut view = view(&[]);
    let bad = styled(
        &view::screen(&document, &mut view, size(80, 24)),
        Style::Bad,
    );
    assert!(
        bad.starts_with("summary failed: kubelet answered 403"),
        "{bad}"
    );
    document.sources.clear();
    document.host.memory_used_bytes = Some(15_900 << 20);
    document.unix_ms = TICK + 31_000;
    view.silent = Some("nobody answers".to_owned());
    let bad = styled(
        &view::screen(&document, &mut view, size(80, 24)),
        Style::Bad,
    );
    let (age, rest) = bad.split_once("no answer: nobody answers").unwrap();
    assert!(age.contains("31s old"), "{age}");
    assert!(
        !rest.is_empty() && rest.chars().all(|mark| mark == '|'),
        "{rest}"
    );
}

#[test]
fn the_document_for_programs_is_read_back_as_it_was() {
    let document = node();
    let text = view::json(&document, &view(&[]));
    assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    let text = view::json(&document, &view(&["--namespace", "shop"]));
    let shop: Document = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = shop.entities.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(names, ["pod", "container", "container"]);
}
