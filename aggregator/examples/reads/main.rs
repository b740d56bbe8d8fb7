//! What it costs to read one field of a whole namespace, in process.
//!
//! `reads time [ROUNDS]` prints how long the steps of one question take: what is there, and its
//! series. `reads spread [ROUNDS]` does the same for a namespace with one pod on each node.
//!
//! `reads once FIELDS` reads one field of a namespace whose entities have so many, and does it as
//! often as it is worth counting under callgrind: `make check-instructions` compares few fields
//! with many.

mod fleet;
mod once;
mod time;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (what, number) = (args.next(), args.next());
    let number = number.and_then(|text| text.parse().ok());
    match what.as_deref() {
        Some(how @ ("time" | "spread")) => time::run(how == "spread", number.unwrap_or(200)),
        Some("once") => once::run(number.unwrap_or(8)),
        _ => {
            say("reads time [ROUNDS] | reads spread [ROUNDS] | reads once FIELDS");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}
