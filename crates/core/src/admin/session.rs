//! Sessions: a key that two sides share, and an identity that is proven once (6.6); and logins,
//! which bind an identity to a connection without a key (9.3).
//!
//! ```text
//!   400 ──► agree ──► Sessions::open ──► id
//!   request with MAC ──► Session::check ──► (challenged and proven once) ──► reply with MAC
//!   401 ──► Sessions::end
//! ```
//!
//! The code of every request in a session is checked, also of those that need no authority (section
//! 11, rule 7). Ids of sessions and of challenges come from two halves of the numbers, so that
//! neither can be taken for the other; ids that a client chooses for a login mean something on its
//! connection only.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guantong_proto::crypto::session::{Cipher, SessionKey, dh_public_key, dh_shared_secret};
use guantong_proto::crypto::{Credential, Hash, credential};
use guantong_proto::data::PublicKey;
use guantong_proto::data::key::Number;
use guantong_proto::message::{KeyExchange, Message, OpCode, ResponseCode, SessionSetup, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, HandleRef, NameError};

use super::authenticate::{Identity, Pending, Proven, VERSION_MIN};

/// The bit that ids of sessions have and ids of challenges have not.
pub const SESSION_BIT: i32 = 1 << 30;
/// Most sessions that one table keeps. One has about a kibibyte.
pub const SESSIONS_MAX: usize = 2_048;
/// Most sessions of one source, so that it pushes out its own before those of others.
pub const SESSIONS_SOURCE_MAX: usize = 128;
/// Counters that a session remembers.
pub const WINDOW_LEN: usize = 200;
/// Bits of the largest Diffie-Hellman modulus: twice what clients use, some ten milliseconds.
const MODULUS_BITS_MAX: usize = 2_048;
/// Shortest and longest time that a session may be idle, in seconds.
const IDLE_SECS: (u64, u64) = (60, 86_400);

//----------- Session --------------------------------------------------------

/// One session, or one login of a connection.
#[derive(Debug)]
pub struct Session {
    /// `None` for a login: the connection stands for it.
    key: Option<SessionKey>,
    /// Who is to be proven in it; `None` for a session without a name.
    named: Option<Identity>,
    idle_ms: u64,
    pending: Option<Pending>,
    proven: Option<Proven>,
    received: Window,
    /// Counter of the last message that we have authenticated.
    sent: i32,
    /// Messages that we have encrypted.
    sealed: u64,
}

/// A session that several requests use at a time.
pub type SharedSession = Arc<Mutex<Session>>;

/// Locks a session. Its parts are whole after every step, so a panic elsewhere does no harm.
pub(crate) fn locked(session: &SharedSession) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session with a key that is known to both sides.
    pub fn new(key: SessionKey, named: Option<Identity>, idle_secs: u64) -> Self {
        let (least, most) = IDLE_SECS;
        Self {
            key: Some(key),
            named,
            idle_ms: idle_secs.clamp(least, most) * 1_000,
            pending: None,
            proven: None,
            received: Window::default(),
            sent: 0,
            sealed: 0,
        }
    }

    /// The login of a connection, whose end is its end.
    pub fn login(named: Identity) -> Self {
        Self {
            key: None,
            named: Some(named),
            idle_ms: u64::MAX,
            pending: None,
            proven: None,
            received: Window::default(),
            sent: 0,
            sealed: 0,
        }
    }

    /// Opens an encrypted message.
    pub(super) fn decrypt(&self, version: Version, octets: &[u8]) -> Result<Vec<u8>, Rejected> {
        let clear = self.key.as_ref().map(|key| key.decrypt(version, octets));
        clear.and_then(Result::ok).ok_or(Rejected::Unreadable)
    }

    /// Checks that the message is one of this session, and a new one.
    pub(super) fn check(&mut self, message: &Message<'_>) -> Result<(), Rejected> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let version = message.envelope.version;
        // The Java library sends answers without a code. They need none: an answer is a proof of
        // its own, to a challenge that the session takes back at the first one.
        let is_bare = message.credential.is_none_or(<[u8]>::is_empty);
        if is_bare && message.header.op == OpCode::CHALLENGE_ANSWER {
            return Ok(());
        }
        let credential = Credential::of(message).ok().flatten();
        let is_modern = version.at_least(VERSION_MIN.major, VERSION_MIN.minor);
        let credential = credential.filter(|credential| {
            is_modern && credential.verify_mac(message, key.as_bytes()).is_ok()
        });
        let Some(credential) = credential else {
            let op = message.header.op;
            return Err(match message.envelope.encrypted {
                true => Rejected::Unreadable,
                false => Rejected::NotAuthenticated { op },
            });
        };
        match self.received.accept(credential.counter) {
            true => Ok(()),
            false => Err(Rejected::Replayed),
        }
    }

    /// Whether its messages are authenticated.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Who was proven in it.
    pub(super) fn proven(&self) -> Option<Proven> {
        self.proven.clone()
    }

    /// The key that proved it is not there any more.
    pub(super) fn forget_proof(&mut self) {
        self.proven = None;
    }

    /// Keeps a challenge that is sent in the session.
    pub(super) fn challenge(&mut self, pending: Pending) {
        self.pending = Some(pending);
    }

    /// Takes the challenge of the session.
    pub(super) fn take_challenge(&mut self) -> Option<Pending> {
        self.pending.take()
    }

    /// Notes who was proven. Only the identity that was named at the beginning may act in the
    /// session.
    pub(super) fn prove(&mut self, proven: &Proven, rule: CaseRule) -> bool {
        let named = self.named.as_ref();
        let is_named = named.is_some_and(|named| named.is(&proven.identity, rule));
        if is_named {
            self.proven = Some(proven.clone());
        }
        is_named
    }

    /// The credential of a reply.
    pub(crate) fn authenticate(&mut self, message: &Message<'_>) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        self.sent = self.sent.checked_add(1)?;
        Some(credential::authenticate(message, self.sent, key.as_bytes()))
    }

    /// Encrypts header, body and credential of a reply.
    ///
    /// The initialisation vector is made from the key, `chance` and the number of the message: it
    /// never repeats, and only who has the key can foresee it.
    pub(crate) fn encrypt(
        &mut self,
        version: Version,
        clear: &[u8],
        chance: &[u8; 16],
    ) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        self.sealed += 1;
        let seed = Hash::Sha256.digest(&[key.as_bytes(), chance, &self.sealed.to_be_bytes()]);
        let iv = seed.first_chunk()?;
        key.encrypt(version, clear, iv).ok()
    }
}

//----------- Window ---------------------------------------------------------

/// The counters of the messages that were received last.
#[derive(Debug, Default)]
struct Window {
    seen: VecDeque<i32>,
    /// The largest counter that is not remembered any more.
    forgotten: Option<i32>,
}

impl Window {
    /// Whether the counter is a new one. Counters may jump and come out of order; what is not
    /// larger than one that was forgotten might be a repetition, and counts as one.
    fn accept(&mut self, counter: i32) -> bool {
        let is_old = self.forgotten.is_some_and(|forgotten| counter <= forgotten);
        if counter < 0 || is_old || self.seen.contains(&counter) {
            return false;
        }
        self.seen.push_back(counter);
        if self.seen.len() > WINDOW_LEN {
            self.forgotten = self.forgotten.max(self.seen.pop_front());
        }
        true
    }
}

//----------- agree ----------------------------------------------------------

/// Agrees on the key of a new session. `exponent` is random. Returns the session and the body of
/// the reply.
pub(super) fn agree(
    setup: &SessionSetup<'_>,
    exponent: &[u8; 32],
) -> Result<(Session, Vec<u8>), Rejected> {
    let mode = setup.exchange.mode();
    let KeyExchange::DiffieHellman(key) = setup.exchange else {
        return Err(Rejected::Mode);
    };
    let Ok(PublicKey::Dh(theirs)) = PublicKey::decode(key) else {
        return Err(Rejected::Key);
    };
    if theirs.p.bits() > MODULUS_BITS_MAX {
        return Err(Rejected::Key);
    }
    let exponent = Number::new(exponent);
    let agreed = dh_public_key(&theirs.p, &theirs.g, &exponent)
        .and_then(|ours| Ok((ours, dh_shared_secret(&theirs, &exponent)?)))
        .and_then(|(ours, secret)| Ok((ours, SessionKey::derive(Cipher::Aes, &secret)?)));
    let (ours, session_key) = agreed.map_err(|_| Rejected::Key)?;
    let idle_secs = u64::try_from(setup.timeout).unwrap_or(0);
    let session = Session::new(session_key, named_in(setup)?, idle_secs);
    let body = Writer::to_vec(|w| {
        w.i16(mode);
        w.sized(|w| {
            w.i32(Cipher::Aes.code());
            w.raw(&PublicKey::Dh(ours).encode());
        });
        // The Java library counts the mode as four octets and reads two more (6.6).
        w.raw(&[0, 0]);
    });
    Ok((session, body))
}

fn named_in(setup: &SessionSetup<'_>) -> Result<Option<Identity>, NameError> {
    if setup.identity.is_empty() {
        return Ok(None);
    }
    Ok(Some(Identity {
        handle: HandleRef::from_wire(setup.identity)?.to_owned(),
        index: setup.identity_index,
    }))
}

//----------- Rejected -------------------------------------------------------

/// Why a message is not taken into a session, or a session not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// There is no such session.
    #[error("Invalid session id or session time out. Please try again.")]
    Unknown,
    /// There is no such session, so there is no key for the message.
    #[error("Invalid session id. Unable to decrypt request message.")]
    NoKey,
    /// Something is wrong with an encrypted message. It is not told what: who tries must not learn
    /// how far he has come.
    #[error("the message cannot be decrypted with the key of its session")]
    Unreadable,
    /// The code is missing or wrong.
    #[error("the message authentication code of the message is missing or wrong")]
    NotAuthenticated {
        /// The operation that was asked for.
        op: OpCode,
    },
    /// The counter was seen before, or may have been.
    #[error("a message with this counter was received before, or is too old")]
    Replayed,
    /// The exchange is not offered.
    #[error("keys of sessions are agreed on by Diffie-Hellman (mode 4) only")]
    Mode,
    /// The peer's key cannot be used.
    #[error("the Diffie-Hellman key cannot be used: it must be one of 1024 to 2048 bits")]
    Key,
    /// The identity cannot be a handle.
    #[error("the identity cannot be a handle: {0}")]
    Identity(#[from] NameError),
    /// There are too many sessions.
    #[error("there are as many sessions as this node keeps: try again later, or without one")]
    Full,
    /// A login needs a connection that lasts.
    #[error("a login is good for its connection: log in over TCP")]
    NoConnection,
}

impl Rejected {
    /// The response code that says the same to a peer (3.2, 6.6).
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::Unknown => ResponseCode::SESSION_TIMEOUT,
            Self::NoKey | Self::Unreadable | Self::Mode => ResponseCode::SESSION_FAILED,
            Self::NotAuthenticated {
                op: OpCode::SESSION_TERMINATE,
            }
            | Self::Key => ResponseCode::INVALID_SESSION_KEY,
            Self::NotAuthenticated { .. } => ResponseCode::INVALID_CREDENTIAL,
            Self::Replayed => ResponseCode::SESSION_MESSAGE_REJECTED,
            Self::Identity(_) => ResponseCode::INVALID_ADMIN,
            Self::Full => ResponseCode::SERVER_TOO_BUSY,
            Self::NoConnection => ResponseCode::OPERATION_NOT_SUPPORTED,
        }
    }
}

//----------- Sessions -------------------------------------------------------

/// The sessions of a node: bounded in number and by source. A shell with many threads keeps several
/// tables and chooses by the id.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<i32, Open>,
}

#[derive(Debug)]
struct Open {
    session: SharedSession,
    source: u64,
    used_ms: u64,
}

impl Open {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) > locked(&self.session).idle_ms
    }

    /// Whether nobody has been proven in it.
    fn is_unproven(&self) -> bool {
        locked(&self.session).proven.is_none()
    }
}

impl Sessions {
    /// Number of sessions, those included that have ended by themselves and were not missed yet.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether no session has the id.
    pub fn is_free(&self, id: i32) -> bool {
        id & SESSION_BIT != 0 && !self.open.contains_key(&id)
    }

    /// The session of that id, which is used now.
    pub fn find(&mut self, id: i32, now_ms: u64) -> Option<SharedSession> {
        let open = self.open.get_mut(&id)?;
        if open.is_over(now_ms) {
            self.open.remove(&id);
            return None;
        }
        open.used_ms = now_ms;
        Some(open.session.clone())
    }

    /// Keeps a new session under an id that is free. When there are too many, of all or of this
    /// source, those go that have ended, then the one without a proof that was not used for
    /// longest; sessions with a proof stay. Returns how many were ended before their time.
    pub fn open(
        &mut self,
        id: i32,
        session: Session,
        source: u64,
        now_ms: u64,
    ) -> Result<usize, Rejected> {
        let of_source = self
            .open
            .values()
            .filter(|open| open.source == source)
            .count();
        if self.open.len() >= SESSIONS_MAX || of_source >= SESSIONS_SOURCE_MAX {
            self.open.retain(|_, open| !open.is_over(now_ms));
        }
        let of_source = self
            .open
            .values()
            .filter(|open| open.source == source)
            .count();
        let pushed_out = if of_source >= SESSIONS_SOURCE_MAX {
            self.drop_unproven(|open| open.source == source)?
        } else if self.open.len() >= SESSIONS_MAX {
            self.drop_unproven(|_| true)?
        } else {
            0
        };
        let open = Open {
            session: Arc::new(Mutex::new(session)),
            source,
            used_ms: now_ms,
        };
        self.open.insert(id, open);
        Ok(pushed_out)
    }

    fn drop_unproven(&mut self, is_meant: impl Fn(&Open) -> bool) -> Result<usize, Rejected> {
        let unproven = self
            .open
            .iter()
            .filter(|(_, open)| is_meant(open) && open.is_unproven());
        let oldest = unproven
            .min_by_key(|(_, open)| open.used_ms)
            .map(|(id, _)| *id);
        self.open.remove(&oldest.ok_or(Rejected::Full)?);
        Ok(1)
    }

    /// Ends a session.
    pub fn end(&mut self, id: i32) {
        self.open.remove(&id);
    }
}

//----------- Tables ---------------------------------------------------------

/// What the shell keeps between messages.
pub trait Tables {
    /// Takes a challenge out of its table.
    fn take_challenge(&self, id: i32) -> Option<Pending>;
    /// The session of that id, or the login that the connection has under it.
    fn session(&self, id: i32) -> Option<SharedSession>;
    /// Keeps a new session; its id.
    fn open(&self, session: Session) -> Result<i32, Rejected>;
    /// Keeps a login under the id that the client has chosen, as long as the connection lasts.
    fn bind(&self, id: i32, login: Session) -> Result<SharedSession, Rejected>;
    /// Ends a session.
    fn end(&self, id: i32);
}

/// No challenges and no sessions: for tests, and where nothing lasts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTables;

impl Tables for NoTables {
    fn take_challenge(&self, _: i32) -> Option<Pending> {
        None
    }

    fn session(&self, _: i32) -> Option<SharedSession> {
        None
    }

    fn open(&self, _: Session) -> Result<i32, Rejected> {
        Err(Rejected::Full)
    }

    fn bind(&self, _: i32, _: Session) -> Result<SharedSession, Rejected> {
        Err(Rejected::NoConnection)
    }

    fn end(&self, _: i32) {}
}

//----------- Channel --------------------------------------------------------

/// The session that a request came in, and with it its reply goes out.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) session: SharedSession,
    /// Random octets for encryption.
    pub(crate) chance: [u8; 16],
}

//----------- Chance ---------------------------------------------------------

/// Random octets for one request.
#[derive(Clone)]
pub struct Chance {
    /// For a suffix that we choose.
    pub suffix: [u8; 16],
    /// For a challenge in a session.
    pub nonce: [u8; 16],
    /// For encryption.
    pub seal: [u8; 16],
    /// For our part of a key exchange.
    pub exponent: [u8; 32],
}

/// Octets of a [`Chance`].
pub const CHANCE_LEN: usize = 80;

impl Chance {
    /// Deals out octets that were drawn together: asking the system costs more than drawing.
    pub fn of(octets: [u8; CHANCE_LEN]) -> Self {
        let (halves, _) = octets.as_chunks::<16>();
        let [suffix, nonce, seal, first, second] = *halves else {
            unreachable!("80 octets are five times 16");
        };
        let mut exponent = [0; 32];
        exponent[..16].copy_from_slice(&first);
        exponent[16..].copy_from_slice(&second);
        Self {
            suffix,
            nonce,
            seal,
            exponent,
        }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
mod tests;
