//! Local administration through the real program: records, import and export, backup.
//!
//! Each test has a node of its own in a temporary folder. Most of them run twice: with the store
//! opened by the command itself, and through the control socket of a running node.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod import;
mod move_over;
mod record;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use guantong_server::config::{PresetListen, load};
use guantong_server::{InitOptions, Running, init, start};
use guantong_store::{Options, Store};

/// A node in a folder of its own.
struct Node {
    dir: tempfile::TempDir,
    running: Option<Running>,
}

impl Node {
    /// A node that homes prefix 88.118.5 and does not run.
    fn stopped() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let any_port = "127.0.0.1:0".parse().unwrap();
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            listen: Some(PresetListen {
                native: vec![any_port],
                http: vec![any_port],
                console: None,
            }),
            ..InitOptions::default()
        };
        init(&dir.path().join("node"), &options).unwrap();
        Self { dir, running: None }
    }

    /// The same, running.
    fn running() -> Self {
        let mut node = Self::stopped();
        node.running = Some(start(load(&node.folder()).unwrap()).unwrap());
        node
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// The folder of the node.
    fn folder(&self) -> PathBuf {
        self.dir.path().join("node")
    }

    /// A file beside it.
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// A command about this node.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
        command
            .args(args)
            .env("GUANTONG_CONFIG", self.folder())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command, which must end with `code`; returns what it printed on both streams.
    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> (String, String) {
        let output = self.command(args).output().unwrap();
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }

    /// The store, while the node does not run.
    fn store(&self) -> Store {
        open_store(&self.folder().join("store"))
    }

    fn export(&self) -> String {
        self.run(&["export"], 0).0
    }
}

fn open_store(dir: &Path) -> Store {
    Store::open(dir, &Options::default()).unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// A line of an import. It has a timestamp, so that it is the same whenever it is imported.
fn line(number: usize, text: &str) -> String {
    format!(
        r#"{{"handle":"88.118.5/SN{number:07}","values":[{{"index":1,"type":"URL","data":{{"format":"string","value":"https://example.org/{text}"}},"ttl":86400,"timestamp":"2026-01-01T00:00:00Z"}}]}}"#
    )
}

/// Runs `check` on a node that does not run and on one that does.
fn with_and_without_a_running_node(check: fn(&Node)) {
    check(&Node::stopped());
    check(&Node::running());
}
