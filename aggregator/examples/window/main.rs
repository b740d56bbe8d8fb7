//! What a window costs, in one process and without a network: the memory of a sample, and the
//! instructions of taking one in.
//!
//! `window fill [NODES] [INTERVAL_S]` fills a store with generated nodes of 30 pods with 2 containers
//! and twenty fields, mix C, and prints how much larger the process became and what the store says
//! that it holds.
//!
//! `window append [NODES]` takes one window of rows in, to be counted under callgrind.

mod fill;
mod ticks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next();
    let mut number = |or| {
        let given = args.next().and_then(|text| text.parse().ok());
        given.unwrap_or(or)
    };
    match what.as_deref() {
        Some("fill") => fill::run(number(100), number(10)),
        Some("append") => fill::append(number(4)),
        _ => {
            say("window fill [NODES] [INTERVAL_S] | window append [NODES]");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}
