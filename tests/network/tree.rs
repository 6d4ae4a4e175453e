//! The network under test: who takes part, who is delegated what, and which records there are.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::PATIENCE;
use crate::node::Node;
use crate::space::{Space, address_of};

/// The seven national nodes; the first is the primary, the others follow it.
pub(crate) const NATIONAL: [&str; 7] = [
    "beijing",
    "shanghai",
    "guangzhou",
    "wuhan",
    "chongqing",
    "nanjing",
    "guiyang",
];
/// Everybody with an address, parents before their children.
pub(crate) const PLACES: [&str; 14] = [
    "root",
    NATIONAL[0],
    NATIONAL[1],
    NATIONAL[2],
    NATIONAL[3],
    NATIONAL[4],
    NATIONAL[5],
    NATIONAL[6],
    "industry",
    "figures",
    "vehicles",
    "compute",
    "recursive",
    CLIENT,
];
/// Whoever asks.
pub(crate) const CLIENT: &str = "client";

/// Prefixes of the enterprises.
pub(crate) const ENTERPRISES: [(&str, &str); 3] = [
    ("figures", "88.118.5"),
    ("vehicles", "88.118.6"),
    ("compute", "88.118.7"),
];
/// Records of each enterprise.
pub(crate) const ENTERPRISE_RECORDS: usize = 100;
/// Records of the national nodes: more than are asked for in a test, so that each is asked once.
pub(crate) const NATIONAL_RECORDS: usize = 4_000;
/// The record that is changed, to see that mirrors follow.
pub(crate) const NOTICE: &str = "88/notice";
/// Identity of all national nodes: the administrator of their prefix.
const IDENTITY: &str = "300:0.NA/88";

//----------- Tree -----------------------------------------------------------

/// All nodes, running.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Where resolution begins.
    pub(crate) root: PathBuf,
}

impl Tree {
    /// Makes and starts everything. `owner` made the namespaces.
    pub(crate) fn start(owner: u32, folder: &Path) -> Self {
        let mut nodes = make_all(owner, folder);
        let primary_key = nodes[1].file("admin_key.pem");
        nodes[0].start();
        nodes[1].set("administration", "replication_admins", IDENTITIES);
        nodes[1].start();
        let primary_site = nodes[1].site();
        for node in &mut nodes[2..8] {
            follow(node, &primary_key, &primary_site);
            node.start();
        }
        for node in &mut nodes[8..] {
            node.start();
        }
        let root = nodes[0].site();
        let mut tree = Self { nodes, root };
        tree.delegate();
        tree.register(folder);
        tree.start_recursive(owner, folder);
        tree
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.expect("only nodes of the table are asked for")
    }

    pub(crate) fn node_mut(&mut self, name: &str) -> &mut Node {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.expect("only nodes of the table are asked for")
    }

    /// Every parent says who serves the prefixes below it.
    fn delegate(&self) {
        let sites = |names: &[&str]| -> Vec<String> {
            let files = names.iter().map(|name| self.node(name).site());
            files
                .flat_map(|file| ["--site".to_owned(), file.display().to_string()])
                .collect()
        };
        let delegate = |parent: &str, prefix: &str, sites: &[String], more: &[&str]| {
            let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
            let command = [&["prefix", "delegate", prefix], &sites[..], more].concat();
            self.node(parent).run(&command);
        };
        delegate("root", "88", &sites(&NATIONAL), &["--derived"]);
        delegate(NATIONAL[0], "88.118", &sites(&["industry"]), &["--derived"]);
        for (name, prefix) in ENTERPRISES {
            delegate("industry", prefix, &sites(&[name]), &[]);
        }
    }

    fn register(&self, folder: &Path) {
        let import = |node: &str, prefix: &str, count: usize| {
            let file = folder.join(format!("{prefix}.jsonl"));
            let mut lines = String::new();
            for n in 0..count {
                let name = item(prefix, n);
                let value = json!({"index": 1, "type": "TEXT", "data": name});
                let _ = writeln!(lines, "{}", json!({"handle": name, "values": [value]}));
            }
            std::fs::write(&file, lines).unwrap();
            self.node(node).run(&["import", file.to_str().unwrap()]);
        };
        import(NATIONAL[0], "88", NATIONAL_RECORDS);
        for (name, prefix) in ENTERPRISES {
            import(name, prefix, ENTERPRISE_RECORDS);
        }
        self.change("at the start");
    }

    fn start_recursive(&mut self, owner: u32, folder: &Path) {
        let root = self.root.display().to_string();
        let options = ["--role", "recursive", "--allow", "10.88.0.0/24"];
        let options = [&options[..], &["--root", &root]].concat();
        let mut node = Node::make("recursive", place(owner, "recursive"), folder, &options);
        node.start();
        self.nodes.push(node);
    }

    //--- Changes and mirrors

    /// Writes a text at the primary.
    pub(crate) fn change(&self, text: &str) {
        let value = format!("1 TEXT {text}");
        self.node(NATIONAL[0])
            .run(&["record", "put", NOTICE, "--value", &value]);
    }

    /// Waits until each national node says `text` when it is asked itself; how long the last took.
    pub(crate) async fn all_say(&self, text: &str) -> Duration {
        let begun = Instant::now();
        for name in NATIONAL {
            let client = self.node(name).client();
            loop {
                let answer = client.resolve(NOTICE).await;
                if answer.is_ok_and(|answer| answer.text("TEXT") == Some(text)) {
                    break;
                }
                let waited = begun.elapsed();
                assert!(waited < PATIENCE, "{name} does not follow in {waited:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        begun.elapsed()
    }
}

/// The name of a record.
pub(crate) fn item(prefix: &str, n: usize) -> String {
    format!("{prefix}/item-{n}")
}

//----------- Making ---------------------------------------------------------

/// The identities that may follow.
const IDENTITIES: &str = "[\"300:0.NA/88\"]";

fn place(owner: u32, name: &str) -> (std::net::Ipv4Addr, Space) {
    (address_of(&PLACES, name), Space::new(owner, name))
}

/// Makes all nodes but the recursive one, which needs to know the root, two at a time: making keys
/// takes longest.
fn make_all(owner: u32, folder: &Path) -> Vec<Node> {
    let names = &PLACES[..12];
    let make = |name: &'static str| {
        let options: &[&str] = match name {
            "root" => &["--role", "root"],
            "beijing" => &["--role", "top-level", "--prefix", "88"],
            "industry" => &["--role", "second-level", "--prefix", "88.118"],
            _ => match ENTERPRISES.iter().find(|(known, _)| *known == name) {
                Some((_, prefix)) => &["--prefix", prefix],
                None => &["--role", "top-level"],
            },
        };
        Node::make(name, place(owner, name), folder, options)
    };
    let (first, second) = names.split_at(names.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| second.iter().map(|name| make(name)).collect::<Vec<_>>());
        let mut nodes: Vec<Node> = first.iter().map(|name| make(name)).collect();
        nodes.extend(second.join().unwrap());
        nodes
    })
}

/// Makes the node a mirror of the primary.
fn follow(node: &Node, primary_key: &Path, primary_site: &Path) {
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let primary = address_of(&PLACES, NATIONAL[0]);
    node.set("site", "primary", "false");
    node.set("administration", "replication_admins", IDENTITIES);
    node.set("mirror", "of", &format!("\"{primary}:2641\""));
    node.set("mirror", "key", &quoted(primary_site));
    node.set("mirror", "identity", &format!("\"{IDENTITY}\""));
    node.set("mirror", "identity_key", &quoted(primary_key));
}
