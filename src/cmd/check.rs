//! `guantong check`: looks at the settings and at everything they name, and starts nothing.

use guantong_server::config::{self, Finding, Judgement};

use super::NodeArgs;
use super::local::wrong_configuration;
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::output::style::{BAD, GOOD, WARN};
use crate::render::left;

const EXAMPLES: &str = "\
Examples:
  guantong check --config node/guantong.toml
  guantong check --config node --show";

/// Check settings, keys, store and addresses of a node without starting it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeArgs,

    /// Print every setting as it is in force, as a configuration file, instead of the findings
    #[arg(long)]
    show: bool,
}

/// Checks and prints.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let config = args.node.load()?;
    let mut out = Output::new();
    if args.show {
        let text =
            config::show(&args.node.file()).map_err(|errors| wrong_configuration(&errors))?;
        out.raw(text.as_bytes())?;
        return out.finish();
    }
    let findings = config::check(&config);
    for finding in &findings {
        out.line(line(finding))?;
    }
    out.finish()?;
    let bad = findings
        .iter()
        .filter(|finding| finding.judgement == Judgement::Bad)
        .count();
    match bad {
        0 => Ok(()),
        _ => Err(
            Report::new(Exit::Usage, "the node would not start, or not work")
                .cause(format_args!("{bad} of the findings above are bad"))
                .fail(),
        ),
    }
}

/// One finding, with its judgement in colour.
pub(super) fn line(finding: &Finding) -> String {
    let (style, mark) = match finding.judgement {
        Judgement::Good => (GOOD, "ok"),
        Judgement::Doubtful => (WARN, "look"),
        Judgement::Bad => (BAD, "bad"),
    };
    format!(
        "{style}{}{style:#}  {}  {}",
        left(mark, 4),
        left(&finding.about, 16),
        finding.text
    )
}
