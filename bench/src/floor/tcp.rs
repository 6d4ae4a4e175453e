//! TCP: persistent connections and pipelining, one thread with epoll, one write for each read.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use memchr::memmem;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::table::{Answers, packet_len};
use crate::dialect::FIXED_BODY;

const READ_LEN: usize = 256 * 1024;
const EVENTS: usize = 256;
/// The number of the listener among the events; descriptors are smaller.
const LISTENER: u64 = u64::MAX;

/// Sends everything back.
pub fn tcp_echo(address: SocketAddr) -> Result<()> {
    serve(address, |octets, out| {
        out.extend_from_slice(octets);
        octets.len()
    })
}

/// Answers from a table of `count` records.
pub fn tcp(address: SocketAddr, count: u32) -> Result<()> {
    let answers = Answers::new(count);
    serve(address, |octets, out| {
        let mut at = 0;
        while let Some(len) = packet_len(&octets[at..]) {
            let Some(request) = octets.get(at..at + len) else {
                break;
            };
            // What is no request gets no answer, and the client notices.
            let _ = answers.answer(request, out);
            at += len;
        }
        at
    })
}

/// Gives always the same answer to a GET over HTTP/1.1: what a request costs without a framework.
pub fn http(address: SocketAddr) -> Result<()> {
    let body = FIXED_BODY;
    let len = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes();
    serve(address, |octets, out| {
        let mut at = 0;
        while let Some(end) = memmem::find(&octets[at..], b"\r\n\r\n") {
            out.extend_from_slice(&answer);
            at += end + 4;
        }
        at
    })
}

struct Connection {
    stream: TcpStream,
    arrived: Vec<u8>,
    leaving: Vec<u8>,
}

/// Serves connections. `answer` takes what it can of the octets, appends answers and says how many
/// octets it took.
fn serve(address: SocketAddr, answer: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("{address} is taken"))?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = vec![EpollEvent::empty(); EVENTS];
    let mut buffer = vec![0; READ_LEN];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error).context("the floor cannot wait"),
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(connection) = connections.get_mut(&event.data()) else {
                continue;
            };
            if !connection.serve(&mut buffer, &answer) {
                // Closing takes it out of the epoll.
                connections.remove(&event.data());
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut HashMap<u64, Connection>,
) -> Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("the floor cannot accept"),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let number = u64::try_from(stream.as_raw_fd()).expect("descriptors are not negative");
        // Edges tell of room as well as of octets: a full window needs no change of interest.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(flags, number))?;
        let connection = Connection {
            stream,
            arrived: Vec::new(),
            leaving: Vec::new(),
        };
        connections.insert(number, connection);
    }
}

impl Connection {
    /// Reads until nothing is there, answers after each read; says whether the connection lives.
    fn serve(&mut self, buffer: &mut [u8], answer: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> bool {
        loop {
            if !self.write() {
                return false;
            }
            if !self.leaving.is_empty() {
                // The peer does not take its answers; its next octets wait until it does.
                return true;
            }
            let len = match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(len) => len,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            match self.arrived.is_empty() {
                true => {
                    let taken = answer(&buffer[..len], &mut self.leaving);
                    self.arrived.extend_from_slice(&buffer[taken..len]);
                }
                false => {
                    self.arrived.extend_from_slice(&buffer[..len]);
                    let taken = answer(&self.arrived, &mut self.leaving);
                    self.arrived.drain(..taken);
                }
            }
            // A read that did not fill the buffer has emptied the socket.
            if len < buffer.len() {
                return self.write();
            }
        }
    }

    fn write(&mut self) -> bool {
        let mut done = 0;
        let mut lives = true;
        while done < self.leaving.len() {
            match self.stream.write(&self.leaving[done..]) {
                Ok(len) => done += len,
                Err(error) => {
                    lives = error.kind() == ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        self.leaving.drain(..done);
        lives
    }
}
