//! What it costs to read one field of a whole namespace, in process.
//!
//! `reads time [ROUNDS] [NODES]` prints how long the steps of one question take: what is there, and its
//! series. `reads spread [ROUNDS] [NODES]` does the same for a namespace with one pod on each node. With
//! thousands of nodes nothing that it reads is in a cache: a namespace has 1,000 pods then, and the
//! namespaces are asked for in turn.
//!
//! `reads lists [ROUNDS] [NODES] [LIST]` asks for lists of metrics.k8s.io: all pods, and those of one namespace, or for
//! the one that is named (`json`, `protobuf`, `table`, `namespace`). Beside the times it prints a sum of all bytes of each
//! answer, which is the same as long as the answer is.
//!
//! `reads list json|protobuf` asks once for all pods of a few nodes, to be counted under callgrind.
//!
//! `reads once FIELDS` reads one field of a namespace whose entities have so many, and does it as
//! often as it is worth counting under callgrind: `make check-instructions` compares few fields
//! with many.

mod fleet;
mod lists;
mod once;
mod time;

use std::process::ExitCode;

use fleet::Spread;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next();
    if what.as_deref() == Some("list") {
        lists::once(&args.next().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
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
        Some("lists") => {
            let rounds = number(7);
            let nodes = number(500).max(1);
            lists::run(rounds, nodes, args.next().as_deref());
        }
        Some("once") => once::run(number(8)),
        _ => {
            say(
                "reads time [ROUNDS] [NODES] | reads spread [ROUNDS] [NODES] | reads lists [ROUNDS] [NODES] [LIST] | \
                 reads list json|protobuf | reads once FIELDS",
            );
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}
