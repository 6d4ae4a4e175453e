//! The short way for what nearly every packet is: a question for all of one record that anybody may
//! read.
//!
//! It decides nothing by itself: whatever is not plain in every octet goes the long way through
//! [`Inquiry`](super::Inquiry), which gives to a plain question the same answer, octet by octet.
//!
//! Reading the question and answering it are apart, so that who has many questions can read all of
//! them before the first record is looked for. The question may also be one for a name of others,
//! that a resolver's cache answers.

use guantong_proto::HandleRef;
use guantong_proto::limits::{ENVELOPE_LEN, HEADER_LEN, MESSAGE_LEN_MAX, RECURSION_MAX};
use guantong_proto::message::{Envelope, Header, OpCode, OpFlags, ResponseCode};

use super::elsewhere::age_of;
use super::lookup::{STATUS, responsibility};
use super::record::RecordView;
use super::reply::Reply;
use super::site::Site;
use crate::resolve::{Entry, EntryKind, Hit, Lookup, Question};

/// No indexes, no types, and behind the body a credential of no octets.
const PLAIN_END: [u8; 12] = [0; 12];
/// What is asked for with one of these is more than a copy.
const NOT_PLAIN: OpFlags =
    OpFlags(OpFlags::CERTIFIED.0 | OpFlags::RETURN_DIGEST.0 | OpFlags::ENCRYPT.0);

/// What somebody asks for who wants a name of others resolved, in a way that a cache may answer.
const OF_OTHERS: OpFlags = OpFlags(OpFlags::RECURSIVE.0 | OpFlags::PUBLIC_ONLY.0);

/// A plain question.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    site: &'a Site,
    envelope: Envelope,
    header: Header,
    handle: &'a [u8],
    whose: Whose,
}

/// Whose name a plain question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Ours.
    Ours,
    /// Somebody else's, to be resolved for whoever asks, if he may have that done.
    Others,
}

impl<'a> Plain<'a> {
    /// The plain question that a whole packet is, if it is one that can be answered from one
    /// record of ours, or from a cache of what others have answered. The key of the record, or the
    /// cache's name for the answer, is appended to `keys`; where the packet is no such question,
    /// octets that mean nothing may be.
    pub fn read(site: &'a Site, packet: &'a [u8], keys: &mut Vec<u8>) -> Option<Self> {
        let (envelope, message) = packet.split_first_chunk::<ENVELOPE_LEN>()?;
        let (header, body) = message.split_first_chunk::<HEADER_LEN>()?;
        let (handle_len, rest) = body.split_first_chunk::<4>()?;
        let handle_len = usize::try_from(u32::from_be_bytes(*handle_len)).ok()?;
        let (handle, end) = rest.split_at_checked(handle_len)?;
        let (envelope, header) = (Envelope::from_octets(envelope), Header::from_octets(header));
        let says = |announced: i32, len: usize| usize::try_from(announced) == Ok(len);
        let is_plain = end == PLAIN_END
            && says(envelope.message_len, message.len())
            && says(header.body_len, body.len() - 4)
            && message.len() <= MESSAGE_LEN_MAX
            && !(envelope.compressed || envelope.encrypted || envelope.truncated)
            && envelope.session_id == 0
            && envelope.sequence == 0
            && header.op == OpCode::RESOLVE
            && header.code == ResponseCode::RESERVED
            && header.flags.0 & NOT_PLAIN.0 == 0
            && header.recursion_count <= RECURSION_MAX;
        if !is_plain {
            return None;
        }
        let start = keys.len();
        let whose = match append_key(site, handle, keys)? {
            Key { is_ours: true, .. } => Whose::Ours,
            Key { name, .. } if is_of_others(header.flags) => {
                keys.truncate(start);
                Lookup::append_whole(name, keys);
                Whose::Others
            }
            Key { .. } => return None,
        };
        Some(Self {
            site,
            envelope,
            header,
            handle,
            whose,
        })
    }

    /// Whose name it is about.
    pub fn whose(&self) -> Whose {
        self.whose
    }

    /// Appends the reply, if the record is one that anybody may read and a message can carry; says
    /// whether it did. If not, the packet goes the long way.
    pub fn answer(&self, record: RecordView<'_>, now_secs: u32, out: &mut Vec<u8>) -> bool {
        let is_empty = record.values.starts_with(&[0; 4]);
        record.all_public
            && !is_empty
            && Reply::to(self.site, self.envelope, self.header, &[]).send_record(
                self.handle,
                record.values,
                now_secs,
                out,
            )
    }

    /// The same from a cache, for a name of others.
    pub fn answer_of_others(&self, hit: &Hit<&Entry>, now_secs: u32, out: &mut Vec<u8>) -> bool {
        let values = hit.entry.wire();
        let is_empty = values.starts_with(&[0; 4]);
        hit.entry.kind() == EntryKind::Record
            && !is_empty
            && Reply::to(self.site, self.envelope, self.header, &[])
                .of_others(age_of(hit.freshness))
                .send_record(self.handle, values, now_secs, out)
    }

    /// The question for the resolver, to renew what its cache has.
    pub fn question(&self) -> Option<Question> {
        let handle = HandleRef::from_wire(self.handle).ok()?.to_owned();
        Some(Question {
            public_only: true,
            recursion_count: self.header.recursion_count.saturating_add(1),
            ..Question::new(handle)
        })
    }
}

/// Appends the key of the record for which somebody asks who gives its name and nothing else, as
/// over HTTP. Says whether it is a record of ours; then, if [all of it](RecordView::whole) may be
/// read by anybody, that is the answer. If not, octets that mean nothing may have been appended.
pub fn append_plain_key(site: &Site, name: &str, keys: &mut Vec<u8>) -> bool {
    append_key(site, name.as_bytes(), keys).is_some_and(|key| key.is_ours)
}

struct Key<'a> {
    name: HandleRef<'a>,
    is_ours: bool,
}

/// Appends the key of the record of a name. None, if no record answers for it.
fn append_key<'a>(site: &Site, name: &'a [u8], keys: &mut Vec<u8>) -> Option<Key<'a>> {
    let name = HandleRef::from_wire(name).ok()?;
    let start = keys.len();
    name.fold(site.case_rule(), keys);
    let key = &keys[start..];
    (key != STATUS).then(|| Key {
        name,
        is_ours: responsibility(site, name, key).is_ok(),
    })
}

/// Whether who asks wants names of others resolved, and takes an answer from a cache.
fn is_of_others(flags: OpFlags) -> bool {
    flags.0 & (OF_OTHERS.0 | OpFlags::AUTHORITATIVE.0) == OF_OTHERS.0
}
