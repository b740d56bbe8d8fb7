//! The live mode: asks when a tick is due, draws when something changed.

use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;

use cairn_runtime::exit::Failure;
use cairn_runtime::shutdown::Signals;
use tokio::signal::unix::{SignalKind, signal};

use super::ask;
use super::document::Document;
use super::keys;
use super::screen::Screen;
use super::view::{self, Pressed, View};

/// What a row takes to come after its tick: the node's phase and the answers of its sources.
const LATE_MS: u64 = 400;

/// Before a tick that was due and is not there is asked for again.
const AGAIN_MS: u64 = 1_000;

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Document, Failure>> + 'a>>;

/// Shows the agent until somebody quits.
pub(super) async fn run(
    socket: &Path,
    document: Document,
    mut view: View,
    colours: bool,
) -> Result<(), Failure> {
    let failed = |what: &str, error: &io::Error| Failure::Other(format!("cannot {what}: {error}"));
    let mut resized = signal(SignalKind::window_change())
        .map_err(|error| failed("watch the terminal's size", &error))?;
    // Before the terminal is taken: a signal that kills would leave it as it must not be.
    let mut signals = Signals::new().map_err(|error| failed("watch for signals", &error))?;
    let mut stopped = pin!(signals.received());
    let screen =
        Screen::enter(colours).map_err(|error| failed("use the terminal, try --once", &error))?;
    let mut keys = keys::start().map_err(|error| failed("read keys", &error))?;
    let mut asking = ask_in(socket, wait_ms(&document, None));
    let mut document = document;
    loop {
        let size = screen.size();
        // A terminal that is gone is a way to quit.
        if screen
            .draw(&view::screen(&document, &mut view, size))
            .is_err()
        {
            return Ok(());
        }
        // Every branch is cancel safe but the last, which stays where it is.
        tokio::select! {
            biased;
            _ = &mut stopped => return Ok(()),
            key = keys.recv() => {
                let Some(key) = key else { return Ok(()) };
                if view.press(key, size) == Pressed::Quit {
                    return Ok(());
                }
            }
            _ = resized.recv() => {}
            answer = &mut asking => {
                let wait = match answer {
                    Ok(next) => {
                        view.silent = None;
                        let wait = wait_ms(&next, document.tick_ms);
                        document = next;
                        wait
                    }
                    Err(Failure::Config(reason) | Failure::Other(reason)) => {
                        view.silent = Some(reason);
                        document.interval_ms
                    }
                };
                asking = ask_in(socket, wait);
            }
        }
    }
}

fn ask_in(socket: &Path, wait_ms: u64) -> Asking<'_> {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        ask::ask(socket).await
    })
}

/// How long until the next row is there, ms; `before` is the tick that was shown.
fn wait_ms(document: &Document, before: Option<u64>) -> u64 {
    let interval_ms = document.interval_ms.max(1);
    let again_ms = AGAIN_MS.min(interval_ms);
    let Some(tick_ms) = document.tick_ms.filter(|tick| Some(*tick) != before) else {
        return again_ms;
    };
    let row_ms = interval_ms.saturating_add(LATE_MS.min(interval_ms / 2));
    let due_ms = tick_ms.saturating_add(row_ms);
    due_ms
        .saturating_sub(document.unix_ms)
        .clamp(again_ms / 2, interval_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_row_is_asked_for_when_it_is_due() {
        let at = |unix_ms| Document {
            interval_ms: 10_000,
            tick_ms: Some(50_000),
            unix_ms,
            ..Document::default()
        };
        assert_eq!(wait_ms(&at(52_000), Some(40_000)), 8_400);
        // It is late: neither at once, nor only at the next tick.
        assert_eq!(wait_ms(&at(75_000), Some(40_000)), 500);
        assert_eq!(wait_ms(&at(61_000), Some(50_000)), 1_000);
        // The clock stands, or was set back.
        assert_eq!(wait_ms(&at(10_000), None), 10_000);
        assert_eq!(wait_ms(&Document::default(), None), 1);
    }
}
