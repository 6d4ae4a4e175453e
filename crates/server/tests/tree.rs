//! The tree over real sockets: delegation, referrals, and a recursive node that resolves through it
//! over every transport.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::message::ResponseCode;
use support::tree::Tree;
use support::{Tcp, Udp, ask, put};

const HANDLE: &str = "88.118.5/SN20260001";

#[test]
fn name_four_levels_down_is_resolved_over_udp_and_tcp() {
    let tree = Tree::grow();
    put(tree.enterprise.node(), HANDLE, "pump");
    let recursive = tree.recursive().start();
    let addresses = recursive.addresses();
    let udp = Udp::to(addresses.udp[0]);
    let reply = udp.ask(&ask(HANDLE, 7));
    assert_eq!(
        (reply.code, reply.request_id, reply.text.as_str()),
        (ResponseCode::SUCCESS, 7, "pump")
    );
    let mut tcp = Tcp::to(addresses.tcp[0]);
    assert_eq!(tcp.ask(&ask("88.118.5/none", 8)).code.0, 100);
    assert_eq!(tcp.ask(&ask(HANDLE, 9)).text, "pump");
}
