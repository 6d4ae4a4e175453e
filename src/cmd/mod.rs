//! The commands: what each takes and does, one file per command.
//!
//! A command file has `Args`, which clap reads, and `run(args) -> Result<(), Failed>`. It finds its
//! arguments, calls a library and prints; decisions belong in the libraries.

mod ask;
mod backup;
mod check;
mod completions;
mod demo;
mod doctor;
mod export;
mod identity;
mod import;
mod init;
mod key;
mod local;
mod man;
mod mirror;
mod move_over;
mod prefix;
mod record;
#[cfg(test)]
mod reference;
mod resolve;
mod restore;
mod serve;
mod store;
mod trust;

use clap::{ColorChoice, Parser, Subcommand};

use crate::failed::{EXIT_CODES, Exit, Failed, Report};

pub(crate) use local::NodeArgs;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("GUANTONG_BUILD_COMMIT"),
    ")"
);

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit:   ",
    env!("GUANTONG_BUILD_COMMIT"),
    " of ",
    env!("GUANTONG_BUILD_COMMIT_DATE"),
    "\nbuild:    ",
    env!("GUANTONG_BUILD_PROFILE"),
    ", ",
    env!("GUANTONG_BUILD_TARGET"),
    ", ",
    env!("GUANTONG_BUILD_RUSTC"),
    "\nprotocol: Handle 2.11"
);

//----------- Cli ------------------------------------------------------------

/// Node, client and tools of an identifier-resolution network for industry.
///
/// Every thing gets a name such as 88.118.5/SN20260001; anybody can resolve that name to typed
/// values. This one program is the node that answers, the client that asks, and the tools around
/// both. It speaks the Handle protocol (RFC 3650 to 3652).
#[derive(Debug, Parser)]
#[command(
    name = "guantong",
    version = VERSION,
    long_version = LONG_VERSION,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_long_help = EXIT_CODES
)]
pub(crate) struct Cli {
    /// Colour the output; by default on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(init::Args),
    Key(key::Args),
    Serve(serve::Args),
    Check(check::Args),
    Resolve(resolve::Args),
    Record(record::Args),
    Identity(identity::Args),
    Prefix(prefix::Args),
    Mirror(mirror::Args),
    Import(import::Args),
    MoveOver(move_over::Args),
    Export(export::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Store(store::Args),
    Trust(trust::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failed> {
        match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Init(args) => init::run(&args),
            Command::Key(args) => key::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Resolve(args) => resolve::run(&args),
            Command::Record(args) => record::run(&args),
            Command::Identity(args) => identity::run(&args),
            Command::Prefix(args) => prefix::run(&args),
            Command::Mirror(args) => mirror::run(&args),
            Command::Import(args) => import::run(&args),
            Command::MoveOver(args) => move_over::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Backup(args) => backup::run(&args),
            Command::Restore(args) => restore::run(&args),
            Command::Store(args) => store::run(&args),
            Command::Trust(args) => trust::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

/// Runs an async library call to its end on this thread.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Report::new(Exit::Network, "cannot use the network")
            .cause(error)
            .hint("are there too many open files?")
            .fail()
    })?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                if sub.has_subcommands() {
                    check(sub);
                    continue;
                }
                let help = sub.get_after_help().or(sub.get_after_long_help());
                let shown = help.map(ToString::to_string).unwrap_or_default();
                assert!(shown.contains("Examples:\n"), "{}", sub.get_name());
            }
        }
        check(&Cli::command());
    }
}
