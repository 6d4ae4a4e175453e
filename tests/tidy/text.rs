//! Rules that look at lines of text: width, length, markers that were left behind, and words that
//! name somebody's machine.

use crate::finding::Finding;
use crate::tree::TextFile;

/// Widest line of a source file, in characters.
pub(crate) const COLUMNS_MAX: usize = 100;

/// Longest Rust file, in lines. A longer one has two subjects.
pub(crate) const FILE_LINES_MAX: usize = 800;

/// Endings of files whose width is limited. Markdown is not: its tables cannot be wrapped.
const SOURCE_ENDINGS: &[&str] = &["rs", "sh", "py", "java"];

/// Markers of unfinished work, in two halves so that this file does not hold them.
const MARKERS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")];

/// Directories that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["home", "root", "work", "Users", "tmp"];

/// Hosts that only a private network knows.
const PRIVATE_HOSTS: &[&str] = &[".internal", ".local", ".lan", ".corp", ".intranet"];

/// Applies every rule of this module to one file.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let source = SOURCE_ENDINGS.contains(&file.ending());
    let mut drawn = false;
    for (number, line) in file.text.lines().enumerate() {
        let mut add = |rule, what: String, fix: &str| {
            let (path, line, fix) = (file.path.clone(), number + 1, fix.to_owned());
            findings.push(Finding {
                path,
                line,
                rule,
                what,
                fix,
            });
        };
        if line.ends_with([' ', '\t']) {
            add(
                "trailing-space",
                "space at the end of the line".into(),
                "Delete it.",
            );
        }
        drawn ^= is_fence(line);
        let width = line.chars().count();
        if source && width > COLUMNS_MAX && !drawn && !cannot_wrap(line) {
            let what = format!("{width} columns, at most {COLUMNS_MAX}");
            add("line-width", what, "Wrap the line, or name a part of it.");
        }
        if let Some(marker) = marker_in(line) {
            let fix = "Do it now, or open an issue and say in a sentence what is not done.";
            add("leftover", format!("marker {marker}"), fix);
        }
        if let Some(path) = machine_path_in(line) {
            let fix = "Write a path relative to the repository, or use a temporary directory.";
            add(
                "machine-path",
                format!("/{path}/ exists on one machine only"),
                fix,
            );
        }
        if let Some(host) = private_host_in(line) {
            let fix = "Name public hosts only; a mirror belongs in the user's own configuration.";
            add(
                "private-host",
                format!("{host} is known to a private network only"),
                fix,
            );
        }
    }
    findings.extend(check_whole(file));
    findings
}

/// Whether the line holds something that is one piece: a URL, a raw string, a text with quotes in
/// it, or a text that alone takes most of the line, such as the message of an error.
fn cannot_wrap(line: &str) -> bool {
    let quoted = line.contains("r#\"") || line.matches("\\\"").count() >= 4;
    let texts = || line.split('"').skip(1).step_by(2);
    let long_text = || texts().any(|text| text.chars().count() > 60);
    line.contains("://") || quoted || long_text()
}

/// Whether the line opens or closes a drawing or an example in a documentation comment.
fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//! ```") || line.starts_with("/// ```")
}

/// Rules about the file as a whole.
fn check_whole(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line, rule, what: String, fix: &str| {
        let (path, fix) = (file.path.clone(), fix.to_owned());
        findings.push(Finding {
            path,
            line,
            rule,
            what,
            fix,
        });
    };
    let lines = file.text.lines().count();
    if !file.text.ends_with('\n') {
        add(
            lines,
            "final-newline",
            "no newline at the end".into(),
            "Add one.",
        );
    }
    if file.text.ends_with("\n\n") {
        add(
            lines,
            "final-newline",
            "empty lines at the end".into(),
            "Delete them.",
        );
    }
    if file.ending() == "rs" {
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines, at most {FILE_LINES_MAX}");
            add(lines, "file-length", what, "Split the file by subject.");
        }
        // The tests of a module stand beside it; its documentation is theirs too.
        let beside = file.path.contains("/src/") && file.path.ends_with("tests.rs");
        if !beside && !file.text.starts_with("//!") {
            let fix = "Begin with `//!`: what it is, how it fits, what it does not do.";
            add(
                1,
                "module-doc",
                "the file does not begin with its documentation".into(),
                fix,
            );
        }
    }
    findings
}

/// The marker of unfinished work in `line`, if it stands there as a word of its own.
fn marker_in(line: &str) -> Option<String> {
    MARKERS
        .iter()
        .map(|(a, b)| format!("{a}{b}"))
        .find(|marker| {
            line.match_indices(marker.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + marker.len()..].chars().next();
                let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !in_word(before) && !in_word(after)
            })
        })
}

/// The first directory of an absolute path in `line` that exists on one machine only.
fn machine_path_in(line: &str) -> Option<&'static str> {
    MACHINE_PATHS.iter().copied().find(|name| {
        let path = format!("/{name}/");
        line.match_indices(&path).any(|(at, _)| {
            // `$HOME/data/`, `./tmp/` and `https://host/home/` are no absolute paths.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-}/)".contains(c))
        })
    })
}

/// The host of a URL in `line` that only a private network can know. Loopback is fine.
fn private_host_in(line: &str) -> Option<String> {
    line.match_indices("://").find_map(|(at, _)| {
        let rest = &line[at + 3..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || ".-@_".contains(c)));
        let host = rest[..end.unwrap_or(rest.len())]
            .rsplit('@')
            .next()
            .unwrap_or_default();
        let named = PRIVATE_HOSTS.iter().any(|ending| host.ends_with(ending));
        let octets: Vec<u8> = host
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        let numbered = match octets.as_slice() {
            [10, _, _, _] | [192, 168, _, _] => true,
            [172, second, _, _] => (16..32).contains(second),
            _ => false,
        };
        (named || numbered).then(|| host.to_owned())
    })
}
