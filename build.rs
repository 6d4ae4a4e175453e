//! Tells the binary from which commit and for which machine it was built.
//!
//! Nothing here may fail the build: sources without a repository say `unknown`.

use std::process::Command;

fn main() {
    let commit = output("git", &["describe", "--always", "--dirty=+", "--abbrev=10"]);
    let date = output("git", &["log", "-1", "--format=%cs"]);
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    set("COMMIT", commit.as_deref());
    set("COMMIT_DATE", date.as_deref());
    set("RUSTC", output(&rustc, &["--version"]).as_deref());
    set("TARGET", std::env::var("TARGET").ok().as_deref());
    set("PROFILE", std::env::var("PROFILE").ok().as_deref());
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD grows with every commit and checkout.
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn set(name: &str, value: Option<&str>) {
    let value = value.unwrap_or("unknown");
    println!("cargo::rustc-env=GUANTONG_BUILD_{name}={value}");
}

/// First line that a program prints, if it succeeds and prints one.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
