//! Starts the aggregator, or checks it: flags, log, runtime, signals, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use cairn_aggregator::args::{Args, CheckArgs, Cli, Command, Output};
use cairn_aggregator::config::{Checking, Config};
use cairn_aggregator::{app, check};
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::flags;
use cairn_runtime::logging::{self, Format};
use cairn_runtime::shutdown::{self, Token};

fn main() -> ExitCode {
    match flags::parse::<Cli>() {
        Ok(Cli {
            command: None,
            args,
        }) => exit::report(run(args)),
        Ok(Cli {
            command: Some(Command::Check(args)),
            ..
        }) => look(*args).unwrap_or_else(|failure| exit::report(Err(failure))),
        Err(code) => code,
    }
}

fn run(args: Args) -> Result<(), Failure> {
    logging::init(Format::Text, &args.log).map_err(|e| Failure::config(&e))?;
    let config = Config::try_from(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("cairn")
        .build()
        .map_err(|e| Failure::other(&e))?;
    let result = runtime.block_on(async {
        let token = Token::new();
        let started = app::start(config, token.clone()).await?;
        tokio::select! {
            biased;
            signal = shutdown::signalled() => {
                let signal = signal.map_err(|e| Failure::other(&e))?;
                tracing::info!(signal, "asked to stop");
                token.cancel();
            }
            () = token.cancelled() => {}
        }
        started.run().await
    });
    // Blocking work that hangs must not hold the process.
    runtime.shutdown_background();
    result
}

/// Looks at the cluster and prints what came of it.
fn look(args: CheckArgs) -> Result<ExitCode, Failure> {
    // What the result says is not said again in a log, unless a log is asked for.
    let log = match args.log.as_str() {
        "info" => "error",
        filter => filter,
    };
    logging::init(Format::Text, log).map_err(|e| Failure::config(&e))?;
    let output = args.output;
    let checking = Checking::try_from(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::other(&e))?;
    let report = runtime.block_on(check::run(&checking));
    runtime.shutdown_background();
    let text = match output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    // A closed standard output is no reason to end in another way.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(match report.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::CODE_FOUND_FAILING),
    })
}
