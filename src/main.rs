//! The `guantong` binary: arguments in, library call, exit code out.
//!
//! Every command is one file under `cmd`. A command prints its result on standard output and
//! everything else on standard error, and ends in one of four exit codes; see [`failed::Exit`].

mod cmd;
mod failed;
mod output;
mod progress;
mod render;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cmd::Cli::try_parse() {
        Ok(cli) => match cli.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failed) => failed.into(),
        },
        Err(error) => {
            // Help and version are "errors" too; clap knows the stream and the code of each. A
            // closed pipe while printing them leaves nobody to tell.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
