//! What it costs to read one field of a whole namespace, in process.
//!
//! `reads time [ROUNDS] [NODES]` prints how long the steps of one question take: what is there, and its
//! series. `reads spread [ROUNDS] [NODES]` does the same for a namespace with one pod on each node. With
//! thousands of nodes nothing that it reads is in a cache: a namespace has 1,000 pods then, and the
//! namespaces are asked for in turn.
//!
//! `reads once FIELDS` reads one field of a namespace whose entities have so many, and does it as
//! often as it is worth counting under callgrind: `make check-instructions` compares few fields
//! with many.

mod fleet;
mod once;
mod time;

use std::process::ExitCode;

use fleet::Spread;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next();
    let mut number = |or| {
        let given = args.next().and_then(|text| text.parse().ok());
        given.unwrap_or(or)
    };
    match what.as_deref() {
        Some(how @ ("time" | "spread")) => {
            let spread = if how == "spread" {
                Spread::One
            } else {
                Spread::All
            };
            let rounds = number(200);
            time::run(spread, rounds, number(34).max(1));
        }
        Some("once") => once::run(number(8)),
        _ => {
            say("reads time [ROUNDS] [NODES] | reads spread [ROUNDS] [NODES] | reads once FIELDS");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}
