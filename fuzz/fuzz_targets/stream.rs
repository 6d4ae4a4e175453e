//! Replication streams that arrive in pieces. The first octet says in how large ones.

#![no_main]

use guantong_proto::stream::{StreamDecoder, StreamKind};
use guantong_proto::wire::Writer;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((step, octets)) = octets.split_first() else {
        return;
    };
    let step = usize::from(*step) * 8 + 1;
    for kind in [StreamKind::Transactions, StreamKind::Dump] {
        let mut decoder = StreamDecoder::new(kind);
        let (mut at, mut end) = (0, 0);
        while end < octets.len() {
            end = octets.len().min(end + step);
            while let Ok(Some((block, len))) = decoder.next(&octets[at..end]) {
                let encoded = Writer::to_vec(|w| block.content.encode(w));
                assert_eq!(encoded, block.octets);
                at += len;
            }
        }
    }
});
