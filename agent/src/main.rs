//! The agent's process: command line, log, one runtime on one thread, exit code.

use std::process::ExitCode;

use cairn_agent::args::Args;
use cairn_agent::{app, config};
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::{flags, logging, shutdown};

fn main() -> ExitCode {
    match flags::parse() {
        Ok(args) => exit::report(run(args)),
        Err(code) => code,
    }
}

fn run(args: Args) -> Result<(), Failure> {
    logging::init(logging::Format::Text, &args.log).map_err(|error| Failure::config(&error))?;
    let config = config::Config::try_from(args).map_err(|error| Failure::config(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))?;
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
