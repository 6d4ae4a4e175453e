//! UDP: batches of 64 with recvmmsg and sendmmsg.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrStorage, recvmmsg, sendmmsg,
};

use super::table::Answers;

const BATCH: usize = 64;
const RECEIVE_LEN: usize = 2_048;
const SOCKET_BUFFER_LEN: usize = 8 * 1024 * 1024;

/// Sends every datagram back.
pub fn udp_echo(address: SocketAddr) -> Result<()> {
    serve(address, |datagram, out| {
        out.extend_from_slice(datagram);
        Some(())
    })
}

/// Answers from a table of `count` records.
pub fn udp(address: SocketAddr, count: u32) -> Result<()> {
    let answers = Answers::new(count);
    serve(address, |datagram, out| answers.answer(datagram, out))
}

fn serve(address: SocketAddr, answer: impl Fn(&[u8], &mut Vec<u8>) -> Option<()>) -> Result<()> {
    let socket = UdpSocket::bind(address).with_context(|| format!("{address} is taken"))?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER_LEN)?;
    options.set_send_buffer_size(SOCKET_BUFFER_LEN)?;
    let mut receive_headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let mut send_headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut buffers = vec![[0; RECEIVE_LEN]; BATCH];
    let mut arrived = Vec::with_capacity(BATCH);
    let (mut out, mut ends, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        arrived.clear();
        let mut slices: Vec<_> = buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(&mut buffer[..])])
            .collect();
        match recvmmsg(
            socket.as_raw_fd(),
            &mut receive_headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        ) {
            Ok(messages) => {
                arrived.extend(messages.map(|message| (message.bytes, message.address)));
            }
            Err(Errno::EINTR | Errno::ECONNREFUSED) => continue,
            Err(error) => return Err(error).context("the floor cannot receive"),
        }
        out.clear();
        ends.clear();
        peers.clear();
        for ((len, peer), buffer) in arrived.iter().zip(&buffers) {
            let peer = peer.and_then(|peer| peer.as_sockaddr_in().copied());
            if answer(&buffer[..*len], &mut out).is_some() {
                ends.push(out.len());
                peers.push(peer);
            }
        }
        send(&socket, &mut send_headers, &out, &ends, &peers)?;
    }
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    octets: &[u8],
    ends: &[usize],
    peers: &[Option<SockaddrIn>],
) -> Result<()> {
    let mut start = 0;
    let slices = ends.iter().map(|&end| {
        let slice = [IoSlice::new(&octets[start..end])];
        start = end;
        slice
    });
    let slices: Vec<_> = slices.collect();
    let mut done = 0;
    while done < slices.len() {
        let no_control: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            socket.as_raw_fd(),
            headers,
            slices[done..].iter(),
            &peers[done..],
            no_control,
            MsgFlags::empty(),
        );
        match sent {
            Ok(sent) => done += sent.count().max(1),
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNREFUSED) => done += 1,
            Err(error) => return Err(error).context("the floor cannot send"),
        }
    }
    Ok(())
}
