//! Links in Markdown files that lead to files of the repository must lead somewhere.

use crate::finding::Finding;
use crate::tree::TextFile;

/// Links of a Markdown file that lead nowhere. `exists` is asked with a path from the root.
pub(crate) fn check(file: &TextFile, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (number, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let Some(path) = local_path(&file.path, target) else {
                continue;
            };
            if exists(&path) {
                continue;
            }
            findings.push(Finding {
                path: file.path.clone(),
                line: number + 1,
                rule: "dead-link",
                what: format!("`{target}` leads to {path}, which does not exist"),
                fix: "Correct the link, or add the file.".into(),
            });
        }
    }
    findings
}

/// Targets of the inline links `[text](target)` of one line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| {
        let rest = &line[at + 2..];
        let target = &rest[..rest.find(')')?];
        Some(
            target
                .split(' ')
                .next()
                .unwrap_or(target)
                .trim_matches(['<', '>']),
        )
    })
}

/// The path from the root of the repository that `target` means in the file `from`; none if it
/// leads out of the repository or stays in the file.
fn local_path(from: &str, target: &str) -> Option<String> {
    let target = target.split('#').next().unwrap_or(target);
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
