//! Rules about dependencies: their direction, what a layer must never pull in, and that each one
//! says why it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::finding::Finding;
use crate::tree;

/// Workspace crates that each crate may use. `guantong` is the binary.
const MAY_USE: &[(&str, &[&str])] = &[
    ("guantong-proto", &[]),
    ("guantong-table", &[]),
    ("guantong-sched", &[]),
    ("guantong-store", &["guantong-proto", "guantong-table"]),
    (
        "guantong-core",
        &["guantong-proto", "guantong-store", "guantong-table"],
    ),
    ("guantong-api", &[]),
    ("guantong-client", &["guantong-proto", "guantong-api"]),
    (
        "guantong-server",
        &[
            "guantong-proto",
            "guantong-store",
            "guantong-core",
            "guantong-api",
            "guantong-client",
            "guantong-sched",
        ],
    ),
    (
        "guantong",
        &[
            "guantong-proto",
            "guantong-store",
            "guantong-core",
            "guantong-api",
            "guantong-client",
            "guantong-server",
        ],
    ),
    (
        "guantong-testkit",
        &["guantong-proto", "guantong-store", "guantong-core"],
    ),
];

/// The crate that only tests may use.
const TESTS_ONLY: &str = "guantong-testkit";

/// Crates without sockets, tasks or an event loop, and what would bring them in.
const PURE: &[&str] = &[
    "guantong-proto",
    "guantong-table",
    "guantong-sched",
    "guantong-store",
    "guantong-core",
    "guantong-api",
];
const BANNED_BELOW_SHELL: &[&str] = &[
    "tokio",
    "hyper",
    "axum",
    "socket2",
    "mio",
    "async-io",
    "async-std",
    "smol",
    "rustls",
    "reqwest",
    "h2",
    "quinn",
];

/// The client promises a small dependency tree: at most this many packages, itself included.
/// Integrators compile all of them. Half are the cryptography of old and new Handle keys, which
/// `proto` brings; a fifth is HTTP and TLS for the tunnel, which its feature `https` turns off.
/// Features that other members switch on count here, too; an integrator's own build has some
/// thirty packages less.
const CLIENT_PACKAGES_MAX: usize = 130;

//----------- Workspace ------------------------------------------------------

/// What `cargo metadata` says, as far as the rules need it.
pub(crate) struct Workspace {
    /// Members of the workspace.
    pub(crate) members: Vec<Member>,
    /// Normal and build dependencies of every package, by name and version.
    uses: BTreeMap<String, BTreeSet<String>>,
}

/// One crate of the workspace.
pub(crate) struct Member {
    /// Name of the package.
    pub(crate) name: String,
    /// Path of its Cargo.toml from the root of the repository.
    pub(crate) manifest: String,
    /// Source files of its targets: path, and whether it is a test, an example or a benchmark.
    pub(crate) targets: Vec<(String, bool)>,
    /// Direct dependencies on other packages: name, and whether only tests use it.
    pub(crate) dependencies: Vec<(String, bool)>,
}

impl Workspace {
    /// A workspace made up of `members`, in which each pair of `uses` is a dependency.
    pub(crate) fn of(members: Vec<Member>, uses: &[(&str, &str)]) -> Self {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (package, used) in uses {
            all.entry((*package).to_owned())
                .or_default()
                .insert((*used).to_owned());
        }
        Self { members, uses: all }
    }
}

/// Asks cargo about the workspace.
pub(crate) fn load() -> Workspace {
    let json = metadata();
    let root = format!("{}/", tree::root().display());
    let local = |path: &Value| text(path).trim_start_matches(&root).to_owned();
    let mut names = BTreeMap::new();
    let mut members = Vec::new();
    for package in list(&json["packages"]) {
        let name = text(&package["name"]);
        names.insert(text(&package["id"]), name.clone());
        if !package["source"].is_null() {
            continue;
        }
        let targets = list(&package["targets"]).iter().map(|target| {
            let kind = text(&target["kind"][0]);
            (
                local(&target["src_path"]),
                ["test", "example", "bench"].contains(&kind.as_str()),
            )
        });
        let dependencies = list(&package["dependencies"]).iter().map(|dependency| {
            (
                text(&dependency["name"]),
                text(&dependency["kind"]) == "dev",
            )
        });
        members.push(Member {
            name,
            manifest: local(&package["manifest_path"]),
            targets: targets.collect(),
            dependencies: dependencies.collect(),
        });
    }
    let mut uses = BTreeMap::new();
    for node in list(&json["resolve"]["nodes"]) {
        let of_package = list(&node["deps"]).iter().filter(|dependency| {
            list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| text(&kind["kind"]) != "dev")
        });
        let of_package = of_package
            .map(|dependency| text(&dependency["pkg"]))
            .collect();
        uses.insert(text(&node["id"]), of_package);
    }
    Workspace {
        members,
        uses: by_name(&uses, &names),
    }
}

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let rustc = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc can be started");
    let version = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
        ])
        .arg(host.expect("rustc -vV names the host"))
        .current_dir(tree::root())
        .output()
        .expect("cargo can be started");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {told}");
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Replaces package ids by names. Two versions of one package fall together, which is what the
/// rules want.
fn by_name(
    uses: &BTreeMap<String, BTreeSet<String>>,
    names: &BTreeMap<String, String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, used) in uses {
        let used = used.iter().map(|id| names[id].clone());
        named
            .entry(names[package].clone())
            .or_default()
            .extend(used);
    }
    named
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//----------- Rules ----------------------------------------------------------

/// Direction of the dependencies between our own crates.
pub(crate) fn check_direction(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == member.name) else {
            let what = format!(
                "{} is not in the table of tests/tidy/manifest.rs",
                member.name
            );
            let fix = "A new crate must ban or promise something; add it to the table.";
            findings.push(of_manifest(member, "unknown-crate", what, fix));
            continue;
        };
        let own = |name: &String| MAY_USE.iter().any(|(known, _)| known == name);
        for (used, for_tests) in member.dependencies.iter().filter(|(name, _)| own(name)) {
            if *for_tests || may_use.contains(&used.as_str()) {
                continue;
            }
            let (what, fix) = if used == TESTS_ONLY {
                let what = format!("{used} is for tests, {} uses it elsewhere", member.name);
                (what, "Move it to [dev-dependencies].")
            } else {
                let fix = "Dependencies run proto <- store <- core <- server <- binary. \
                           Move the code to the layer that may know both.";
                (format!("{} must not use {used}", member.name), fix)
            };
            findings.push(of_manifest(member, "direction", what, fix));
        }
    }
    findings
}

/// Packages that a layer must not pull in, directly or through others.
pub(crate) fn check_trees(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &workspace.members {
        if PURE.contains(&member.name.as_str()) {
            let all = everything_below(&member.name, &workspace.uses);
            for banned in BANNED_BELOW_SHELL
                .iter()
                .filter(|banned| all.contains_key(**banned))
            {
                let what = format!("pulls in {banned} ({})", way_to(banned, &all));
                let fix = "Sockets, tasks and event loops belong in `server` and `client`.";
                findings.push(of_manifest(member, "banned-dependency", what, fix));
            }
        }
        if member.name == "guantong-client" {
            let count = everything_below(&member.name, &workspace.uses).len();
            if count > CLIENT_PACKAGES_MAX {
                let what = format!("its tree has {count} packages, at most {CLIENT_PACKAGES_MAX}");
                let fix = "Integrators compile all of them: drop a dependency or its features.";
                findings.push(of_manifest(member, "client-tree", what, fix));
            }
        }
    }
    findings
}

/// Every package below `name` and itself, each with the package that brought it in.
fn everything_below(
    name: &str,
    uses: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::from([(name.to_owned(), None)]);
    let mut waiting = vec![name.to_owned()];
    while let Some(package) = waiting.pop() {
        for used in uses.get(&package).into_iter().flatten() {
            if !found.contains_key(used) {
                found.insert(used.clone(), Some(package.clone()));
                waiting.push(used.clone());
            }
        }
    }
    found
}

fn way_to(package: &str, all: &BTreeMap<String, Option<String>>) -> String {
    let mut way = vec![package.to_owned()];
    while let Some(Some(by)) = all.get(&way[way.len() - 1]) {
        way.push(by.clone());
    }
    way.reverse();
    way.join(" -> ")
}

fn of_manifest(member: &Member, rule: &'static str, what: String, fix: &str) -> Finding {
    Finding {
        path: member.manifest.clone(),
        line: 0,
        rule,
        what,
        fix: fix.to_owned(),
    }
}

//----------- Manifest text --------------------------------------------------

/// Rules about the text of a Cargo.toml: in the root each dependency is explained, in a crate each
/// one comes from the root, and each crate takes over the lints.
pub(crate) fn check_text(path: &str, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line, rule, what: String, fix: &str| {
        findings.push(Finding {
            path: path.into(),
            line,
            rule,
            what,
            fix: fix.into(),
        });
    };
    let mut section = "";
    let mut before = "";
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            (section, before) = (line.trim(), line);
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        let in_list = section.ends_with("dependencies]") && line.contains('=');
        let ours = name.starts_with("guantong");
        let from_root = line.contains("workspace = true");
        if in_list && !line.starts_with('#') && !from_root {
            if section != "[workspace.dependencies]" {
                let fix = "State it in the root Cargo.toml, and write `.workspace = true` here.";
                add(
                    number + 1,
                    "dependency-place",
                    format!("`{name}` has its own version"),
                    fix,
                );
            } else if !ours && !before.starts_with('#') {
                let fix = "Say in a comment line above what it does for us and who keeps it.";
                add(
                    number + 1,
                    "dependency-reason",
                    format!("`{name}` gives no reason"),
                    fix,
                );
            }
        }
        before = line;
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        let fix = "Add `[lints]` with `workspace = true`.";
        add(
            0,
            "lints",
            "the crate does not take over the lints of the workspace".into(),
            fix,
        );
    }
    findings
}
