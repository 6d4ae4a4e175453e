//! Datagrams of several messages in any order. Inputs are cut into datagrams by a length octet.

#![no_main]

use guantong_proto::frame::{Joined, REASSEMBLY_SETS_MAX, Reassembly};
use guantong_proto::message::Packet;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let mut reassembly = Reassembly::new();
    let (mut rest, mut now_ms) = (octets, 0);
    while let Some((len, tail)) = rest.split_first() {
        let len = (usize::from(*len) * 4).min(tail.len());
        let (datagram, tail) = tail.split_at(len);
        now_ms += u64::try_from(len).expect("a small number");
        if let Ok(Joined::Whole(packet)) = reassembly.on_datagram(len % 3, datagram, now_ms) {
            Packet::decode(&packet).expect("what was joined is a packet");
        }
        assert!(reassembly.len() <= REASSEMBLY_SETS_MAX);
        rest = tail;
    }
    // The input itself as one datagram too, so that vectors are good first inputs.
    let _ = reassembly.on_datagram(0, octets, now_ms);
});
