//! A node of its own for each test: a folder, a store with a few records, and the running binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Batch, Change, Expect, Options, Origin, Store, Trail};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A record that fits one datagram.
pub(crate) const SMALL: &str = "88.118.5/small";
/// A record that needs several datagrams.
pub(crate) const SPLIT: &str = "88.118.5/split";
/// A record that is too large for UDP.
pub(crate) const HUGE: &str = "88.118.5/huge";

//----------- Commands -------------------------------------------------------

/// What a command printed, and how it ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, with nothing of the environment that would change what it does.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
    command.args(arguments).stdin(Stdio::null());
    for name in [
        "GUANTONG_AT",
        "GUANTONG_CONFIG",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary where there is no node.
pub(crate) fn guantong(arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note"), "this folder is not empty").unwrap();
    guantong_in(folder.path(), arguments)
}

/// Runs the binary in a folder.
pub(crate) fn guantong_in(folder: &Path, arguments: &[&str]) -> Run {
    let output = command(arguments).current_dir(folder).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

//----------- Node -----------------------------------------------------------

/// A node in a temporary folder; stopped and deleted at the end of the test.
pub(crate) struct Node {
    folder: TempDir,
    child: Option<Child>,
}

impl Node {
    /// A node that does not run yet.
    pub(crate) fn new() -> Self {
        let node = Self::made(&["--prefix", "88.118.5"]);
        node.fill();
        node
    }

    /// A new node of these options, without records.
    pub(crate) fn made(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self {
            folder,
            child: None,
        };
        let any_port = ["--port", "0", "--http-port", "0", "--console-port", "0"];
        let init = ["init", node.folder().to_str().unwrap()];
        let run = guantong(&[&init, &any_port[..], options].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        node
    }

    /// A node that answers.
    pub(crate) fn start() -> Self {
        Self::new().serve()
    }

    /// A node that resolves for this machine, beginning at `root`.
    pub(crate) fn recursive(root: &str) -> Self {
        Self::made(&["--role", "recursive", "--root", root]).serve()
    }

    pub(crate) fn serve(mut self) -> Self {
        let mut child = command(&["serve", "--config", self.folder().to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        self.child = Some(child);
        let mut line = String::new();
        while !line.contains("the node answers") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the node ended");
        }
        // The pipe must not fill up and hold the node.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the node as an operator does; returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let id = child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        child.wait().unwrap().code()
    }

    /// The address of a transport, as `127.0.0.1:port`.
    pub(crate) fn address(&self, transport: &str) -> String {
        let text = std::fs::read(self.folder().join("run/addresses.json")).unwrap();
        let addresses: Json = serde_json::from_slice(&text).unwrap();
        let name = transport.trim_end_matches('s');
        addresses[name][0].as_str().unwrap().to_owned()
    }

    /// The address of the native protocol.
    pub(crate) fn native(&self) -> String {
        self.address("udp")
    }

    /// Runs a command for this node.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let config = ["--config", self.folder().to_str().unwrap()];
        let run = guantong(&[arguments, &config].concat());
        assert_eq!(run.code, 0, "{}", run.err);
    }

    /// The site record that it publishes.
    pub(crate) fn site(&self) -> Json {
        let (_, body) = self.get("/api/site");
        let mut told: Json = serde_json::from_str(&body).unwrap();
        told["site"].take()
    }

    /// Delegates 88.118.5 to these sites.
    pub(crate) fn delegate_to(&self, sites: &[Json]) {
        let mut command = vec!["prefix".to_owned(), "delegate".into(), "88.118.5".into()];
        for (n, site) in sites.iter().enumerate() {
            let file = self.folder().join(format!("site-{n}.json"));
            std::fs::write(&file, site.to_string()).unwrap();
            command.extend(["--site".to_owned(), file.display().to_string()]);
        }
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        self.run(&command);
    }

    /// Resolves by one transport.
    pub(crate) fn resolve(&self, transport: &str, handle: &str, options: &[&str]) -> Run {
        let at = format!("{transport}://{}", self.address(transport));
        guantong(&[&["resolve", handle, "--at", &at], options].concat())
    }

    /// GET over plain HTTP: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address("http")).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Writes the records that tests ask for.
    fn fill(&self) {
        let store = Store::open(&self.folder().join("store"), &Options::default()).unwrap();
        let blob = |len| vec![Value::new(1, "BLOB", vec![b'x'; len])];
        let small = vec![
            Value::new(1, "URL", "https://example.org/"),
            Value::new(2, "NAME.ZH", "5G基站"),
            Value::new(3, "RAW", [0, 1, 2, 0xff]),
        ];
        let records = [(SMALL, small), (SPLIT, blob(3_000)), (HUGE, blob(30_000))];
        let changes = records.into_iter().map(|(handle, values)| Change::Put {
            handle: Handle::parse(handle).unwrap(),
            values: Writer::to_vec(|w| Values::encode(&values, w)),
            expect: Expect::Absent,
        });
        let batch = Batch {
            changes: changes.collect(),
            at_ms: 1_700_000_000_000,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        store.submit(batch).wait().unwrap();
    }
}

//----------- Tree -----------------------------------------------------------

/// A root that has delegated the prefix of another node to it.
pub(crate) struct Tree {
    pub(crate) root: Node,
    pub(crate) leaf: Node,
}

impl Tree {
    pub(crate) fn start() -> Self {
        let leaf = Node::start();
        let root = Node::made(&["--role", "root"]).serve();
        root.delegate_to(&[leaf.site()]);
        Self { root, leaf }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
