//! The rules themselves, each shown a small breach and its correct twin.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::manifest::{self, Member};
use crate::source::{self, Parsed};
use crate::tree::TextFile;
use crate::{links, text};

fn file(path: &str, text: &str) -> TextFile {
    TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// Expects exactly these breaches, each as `line rule`.
#[track_caller]
fn check(findings: &[Finding], expected: &[&str]) {
    let found: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} {}", finding.line, finding.rule))
        .collect();
    assert_eq!(found, expected, "{findings:#?}");
}

#[track_caller]
fn check_text(path: &str, content: &str, expected: &[&str]) {
    check(&text::check(&file(path, content)), expected);
}

#[track_caller]
fn parsed(content: &str) -> Parsed {
    source::parse(&file("crates/proto/src/a.rs", content)).expect("the sample parses")
}

#[track_caller]
fn check_source(content: &str, expected: &[&str]) {
    check(parsed(content).findings(), expected);
}

#[track_caller]
fn check_calls(package: &str, content: &str, expected: &[&str]) {
    check(&parsed(content).banned_calls("a.rs", package), expected);
}

#[track_caller]
fn check_manifest(path: &str, content: &str, expected: &[&str]) {
    check(&manifest::check_text(path, content), expected);
}

//----------- Text -----------------------------------------------------------

#[test]
fn clean_text_passes() {
    check_text("a.rs", "//! A file.\n\nfn a() {}\n", &[]);
    check_text("a.md", "# A\n", &[]);
}

#[test]
fn wide_line_is_found_unless_it_holds_a_url() {
    let wide = "x".repeat(101);
    check_text("a.rs", &format!("//! A.\n// {wide}\n"), &["2 line-width"]);
    check_text(
        "a.rs",
        &format!("//! A.\n// https://example.org/{wide}\n"),
        &[],
    );
    check_text(
        "a.rs",
        &format!("//! A.\nconst A: &str = \"{wide}\";\n"),
        &[],
    );
    check_text("a.rs", &format!("//! ```\n//! {wide}\n//! ```\n"), &[]);
    check_text("a.md", &format!("{wide}\n"), &[]);
    check_text("a.rs", &format!("//! {}\n", "标".repeat(96)), &[]);
}

#[test]
fn blanks_at_the_end_are_found() {
    check_text("a.md", "a \n", &["1 trailing-space"]);
    check_text("a.md", "a\t\nb", &["1 trailing-space", "2 final-newline"]);
    check_text("a.md", "a\n\n", &["2 final-newline"]);
}

#[test]
fn markers_are_found_as_words_only() {
    let marker = ["TO", "DO"].concat();
    check_text(
        "a.rs",
        &format!("//! A.\n// {marker}: later\n"),
        &["2 leftover"],
    );
    check_text(
        "a.rs",
        &format!("//! A.\n// {marker}S and x{marker}\n"),
        &[],
    );
}

#[test]
fn paths_of_one_machine_are_found() {
    let path = ["/ho", "me/ann/x"].concat();
    check_text("a.md", &format!("see `{path}`\n"), &["1 machine-path"]);
    check_text(
        "a.md",
        &format!("see https://example.org{path} and .{path}\n"),
        &[],
    );
}

#[test]
fn hosts_of_private_networks_are_found() {
    let scheme = "https:/";
    check_text(
        "a.md",
        &format!("{scheme}/mirror.internal/x\n"),
        &["1 private-host"],
    );
    check_text(
        "a.md",
        &format!("{scheme}/user@10.1.2.3:80/x\n"),
        &["1 private-host"],
    );
    check_text(
        "a.md",
        "https://example.org/ http://127.0.0.1:8000/ http://172.32.0.1/\n",
        &[],
    );
}

#[test]
fn long_file_and_missing_module_doc_are_found() {
    check_text("a.rs", "fn a() {}\n", &["1 module-doc"]);
    check_text("a/src/b/tests.rs", "fn a() {}\n", &[]);
    let long = format!("//! A.\n{}", "//\n".repeat(800));
    check_text("a.rs", &long, &["801 file-length"]);
}

//----------- Source ---------------------------------------------------------

#[test]
fn long_function_is_found_wherever_it_stands() {
    let body = "    ();\n".repeat(69);
    let long = format!("fn a() {{\n{body}}}\n");
    check_source(&long, &["1 function-length"]);
    check_source(&format!("impl A {{\n{long}}}\n"), &["2 function-length"]);
    check_source(
        &format!("mod m {{\ntrait A {{\n{long}}}\n}}\n"),
        &["3 function-length"],
    );
    let fits = format!("fn a() {{\n{}}}\n", "    ();\n".repeat(68));
    check_source(&fits, &[]);
}

#[test]
fn ignored_test_needs_a_reason() {
    check_source("#[test]\n#[ignore]\nfn a() {}\n", &["2 ignored-test"]);
    check_source(
        "#[test]\n#[ignore = \"needs an hour: run with --ignored\"]\nfn a() {}\n",
        &[],
    );
}

#[test]
fn name_with_a_test_prefix_is_found() {
    check_source("#[test]\nfn test_it() {}\n", &["2 test-name"]);
    check_source("fn test_it() {}\n#[test]\nfn it_holds() {}\n", &[]);
}

#[test]
fn unsafe_is_let_in_by_one_crate_only() {
    for item in ["fn a() {}", "mod a;", "mod a {}", "impl A {}"] {
        for word in ["allow", "expect"] {
            check_source(&format!("#[{word}(unsafe_code)]\n{item}\n"), &["1 unsafe"]);
        }
    }
    check_source("#![allow(dead_code, unsafe_code)]\n", &["1 unsafe"]);
    check_source("#![forbid(unsafe_code)]\n", &[]);
    let allowed = file("crates/sched/src/lib.rs", "#![allow(unsafe_code)]\n");
    let parsed = source::parse(&allowed).expect("the sample parses");
    check(parsed.findings(), &[]);
}

#[test]
fn clock_is_found_in_calls_macros_and_imports() {
    check_calls(
        "guantong-core",
        "fn a() {\n    Instant::now();\n}\n",
        &["2 banned-call"],
    );
    check_calls(
        "guantong-store",
        "fn a() {\n  f!(x, {Instant::now()});\n}\n",
        &["2 banned-call"],
    );
    check_calls(
        "guantong-proto",
        "use std::{\n  env,\n  fmt,\n};\n",
        &["2 banned-call"],
    );
    check_calls("guantong-proto", "use std::env as e;\n", &["1 banned-call"]);
    check_calls(
        "guantong-core",
        "fn a() { std::time::SystemTime::now(); }",
        &["1 banned-call"],
    );
}

#[test]
fn banned_calls_are_free_in_tests_strings_and_the_shell() {
    let now = "fn a() { Instant::now(); }\n";
    check_calls("guantong-server", now, &[]);
    check_calls(
        "guantong-core",
        &format!("#[cfg(test)]\nmod tests {{\n{now}}}\n"),
        &[],
    );
    check_calls(
        "guantong-core",
        "#[test]\nfn a() { Instant::now(); }\n",
        &[],
    );
    check_calls("guantong-core", "#[cfg(test)]\nuse std::fs;\n", &[]);
    check_calls(
        "guantong-core",
        "// Instant::now()\nconst A: &str = \"std::env\";\n",
        &[],
    );
    check_calls(
        "guantong-core",
        "fn a() { std::net::IpAddr::from([0; 4]); }",
        &[],
    );
}

#[test]
fn not_being_a_test_is_no_excuse() {
    let code = "#[cfg(not(test))]\nuse std::env;\n#[cfg(any(test, unix))]\nuse std::fs;\n";
    check_calls("guantong-core", code, &["2 banned-call", "4 banned-call"]);
}

#[test]
fn store_may_use_files_and_threads() {
    let code = "use std::{fs, thread};\nfn a() { thread::spawn(f); }\n";
    check_calls("guantong-store", code, &[]);
    check_calls(
        "guantong-core",
        code,
        &["1 banned-call", "1 banned-call", "2 banned-call"],
    );
}

#[test]
fn dead_file_is_found_and_test_modules_are_told_apart() {
    let sources = [
        (
            "a/src/lib.rs",
            "mod b;\n#[cfg(test)]\nmod tests;\nmod x { mod y; }\n",
        ),
        ("a/src/b.rs", "mod c;\n#[path = \"../odd.rs\"]\nmod d;\n"),
        ("a/src/b/c.rs", ""),
        ("a/odd.rs", ""),
        ("a/src/x/y.rs", ""),
        ("a/src/tests.rs", "mod more;\n"),
        ("a/src/tests/more.rs", ""),
        ("a/src/forgotten.rs", ""),
    ];
    let files: BTreeMap<String, Parsed> = sources
        .iter()
        .map(|(path, text)| ((*path).to_owned(), parsed(text)))
        .collect();
    let reached = source::reachable(&files, &["a/src/lib.rs".into()]);
    let dead = source::dead_files(&files, &reached);
    check(&dead, &["0 dead-file"]);
    assert_eq!(dead[0].path, "a/src/forgotten.rs");
    let tests: Vec<&str> = reached
        .iter()
        .filter(|(_, test)| **test)
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(tests, ["a/src/tests.rs", "a/src/tests/more.rs"]);
}

//----------- Manifests ------------------------------------------------------

fn member(name: &str, dependencies: &[(&str, bool)]) -> Member {
    Member {
        name: name.to_owned(),
        manifest: "Cargo.toml".into(),
        targets: Vec::new(),
        dependencies: dependencies
            .iter()
            .map(|(name, dev)| ((*name).to_owned(), *dev))
            .collect(),
    }
}

#[test]
fn dependency_against_the_direction_is_found() {
    let up = member(
        "guantong-proto",
        &[("serde", false), ("guantong-core", false)],
    );
    check(&manifest::check_direction(&[up]), &["0 direction"]);
    let down = member("guantong-core", &[("guantong-proto", false)]);
    check(&manifest::check_direction(&[down]), &[]);
}

#[test]
fn testkit_outside_tests_is_found() {
    let shipped = member("guantong-store", &[("guantong-testkit", false)]);
    check(&manifest::check_direction(&[shipped]), &["0 direction"]);
    let tested = member("guantong-store", &[("guantong-testkit", true)]);
    check(&manifest::check_direction(&[tested]), &[]);
}

#[test]
fn unknown_crate_must_be_put_into_the_table() {
    check(
        &manifest::check_direction(&[member("guantong-new", &[])]),
        &["0 unknown-crate"],
    );
}

#[test]
fn banned_package_is_found_through_others() {
    let uses = [
        ("guantong-core", "roxmltree"),
        ("roxmltree", "net-io"),
        ("net-io", "tokio"),
    ];
    let workspace = manifest::Workspace::of(vec![member("guantong-core", &[])], &uses);
    let findings = manifest::check_trees(&workspace);
    check(&findings, &["0 banned-dependency"]);
    assert!(
        findings[0]
            .what
            .contains("guantong-core -> roxmltree -> net-io -> tokio")
    );
}

#[test]
fn client_with_a_large_tree_is_found() {
    let names: Vec<String> = (0..200).map(|n| format!("p{n}")).collect();
    let uses: Vec<(&str, &str)> = names
        .iter()
        .map(|name| ("guantong-client", name.as_str()))
        .collect();
    let workspace = manifest::Workspace::of(vec![member("guantong-client", &[])], &uses);
    check(&manifest::check_trees(&workspace), &["0 client-tree"]);
}

#[test]
fn dependency_without_a_reason_is_found() {
    let lints = "[lints]\nworkspace = true\n";
    let bare = format!("{lints}[workspace.dependencies]\nserde = \"1\"\n");
    check_manifest("Cargo.toml", &bare, &["4 dependency-reason"]);
    let beside = format!("{lints}# JSON.\n[workspace.dependencies]\nserde = \"1\"\n");
    check_manifest("Cargo.toml", &beside, &["5 dependency-reason"]);
    let reasoned = format!("{lints}[workspace.dependencies]\n# JSON.\nserde = \"1\"\n");
    check_manifest("Cargo.toml", &reasoned, &[]);
    let shared = format!("{lints}[workspace.dependencies]\n# JSON.\nserde = \"1\"\nsyn = \"2\"\n");
    check_manifest("Cargo.toml", &shared, &["6 dependency-reason"]);
}

#[test]
fn crate_takes_versions_and_lints_from_the_root() {
    let own = "[lints]\nworkspace = true\n[dependencies]\n# JSON.\nserde = \"1\"\n";
    check_manifest("a/Cargo.toml", own, &["5 dependency-place"]);
    let one_system = "[lints]\nworkspace = true\n[target.'cfg(a = \"b\")'.dependencies]\n";
    let shared = format!("{one_system}libc.workspace = true\n");
    check_manifest("a/Cargo.toml", &shared, &[]);
    let own = format!("{one_system}libc = \"1\"\n");
    check_manifest("a/Cargo.toml", &own, &["4 dependency-place"]);
    let shared = "[dev-dependencies]\nserde.workspace = true\nsyn = { workspace = true }\n";
    check_manifest("a/Cargo.toml", shared, &["0 lints"]);
}

//----------- Links ----------------------------------------------------------

#[test]
fn dead_link_is_found() {
    let text = "[a](b.md) [c](../d.md#part)\n[e](https://example.org/x) [f](#g)\n\
                ```\n[h](nowhere)\n```\n[i](gone.md)\n";
    let exists = |path: &str| ["docs/b.md", "d.md"].contains(&path);
    check(
        &links::check(&file("docs/a.md", text), &exists),
        &["6 dead-link"],
    );
}
