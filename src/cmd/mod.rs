//! The commands: what each takes and does, one file per command.
//!
//! A command file has `Args`, which clap reads, and `run(args) -> Result<(), Failed>`. It finds its
//! arguments, calls a library and prints; decisions belong in the libraries.

mod check;
mod completions;
mod doctor;
mod init;
mod man;
#[cfg(test)]
mod reference;
mod resolve;
mod serve;

use std::path::PathBuf;

use clap::{ColorChoice, Parser, Subcommand};
use guantong_server::config::{Config, ConfigErrors, FILE_NAME};
use guantong_server::control::{self, Control, OpenFault, Place};
use guantong_server::node::wall_clock_ms;
use guantong_store::Options;

use crate::failed::{EXIT_CODES, Exit, Failed, Report};

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
    Init(init::Args),
    Serve(serve::Args),
    Check(check::Args),
    Resolve(resolve::Args),
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
            Command::Init(args) => init::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Resolve(args) => resolve::run(&args),
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

/// Reports everything that is wrong with a configuration.
fn wrong_configuration(errors: &ConfigErrors) -> Failed {
    let mut report = Report::new(Exit::Usage, "the configuration cannot be used");
    for line in errors.to_string().lines() {
        report = report.cause(line);
    }
    report.fail()
}

/// The running node of a configuration, or its store if it does not run.
fn control_of(config: &Config) -> Result<Box<dyn Control>, OpenFault> {
    let place = Place {
        control: config.control.clone(),
        store: config.data.clone(),
        options: Options {
            memory_bytes: config.store.memory.0,
            ..Options::default()
        },
    };
    control::open(&place, wall_clock_ms)
}

//----------- NodeArgs -------------------------------------------------------

/// Which node a local command means; flattened into the arguments of such commands.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Configuration of the node: the file, or the folder that holds guantong.toml
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "GUANTONG_CONFIG",
        default_value = FILE_NAME
    )]
    pub(crate) config: PathBuf,
}

impl NodeArgs {
    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        match self.config.is_dir() {
            true => self.config.join(FILE_NAME),
            false => self.config.clone(),
        }
    }
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

    #[test]
    fn folder_given_as_configuration_means_the_file_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let args = NodeArgs {
            config: folder.path().into(),
        };
        assert_eq!(args.file(), folder.path().join(FILE_NAME));
        let args = NodeArgs {
            config: "other.toml".into(),
        };
        assert_eq!(args.file(), PathBuf::from("other.toml"));
    }
}
