//! `guantong mirror`: what the node is to its data, and making it the primary.

use clap::Subcommand;
use guantong_api::control::{Ask, Lag, MirrorStatus, Reply};

use super::{NodeArgs, ask};
use crate::failed::Failed;
use crate::output::Output;

const STATUS_EXAMPLES: &str = "\
Examples:
  guantong mirror status
  guantong mirror status --json

Says whether the node is the primary, follows one, or was one, and how far it is behind.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  guantong mirror promote
  guantong mirror promote --force

The primary is asked to give way: it takes no changes any more, everything it has is fetched, and
this node becomes the primary. If it cannot be reached, this node waits until the lease that the
primary has given it has run out; without a lease only --force helps, and changes that the old
primary alone has are then not here. It exports them to files when it is back, and follows.";

//----------- Args -----------------------------------------------------------

/// See how a mirror fares, or make it the primary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the node is and how far it is behind
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Make this node the primary
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote(PromoteArgs),
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct PromoteArgs {
    /// Even if the old primary may still take changes or has some that are not here
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::Status(args) => status(args),
        Command::Promote(args) => promote(args),
    }
}

//----------- status ---------------------------------------------------------

fn status(args: &StatusArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let Reply::Mirror(status) = ask::ask(&mut *control, Ask::Mirror)? else {
        return Err(ask::strange());
    };
    let mut output = Output::new();
    if args.json {
        let text = serde_json::to_string(&status);
        output.line(text.map_err(|_| ask::strange())?)?;
        return output.finish();
    }
    for line in in_words(&status) {
        output.line(line)?;
    }
    output.finish()
}

fn in_words(status: &MirrorStatus) -> Vec<String> {
    let mut lines = vec![format!("role\t{}", status.role)];
    lines.push(format!("epoch\t{}", status.epoch));
    if let Some(primary) = &status.primary {
        lines.push(format!("primary\t{primary}"));
    }
    if let Some(lag) = &status.lag {
        let complete = match status.is_complete {
            true => "",
            false => "not everything has been received yet; ",
        };
        lines.push(format!("lag\t{complete}{}", lag_in_words(lag)));
    }
    lines.push(format!("mirrors\t{}", status.mirrors));
    lines.push(match &status.why_not {
        None => "changes\ttaken".to_owned(),
        Some(why) => format!("changes\tnot taken: {why}"),
    });
    if let Some(old) = &status.unaware {
        lines.push(format!(
            "before\t{old} was the primary and has not been told yet; it is being tried"
        ));
    }
    lines
}

/// How far a mirror is behind.
pub(crate) fn lag_in_words(lag: &Lag) -> String {
    let changes = match lag.changes {
        0 => "no change behind".to_owned(),
        1 => "1 change behind".to_owned(),
        n => format!("{n} changes behind"),
    };
    match lag.seconds {
        Some(seconds) => format!("{changes}, level {seconds} s ago"),
        None => format!("{changes}, never level yet"),
    }
}

//----------- promote --------------------------------------------------------

fn promote(args: &PromoteArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let force = args.force;
    let Reply::Promoted(promoted) = ask::ask(&mut *control, Ask::Promote { force })? else {
        return Err(ask::strange());
    };
    let mut output = Output::new();
    output.line(format_args!(
        "this node is the primary of epoch {}: {}",
        promoted.epoch, promoted.how
    ))?;
    output.line(
        "Sites in prefix records that live elsewhere have to be changed there: see `guantong \
         prefix delegate`.",
    )?;
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_says_how_far_it_is_behind() {
        let status = MirrorStatus {
            role: "mirror".into(),
            epoch: 1,
            primary: Some("192.0.2.7:2641".into()),
            is_complete: false,
            last: Some(5),
            lag: Some(Lag {
                changes: 2,
                seconds: None,
            }),
            mirrors: 0,
            takes_changes: false,
            why_not: Some("it is a mirror".into()),
            unaware: None,
        };
        let said = in_words(&status).join("\n");
        for part in [
            "192.0.2.7",
            "2 changes behind",
            "not everything",
            "not taken",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}
