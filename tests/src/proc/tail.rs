//! The last lines a process wrote, read by a thread of their own so that it never blocks on a full
//! pipe.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::deadline::Deadline;

/// The lines that are kept; a test reads hundreds at most.
const KEPT_LINES: usize = 2_000;

/// The longest piece of a line that is kept as one.
const LINE_LIMIT_BYTES: u64 = 8 * 1024;

/// The pipe of an ended process is empty at once, unless another process inherited it.
const END_DEADLINE: Duration = Duration::from_secs(2);

/// Follows a stream until its end.
#[derive(Debug)]
pub(super) struct Tail {
    kept: Arc<Mutex<Kept>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    dropped: u64,
}

impl Tail {
    /// Begins to follow; `None` is a stream that ends at once.
    pub(super) fn follow(stream: Option<ChildStderr>) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let reader = stream.map(|stream| {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || read(stream, &kept))
        });
        Self { kept, reader }
    }

    /// Waits until all that was written is read; to be called when the process has ended.
    pub(super) fn finish(&self) {
        if let Some(reader) = &self.reader {
            // Giving up loses lines of a report, nothing else.
            Deadline::after(END_DEADLINE).poll(|| reader.is_finished().then_some(()));
        }
    }

    /// The lines kept, after a note of how many came before them.
    pub(super) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if kept.dropped > 0 {
            text.push_str(&format!("({} lines before)\n", kept.dropped));
        }
        for line in &kept.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn read(stream: ChildStderr, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader
            .by_ref()
            .take(LINE_LIMIT_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.lines.len() == KEPT_LINES {
            kept.lines.pop_front();
            kept.dropped += 1;
        }
        kept.lines.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_LINES, Tail};
    use std::process::{Command, Stdio};

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let script = "i=0; while [ $i -lt 2100 ]; do echo line $i >&2; i=$((i+1)); done";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let tail = Tail::follow(child.stderr.take());
        child.wait().unwrap();
        tail.finish();
        let text = tail.text();
        assert!(text.starts_with("(100 lines before)\nline 100\n"), "{text}");
        assert!(text.ends_with("\nline 2099\n"));
        assert_eq!(text.lines().count(), KEPT_LINES + 1);
    }
}
