//! Writing a reply packet in place: envelope, header, digest, body, credential.

use guantong_proto::crypto::Hash;
use guantong_proto::limits::{ENVELOPE_LEN, EXPIRATION_DEFAULT_SECS, HEADER_LEN, MESSAGE_LEN_MAX};
use guantong_proto::message::{
    Envelope, HashId, Header, Message, OpCode, OpFlags, ResponseCode, Version, begin, finish,
};
use guantong_proto::wire::Writer;

use super::codes::code_for_version;
use super::elsewhere::Age;
use super::inquiry::{Demand, Moment};
use super::site::Site;
use crate::admin::authenticate::{Challenge, Failed, VERSION_MIN};
use crate::admin::session::{Channel, locked};

/// Flags of a reply to a message whose header could not be read.
const FLAGS_UNREADABLE: OpFlags = OpFlags::DEFAULT;

/// Offset of the octet of a packet that has the flag CERT, and its bit there.
const CERTIFIED_AT: usize = ENVELOPE_LEN + 8;
const CERTIFIED_BIT: u8 = 0x40;

/// Lifetime of a stale answer, so that whoever got it soon asks again (RFC 8767, 4).
pub(super) const EXPIRATION_STALE_SECS: u32 = 30;

//----------- Reply ----------------------------------------------------------

/// What a reply repeats of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(super) site: &'a Site,
    pub(super) request: Envelope,
    /// `None` if the header could not be read.
    pub(super) header: Option<Header>,
    /// Header and body of the request as they came, for its digest; empty if they could not be
    /// read.
    pub(super) digest_input: &'a [u8],
    /// Flags that the reply has by itself.
    added: OpFlags,
    /// The session in which it goes out.
    channel: Option<&'a Channel>,
    /// Whether it holds what not everybody may read.
    restricted: bool,
    /// Whose answer it is.
    source: Source,
}

/// Whose answer a reply brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Ours,
    Others(Age),
}

impl<'a> Reply<'a> {
    /// The reply to a message of which only the envelope could be read so far.
    pub(crate) fn new(site: &'a Site, request: Envelope) -> Self {
        Self {
            site,
            request,
            header: None,
            digest_input: &[],
            added: OpFlags(0),
            channel: None,
            restricted: false,
            source: Source::Ours,
        }
    }

    /// The same reply, to bring what was found elsewhere.
    pub(super) fn of_others(self, age: Age) -> Self {
        Self {
            source: Source::Others(age),
            ..self
        }
    }

    /// The reply to a message in clear. `digest_input` is its header and body.
    pub(crate) fn to(
        site: &'a Site,
        request: Envelope,
        header: Header,
        digest_input: &'a [u8],
    ) -> Self {
        Self {
            site,
            request,
            header: Some(header),
            digest_input,
            added: OpFlags(0),
            channel: None,
            restricted: false,
            source: Source::Ours,
        }
    }

    /// The same reply in a session.
    pub(crate) fn through(mut self, channel: Option<&'a Channel>) -> Self {
        self.channel = channel;
        self
    }

    /// The same reply, known to hold what not everybody may read: in a session it is encrypted.
    pub(crate) fn restricted(mut self) -> Self {
        self.restricted = true;
        self
    }

    /// The same reply, that names a session which begins with it.
    pub(crate) fn in_session(mut self, id: i32) -> Self {
        self.request.session_id = id;
        self
    }

    /// The same reply with these flags as well.
    pub(crate) fn with_flags(mut self, flags: OpFlags) -> Self {
        self.added = flags;
        self
    }

    /// The same reply without these flags of the request.
    pub(crate) fn without_flags(mut self, flags: OpFlags) -> Self {
        if let Some(header) = &mut self.header {
            header.flags = header.flags.without(flags);
        }
        self
    }

    /// The version that the reply is written in.
    pub(crate) fn version(&self) -> Version {
        self.request.answer_version()
    }

    /// Appends a reply whose body `write` appends.
    pub(crate) fn send(
        &self,
        code: ResponseCode,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.begin(self.envelope(), code, self.wants_digest(), moment, out);
        write(out);
        self.end(start, moment, out);
    }

    /// Appends a whole record, in one go: for a reply outside sessions, neither signed nor with a
    /// digest. Appends nothing if a message cannot carry it, and says so.
    pub(super) fn send_record(
        &self,
        handle: &[u8],
        values: &[u8],
        now_secs: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        const CREDENTIAL: [u8; 4] = [0; 4];
        let body_len = 4 + handle.len() + values.len();
        let message_len = HEADER_LEN + body_len + CREDENTIAL.len();
        if message_len > MESSAGE_LEN_MAX {
            return false;
        }
        let len = |len: usize| i32::try_from(len).unwrap_or(i32::MAX);
        let envelope = Envelope {
            message_len: len(message_len),
            ..self.envelope()
        };
        let header = Header {
            body_len: len(body_len),
            ..self.header(ResponseCode::SUCCESS, false, now_secs)
        };
        out.reserve(ENVELOPE_LEN + message_len);
        out.extend_from_slice(&envelope.to_octets());
        out.extend_from_slice(&header.to_octets());
        out.extend_from_slice(&len(handle.len()).to_be_bytes());
        out.extend_from_slice(handle);
        out.extend_from_slice(values);
        out.extend_from_slice(&CREDENTIAL);
        true
    }

    /// Appends an error with a text that may be empty.
    pub(crate) fn error(
        &self,
        code: ResponseCode,
        text: &str,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        // Peers before 2.1 expect no text (3.2).
        let has_text = self.version().at_least(2, 1);
        self.send(code, moment, out, |out| {
            if has_text {
                Writer::new(out).bytes(text.as_bytes());
            }
        });
    }

    /// Appends a challenge, which the shell keeps with the request; or, to a peer of an old
    /// version, why it gets none.
    pub(crate) fn demand_identity(&self, moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let found = self.version();
        if !found.at_least(VERSION_MIN.major, VERSION_MIN.minor) {
            let needs = VERSION_MIN;
            let failed = Failed::OldVersion { found, needs };
            return self.error(failed.code(), &failed.to_string(), moment, out);
        }
        let challenge = (moment.challenge)(Demand {
            envelope: self.request,
            octets: self.digest_input,
        });
        self.challenge(&challenge, moment, out);
    }

    /// Appends a challenge: the envelope names it, the body has the digest of the request and a
    /// nonce (6.2).
    pub(crate) fn challenge(&self, challenge: &Challenge, moment: &Moment<'_>, out: &mut Vec<u8>) {
        let envelope = Envelope {
            session_id: challenge.session_id,
            ..self.envelope()
        };
        let code = ResponseCode::AUTHENTICATION_NEEDED;
        let start = self.begin(envelope, code, true, moment, out);
        Writer::new(out).bytes(&challenge.nonce);
        self.end(start, moment, out);
    }

    fn begin(
        &self,
        envelope: Envelope,
        code: ResponseCode,
        with_digest: bool,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) -> usize {
        let header = self.header(code, with_digest, moment.now_secs);
        let start = begin(out, &envelope, &header);
        if with_digest {
            let hash = HashId::of_version(self.version());
            let mut w = Writer::new(out);
            w.u8(hash.code());
            w.raw(&self.digest(hash));
        }
        start
    }

    /// Completes the packet. A reply that a message cannot carry becomes an error that says so.
    fn end(&self, start: usize, moment: &Moment<'_>, out: &mut Vec<u8>) {
        finish(out, start, None);
        let credential = self.credential(start, out);
        let credential_len = credential.as_ref().map_or(0, Vec::len) + 4;
        let len = out.len() - start - ENVELOPE_LEN + credential_len;
        if len > MESSAGE_LEN_MAX {
            out.truncate(start);
            let text = format!(
                "the answer has {len} octets, a message carries {MESSAGE_LEN_MAX}; \
                 ask for fewer values"
            );
            return self.error(ResponseCode::ERROR, &text, moment, out);
        }
        if self.signs() && credential.is_none() {
            // The key failed. Nobody should wait for a signature that is not there.
            out[start + CERTIFIED_AT] &= !CERTIFIED_BIT;
        }
        finish(out, start, Some(credential.as_deref().unwrap_or_default()));
        self.encrypt(start, out);
    }

    /// Encrypts the reply at `start` where the session or the request wants it (6.6).
    fn encrypt(&self, start: usize, out: &mut Vec<u8>) {
        let wants = self.asks(OpFlags::ENCRYPT) || self.restricted && self.version().at_least(2, 8);
        let Some(channel) = self.channel.filter(|_| wants) else {
            return;
        };
        let mut session = locked(&channel.session);
        if !session.has_key() {
            return;
        }
        let clear = &out[start + ENVELOPE_LEN..];
        let Some(octets) = session.encrypt(self.version(), clear, &channel.chance) else {
            // Nothing is said rather than said in clear.
            return out.truncate(start);
        };
        let envelope = Envelope {
            encrypted: true,
            message_len: i32::try_from(octets.len()).unwrap_or(i32::MAX),
            ..self.envelope()
        };
        out.truncate(start);
        envelope.encode(&mut Writer::new(out));
        out.extend_from_slice(&octets);
    }

    /// The signature of the reply at `start`, if one was asked for and can be made.
    fn credential(&self, start: usize, out: &[u8]) -> Option<Vec<u8>> {
        if !self.signs() {
            return None;
        }
        let message = Message::decode(out.get(start..)?).ok()?;
        match self.channel {
            Some(channel) if locked(&channel.session).has_key() => {
                locked(&channel.session).authenticate(&message)
            }
            _ => self.site.signer()?.credential(&message),
        }
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            session_id: self.request.session_id,
            ..Envelope::new(self.version(), self.request.request_id)
        }
    }

    fn header(&self, code: ResponseCode, with_digest: bool, now_secs: u32) -> Header {
        let (op, recursion_count) = self.header.map_or((OpCode::RESERVED, 0), |header| {
            (header.op, header.recursion_count)
        });
        Header {
            op,
            code: code_for_version(code, self.version()),
            flags: self.flags(with_digest),
            site_serial: self.site.serial(),
            recursion_count,
            reserved: 0,
            expiration: now_secs.saturating_add(self.lifetime_secs()),
            body_len: 0,
        }
    }

    fn is_stale(&self) -> bool {
        self.source == Source::Others(Age::Stale)
    }

    fn lifetime_secs(&self) -> u32 {
        match self.is_stale() {
            true => EXPIRATION_STALE_SECS,
            false => EXPIRATION_DEFAULT_SECS,
        }
    }

    /// The flags of the request, put right where they speak of the reply (2.2).
    fn flags(&self, with_digest: bool) -> OpFlags {
        let asked = self.header.map_or(FLAGS_UNREADABLE, |header| header.flags);
        let mut flags = asked
            .without(OpFlags::CONTINUOUS)
            .without(OpFlags::RETURN_DIGEST)
            .without(OpFlags::AUTHORITATIVE)
            .without(OpFlags::CERTIFIED)
            .without(OpFlags::STALE)
            .with(self.added);
        let mut set = |flag, when: bool| {
            if when {
                flags = flags.with(flag);
            }
        };
        set(
            OpFlags::RETURN_DIGEST,
            with_digest && self.version().at_least(2, 1),
        );
        let is_ours = self.source == Source::Ours;
        set(OpFlags::AUTHORITATIVE, is_ours && self.site.is_primary());
        set(OpFlags::STALE, self.is_stale());
        set(OpFlags::CERTIFIED, self.signs());
        flags
    }

    fn asks(&self, flag: OpFlags) -> bool {
        self.header.is_some_and(|header| header.flags.has(flag))
    }

    /// Whether a digest of the request stands in front of the body. Before 2.1 there is no flag for
    /// it, and nobody asks.
    fn wants_digest(&self) -> bool {
        self.asks(OpFlags::RETURN_DIGEST) && self.version().at_least(2, 1)
    }

    /// Whether the reply is signed: asked for, and this node signs for that version. Where it does
    /// not, the flag is cleared, so that nobody waits for a signature that is not there. For what
    /// others said we vouch only if the caller says that a cache may (2.2).
    fn signs(&self) -> bool {
        self.asks(OpFlags::CERTIFIED)
            && (self.source == Source::Ours || self.asks(OpFlags::CACHE_CERTIFY))
            && self.version().at_least(2, 7)
            && (self.site.signer().is_some() || self.is_in_session())
    }

    fn is_in_session(&self) -> bool {
        self.channel
            .is_some_and(|channel| locked(&channel.session).has_key())
    }

    fn digest(&self, hash: HashId) -> Vec<u8> {
        Hash::of_digest(hash).digest(&[self.digest_input])
    }
}

/// Header and body of a clear message, which begin its octets.
pub(super) fn header_and_body<'a>(message: &Message<'_>, octets: &'a [u8]) -> &'a [u8] {
    octets
        .get(..HEADER_LEN + message.body.len())
        .unwrap_or_default()
}
