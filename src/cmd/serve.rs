//! `guantong serve`: runs a node until it is told to stop.

use guantong_server::RunError;

use super::NodeArgs;
use super::local::wrong_configuration;
use crate::failed::{Exit, Failed, Report};

const EXAMPLES: &str = "\
Examples:
  guantong serve --config node/guantong.toml
  guantong serve --config /var/lib/guantong

Signals:
  SIGTERM, SIGINT  stop: requests in progress are answered
  SIGHUP           read the settings again; all of them are applied, or none";

/// Run a node.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the node.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let file = args.node.file();
    guantong_server::run(&file).map_err(|error| match error {
        RunError::Config(errors) => wrong_configuration(&errors),
        error => Report::new(Exit::Usage, "the node cannot run")
            .causes_of(&error)
            .hint(format_args!("guantong check --config {}", file.display()))
            .fail(),
    })
}
