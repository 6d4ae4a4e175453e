//! A node in its own namespace: made, configured and started with the program itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use guantong_client::{Client, Endpoint, Server, Transport};

use crate::PATIENCE;
use crate::space::Space;

/// What a node logs once every address answers.
const ANSWERS: &str = "the node answers";

/// Runs the program to its end; what it printed.
#[track_caller]
pub(crate) fn guantong(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

//----------- Node -----------------------------------------------------------

/// A node; killed when it is dropped.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    folder: PathBuf,
    space: Space,
    process: Option<Child>,
}

impl Node {
    /// Makes its folder and keys.
    pub(crate) fn make(
        name: &'static str,
        (address, space): (Ipv4Addr, Space),
        folder: &Path,
        options: &[&str],
    ) -> Self {
        let folder = folder.join(name);
        let text = address.to_string();
        let init = ["init", folder.to_str().unwrap(), "--address", &text];
        let titled = ["--description", name];
        guantong(&[&init[..], &titled, options].concat());
        let node = Self {
            name,
            address,
            folder,
            space,
            process: None,
        };
        // There are many nodes on this machine, and their records are few.
        node.set("store", "memory", "\"16MiB\"");
        node.set("listen", "udp_threads", "1");
        node.set("listen", "worker_threads", "1");
        node
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a setting where its default stands as a comment.
    pub(crate) fn set(&self, section: &str, key: &str, value: &str) {
        let file = self.file("guantong.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once(&format!("\n[{section}]\n")).unwrap();
        let (own, after) = match rest.find("\n[") {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let is_it = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.split_once(" = ").is_some_and(|(name, _)| name == key)
        };
        let mut own: Vec<&str> = own.lines().collect();
        let line = own.iter().position(|line| is_it(line)).unwrap();
        let written = format!("{key} = {value}");
        own[line] = &written;
        let own = own.join("\n");
        std::fs::write(file, format!("{before}\n[{section}]\n{own}\n{after}")).unwrap();
    }

    /// Starts it. Whoever calls this must live as long as the node: its end is the node's end.
    pub(crate) fn start(&mut self) {
        let mut command = self.space.command(env!("CARGO_BIN_EXE_guantong"));
        command.args(["serve", "--config"]).arg(&self.folder);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        wait_for(self.name, &mut process);
        self.process = Some(process);
    }

    /// Ends it as a failure of its machine's power would, as far as its peers can see.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Either may fail when the process has ended, which is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn cut(&self) {
        self.space.cut();
    }

    pub(crate) fn mend(&self) {
        self.space.mend();
    }

    //--- Administration and questions

    /// Runs a command for this node.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let config = ["--config", self.folder.to_str().unwrap()];
        guantong(&[arguments, &config].concat())
    }

    /// The site record that it publishes, as a file.
    pub(crate) fn site(&self) -> PathBuf {
        let at = SocketAddr::from((self.address, 8_000));
        let mut stream = TcpStream::connect(at).unwrap();
        let request = format!("GET /api/site HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (_, body) = reply.split_once("\r\n\r\n").unwrap();
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        let file = self.file("siteinfo.json");
        std::fs::write(&file, told["site"].to_string()).unwrap();
        file
    }

    /// Somebody who asks this node, and nobody else.
    pub(crate) fn client(&self) -> Client {
        let at = self.address.to_string();
        let endpoints =
            [Transport::Udp, Transport::Tcp].map(|way| Endpoint::new(way, at.clone(), 2_641));
        Client::builder(Server::new(endpoints)).build()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the node answers, and goes on reading its log so that it never blocks.
fn wait_for(name: &'static str, process: &mut Child) {
    let log = BufReader::new(process.stderr.take().unwrap());
    let (seen, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let mut before = Vec::new();
        for line in log.lines().map_while(Result::ok) {
            let found = line.contains(ANSWERS);
            before.push(line);
            if found {
                let _ = seen.send(None);
                before.clear();
            }
        }
        let _ = seen.send(Some(before.join("\n")));
    });
    let ended = wait.recv_timeout(PATIENCE).expect("a node starts in time");
    assert_eq!(ended, None, "{name} ended before it answered");
}
