//! `guantong completions`: completion scripts for shells, from the declaration of the commands.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::failed::Failed;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  guantong completions bash > ~/.local/share/bash-completion/completions/guantong
  guantong completions zsh > ~/.zfunc/_guantong
  guantong completions fish > ~/.config/fish/completions/guantong.fish";

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell to complete for
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "guantong", &mut script);
    let mut out = Output::new();
    out.raw(&script)?;
    out.finish()
}
