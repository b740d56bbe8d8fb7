//! What is pressed.

use std::io::{self, Read as _};

use tokio::sync::mpsc::{self, Receiver};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A printable character.
    Char(char),
    /// Ctrl-C, or Ctrl-D.
    Interrupt,
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Keys that wait: more than anybody presses while a screen is drawn. The thread that reads waits then.
const QUEUE: usize = 64;

/// Reads standard input on a thread of its own, which ends with the process: nothing else can wait for a
/// key and leave the descriptor as the shell has it. The channel closes when the terminal is gone.
pub(super) fn start() -> io::Result<Receiver<Key>> {
    let (keys, pressed) = mpsc::channel(QUEUE);
    let read = move || {
        let mut bytes = [0; 256];
        let mut input = io::stdin().lock();
        loop {
            let read = match input.read(&mut bytes) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(count) => bytes.get(..count).unwrap_or_default(),
            };
            for key in parse(read) {
                if keys.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(read)?;
    Ok(pressed)
}

/// The keys of what one read gave: a terminal writes a key's bytes at once.
fn parse(mut bytes: &[u8]) -> Vec<Key> {
    const SEQUENCES: [(&[u8], Key); 14] = [
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
        (b"\x1b[H", Key::Home),
        (b"\x1bOH", Key::Home),
        (b"\x1b[1~", Key::Home),
        (b"\x1b[F", Key::End),
        (b"\x1bOF", Key::End),
        (b"\x1b[4~", Key::End),
        (b"\x03", Key::Interrupt),
        (b"\x04", Key::Interrupt),
    ];
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let known = SEQUENCES
            .iter()
            .find_map(|(sequence, key)| Some((*key, bytes.strip_prefix(*sequence)?)));
        if let Some((key, behind)) = known {
            keys.push(key);
            bytes = behind;
            continue;
        }
        bytes = rest;
        match first {
            // Of a sequence that means nothing here, nothing else must be taken for a key.
            0x1b if !rest.is_empty() => bytes = behind_sequence(rest),
            0x1b => keys.push(Key::Escape),
            b'\r' | b'\n' => keys.push(Key::Enter),
            0x7f | 0x08 => keys.push(Key::Backspace),
            b' '..=b'~' => keys.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    keys
}

/// What follows an escape sequence without its first byte.
fn behind_sequence(bytes: &[u8]) -> &[u8] {
    let is_control = matches!(bytes.first(), Some(b'[' | b'O'));
    let skipped = usize::from(is_control);
    let body = bytes.get(skipped..).unwrap_or_default();
    let end = body.iter().position(|byte| matches!(byte, b'@'..=b'~'));
    body.get(end.map_or(body.len(), |end| end + 1)..)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(
            parse(b"q c"),
            [Key::Char('q'), Key::Char(' '), Key::Char('c')]
        );
        assert_eq!(
            parse(b"\x1b[A\x1b[6~\x1bOB\r\x7f\x03"),
            [
                Key::Up,
                Key::PageDown,
                Key::Down,
                Key::Enter,
                Key::Backspace,
                Key::Interrupt
            ]
        );
        assert_eq!(parse(b"\x1b"), [Key::Escape]);
        assert_eq!(parse(b""), []);
    }

    #[test]
    fn what_means_nothing_presses_nothing() {
        // Ctrl-Right, a mouse's report, F5, an umlaut, an end in the middle.
        assert_eq!(parse(b"\x1b[1;5Cq"), [Key::Char('q')]);
        assert_eq!(
            parse(b"\x1b[<0;10;10Mx\x1b[15~y"),
            [Key::Char('x'), Key::Char('y')]
        );
        assert_eq!(parse(b"\xc3\xa4\x1b[1;"), []);
    }
}
