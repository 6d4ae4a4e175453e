//! What nodes of ours say to each other beyond the protocol.
//!
//! A request for transactions or for everything, and the answer to it, end where the protocol says.
//! Behind that end stand *bytes* that begin with a word of ours; other software ignores octets
//! behind a known body. Both are covered by the digests and signatures of their messages.

use guantong_proto::message::{OpCode, Request, Version};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{CaseRule, DecodeError, Reason};

use super::claim::{Claim, Role};
use super::lease::Token;
use super::log::{LogId, Mark};

/// What a notice begins with.
const WORD: &[u8] = b"guantong";
/// Form of both notices.
const FORM: u8 = 1;
/// Longest notice.
const LEN_MAX: usize = 16 * 1024;

//----------- Asked ----------------------------------------------------------

/// What a mirror says behind its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The mirror, by the identity of its own log.
    pub mirror: LogId,
    /// The highest epoch that it knows of.
    pub epoch: u64,
    /// The log that it follows, once it does.
    pub log: Option<LogId>,
    /// Number of the last change that it has; in the middle of a dump, of the last one before it.
    pub last: u64,
    /// The mark of that change, if there is one.
    pub mark: Option<Mark>,
    /// Number of the last change that its records may already show.
    pub seen: u64,
    /// The mark of that change, if there is one.
    pub seen_mark: Option<Mark>,
    /// The token of the last answer.
    pub token: Option<Token>,
    /// How long the primary may wait for news before it answers.
    pub wait_ms: u32,
    /// The mirror has been promoted, or asks the primary to step down so that it can be.
    pub claim: Option<Claim>,
}

impl Asked {
    /// Decodes the body of a request for transactions or for everything, with the notice behind it.
    pub fn decode<'a>(
        op: OpCode,
        version: Version,
        body: &'a [u8],
    ) -> Result<(Request<'a>, Option<Self>), DecodeError> {
        let request = Request::decode(op, version, body)?;
        let known = Writer::to_vec(|w| request.encode(version, w)).len();
        let behind = body.get(known..).unwrap_or_default();
        Ok((request, Self::read(behind)?))
    }

    /// Reads the notice behind the body of a request; `None` if there is none.
    pub fn read(behind: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some(mut r) = open(behind)? else {
            return Ok(None);
        };
        let r = &mut r;
        Ok(Some(Self {
            mirror: LogId::read(r)?,
            epoch: r.i64("epoch")?.cast_unsigned(),
            log: option(r, LogId::read)?,
            last: r.i64("last change")?.cast_unsigned(),
            mark: option(r, Mark::read)?,
            seen: r.i64("last change seen")?.cast_unsigned(),
            seen_mark: option(r, Mark::read)?,
            token: option(r, Token::read)?,
            wait_ms: r.u32("time to wait")?,
            claim: option(r, Claim::read)?,
        }))
    }

    /// Appends the notice to a body.
    pub fn write(&self, w: &mut Writer<'_>) {
        close(w, |w| {
            self.mirror.write(w);
            w.i64(self.epoch.cast_signed());
            put(w, self.log.as_ref(), |log, w| log.write(w));
            w.i64(self.last.cast_signed());
            put(w, self.mark.as_ref(), |mark, w| mark.write(w));
            w.i64(self.seen.cast_signed());
            put(w, self.seen_mark.as_ref(), |mark, w| mark.write(w));
            put(w, self.token.as_ref(), Token::write);
            w.u32(self.wait_ms);
            put(w, self.claim.as_ref(), Claim::write);
        });
    }
}

//----------- Told -----------------------------------------------------------

/// What a node says behind its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The log that the stream is from.
    pub log: LogId,
    /// The highest epoch that the node knows of.
    pub epoch: u64,
    /// What it is.
    pub role: Role,
    /// Which letters of a name fold in its store.
    pub case_rule: CaseRule,
    /// The last change of its log that the stream covers.
    pub last: u64,
    /// The mark of that change; `None` if there is none.
    pub mark: Option<Mark>,
    /// The last change of its whole log; more than `last` if the stream was cut to a fair length.
    /// The records in the stream are as this change left them.
    pub end: u64,
    /// The mark of that change; `None` if there is none.
    pub end_mark: Option<Mark>,
    /// To be returned with the next request.
    pub token: Option<Token>,
    /// How long the leases run that the mirror holds as standby; 0 if it is not the standby.
    pub lease_ms: u64,
    /// The dump ends after so many records, and the rest has to be asked for; 0 if it has no such
    /// end. So a mirror is heard of in between, and no snapshot is held for long.
    pub cut_at: u64,
    /// A dump goes on where the request says, rather than from the beginning.
    pub resumed: bool,
    /// How far the node had come in the log of the mirror that asks, when it followed that: what
    /// the mirror has beyond, nobody else has.
    pub had: Option<u64>,
    /// The claim in the request holds here: the node takes no changes, and `end` is its last one.
    pub gives_way: bool,
    /// Who is primary, if the node knows of another one.
    pub leader: Option<Claim>,
}

impl Told {
    /// Reads the notice behind the body of an answer; `None` if there is none.
    pub fn read(behind: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some(mut r) = open(behind)? else {
            return Ok(None);
        };
        let r = &mut r;
        Ok(Some(Self {
            log: LogId::read(r)?,
            epoch: r.i64("epoch")?.cast_unsigned(),
            role: Role::read(r)?,
            case_rule: match r.u8("case rule")? {
                0 => CaseRule::Insensitive,
                _ => CaseRule::Sensitive,
            },
            last: r.i64("last change")?.cast_unsigned(),
            mark: option(r, Mark::read)?,
            end: r.i64("end of the log")?.cast_unsigned(),
            end_mark: option(r, Mark::read)?,
            token: option(r, Token::read)?,
            lease_ms: r.i64("lease")?.cast_unsigned(),
            cut_at: r.i64("records of a dump")?.cast_unsigned(),
            resumed: r.u8("resumed")? != 0,
            had: option(r, |r| r.i64("change it had").map(i64::cast_unsigned))?,
            gives_way: r.u8("gives way")? != 0,
            leader: option(r, Claim::read)?,
        }))
    }

    /// Appends the notice to a body.
    pub fn write(&self, w: &mut Writer<'_>) {
        close(w, |w| {
            self.log.write(w);
            w.i64(self.epoch.cast_signed());
            w.u8(self.role.code());
            w.u8((self.case_rule == CaseRule::Sensitive).into());
            w.i64(self.last.cast_signed());
            put(w, self.mark.as_ref(), |mark, w| mark.write(w));
            w.i64(self.end.cast_signed());
            put(w, self.end_mark.as_ref(), |mark, w| mark.write(w));
            put(w, self.token.as_ref(), Token::write);
            w.i64(self.lease_ms.cast_signed());
            w.i64(self.cut_at.cast_signed());
            w.u8(self.resumed.into());
            put(w, self.had.as_ref(), |had, w| w.i64(had.cast_signed()));
            w.u8(self.gives_way.into());
            put(w, self.leader.as_ref(), Claim::write);
        });
    }
}

//----------- Form -----------------------------------------------------------

/// The content of a notice of ours. What is behind a body and does not begin as one is nothing.
fn open(behind: &[u8]) -> Result<Option<Reader<'_>>, DecodeError> {
    let mut r = Reader::new(behind);
    let Ok(octets) = r.bytes_max("notice", LEN_MAX) else {
        return Ok(None);
    };
    let Some(content) = octets.strip_prefix(WORD) else {
        return Ok(None);
    };
    let mut r = Reader::new(content);
    match r.u8("form of a notice")? {
        FORM => Ok(Some(r)),
        _ => {
            let reason = Reason::Invalid("is not one that this version knows: update this node");
            Err(DecodeError::new("form of a notice", 0, reason))
        }
    }
}

fn close(w: &mut Writer<'_>, fill: impl FnOnce(&mut Writer<'_>)) {
    let content = Writer::to_vec(|w| {
        w.raw(WORD);
        w.u8(FORM);
        fill(w);
    });
    w.bytes(&content);
}

/// One octet that says whether something follows.
fn option<T>(
    r: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match r.u8("option")? {
        0 => Ok(None),
        _ => read(r).map(Some),
    }
}

fn put<T>(w: &mut Writer<'_>, some: Option<&T>, write: impl FnOnce(&T, &mut Writer<'_>)) {
    w.u8(some.is_some().into());
    if let Some(some) = some {
        write(some, w);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::Instant;
    use super::*;

    fn claim() -> Claim {
        Claim {
            epoch: 3,
            leader: LogId([3; 16]),
            address: "[2001:db8::7]:2641".into(),
            key: vec![7; 300],
        }
    }

    fn token() -> Token {
        let (boot_ms, wall_ms) = (1, 2);
        Token {
            run: 9,
            at: Instant { boot_ms, wall_ms },
        }
    }

    fn asked() -> Asked {
        Asked {
            mirror: LogId([1; 16]),
            epoch: 2,
            log: Some(LogId([2; 16])),
            last: 5,
            mark: Some(Mark::of(5, 1, 7, "88.118.5/a")),
            seen: 6,
            seen_mark: None,
            token: Some(token()),
            wait_ms: 1_000,
            claim: Some(claim()),
        }
    }

    fn told() -> Told {
        Told {
            log: LogId([2; 16]),
            epoch: 2,
            role: Role::Fenced,
            case_rule: CaseRule::Sensitive,
            last: 5,
            mark: None,
            end: 9,
            end_mark: Some(Mark::of(9, 1, 7, "88.118.5/a")),
            token: Some(token()),
            lease_ms: 10_000,
            cut_at: 7,
            resumed: true,
            had: Some(4),
            gives_way: true,
            leader: Some(claim()),
        }
    }

    #[test]
    fn notices_survive_a_round_trip_and_truncation_is_found() {
        let (asked, told) = (asked(), told());
        let octets = Writer::to_vec(|w| asked.write(w));
        assert_eq!(Asked::read(&octets).unwrap(), Some(asked));
        for len in 12..octets.len() - 4 {
            let mut cut = octets[..len].to_vec();
            cut[..4].copy_from_slice(&u32::try_from(len - 4).unwrap().to_be_bytes());
            assert!(Asked::read(&cut).is_err(), "{len}");
        }
        let octets = Writer::to_vec(|w| told.write(w));
        assert_eq!(Told::read(&octets).unwrap(), Some(told));
        for len in 12..octets.len() - 4 {
            let mut cut = octets[..len].to_vec();
            cut[..4].copy_from_slice(&u32::try_from(len - 4).unwrap().to_be_bytes());
            assert!(Told::read(&cut).is_err(), "{len}");
        }
    }

    #[test]
    fn octets_of_others_are_no_notice() {
        for behind in [&b""[..], b"x", &[0, 0, 0, 3, 1, 2, 3], &[0xff; 40]] {
            assert_eq!(Asked::read(behind).unwrap(), None);
            assert_eq!(Told::read(behind).unwrap(), None);
        }
    }
}
