//! `bench-rivals`: other stores on the same rows as Cairn; `scripts/rivals.sh run` starts it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use cairn_runtime::exit::{self, Failure};
use clap::Parser;
use testkit::args;
use testkit::mix::Kind;
use testkit::rivals::{self, Options};

/// Measures Cairn and its rivals on the same rows and prints one line a figure, then the ratios.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Rival to measure; may be repeated. Without it all of them.
    #[arg(long, value_name = "NAME", value_parser = rival)]
    only: Vec<String>,
    /// The data: K (the recorded trace), C (half of the containers busy) or B (all busy).
    #[arg(long, value_name = "MIX", default_value = "C")]
    mix: Kind,
    /// How many nodes of 30 pods.
    #[arg(long, value_name = "N", default_value_t = 100)]
    nodes: usize,
    /// A directory on tmpfs for the rivals' files, empty and this run's own.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    match args::parse::<Args>() {
        Ok(args) => {
            let options = Options {
                kind: args.mix,
                nodes: args.nodes.max(1),
                only: args.only,
                dir: args.dir,
            };
            let result = rivals::run(&options, &mut io::stdout().lock());
            exit::report(result.map_err(|error| Failure::Other(format!("{error:#}"))))
        }
        Err(code) => code,
    }
}

fn rival(name: &str) -> Result<String, String> {
    if rivals::names().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = rivals::names().collect();
    Err(format!("expected one of {}", names.join(", ")))
}
