//! The agent's process: command line, log, one runtime on one thread, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use cairn_agent::args::{Args, CheckArgs, Cli, Command, Output, TopArgs};
use cairn_agent::{app, check, config, top};
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::{flags, logging, shutdown};
use tokio::runtime::Runtime;

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
        Ok(Cli {
            command: Some(Command::Top(args)),
            ..
        }) => exit::report(show(args)),
        Err(code) => code,
    }
}

fn run(args: Args) -> Result<(), Failure> {
    logging::init(logging::Format::Text, &args.log).map_err(|error| Failure::config(&error))?;
    let config = config::Config::try_from(args).map_err(|error| Failure::config(&error))?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let signal = shutdown::signalled();
        let bound = app::start(config).await?;
        bound
            .run(async {
                match signal.await {
                    Ok(signal) => tracing::info!(signal, "agent stops"),
                    Err(error) => tracing::error!(%error, "no signal can be received, stopping"),
                }
            })
            .await
    });
    // A reading of /proc that hangs, or a look-up, must not keep the process.
    runtime.shutdown_background();
    ended
}

/// Checks the configuration and prints what came of it.
fn look(CheckArgs { output, args }: CheckArgs) -> Result<ExitCode, Failure> {
    // What the result says is not said again in a log, unless a log is asked for.
    let log = match args.log.as_str() {
        "info" => "error",
        filter => filter,
    };
    logging::init(logging::Format::Text, log).map_err(|error| Failure::config(&error))?;
    let config = config::Config::try_from(args).map_err(|error| Failure::config(&error))?;
    let runtime = runtime()?;
    let report = runtime.block_on(check::run(&config));
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

/// Shows what the agent that runs here knows.
fn show(args: TopArgs) -> Result<(), Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(top::run(args));
    // The thread that waits for a key must not keep the process.
    runtime.shutdown_background();
    ended
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))
}
