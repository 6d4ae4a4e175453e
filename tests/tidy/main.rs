//! Style as a test: every rule of CONTRIBUTING.md that a program can check is checked here.
//!
//! Each rule looks at the whole repository and lists every breach with its file, its line and what
//! to do. `self_test` shows each rule a small breach, so that no rule is silently asleep. The rules
//! take no account of meaning: that is what review is for.

mod calls;
mod finding;
mod links;
mod manifest;
mod self_test;
mod source;
mod text;
mod tree;

use std::collections::BTreeMap;

use finding::{Finding, expect_none};
use source::Parsed;

/// Separate workspaces, whose targets `cargo metadata` of the root does not list.
const OTHER_WORKSPACES: &[&str] = &["fuzz", "bench"];

#[test]
fn text_keeps_to_the_rules() {
    expect_none(tree::files().iter().flat_map(text::check).collect());
}

#[test]
fn rust_keeps_to_the_rules() {
    let files = parse_all();
    expect_none(files.values().flat_map(Parsed::findings).cloned().collect());
}

#[test]
fn layers_call_only_what_they_may() {
    let files = parse_all();
    let mut findings = Vec::new();
    for member in manifest::load().members {
        let shipped: Vec<String> = member
            .targets
            .iter()
            .filter(|(_, test)| !test)
            .map(|(path, _)| path.clone())
            .collect();
        for (path, test_only) in source::reachable(&files, &shipped) {
            if let (false, Some(file)) = (test_only, files.get(&path)) {
                findings.extend(file.banned_calls(&path, &member.name));
            }
        }
    }
    expect_none(findings);
}

#[test]
fn no_rust_file_is_dead() {
    let files = parse_all();
    let members = manifest::load().members;
    let targets = members.iter().flat_map(|member| &member.targets);
    let mut roots: Vec<String> = targets.map(|(path, _)| path.clone()).collect();
    roots.extend(other_roots());
    let reached = source::reachable(&files, &roots);
    expect_none(source::dead_files(&files, &reached));
}

#[test]
fn dependencies_run_in_one_direction() {
    let workspace = manifest::load();
    let mut findings = manifest::check_direction(&workspace.members);
    findings.extend(manifest::check_trees(&workspace));
    expect_none(findings);
}

#[test]
fn every_dependency_says_why() {
    let mut findings = Vec::new();
    for member in manifest::load().members {
        let text = std::fs::read_to_string(tree::root().join(&member.manifest))
            .expect("cargo has just read this manifest");
        findings.extend(manifest::check_text(&member.manifest, &text));
    }
    expect_none(findings);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let root = tree::root();
    let exists = |path: &str| root.join(path).exists();
    let files = tree::files();
    let documents = files.iter().filter(|file| file.ending() == "md");
    expect_none(
        documents
            .flat_map(|file| links::check(file, &exists))
            .collect(),
    );
}

fn parse_all() -> BTreeMap<String, Parsed> {
    let mut broken: Vec<Finding> = Vec::new();
    let mut files = BTreeMap::new();
    for file in tree::rust_files() {
        match source::parse(&file) {
            Ok(parsed) => _ = files.insert(file.path, parsed),
            Err(finding) => broken.push(finding),
        }
    }
    expect_none(broken);
    files
}

/// Source files that the manifests of the other workspaces name.
fn other_roots() -> Vec<String> {
    let mut roots = Vec::new();
    for workspace in OTHER_WORKSPACES {
        let Ok(manifest) = std::fs::read_to_string(tree::root().join(workspace).join("Cargo.toml"))
        else {
            continue;
        };
        let named = manifest
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path = \""));
        roots.extend(named.map(|path| format!("{workspace}/{}", path.trim_end_matches('"'))));
        roots.extend(["src/main.rs", "src/lib.rs"].map(|path| format!("{workspace}/{path}")));
    }
    roots
}
