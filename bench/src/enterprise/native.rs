//! The native protocol: the serial number of a thing, which everybody reads.

use guantong_proto::message::{Envelope, Message, OpFlags, RequestBuilder, ResponseCode, Version};
use memchr::memmem;

use super::thing::Thing;
use crate::corpus::PREFIX;
use crate::dialect::{Dialect, Verdict};

/// Where the request id stands in an envelope.
const ID_AT: usize = 8;
/// Expiration of the requests, far away.
const EXPIRATION: u32 = u32::MAX / 2;

/// Questions for things, or for the prefix as long as there are none.
#[derive(Clone, Copy, Debug)]
pub enum Native {
    /// Whether there is an answer for the prefix, whatever it is.
    Prefix,
    /// Things of so many templates; thing `n` is registered by template `n % templates`.
    Things { templates: u32 },
}

/// Thing `n` of all things, template by template in turns.
pub fn nth(n: u32, templates: u32) -> Thing {
    Thing {
        template: n % templates,
        number: n / templates,
    }
}

impl Dialect for Native {
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>) {
        let builder = RequestBuilder {
            envelope: Envelope::new(Version::OURS, id.cast_signed()),
            flags: OpFlags::DEFAULT,
            expiration: EXPIRATION,
        };
        let packet = match *self {
            Self::Prefix => builder.resolve(&format!("0.NA/{PREFIX}"), &[], &["HS_SERV"]),
            Self::Things { templates } => {
                builder.resolve(&nth(n, templates).handle(), &[], &["serial"])
            }
        };
        out.extend_from_slice(&packet);
    }

    fn id_bits(&self) -> u32 {
        31
    }

    fn id(&self, datagram: &[u8]) -> Option<u32> {
        let octets = datagram.get(ID_AT..ID_AT + 4)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    }

    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict {
        let is_right = self.id(octets) == Some(id)
            && match *self {
                Self::Prefix => true,
                Self::Things { templates } => {
                    let serial = nth(n, templates).serial();
                    Message::decode(octets).is_ok_and(|message| {
                        message.header.code == ResponseCode::SUCCESS
                            && memmem::find(message.body, serial.as_bytes()).is_some()
                    })
                }
            };
        match is_right {
            true => Verdict::Right(octets.len()),
            false => Verdict::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Native;
    use crate::dialect::{Dialect, Verdict};

    #[test]
    fn question_is_no_answer() {
        let dialect = Native::Things { templates: 20 };
        let mut packet = Vec::new();
        dialect.ask(7, 3, &mut packet);
        assert_eq!(dialect.judge(7, 3, &packet), Verdict::Wrong);
        assert_eq!(dialect.judge(7, 3, b"garbage"), Verdict::Wrong);
    }
}
