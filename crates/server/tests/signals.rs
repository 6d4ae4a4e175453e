//! The daemon and its signals. One test, because signals are for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, Version,
};
use guantong_server::config::FILE_NAME;
use guantong_server::run;
use guantong_server::site::Addresses;
use nix::sys::signal::{Signal, raise};
use support::{Place, Udp, eventually};

/// The serial of the site record that the node gives out.
fn serial(udp: &Udp) -> u16 {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, 1),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    udp.send(&builder.named(OpCode::GET_SITE_INFO, "/"));
    let reply = udp.receive();
    let message = Message::decode(&reply).unwrap();
    let Body::SiteInfo(octets) = Response::of(&message).unwrap().body else {
        unreachable!("the reply to GET_SITE_INFO is a site record");
    };
    u16::from_be_bytes([octets[4], octets[5]])
}

#[test]
fn hangup_reads_the_settings_again_and_terminate_stops() {
    let place = Place::new();
    let file = place.dir.path().join(FILE_NAME);
    let settings = |serial: u16| {
        let any = "[\"127.0.0.1:0\"]";
        let listen = format!("[listen]\nudp = {any}\ntcp = {any}\nhttp = []\nconsole = \"\"\n");
        format!("version = \"v1\"\n[site]\nserial = {serial}\n{listen}[log]\nlevel = \"error\"\n")
    };
    std::fs::write(&file, settings(1)).unwrap();
    let daemon = std::thread::spawn(move || run(&file));

    let told = place.dir.path().join("run/addresses.json");
    let addresses: Addresses =
        eventually(|| serde_json::from_slice(&std::fs::read(&told).ok()?).ok());
    let udp = Udp::to(addresses.udp[0]);
    assert_eq!(serial(&udp), 1);

    let file = place.dir.path().join(FILE_NAME);
    std::fs::write(&file, settings(7)).unwrap();
    raise(Signal::SIGHUP).unwrap();
    eventually(|| (serial(&udp) == 7).then_some(()));

    raise(Signal::SIGTERM).unwrap();
    daemon.join().unwrap().unwrap();
    assert!(!told.exists());
}
