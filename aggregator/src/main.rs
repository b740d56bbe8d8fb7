//! Starts the aggregator: flags, log, runtime, signals, exit code.

use std::process::ExitCode;

use cairn_aggregator::{app, args::Args, config::Config};
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::flags;
use cairn_runtime::logging::{self, Format};
use cairn_runtime::shutdown::{self, Token};

fn main() -> ExitCode {
    match flags::parse::<Args>() {
        Ok(args) => exit::report(run(args)),
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
