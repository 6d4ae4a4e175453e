//! `guantong key`: make keys, look at them, change their form, try them, replace them.

pub(crate) mod file;
mod make;
mod prove;
mod rights;
mod rotate;

use clap::Subcommand;

use crate::failed::Failed;

/// Make keys, look at them, change their form, try them at a node, replace them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new key
    #[command(after_help = make::NEW_EXAMPLES)]
    New(make::NewArgs),
    /// Show what a key is, never its private part
    #[command(after_help = make::SHOW_EXAMPLES)]
    Show(make::ShowArgs),
    /// Write a key in another form
    #[command(after_help = make::CONVERT_EXAMPLES)]
    Convert(make::ConvertArgs),
    /// Prove an identity to a node with a key, and say what comes of it
    #[command(after_help = prove::EXAMPLES)]
    Test(prove::Args),
    /// Say what an identity may do at the node of this machine, and why
    #[command(after_help = rights::EXAMPLES)]
    Whoami(rights::Args),
    /// Put a new key beside an old one, later take the old one away
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(rotate::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::New(args) => make::new(args),
        Command::Show(args) => make::show(args),
        Command::Convert(args) => make::convert(args),
        Command::Test(args) => prove::run(args),
        Command::Whoami(args) => rights::run(args),
        Command::Rotate(args) => rotate::run(args),
    }
}
