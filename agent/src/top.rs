//! `cairn-agent top`: what the node and its pods use, in a terminal.
//!
//! The agent that runs answers at its socket with one document, made of its ring when somebody asks and
//! only then; the command draws it. Both are this program:
//!
//! ```text
//! ring -> rows -> series -> entities, host -> document -> socket -> ask -> view -> terminal
//!                 proto::rate                 JSON                         pure
//! ```
//!
//! What pods use is not told on the admin listener, which every user of the node can reach and, with the
//! host's network, many pods; the socket answers the agent's own user and root.

mod ask;
mod document;
mod entities;
mod host;
mod keys;
mod live;
mod read;
mod rows;
mod screen;
mod series;
mod serve;
#[cfg(test)]
mod tests;
mod units;
mod view;

use std::io::Write as _;

use cairn_runtime::exit::Failure;
use rustix::termios::isatty;

pub use self::document::{Ages, Document, Entity, History, Host, Pressure, SourceState};
pub use self::serve::{Asked, serve};
use self::view::View;
use crate::args::{Output, TopArgs};

/// Where the document is, at the socket.
const PATH: &str = "/top";

/// Shows the agent that runs: live on a terminal, else once.
///
/// # Errors
///
/// No agent answers, or the terminal cannot be used.
pub async fn run(args: TopArgs) -> Result<(), Failure> {
    let view = View::new(&args);
    let document = ask::ask(&args.socket).await?;
    let text = match args.output {
        Output::Json => view::json(&document, &view),
        Output::Text => {
            let is_terminal = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
            if is_terminal && !args.once {
                let colours = args.no_color.as_deref().unwrap_or_default().is_empty();
                return live::run(&args.socket, document, view, colours).await;
            }
            view::text(&document, &view)
        }
    };
    // A closed standard output is no reason to end in another way.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(())
}
