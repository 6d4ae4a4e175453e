//! Requests that need more than one read: a proof of identity, several records, a write.
//!
//! [`Inquiry`](crate::authority::Inquiry) answers what it can from one record and hands the rest
//! over. An [`Errand`] is driven by the shell until it is done:
//!
//! ```text
//!   Errand::new(packet, ..) ──► step ──► Next::Fetch(wanted)   ──► learn / fail ──► step …
//!                                    ├─► Next::Write(order)    ──► written      ──► step …
//!                                    ├─► Next::List(listing)   ──► the shell sends pages
//!                                    ├─► Next::Stream(stream)  ──► the shell sends a stream
//!                                    └─► Next::Done                the reply is in `out`
//! ```
//!
//! A step knows the records fetched so far and says which one is missing, or what comes of it. It
//! is begun anew with each record, so it has no states that could be confused; how often that can
//! be is bounded by [`FETCHES_MAX`](super::FETCHES_MAX). Records that are likely to be missing can
//! be learnt before ([`Errand::foreseen`]), which changes nothing but the number of steps.

use guantong_proto::message::{OpCode, OpFlags, Request, ResponseCode, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, HandleRef, Values};

use super::authenticate::{
    Asked, Challenge, Claim, Failed, Identity, KeyKind, Pending, Proven, Subject, VERSION_MIN,
    verify,
};
use super::kept::Kept;
use super::known::{Confirm, Known, Missing, StoredRecord, Wanted};
use super::listing::Listing;
use super::open::{Refusal, open};
use super::present::Presented;
use super::rules::Rules;
use super::session::{Chance, Channel, Rejected, Session, SharedSession, Tables, locked};
use super::stop::{Done, Stop};
use super::stream::{Stream, reply};
use super::write::{Effect, Expected, Order, Write, Written};
use crate::authority::{Moment, Reply, Responsibility, Site};

/// How often a change is decided again because somebody else has changed the record meanwhile.
pub(super) const CONFLICTS_MAX: u8 = 16;
const BUSY: &str = "this node has more writes to do than it can take: try again";
const CONTENDED: &str = "others change this record all the time: try again";
const NOT_WRITTEN: &str = "the change could not be written; the node's log says why";

//----------- Ground ---------------------------------------------------------

/// What an errand stands on; the shell takes a new snapshot for each step.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The site and what it homes.
    pub site: &'a Site,
    /// Who may do what by configuration.
    pub rules: &'a Rules,
    /// Seconds since 1970.
    pub now_secs: u32,
    /// Sessions.
    pub tables: &'a dyn Tables,
}

//----------- Errand ---------------------------------------------------------

/// A request that is on its way.
#[derive(Debug)]
pub struct Errand {
    /// What is to be carried out.
    pub(super) request: Kept,
    /// The answer to the challenge that held it up, to which the reply goes.
    answer: Option<Kept>,
    /// The session or login that it came in.
    pub(super) channel: Option<Channel>,
    pub(super) proof: Proof,
    /// What the record must be for the change to happen, if the client has said so.
    pub(super) condition: Option<Expected>,
    /// Whether nothing is to be written.
    is_rehearsal: bool,
    /// Whether the identity has just been proven by a password.
    is_owner: bool,
    /// What the change does to the record, once that is decided.
    effect: Option<Effect>,
    pub(super) known: Known,
    pub(super) chance: Chance,
    /// The reply once what is being written is written.
    prepared: Option<Prepared>,
    pub(super) written: Option<Written>,
    conflicts: u8,
    /// Whether an answer that was checked for another server was wrong.
    is_wrong_answer: bool,
    /// Values were left out of the reply that he may not read.
    withholds: bool,
    /// What another server says of an answer by a secret key that it has.
    confirmed: Option<Result<bool, String>>,
}

/// A successful reply.
#[derive(Debug)]
struct Prepared {
    body: Vec<u8>,
    replaced: bool,
}

/// What is known of who asks.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nobody has asked yet.
    None,
    /// A claim that waits for the key.
    Claimed(Box<(Claim, Pending)>),
    /// One that waits for the key, over HTTP.
    Presented(Box<Presented>),
    /// It is this one.
    Identity(Proven),
    /// It is not who it says, or cannot be known.
    Failed(Failed),
    /// The message is none of its session.
    Rejected(Rejected),
}

/// What an errand does next.
#[derive(Debug)]
#[must_use]
pub enum Next {
    /// The record is needed; see [`Errand::learn`] and [`Errand::fail`].
    Fetch(Wanted),
    /// Another server is to be asked about an answer; see [`Errand::confirmed`].
    Confirm(Confirm),
    /// This is to be written; see [`Errand::written`].
    Write(Order),
    /// The shell sends a list, page by page.
    List(Listing),
    /// The shell sends a stream, on this connection only.
    Stream(Stream),
    /// The reply is in `out`.
    Done,
}

impl Errand {
    /// Takes up a packet that an inquiry has handed over.
    pub fn new(packet: &[u8], chance: Chance, tables: &dyn Tables) -> Result<Self, Refusal> {
        let opened = open(packet, tables)?;
        let session = opened.session.clone();
        let channel = opened.session.map(|session| Channel {
            session,
            chance: chance.seal,
        });
        let errand = |request, answer, proof| Self {
            request,
            answer,
            channel,
            proof,
            condition: None,
            is_rehearsal: false,
            is_owner: false,
            effect: None,
            known: Known::default(),
            chance,
            prepared: None,
            written: None,
            conflicts: 0,
            is_wrong_answer: false,
            withholds: false,
            confirmed: None,
        };
        let request = opened.request;
        if let Some(rejected) = opened.rejected {
            return Ok(errand(request, None, Proof::Rejected(rejected)));
        }
        let message = request.message();
        let malformed = |error| Refusal::malformed(message.envelope, Some(message.header), &error);
        let Request::ChallengeAnswer {
            auth_type,
            user,
            user_index,
            signed,
        } = Request::of(&message).map_err(malformed)?
        else {
            return Ok(errand(request, None, Proof::None));
        };
        let pending = match &session {
            Some(session) => locked(session).take_challenge(),
            None => tables.take_challenge(message.envelope.session_id),
        };
        let Some(pending) = pending else {
            return Ok(errand(request, None, Proof::Failed(Failed::NoChallenge)));
        };
        let claim = Claim::new(auth_type, user, user_index, signed);
        let original = pending.request.clone();
        let proof = match claim {
            Ok(claim) => Proof::Claimed(Box::new((claim, pending))),
            Err(failed) => Proof::Failed(failed),
        };
        Ok(errand(original, Some(request), proof))
    }

    /// Takes up a request that did not come as a message, by somebody who says so who he is.
    pub fn of(request: Kept, chance: Chance, presented: Option<Presented>) -> Self {
        Self {
            request,
            answer: None,
            channel: None,
            is_owner: matches!(presented, Some(Presented::Owner(_))),
            proof: presented.map_or(Proof::None, |presented| Proof::Presented(presented.into())),
            condition: None,
            is_rehearsal: false,
            effect: None,
            known: Known::default(),
            chance,
            prepared: None,
            written: None,
            conflicts: 0,
            is_wrong_answer: false,
            withholds: false,
            confirmed: None,
        }
    }

    /// Lets the change happen only if the record is what `condition` says at that moment; else it
    /// is refused with a text that begins with [`STALE`](super::STALE).
    #[must_use]
    pub fn on_condition(self, condition: Option<Expected>) -> Self {
        Self { condition, ..self }
    }

    /// Decides everything and writes nothing: the reply is the one that the change would get.
    #[must_use]
    pub fn rehearsal(self) -> Self {
        Self {
            is_rehearsal: true,
            ..self
        }
    }

    /// What the change does to the record; `None` until that is decided.
    ///
    /// A change of values is one even if they are what they were: whoever may write a value, but
    /// not read it, must not learn in a rehearsal whether he has guessed it.
    pub fn effect(&self) -> Option<Effect> {
        self.effect
    }

    /// Who has proven who he is.
    pub fn proven(&self) -> Option<&Proven> {
        match &self.proof {
            Proof::Identity(proven) => Some(proven),
            _ => None,
        }
    }

    /// Why somebody is not believed to be who he says.
    pub fn failed(&self) -> Option<&Failed> {
        match &self.proof {
            Proof::Failed(failed) => Some(failed),
            _ => None,
        }
    }

    /// The identity whose secret key is tried, as its wrong answers are counted.
    pub fn tries_secret_of(&self, site: &Site) -> Option<Subject> {
        let subject = |user: HandleRef<'_>| {
            let key = user.key(site.case_rule());
            Some(Subject::Identity(key.as_bytes().into()))
        };
        if let Proof::Claimed(claimed) = &self.proof {
            let (claim, _) = &**claimed;
            return match claim.kind() {
                KeyKind::Secret => subject(claim.user().borrow()),
                KeyKind::Public => None,
            };
        }
        if let Proof::Presented(presented) = &self.proof {
            let user = presented.user().borrow();
            return presented.tries_secret().then(|| subject(user))?;
        }
        match Request::of(&self.request.message()) {
            Ok(Request::VerifyAnswer { user, .. }) => subject(HandleRef::from_wire(user).ok()?),
            _ => None,
        }
    }

    /// Does not look at the proof: there were too many wrong ones.
    pub fn refuse_proof(&mut self) {
        self.proof = Proof::Failed(Failed::TooManyAttempts);
    }

    /// Does not begin the session: there were too many.
    pub fn refuse_session(&mut self) {
        self.proof = Proof::Rejected(Rejected::Full);
    }

    /// Whether the proof was wrong, which counts as an attempt.
    pub fn is_wrong_proof(&self) -> bool {
        let failed = matches!(&self.proof, Proof::Failed(failed) if failed.is_wrong_proof());
        failed || self.is_wrong_answer
    }

    /// Takes the record that was wanted, or the news that there is none.
    pub fn learn(&mut self, site: &Site, wanted: &Wanted, record: Option<StoredRecord>) {
        self.known.learn(site, wanted, record);
    }

    /// Takes the news that a record could not be had.
    pub fn fail(&mut self, site: &Site, wanted: &Wanted, reason: String) {
        self.known.fail(site, wanted, reason);
    }

    /// Takes what the server of a secret key says of an answer, or why it said nothing.
    pub fn confirmed(&mut self, said: Result<bool, String>) {
        self.confirmed = Some(said);
    }

    /// Takes the news of what was to be written.
    pub fn written(&mut self, written: Written) {
        if written == Written::Conflict && self.conflicts < CONFLICTS_MAX {
            self.conflicts += 1;
            self.known.forget();
            self.prepared = None;
            self.written = None;
            return;
        }
        self.written = Some(written);
    }

    /// Whether values were asked for and left out of the reply, since he may not read them.
    pub fn withholds(&self) -> bool {
        self.withholds
    }

    /// Whether somebody has proven who he is, and with it that he receives what is sent to him.
    pub fn is_proven(&self) -> bool {
        matches!(self.proof, Proof::Identity(_))
    }

    /// Goes on as far as the records allow. A reply is appended to `out`.
    pub fn step(
        &mut self,
        ground: &Ground<'_>,
        moment: &mut Moment<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        match self.advance(ground) {
            Ok(Done::Body(body)) => self.reply_with(ground.site, &body, false, moment, out),
            Ok(Done::Replaced(body)) => self.reply_with(ground.site, &body, true, moment, out),
            Ok(Done::Restricted { body, withheld }) => {
                self.withholds = withheld;
                let reply = self.reply(ground.site).restricted();
                reply.send(ResponseCode::SUCCESS, moment, out, |out| {
                    out.extend_from_slice(&body);
                });
                Next::Done
            }
            Ok(Done::Session { id, body }) => {
                let reply = self.reply(ground.site).in_session(id);
                reply.send(ResponseCode::SUCCESS, moment, out, |out| {
                    out.extend_from_slice(&body);
                });
                Next::Done
            }
            Ok(Done::Ended) => {
                let next = self.reply_with(ground.site, &[], false, moment, out);
                ground.tables.end(self.request.envelope().session_id);
                next
            }
            Ok(Done::Verified(is_valid)) => {
                self.is_wrong_answer = !is_valid;
                self.reply_with(ground.site, &[u8::from(is_valid)], false, moment, out)
            }
            Ok(Done::Write {
                write,
                warrant,
                body,
                replaced,
            }) => {
                self.prepared = Some(Prepared { body, replaced });
                self.effect = Some(write.as_ref().map_or(Effect::Changed, Write::effect));
                match write {
                    Some(write) if !self.is_rehearsal => Next::Write(Order { write, warrant }),
                    // There is nothing to write.
                    _ => {
                        self.written = Some(Written::Done);
                        self.step(ground, moment, out)
                    }
                }
            }
            Ok(Done::List(listed)) => Next::List(Listing {
                request: self.request.clone(),
                answer: self.answer.clone(),
                channel: self.channel.clone(),
                listed,
            }),
            Ok(Done::Stream(identity)) => Next::Stream(Stream {
                request: self.request.clone(),
                answer: self.answer.clone(),
                channel: self.channel.clone(),
                identity,
            }),
            Err(Stop::Missing(Missing::Record(wanted))) => Next::Fetch(wanted),
            Err(Stop::Missing(Missing::Confirmation(confirm))) => Next::Confirm(confirm),
            Err(stop) => {
                self.say(ground, stop, moment, out);
                Next::Done
            }
        }
    }

    fn reply_with(
        &self,
        site: &Site,
        body: &[u8],
        replaced: bool,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        let mut reply = self.reply(site);
        if self.request.header().op == OpCode::CREATE && !replaced {
            // In a reply the flag says that a record was there (2.2).
            reply = reply.without_flags(OpFlags::OVERWRITE);
        }
        reply.send(ResponseCode::SUCCESS, moment, out, |out| {
            Writer::new(out).raw(body);
        });
        Next::Done
    }

    /// The reply to the request, in its session.
    fn reply<'a>(&'a self, site: &'a Site) -> Reply<'a> {
        reply(
            site,
            &self.request,
            self.answer.as_ref(),
            self.channel.as_ref(),
        )
    }

    fn say(&self, ground: &Ground<'_>, stop: Stop, moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let reply = self.reply(ground.site);
        match stop {
            Stop::Unknown => match self.challenge_in_session(ground) {
                Ok(Some(challenge)) => reply.challenge(&challenge, moment, out),
                Ok(None) => reply.demand_identity(moment, out),
                Err(rejected) => {
                    reply.error(rejected.code(), &rejected.to_string(), moment, out);
                }
            },
            Stop::Refused(code, text) => reply.error(code, &text, moment, out),
            Stop::Referral(code, body) if reply.version().at_least(2, 5) => {
                reply.send(code, moment, out, |out| {
                    out.extend_from_slice(&body);
                });
            }
            Stop::Referral(code, _) => reply.error(code, "", moment, out),
            Stop::Missing(missing) => {
                let code = ResponseCode::UNABLE_TO_AUTHENTICATE;
                reply.error(code, &missing.to_string(), moment, out);
            }
        }
    }

    /// Keeps the request in its session, or in the login that it begins. `None`: it belongs to
    /// neither.
    fn challenge_in_session(&self, ground: &Ground<'_>) -> Result<Option<Challenge>, Rejected> {
        let session = match (&self.channel, self.request.header().op) {
            (Some(channel), _) => channel.session.clone(),
            (None, OpCode::LOGIN) => self.begin_login(ground)?,
            (None, _) => return Ok(None),
        };
        let challenge = Challenge {
            session_id: self.request.envelope().session_id,
            nonce: self.chance.nonce,
        };
        let pending = Pending::new(challenge.nonce, self.request.clone());
        locked(&session).challenge(pending);
        Ok(Some(challenge))
    }

    fn begin_login(&self, ground: &Ground<'_>) -> Result<SharedSession, Rejected> {
        let message = self.request.message();
        let Ok(Request::Login { user, user_index }) = Request::of(&message) else {
            return Err(Rejected::Unknown);
        };
        let named = Identity {
            handle: HandleRef::from_wire(user)?.to_owned(),
            index: user_index,
        };
        let id = message.envelope.session_id;
        ground.tables.bind(id, Session::login(named))
    }

    fn advance(&mut self, ground: &Ground<'_>) -> Result<Done, Stop> {
        if let Some(written) = &self.written {
            let why_not = why_not_written(written);
            return self.written_to(why_not);
        }
        self.identify(ground.site)?;
        let message = self.request.message();
        let request = Request::of(&message)
            .map_err(|error| Stop::Refused(ResponseCode::PROTOCOL_ERROR, error.to_string()))?;
        self.perform(ground, &message, &request)
    }

    /// What a write that has come to an end makes of the errand.
    fn written_to(&mut self, why_not: Option<(ResponseCode, String)>) -> Result<Done, Stop> {
        let prepared = self.prepared.take();
        match (why_not, prepared) {
            (Some((code, text)), _) => Err(Stop::Refused(code, text)),
            (None, Some(Prepared { body, replaced })) if replaced => Ok(Done::Replaced(body)),
            (None, Some(Prepared { body, .. })) => Ok(Done::Body(body)),
            (None, None) => Err(Stop::refuse(ResponseCode::ERROR, NOT_WRITTEN)),
        }
    }

    //--- Who is it?

    /// Checks the claim, if there is one that was not checked yet; or whether the key of an
    /// identity that was proven in the session is still there.
    fn identify(&mut self, site: &Site) -> Result<(), Stop> {
        if let Proof::Claimed(claimed) = &self.proof {
            let (claim, pending) = &**claimed;
            let digest = pending.digest();
            let asked = Asked {
                nonce: &pending.nonce,
                digest: &digest,
                version: pending.version(),
            };
            let answer = (claim.kind() == KeyKind::Secret).then_some((claim, asked));
            let verify = |record: Option<Values<'_>>| verify(claim, pending, record);
            let proven = self.check_proof(site, (claim.user(), claim.index()), answer, verify)?;
            self.proof = match proven.and_then(|proven| self.admit(proven, site)) {
                Ok(proven) => Proof::Identity(proven),
                Err(failed) => Proof::Failed(failed),
            };
        }
        if let Proof::Presented(presented) = &self.proof {
            let is_asked = self.confirmed.is_none() && self.is_foreign(site, presented.user())?;
            let by_answer = match is_asked {
                true => presented.to_answer(&self.chance),
                false => None,
            };
            let answer = by_answer.as_ref().map(|(claim, nonce, digest)| {
                let version = Version::OURS;
                let asked = Asked {
                    nonce,
                    digest,
                    version,
                };
                (claim, asked)
            });
            let verify = |record: Option<Values<'_>>| presented.verify(record);
            let proven = match presented.foreign_session() {
                Some(proven) => Ok(proven.clone()),
                None => {
                    let named = (presented.user(), presented.index());
                    self.check_proof(site, named, answer, verify)?
                }
            };
            self.proof = proven.map_or_else(Proof::Failed, Proof::Identity);
        }
        if let (Proof::None, Some(channel)) = (&self.proof, &self.channel) {
            let proven = locked(&channel.session).proven();
            if let Some(proven) = proven {
                if proven.is_by_foreign_secret() {
                    self.proof = Proof::Identity(proven);
                    return Ok(());
                }
                let record = self.known.record(site, proven.identity.handle.borrow())?;
                match proven.holds(record.map(StoredRecord::values)) {
                    true => self.proof = Proof::Identity(proven),
                    false => locked(&channel.session).forget_proof(),
                }
            }
        }
        match &self.proof {
            Proof::Failed(failed) => Err(failed.into()),
            Proof::Rejected(rejected) => Err(rejected.into()),
            _ => Ok(()),
        }
    }

    /// Whether only another server can know the secret keys of the user.
    fn is_foreign(&self, site: &Site, user: &Handle) -> Result<bool, Missing> {
        Ok(match site.responsibility(user.borrow()) {
            Ok(Responsibility::Homed) => false,
            Ok(Responsibility::OwnPrefix) => self.known.here(site, user.borrow())?.is_none(),
            Err(_) => true,
        })
    }

    /// Has a proof checked: an answer by a secret key that another server has by that server, any
    /// other by the record of the user.
    fn check_proof(
        &self,
        site: &Site,
        (user, index): (&Handle, i32),
        answer: Option<(&Claim, Asked<'_>)>,
        verify: impl FnOnce(Option<Values<'_>>) -> Result<Proven, Failed>,
    ) -> Result<Result<Proven, Failed>, Stop> {
        let unreachable = |reason: String| Failed::KeyUnreachable {
            user: user.clone(),
            reason,
        };
        match &self.confirmed {
            Some(Ok(is_right)) => return Ok(Proven::said(user, index, *is_right)),
            Some(Err(reason)) => return Ok(Err(unreachable(reason.clone()))),
            None => {}
        }
        if let (Some((claim, asked)), true) = (answer, self.is_foreign(site, user)?) {
            return match claim.confirm(&asked) {
                Ok(confirm) => Err(Missing::Confirmation(confirm).into()),
                Err(failed) => Ok(Err(failed)),
            };
        }
        match self.known.record(site, user.borrow()) {
            Ok(record) => Ok(verify(record.map(StoredRecord::values))),
            Err(Missing::Record(wanted)) => Err(Missing::Record(wanted).into()),
            Err(other) => Ok(Err(unreachable(other.to_string()))),
        }
    }

    /// In a session, only who was named at its beginning is admitted.
    fn admit(&self, proven: Proven, site: &Site) -> Result<Proven, Failed> {
        let Some(channel) = &self.channel else {
            return Ok(proven);
        };
        match locked(&channel.session).prove(&proven, site.case_rule()) {
            true => Ok(proven),
            false => Err(Failed::NotNamed {
                identity: proven.identity,
            }),
        }
    }

    /// Whether the request came in a session with a key.
    pub(super) fn is_in_session(&self) -> bool {
        let channel = self.channel.as_ref();
        channel.is_some_and(|channel| locked(&channel.session).has_key())
    }

    /// Refuses peers of versions in which nothing can be proven.
    pub(super) fn check_version(&self) -> Result<(), Stop> {
        let found = self.request.envelope().answer_version();
        let needs = VERSION_MIN;
        match found.at_least(needs.major, needs.minor) {
            true => Ok(()),
            false => Err((&Failed::OldVersion { found, needs }).into()),
        }
    }

    /// Whether this begins a session, which costs the node more than other requests.
    pub fn is_session_setup(&self) -> bool {
        self.request.header().op == OpCode::SESSION_SETUP
    }

    /// Who has just been proven by his password.
    pub(super) fn owner(&self) -> Option<&Identity> {
        match &self.proof {
            Proof::Identity(proven) if self.is_owner => Some(&proven.identity),
            _ => None,
        }
    }

    /// Who it is; without a proof, the errand ends in a challenge.
    pub(super) fn identity(&self) -> Result<&Identity, Stop> {
        match &self.proof {
            Proof::Identity(proven) => Ok(&proven.identity),
            _ => Err(Stop::Unknown),
        }
    }
}

/// What a sender is told of a write that failed; `None` if it did not.
pub(super) fn why_not_written(written: &Written) -> Option<(ResponseCode, String)> {
    let (code, text) = match written {
        Written::Done => return None,
        Written::Busy => (ResponseCode::SERVER_TOO_BUSY, BUSY.to_owned()),
        Written::Conflict => (ResponseCode::SERVER_TOO_BUSY, CONTENDED.to_owned()),
        Written::NotAdmitted(why) => (ResponseCode::SERVER_READ_ONLY, why.clone()),
        Written::Unconfirmed(why) => (ResponseCode::ERROR, why.clone()),
        Written::Unfit(why) => (ResponseCode::INVALID_VALUE, why.clone()),
        Written::Failed => (ResponseCode::ERROR, NOT_WRITTEN.to_owned()),
    };
    Some((code, text))
}
