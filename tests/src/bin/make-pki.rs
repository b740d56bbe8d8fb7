//! `make-pki`: a throw-away authority and one server certificate, for trying things out.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use cairn_runtime::exit::{self, Failure};
use clap::Parser;
use testkit::args;
use testkit::pki::{Error, Pki};

/// Writes ca.pem, server.pem and server.key into a directory.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Directory to write to; made when it is not there.
    #[arg(long)]
    dir: PathBuf,
    /// DNS name of the server; may be given more than once.
    #[arg(long, num_args = 1..)]
    dns: Vec<String>,
    /// Address of the server; may be given more than once.
    #[arg(long, num_args = 1..)]
    ip: Vec<IpAddr>,
}

fn main() -> ExitCode {
    match args::parse() {
        Ok(args) => exit::report(make(&args).map_err(|error| Failure::config(&error))),
        Err(code) => code,
    }
}

fn make(args: &Args) -> Result<(), Error> {
    let names: Vec<&str> = args.dns.iter().map(String::as_str).collect();
    Pki::new(&args.dir)?
        .ca("ca")?
        .leaf("server")
        .dns(&names)
        .ips(&args.ip)
        .write()
        .map(drop)
}
