//! `docs/reference/commands.md` is written from the declaration of the commands, and this test
//! fails when it is not up to date. `GUANTONG_UPDATE=1 cargo test -p guantong reference` updates
//! it.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;

use super::Cli;

/// Columns of the help texts in the page, so that the page does not depend on a terminal.
const COLUMNS: usize = 96;

const HEAD: &str = "\
# Commands

Written from the program itself; do not edit. `GUANTONG_UPDATE=1 cargo test -p guantong reference`
writes it again.
";

#[test]
fn reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/commands.md");
    let page = page();
    if std::env::var_os("GUANTONG_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/reference/commands.md is out of date; run\n\
         GUANTONG_UPDATE=1 cargo test -p guantong reference"
    );
}

fn page() -> String {
    let mut command = Cli::command().term_width(COLUMNS);
    command.build();
    let mut page = HEAD.to_owned();
    add(&mut page, &mut command, "guantong");
    page
}

fn add(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = lines.join("\n");
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end()).unwrap();
    for sub in command.get_subcommands_mut() {
        let name = format!("{name} {}", sub.get_name());
        add(page, sub, &name);
    }
}
