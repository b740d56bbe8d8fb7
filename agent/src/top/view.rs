//! What is drawn: a function of the document, of what was pressed, and of the size.

mod head;
mod table;

use super::document::{Document, Entity};
use super::keys::Key;
use super::units;
use crate::args::{Sort, TopArgs};

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// How a piece of a line looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Dim,
    Bad,
    Good,
    Head,
}

/// A piece of a line. Each of its characters takes one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) style: Style,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Span>);

impl Line {
    pub(super) fn push(&mut self, text: impl Into<String>, style: Style) {
        let text = text.into();
        self.0.push(Span { text, style });
    }

    fn of(text: impl Into<String>, style: Style) -> Self {
        let mut line = Self::default();
        line.push(text, style);
        line
    }

    fn width(&self) -> usize {
        self.0.iter().map(|span| span.text.chars().count()).sum()
    }

    /// Cuts what is beyond so many characters.
    fn cut(&mut self, columns: usize) {
        let mut left = columns;
        for span in &mut self.0 {
            let count = span.text.chars().count();
            if count > left {
                span.text = span.text.chars().take(left).collect();
            }
            left -= count.min(left);
        }
    }

    fn text(&self) -> String {
        let text: String = self.0.iter().map(|span| span.text.as_str()).collect();
        text.trim_end().to_owned()
    }
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Something, or nothing.
    Stays,
    /// It is enough.
    Quit,
}

/// What the one who looks has chosen.
#[derive(Clone, Debug)]
pub(super) struct View {
    sort: Sort,
    containers: bool,
    namespace: Option<String>,
    filter: String,
    // The filter is being typed.
    typing: bool,
    // Rows of the table above the screen.
    above: usize,
    /// Why the agent does not answer any more.
    pub(super) silent: Option<String>,
}

/// A filter is a part of a name.
const MAX_FILTER: usize = 64;

/// Below so many rows there is room for one line above the table.
const SHORT: usize = 8;

/// From so many rows on every line of the head has room.
const TALL: usize = 14;

impl View {
    pub(super) fn new(args: &TopArgs) -> Self {
        Self {
            sort: args.sort,
            containers: args.containers,
            namespace: args.namespace.clone(),
            filter: String::new(),
            typing: false,
            above: 0,
            silent: None,
        }
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key, size: Size) -> Pressed {
        if key == Key::Interrupt {
            return Pressed::Quit;
        }
        if self.typing {
            self.type_on(key);
            return Pressed::Stays;
        }
        let page = size.rows.saturating_sub(SHORT).max(1);
        match key {
            Key::Char('q') => return Pressed::Quit,
            Key::Char('c') => self.sort_by(Sort::Cpu),
            Key::Char('m') => self.sort_by(Sort::Memory),
            Key::Char('n') => self.sort_by(Sort::Network),
            Key::Char('d') => self.sort_by(Sort::Disk),
            Key::Char('a') => self.sort_by(Sort::Name),
            Key::Char(' ') => self.containers = !self.containers,
            Key::Char('/') => self.typing = true,
            Key::Escape => self.filter.clear(),
            Key::Up => self.above = self.above.saturating_sub(1),
            // Beyond the end it is put back when it is drawn.
            Key::Down => self.above = self.above.saturating_add(1),
            Key::PageUp => self.above = self.above.saturating_sub(page),
            Key::PageDown => self.above = self.above.saturating_add(page),
            Key::Home => self.above = 0,
            Key::End => self.above = usize::MAX,
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
        Pressed::Stays
    }

    fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.above = 0;
    }

    fn type_on(&mut self, key: Key) {
        self.above = 0;
        match key {
            Key::Char(character) if self.filter.len() < MAX_FILTER => self.filter.push(character),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.filter.clear();
                self.typing = false;
            }
            _ => {}
        }
    }

    fn footer(&self, shown: usize, all: usize, columns: usize) -> Line {
        if self.typing {
            return Line::of(format!("/{}_", self.filter), Style::Bold);
        }
        let mut text = format!("{shown} of {all} pods by {}", self.sort.as_str());
        if let Some(namespace) = &self.namespace {
            text.push_str(&format!(", namespace {}", units::safe(namespace)));
        }
        if !self.filter.is_empty() {
            text.push_str(&format!(", names with {}", self.filter));
        }
        let keys = "q quit  c m n d a sort  space containers  / find";
        let mut line = Line::of(text, Style::Plain);
        if let Some(gap) = columns
            .checked_sub(line.width() + keys.len())
            .filter(|gap| *gap > 1)
        {
            line.push(" ".repeat(gap), Style::Plain);
            line.push(keys, Style::Dim);
        }
        line
    }
}

/// The screen: as many lines as it has rows, none longer than it is wide.
pub(super) fn screen(document: &Document, view: &mut View, size: Size) -> Vec<Line> {
    let Size { columns, rows } = size;
    let mut lines = if rows < SHORT {
        vec![head::brief(document, view.silent.as_deref())]
    } else {
        head::full(document, view.silent.as_deref(), columns)
    };
    let footer = rows >= SHORT || view.typing;
    if rows < TALL {
        lines.truncate(rows.saturating_sub(4).max(1));
    } else {
        lines.push(Line::default());
    }
    let table = table::of(document, view);
    let room = rows.saturating_sub(lines.len() + 1 + usize::from(footer));
    view.above = view.above.min(table.rows.len().saturating_sub(room));
    let layout = table.layout(Some(columns));
    lines.push(layout.titles());
    let shown = table.rows.iter().skip(view.above).take(room);
    lines.extend(shown.map(|row| layout.line(row)));
    if table.rows.is_empty() && room > 0 {
        lines.push(Line::of(nothing(document, view), Style::Dim));
    }
    if footer {
        lines.resize(rows.saturating_sub(1), Line::default());
        lines.push(view.footer(table.pods, pods(&document.entities), columns));
    }
    lines.truncate(rows);
    lines.iter_mut().for_each(|line| line.cut(columns));
    lines
}

/// Everything, once, as lines of text.
pub(super) fn text(document: &Document, view: &View) -> String {
    /// Wide enough for the reasons of failing sources, and no terminal's.
    const COLUMNS: usize = 120;
    let mut lines = head::full(document, None, COLUMNS);
    lines.push(Line::default());
    let table = table::of(document, view);
    let layout = table.layout(None);
    lines.push(layout.titles());
    lines.extend(table.rows.iter().map(|row| layout.line(row)));
    if table.rows.is_empty() {
        lines.push(Line::of(nothing(document, view), Style::Plain));
    }
    if document.left_out > 0 {
        let text = format!("{} more are not told", document.left_out);
        lines.push(Line::of(text, Style::Plain));
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.text());
        text.push('\n');
    }
    text
}

/// The document for programs, of one namespace where one is chosen.
pub(super) fn json(document: &Document, view: &View) -> String {
    let mut document = document.clone();
    document
        .entities
        .retain(|entity| view.is_of_namespace(entity));
    // Texts and numbers only: there is nothing that JSON could not hold.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

impl View {
    /// True of what is of the chosen namespace; of everything when none is.
    fn is_of_namespace(&self, entity: &Entity) -> bool {
        let chosen = self.namespace.as_ref();
        chosen.is_none_or(|chosen| entity.namespace.as_ref() == Some(chosen))
    }
}

fn pods(entities: &[Entity]) -> usize {
    entities.iter().filter(|one| one.kind == "pod").count()
}

fn nothing(document: &Document, view: &View) -> &'static str {
    if document.tick_ms.is_none() {
        "no row was sampled yet"
    } else if view.filter.is_empty() && view.namespace.is_none() {
        "no pod is known: is a source of pods switched on, and does it answer?"
    } else {
        "no pod has such a name"
    }
}
