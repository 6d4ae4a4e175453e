//! `guantong man`: manual pages, from the declaration of the commands.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Cli;
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};

const EXAMPLES: &str = "\
Examples:
  guantong man | man -l -
  guantong man ~/.local/share/man/man1";

/// Print the manual page, or write one page per command into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder for guantong.1, guantong-resolve.1 and so on; made if need be
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        // Writing to memory does not fail.
        let _ = clap_mangen::Man::new(Cli::command()).render(&mut page);
        let mut out = Output::new();
        out.raw(&page)?;
        return out.finish();
    };
    write_pages(dir).map_err(|error| {
        Report::new(
            Exit::Usage,
            format_args!("cannot write manual pages to {}", dir.display()),
        )
        .cause(error)
        .hint("choose a folder that you may write to")
        .fail()
    })?;
    note(format_args!("manual pages are in {}", dir.display()));
    Ok(())
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}
