//! A node as a process of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use guantong_proto::message::{Envelope, Message, OpFlags, RequestBuilder, ResponseCode, Version};
use tempfile::TempDir;

/// The prefix that every node of these tests homes.
pub(crate) const PREFIX: &str = "88.118.5";

/// The longest wait for anything. Reached only when a test is about to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node logs once every address answers.
const ANSWERS: &str = "the node answers";

/// A running node; dropping it kills it.
pub(crate) struct Node {
    process: Child,
    directory: TempDir,
    /// Where it answers UDP.
    pub(crate) udp: SocketAddr,
    /// Where it answers TCP.
    pub(crate) tcp: SocketAddr,
}

/// Runs the program to its end.
pub(crate) fn guantong<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
    command.args(arguments).stdin(Stdio::null());
    command.output().expect("the program can be started")
}

/// Makes a node in `home` that will listen on ports of the system's choice; its configuration file.
pub(crate) fn make(home: &Path) -> PathBuf {
    let home_text = home
        .to_str()
        .expect("temporary directories have plain names");
    let any_port = ["--port", "0", "--http-port", "0", "--console-port", "0"];
    let made = guantong(
        ["init", home_text, "--prefix", PREFIX]
            .iter()
            .chain(&any_port),
    );
    assert!(made.status.success(), "{made:?}");
    home.join("guantong.toml")
}

impl Node {
    /// Makes and starts a node.
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let home = directory.path().join("node");
        let config = make(&home);
        let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
        command.arg("serve").arg("--config").arg(config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program can be started");
        wait_for(&mut process, ANSWERS);
        let addresses = fs::read(home.join("run/addresses.json")).expect("a started node tells");
        let addresses: serde_json::Value =
            serde_json::from_slice(&addresses).expect("the addresses are JSON");
        let address = |name: &str| {
            let text = addresses[name][0].as_str().unwrap_or_default();
            text.parse().expect("it is an address")
        };
        Self {
            process,
            udp: address("udp"),
            tcp: address("tcp"),
            directory,
        }
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("node/guantong.toml")
    }

    /// A file beside the node's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sends octets over UDP, then a sound request from the same port; what came back to the octets
    /// before the sound request was answered.
    pub(crate) fn disturb_udp(&self, octets: &[u8]) -> Option<Reply> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("the time is not zero");
        socket
            .send_to(octets, self.udp)
            .expect("loopback takes datagrams");
        socket
            .send_to(&sound_request(SOUND_ID), self.udp)
            .expect("loopback takes datagrams");
        let mut told = None;
        loop {
            let mut datagram = [0; 2_048];
            let len = socket
                .recv(&mut datagram)
                .expect("the node goes on answering");
            let reply = Reply::of(&datagram[..len]);
            if reply.request_id == SOUND_ID {
                assert_eq!(reply.code, ResponseCode::SUCCESS);
                return told;
            }
            told = Some(reply);
        }
    }

    /// Sends octets over a TCP connection of their own, ends it, and asks soundly on another; what
    /// came back to the octets.
    pub(crate) fn disturb_tcp(&self, octets: &[u8]) -> Option<Reply> {
        let answer = self.talk(octets);
        let sound = self.talk(&sound_request(SOUND_ID));
        assert_eq!(
            Reply::of(&sound).code,
            ResponseCode::SUCCESS,
            "the node goes on answering"
        );
        (!answer.is_empty()).then(|| Reply::of(&answer))
    }

    fn talk(&self, octets: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.tcp).expect("the node takes connections");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("the time is not zero");
        stream.write_all(octets).expect("the node reads");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("the connection is open");
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .expect("the node answers and closes");
        answer
    }

    /// Asks the node to stop and waits until it has; whether it did so in order.
    pub(crate) fn stops_in_order(mut self) -> bool {
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.expect("kill can be started").success());
        self.process.wait().expect("the process is ours").success()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Either may fail when the process has ended, which is what is wanted.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Waits until the process logs `text`, and goes on reading its log so that it never blocks.
fn wait_for(process: &mut Child, text: &'static str) {
    let log = BufReader::new(process.stderr.take().expect("it was piped"));
    let (seen, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let mut before = Vec::new();
        for line in log.lines().map_while(Result::ok) {
            let found = line.contains(text);
            before.push(line);
            if found {
                _ = seen.send(None);
                before.clear();
            }
        }
        _ = seen.send(Some(before.join("\n")));
    });
    let ended = wait
        .recv_timeout(PATIENCE)
        .expect("a node starts within a minute");
    assert_eq!(ended, None, "the node ended before it answered");
}

//----------- Reply ----------------------------------------------------------

/// What a test looks at in an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The number of the request that is answered.
    pub(crate) request_id: i32,
    /// What the node says.
    pub(crate) code: ResponseCode,
    /// The version that it speaks.
    pub(crate) version: Version,
    /// Octets of the whole answer.
    pub(crate) len: usize,
}

impl Reply {
    fn of(packet: &[u8]) -> Self {
        let message = Message::decode(packet).expect("the node's own messages decode");
        Self {
            request_id: message.envelope.request_id,
            code: message.header.code,
            version: message.envelope.version,
            len: packet.len(),
        }
    }
}

/// Number of the request that follows each disturbance.
const SOUND_ID: i32 = 0x5151;

/// A request that every node of these tests can answer, in one datagram.
pub(crate) fn sound_request(id: i32) -> Vec<u8> {
    request(id).resolve(&format!("0.NA/{PREFIX}"), &[], &["HS_ADMIN"])
}

/// Makes requests with the number `id`.
pub(crate) fn request(id: i32) -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, id),
        flags: OpFlags::DEFAULT,
        expiration: 0,
    }
}
