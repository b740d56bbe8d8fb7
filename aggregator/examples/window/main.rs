//! What a window costs, in one process and without a network: the memory of a sample, and the
//! instructions of taking one in.
//!
//! `window fill [NODES] [INTERVAL_S] [MIX] [CHURN]` fills a store with nodes of 30 pods with 2 containers
//! and twenty fields, of mix C, B, or K, the recording, and prints how much larger the process became and
//! what the store says that it holds. `CHURN` is the part of the pods that is replaced each minute, 0 to 1;
//! with it two hours go by, and what there is in between is printed too.
//!
//! `window names [NODES] [MIX]` names the things of nodes, 100 ticks long, and looks each up.
//!
//! `window append [NODES]` takes one window of rows in, to be counted under callgrind.

mod fill;
mod names;
mod ticks;

use std::process::ExitCode;

use ticks::Mix;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next();
    let rest: Vec<String> = args.collect();
    let number = |nth: usize, or| {
        let given = rest.get(nth).and_then(|text| text.parse().ok());
        given.unwrap_or(or)
    };
    match what.as_deref() {
        Some("fill") => {
            let churn = rest.get(3).and_then(|text| text.parse().ok());
            let mix = Mix {
                kind: Mix::kind(rest.get(2).map_or("C", String::as_str)),
                interval_ms: number(1, 10).max(1) as u64 * 1000,
                churn_per_minute: churn.unwrap_or(0.0),
            };
            fill::run(number(0, 100), mix);
        }
        Some("names") => {
            let kind = Mix::kind(rest.get(1).map_or("C", String::as_str));
            let mix = Mix {
                kind,
                ..Mix::STEADY
            };
            names::run(number(0, 1000), mix);
        }
        Some("append") => fill::append(number(0, 4)),
        _ => {
            say("window fill [NODES] [INTERVAL_S] [C|B|K] [CHURN] | window names [NODES] [C|B|K]");
            say("window append [NODES]");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}
