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
//! be is bounded by [`FETCHES_MAX`](super::FETCHES_MAX).

use guantong_proto::message::{Envelope, OpCode, OpFlags, Request, ResponseCode, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{DecodeError, HandleRef, NameError};

use super::authenticate::{Claim, Failed, Identity, KeyKind, Pending, Subject, verify};
use super::kept::Kept;
use super::known::{Known, Missing, StoredRecord, Wanted};
use super::listing::{Listed, Listing};
use super::plan::Conflict;
use super::rules::{Denied, Rules};
use super::write::{Order, Write, Written};
use crate::authority::{Misdirected, Moment, Outcome, Reply, Site};

/// How often a change is decided again because somebody else has changed the record meanwhile.
const CONFLICTS_MAX: u8 = 16;
const BUSY: &str = "this node has more writes to do than it can take: try again";
const CONTENDED: &str = "others change this record all the time: try again";
const NOT_WRITTEN: &str = "the change could not be written; the node's log says why";

//----------- Ground ---------------------------------------------------------

/// What an errand stands on; the shell takes a new snapshot for each step.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The site and what it homes.
    pub site: &'a Site,
    /// Who may do what by configuration.
    pub rules: &'a Rules,
    /// Seconds since 1970.
    pub now_secs: u32,
}

//----------- Errand ---------------------------------------------------------

/// A request that is on its way.
#[derive(Debug)]
pub struct Errand {
    /// What is to be carried out.
    request: Kept,
    /// The answer to the challenge that held it up, to which the reply goes.
    answer: Option<Kept>,
    proof: Proof,
    pub(super) known: Known,
    /// Random octets, for a suffix that we choose.
    pub(super) chance: [u8; 16],
    /// The reply once what is being written is written.
    prepared: Option<Prepared>,
    written: Option<Written>,
    conflicts: u8,
    /// Whether an answer that was checked for another server was wrong.
    is_wrong_answer: bool,
}

/// A successful reply.
#[derive(Debug)]
struct Prepared {
    body: Vec<u8>,
    replaced: bool,
}

/// What is known of who asks.
#[derive(Debug)]
enum Proof {
    /// Nobody has asked yet.
    None,
    /// A claim that waits for the key.
    Claimed(Box<(Claim, Pending)>),
    /// It is this one.
    Identity(Identity),
    /// It is not who it says, or cannot be known.
    Failed(Failed),
}

/// What an errand does next.
#[derive(Debug)]
#[must_use]
pub enum Next {
    /// The record is needed; see [`Errand::learn`] and [`Errand::fail`].
    Fetch(Wanted),
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
    /// Takes up a packet that an inquiry has handed over. `chance` are random octets; `take` takes
    /// the challenge of an id out of its table.
    pub fn new(
        packet: &[u8],
        chance: [u8; 16],
        take: impl FnOnce(i32) -> Option<Pending>,
    ) -> Result<Self, DecodeError> {
        let request = Kept::new(packet)?;
        let errand = |request, answer, proof| Self {
            request,
            answer,
            proof,
            known: Known::default(),
            chance,
            prepared: None,
            written: None,
            conflicts: 0,
            is_wrong_answer: false,
        };
        let message = request.message();
        let Request::ChallengeAnswer {
            auth_type,
            user,
            user_index,
            signed,
        } = Request::of(&message)?
        else {
            return Ok(errand(request, None, Proof::None));
        };
        let Some(pending) = take(message.envelope.session_id) else {
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
        match Request::of(&self.request.message()) {
            Ok(Request::VerifyAnswer { user, .. }) => subject(HandleRef::from_wire(user).ok()?),
            _ => None,
        }
    }

    /// Does not look at the proof: there were too many wrong ones.
    pub fn refuse_proof(&mut self) {
        self.proof = Proof::Failed(Failed::TooManyAttempts);
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

    /// Takes the news of what was to be written.
    pub fn written(&mut self, written: Written) {
        if written == Written::Conflict && self.conflicts < CONFLICTS_MAX {
            self.conflicts += 1;
            self.known.forget();
            self.prepared = None;
            return;
        }
        self.written = Some(written);
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
            Ok(Done::Verified(is_valid)) => {
                self.is_wrong_answer = !is_valid;
                self.reply_with(ground.site, &[u8::from(is_valid)], false, moment, out)
            }
            Ok(Done::Write {
                write,
                by,
                body,
                replaced,
            }) => {
                self.prepared = Some(Prepared { body, replaced });
                match write {
                    Some(write) => Next::Write(Order { write, by }),
                    // There is nothing to write.
                    None => {
                        self.written = Some(Written::Done);
                        self.step(ground, moment, out)
                    }
                }
            }
            Ok(Done::List(listed)) => Next::List(Listing {
                request: self.request.clone(),
                answer: self.answer.clone(),
                listed,
            }),
            Ok(Done::Stream(identity)) => Next::Stream(Stream {
                request: self.request.clone(),
                answer: self.answer.clone(),
                identity,
            }),
            Err(Stop::Missing(Missing::Record(wanted))) => Next::Fetch(wanted),
            Err(stop) => {
                self.say(ground.site, stop, moment, out);
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
        let mut reply = reply(site, &self.request, self.answer.as_ref());
        if self.request.header().op == OpCode::CREATE && !replaced {
            // In a reply the flag says that a record was there (2.2).
            reply = reply.without_flags(OpFlags::OVERWRITE);
        }
        reply.send(ResponseCode::SUCCESS, moment, out, |out| {
            Writer::new(out).raw(body);
        });
        Next::Done
    }

    fn say(&self, site: &Site, stop: Stop, moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let reply = reply(site, &self.request, self.answer.as_ref());
        match stop {
            Stop::Unknown => reply.demand_identity(moment, out),
            Stop::Refused(code, text) => reply.error(code, &text, moment, out),
            Stop::Missing(missing) => {
                let code = ResponseCode::UNABLE_TO_AUTHENTICATE;
                reply.error(code, &missing.to_string(), moment, out);
            }
        }
    }

    fn advance(&mut self, ground: &Ground<'_>) -> Result<Done, Stop> {
        if let Some(written) = &self.written {
            return self.written_to(written.clone());
        }
        self.identify(ground.site)?;
        let message = self.request.message();
        let request = Request::of(&message)
            .map_err(|error| Stop::Refused(ResponseCode::PROTOCOL_ERROR, error.to_string()))?;
        self.perform(ground, &message, &request)
    }

    /// What a write that has come to an end makes of the errand.
    fn written_to(&mut self, written: Written) -> Result<Done, Stop> {
        let (code, text) = match (written, self.prepared.take()) {
            (
                Written::Done,
                Some(Prepared {
                    body,
                    replaced: false,
                }),
            ) => return Ok(Done::Body(body)),
            (Written::Done, Some(Prepared { body, .. })) => return Ok(Done::Replaced(body)),
            (Written::Busy, _) => (ResponseCode::SERVER_TOO_BUSY, BUSY),
            (Written::Conflict, _) => (ResponseCode::SERVER_TOO_BUSY, CONTENDED),
            (Written::Failed | Written::Done, _) => (ResponseCode::ERROR, NOT_WRITTEN),
        };
        Err(Stop::refuse(code, text))
    }

    //--- Who is it?

    /// Checks the claim, if there is one that was not checked yet.
    fn identify(&mut self, site: &Site) -> Result<(), Stop> {
        if let Proof::Claimed(claimed) = &self.proof {
            let (claim, pending) = &**claimed;
            let user = claim.user();
            let proven = match self.known.record(site, user.borrow()) {
                Ok(record) => verify(claim, pending, record.map(StoredRecord::values)),
                Err(Missing::Record(wanted)) => return Err(Missing::Record(wanted).into()),
                Err(other) => Err(Failed::KeyUnreachable {
                    user: user.clone(),
                    reason: other.to_string(),
                }),
            };
            self.proof = proven.map_or_else(Proof::Failed, Proof::Identity);
        }
        match &self.proof {
            Proof::Failed(failed) => Err(failed.into()),
            _ => Ok(()),
        }
    }

    /// Who it is; without a proof, the errand ends in a challenge.
    pub(super) fn identity(&self) -> Result<&Identity, Stop> {
        match &self.proof {
            Proof::Identity(identity) => Ok(identity),
            _ => Err(Stop::Unknown),
        }
    }
}

//----------- Stop -----------------------------------------------------------

/// How an errand succeeds.
#[derive(Debug)]
pub(super) enum Done {
    /// With this body.
    Body(Vec<u8>),
    /// With this body; a record that was there was written over.
    Replaced(Vec<u8>),
    /// With the news whether an answer is right.
    Verified(bool),
    /// Once this is written, with this body.
    Write {
        /// `None` if nothing would change.
        write: Option<Write>,
        by: Option<Identity>,
        body: Vec<u8>,
        replaced: bool,
    },
    /// With a list.
    List(Listed),
    /// With a stream.
    Stream(Identity),
}

/// Why an errand does not go on for now.
#[derive(Debug)]
pub(super) enum Stop {
    /// A record is missing.
    Missing(Missing),
    /// It must be known who asks.
    Unknown,
    /// It ends with this code and text.
    Refused(ResponseCode, String),
}

impl Stop {
    pub(super) fn refuse(code: ResponseCode, text: &str) -> Self {
        Self::Refused(code, text.to_owned())
    }
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<&Failed> for Stop {
    fn from(failed: &Failed) -> Self {
        Self::Refused(failed.code(), failed.to_string())
    }
}

impl From<NameError> for Stop {
    fn from(error: NameError) -> Self {
        Self::from(Outcome::InvalidHandle(error))
    }
}

impl From<Misdirected> for Stop {
    fn from(misdirected: Misdirected) -> Self {
        Self::from(Outcome::NotResponsible(misdirected))
    }
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::Refused(outcome.code(), outcome.message().into_owned())
    }
}

impl From<Conflict> for Stop {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(conflict.code(), conflict.to_string())
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied.code(), denied.to_string())
    }
}

//----------- Stream ---------------------------------------------------------

/// A request for a stream by somebody who may have it (6.8). The shell accepts it on the connection
/// that it came over and sends the stream behind the reply, or refuses it.
#[derive(Debug)]
pub struct Stream {
    request: Kept,
    answer: Option<Kept>,
    identity: Identity,
}

impl Stream {
    /// The request: operation 1001 or 1002.
    pub fn request(&self) -> &Kept {
        &self.request
    }

    /// Who has proven that it may have the stream.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The version that the stream is sent in: that of the reply.
    pub fn version(&self) -> Version {
        let asked = self.answer.as_ref().unwrap_or(&self.request);
        asked.envelope().answer_version()
    }

    /// Appends the reply in front of the stream.
    pub fn accept(&self, site: &Site, body: &[u8], moment: &Moment<'_>, out: &mut Vec<u8>) {
        let reply = reply(site, &self.request, self.answer.as_ref());
        reply.send(ResponseCode::SUCCESS, moment, out, |out| {
            out.extend_from_slice(body);
        });
    }

    /// Appends an error in place of the stream.
    pub fn refuse(
        &self,
        site: &Site,
        code: ResponseCode,
        text: &str,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        reply(site, &self.request, self.answer.as_ref()).error(code, text, moment, out);
    }
}

/// The reply to `request`. If it was held up by a challenge, it goes to the message that answered,
/// and outside of sessions it names none (6.2).
pub(super) fn reply<'a>(site: &'a Site, request: &'a Kept, answer: Option<&'a Kept>) -> Reply<'a> {
    let Some(answer) = answer else {
        return Reply::to(site, request.envelope(), request.header(), request.octets());
    };
    let envelope = Envelope {
        session_id: 0,
        ..answer.envelope()
    };
    Reply::to(site, envelope, request.header(), answer.octets())
}
