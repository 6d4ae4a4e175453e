//! Packets in a stream that arrives in pieces: the same packets come out however it is cut.

#![no_main]

use guantong_proto::frame::Framer;

fn packets(octets: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::new();
    let mut found = Vec::new();
    for piece in octets.chunks(step) {
        framer.push(piece);
        loop {
            match framer.next_packet() {
                Ok(Some(packet)) => found.push(packet.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let whole = packets(octets, octets.len().max(1));
    for step in [1, 7, 64] {
        assert_eq!(packets(octets, step), whole);
    }
});
