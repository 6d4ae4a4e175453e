//! The file as text: for `init`, for the sample, for the reference.

use std::fmt::Write;

use super::v1::{Entry, Spec, VERSION};

/// Longest comment line of a written file.
const WIDTH: usize = 98;

/// The file that says what `spec` says: what differs from the defaults is set, the rest is there
/// as comments.
pub(super) fn file(spec: &Spec) -> String {
    text(spec, |entry| entry.value == entry.default)
}

/// The file that sets everything as `spec` says.
pub(super) fn whole(spec: &Spec) -> String {
    text(spec, |_| false)
}

/// The file of `spec`, with those settings as comments that `is_comment` chooses.
fn text(spec: &Spec, is_comment: impl Fn(&Entry) -> bool) -> String {
    let mut out = String::from(
        "# Settings of a Guantong node. A line that begins with # and a setting shows its default.\n\
         # Check the file with `guantong check --config FILE`. \
         A running node reads it again on SIGHUP.\n",
    );
    let _ = write!(out, "\nversion = \"{VERSION}\"\n");
    let mut section = "";
    for entry in spec.entries() {
        if entry.section != section {
            section = entry.section;
            out.push('\n');
            comment(&mut out, entry.section_doc);
            let _ = writeln!(out, "[{section}]");
        }
        comment(&mut out, entry.doc);
        let mark = if is_comment(&entry) { "# " } else { "" };
        let _ = writeln!(out, "{mark}{} = {}", entry.key, entry.value);
    }
    out
}

/// The reference of all settings, in Markdown.
pub(super) fn reference() -> String {
    let mut out = String::from(
        "# Settings\n\nGenerated from the declaration in `crates/server/src/config/v1.rs`.\n\
         The file begins with `version = \"v1\"`. \
         Relative paths start at the folder of the file.\n",
    );
    let mut section = "";
    for entry in Spec::default().entries() {
        if entry.section != section {
            section = entry.section;
            let doc = entry.section_doc.trim();
            let _ = write!(
                out,
                "\n## `[{section}]`\n\n{doc}\n\n| setting | default | meaning |\n|---|---|---|\n"
            );
        }
        let (doc, form) = (entry.doc.trim(), entry.form.replace('|', "\\|"));
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {doc} Write {form}. |",
            entry.key, entry.default
        );
    }
    out
}

fn comment(out: &mut String, doc: &str) {
    let mut line = String::from("#");
    for word in doc.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(out, "{line}");
}
