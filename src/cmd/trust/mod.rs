//! `guantong trust`: sign records, certify keys, and find out whether a record is what its owner
//! signed.

pub(crate) mod check;
mod sign;

use clap::Subcommand;

use crate::failed::Failed;

/// Sign records, certify keys, verify what others have signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify the signatures of a record up to a root, and show the chain
    #[command(after_help = check::EXAMPLES)]
    Verify(check::Args),
    /// Sign records of the node of this machine
    #[command(after_help = sign::SIGN_EXAMPLES)]
    Sign(sign::SignArgs),
    /// Certify a key: say what it may sign
    #[command(after_help = sign::CERTIFY_EXAMPLES)]
    Certify(sign::CertifyArgs),
    /// Take a key and its certificates out of its record
    #[command(after_help = sign::REVOKE_EXAMPLES)]
    Revoke(sign::RevokeArgs),
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::Verify(args) => check::run(args),
        Command::Sign(args) => sign::sign(args),
        Command::Certify(args) => sign::certify(args),
        Command::Revoke(args) => sign::revoke(args),
    }
}
