//! The terminal: taken, drawn on, and given back as it was.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::view::{Line, Size, Style};

/// The other screen, no cursor, no wrapping of lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Back, in the other order.
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A terminal that tells no size.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// Larger than any; a terminal that claims more gets this much.
const MOST: Size = Size {
    columns: 1_000,
    rows: 500,
};

/// The terminal while it is ours. It is given back when this is dropped, and before a panic is told.
#[derive(Debug)]
pub(super) struct Screen {
    taken: Arc<Taken>,
    colours: bool,
}

/// The terminal, and how it was.
#[derive(Debug)]
struct Taken {
    input: OwnedFd,
    output: File,
    before: Termios,
    is_ours: AtomicBool,
}

impl Taken {
    fn restore(&self) {
        if self.is_ours.swap(false, Ordering::SeqCst) {
            // A terminal that is gone needs nothing.
            drop((&self.output).write_all(LEAVE.as_bytes()));
            tcsetattr(&self.input, OptionalActions::Now, &self.before).unwrap_or_default();
        }
    }
}

impl Screen {
    /// Takes the terminal of standard input and output: keys come one by one and are not shown.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub(super) fn enter(colours: bool) -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        Self::take(input, output.into(), colours)
    }

    fn take(input: OwnedFd, output: File, colours: bool) -> io::Result<Self> {
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        let taken = Arc::new(Taken {
            input,
            output,
            before,
            is_ours: AtomicBool::new(true),
        });
        let screen = Self {
            taken: Arc::clone(&taken),
            colours,
        };
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // What it says would go with the other screen.
            taken.restore();
            told(panic);
        }));
        tcsetattr(&screen.taken.input, OptionalActions::Now, &raw)?;
        (&screen.taken.output).write_all(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// How large it is now.
    pub(super) fn size(&self) -> Size {
        size_of(self.taken.output.as_fd())
    }

    /// Draws all lines, and nothing where there is none.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        (&self.taken.output).write_all(render(lines, self.colours).as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.taken.restore();
    }
}

fn size_of(terminal: BorrowedFd<'_>) -> Size {
    let Ok(told) = tcgetwinsize(terminal) else {
        return USUAL;
    };
    let (columns, rows) = (usize::from(told.ws_col), usize::from(told.ws_row));
    if columns == 0 || rows == 0 {
        return USUAL;
    }
    Size {
        columns: columns.min(MOST.columns),
        rows: rows.min(MOST.rows),
    }
}

/// Each line at its place, so that nothing scrolls. What was there is erased before and not behind it:
/// behind the last column the cursor stands on the last character.
fn render(lines: &[Line], colours: bool) -> String {
    let mut text = format!("\x1b[{};1H\x1b[J", lines.len().max(1));
    for (line, row) in lines.iter().zip(1..) {
        let mut put = |part: std::fmt::Arguments<'_>| {
            text.write_fmt(part).expect("a String takes any text");
        };
        put(format_args!("\x1b[{row};1H\x1b[K"));
        for span in &line.0 {
            let code = match span.style {
                _ if !colours => None,
                Style::Plain => None,
                Style::Bold => Some("1"),
                Style::Dim => Some("2"),
                Style::Bad => Some("31"),
                Style::Good => Some("32"),
                Style::Head => Some("7"),
            };
            match code {
                Some(code) => put(format_args!("\x1b[{code}m{}\x1b[0m", span.text)),
                None => put(format_args!("{}", span.text)),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn a_panic_finds_the_terminal_as_it_was() {
        let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&outer).unwrap();
        unlockpt(&outer).unwrap();
        let name = ptsname(&outer, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(&name).unwrap();
        let inner = open();
        let modes = || tcgetattr(&inner).unwrap().local_modes;
        let before = modes();
        let (input, output) = (open(), open());
        let drawing = std::thread::spawn(move || {
            let screen = Screen::take(input.into(), output, false).unwrap();
            let mut line = Line::default();
            line.push("drawn", Style::Plain);
            screen.draw(&[line]).unwrap();
            assert_eq!(screen.size(), USUAL, "on purpose");
            // The hook has restored it; dropping it must not do so again.
            panic!("on purpose");
        });
        assert!(drawing.join().is_err());
        assert_eq!(modes(), before);
        let expected = format!("{ENTER}\x1b[1;1H\x1b[J\x1b[1;1H\x1b[Kdrawn{LEAVE}");
        let mut drawn = vec![0; expected.len()];
        File::from(outer).read_exact(&mut drawn).unwrap();
        assert_eq!(String::from_utf8(drawn).unwrap(), expected);
    }

    #[test]
    fn colours_are_drawn_only_where_they_are_wanted() {
        let mut line = Line::default();
        line.push("a", Style::Plain);
        line.push("b", Style::Bad);
        let lines = [line];
        assert_eq!(
            render(&lines, true),
            "\x1b[1;1H\x1b[J\x1b[1;1H\x1b[Ka\x1b[31mb\x1b[0m"
        );
        assert_eq!(render(&lines, false), "\x1b[1;1H\x1b[J\x1b[1;1H\x1b[Kab");
    }

    #[test]
    fn what_is_no_terminal_has_the_usual_size() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(size_of(file.as_fd()), USUAL);
    }
}
