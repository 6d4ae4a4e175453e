//! What a mirror and its primary say to each other, and streams put to a mirror.

#![no_main]

use guantong_core::replicate::{
    Asked, Channel, Follower, Following, LogId, Position, Standing, Told,
};
use guantong_proto::CaseRule;
use guantong_proto::message::{OpCode, Version};
use guantong_proto::stream::StreamDecoder;
use guantong_proto::wire::Writer;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((choice, octets)) = octets.split_first() else {
        return;
    };
    match choice % 5 {
        0 => {
            if let Ok(Some(asked)) = Asked::read(octets) {
                let again = Writer::to_vec(|w| asked.write(w));
                assert_eq!(Asked::read(&again), Ok(Some(asked)));
            }
        }
        1 => {
            if let Ok(Some(told)) = Told::read(octets) {
                let again = Writer::to_vec(|w| told.write(w));
                assert_eq!(Told::read(&again), Ok(Some(told)));
            }
        }
        2 => {
            if let Ok(position) = Position::decode(octets) {
                assert_eq!(Position::decode(&position.encode()), Ok(position));
            }
            if let Ok(standing) = Standing::decode(octets) {
                assert_eq!(Standing::decode(&standing.encode()), Ok(standing));
            }
        }
        3 => {
            for op in [OpCode::RETRIEVE_TXN, OpCode::DUMP_HANDLES] {
                let _ = Asked::decode(op, Version::OURS, octets);
            }
        }
        _ => follow(octets),
    }
});

/// An answer, then a stream.
fn follow(octets: &[u8]) {
    let Some((len, octets)) = octets.split_first() else {
        return;
    };
    let (answer, mut stream) = octets.split_at(octets.len().min(usize::from(*len)));
    for position in [Position::Nothing, Position::Following(Following::default())] {
        let own = LogId([1; 16]);
        let mut follower = Follower::new(own, CaseRule::Insensitive, position, 1).in_portions_of(4);
        let Ok(Some(kind)) = follower.answered(answer, 0) else {
            continue;
        };
        follower.comes(Channel::Protected, None);
        let mut decoder = StreamDecoder::inside_tls(kind);
        while let Ok(Some((block, len))) = decoder.next(stream) {
            stream = &stream[len..];
            if follower.block(&block).is_err() {
                break;
            }
            while let Some(portion) = follower.next_portion() {
                let saved = portion.position.encode();
                assert_eq!(Position::decode(&saved).as_ref(), Ok(&portion.position));
            }
        }
        let _ = follower.request(0, None);
    }
}
