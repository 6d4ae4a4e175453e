//! Requests that need more than one read: a proof of identity, several records, a write.
//!
//! [`Inquiry`](crate::authority::Inquiry) answers what it can from one record and hands the rest
//! over. An [`Errand`] is driven by the shell until it is done:
//!
//! ```text
//!   Errand::new(packet, take) ──► step ──► Next::Fetch(wanted)  ──► learn / fail ──► step …
//!                                      ├─► Next::Stream(stream) ──► the shell sends a stream
//!                                      └─► Next::Done               the reply is in `out`
//! ```
//!
//! A step knows the records fetched so far and says which one is missing, or what comes of it. It
//! is begun anew with each record, so it has no states that could be confused; how often that can
//! be is bounded by [`FETCHES_MAX`](super::FETCHES_MAX).

use guantong_proto::message::{Envelope, Message, OpCode, Request, ResponseCode, Version};
use guantong_proto::{DecodeError, HandleRef, NameError};

use super::authenticate::{Claim, Failed, Identity, KeyKind, Pending, Subject, verify};
use super::kept::Kept;
use super::known::{Known, Missing, StoredRecord, Wanted};
use super::rules::{Denied, Rules};
use crate::authority::{Misdirected, Moment, Outcome, Reply, Site};

const NO_ADMINISTRATION: &str = "this node takes administrative requests on its local control \
     socket only, not over the network";
const NO_RESTRICTED: &str = "values that are not public are read on the node's local control \
     socket";
const NO_SESSIONS: &str = "this node offers no sessions";
const NO_VERIFICATION: &str = "this node checks no secret keys for other servers";

//----------- Ground ---------------------------------------------------------

/// What an errand stands on; the shell takes a new snapshot for each step.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The site and what it homes.
    pub site: &'a Site,
    /// Who may do what by configuration.
    pub rules: &'a Rules,
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
    known: Known,
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
    /// The shell sends a stream, on this connection only.
    Stream(Stream),
    /// The reply is in `out`.
    Done,
}

impl Errand {
    /// Takes up a packet that an inquiry has handed over. `take` takes the challenge of an id out
    /// of its table.
    pub fn new(
        packet: &[u8],
        take: impl FnOnce(i32) -> Option<Pending>,
    ) -> Result<Self, DecodeError> {
        let request = Kept::new(packet)?;
        let errand = |request, answer, proof| Self {
            request,
            answer,
            proof,
            known: Known::default(),
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
        let Proof::Claimed(claimed) = &self.proof else {
            return None;
        };
        let (claim, _) = &**claimed;
        let is_secret = claim.kind() == KeyKind::Secret;
        let key = claim.user().key(site.case_rule());
        is_secret.then(|| Subject::Identity(key.as_bytes().into()))
    }

    /// Does not look at the proof: there were too many wrong ones.
    pub fn refuse_proof(&mut self) {
        self.proof = Proof::Failed(Failed::TooManyAttempts);
    }

    /// Whether the proof was wrong, which counts as an attempt.
    pub fn is_wrong_proof(&self) -> bool {
        matches!(&self.proof, Proof::Failed(failed) if failed.is_wrong_proof())
    }

    /// Takes the record that was wanted, or the news that there is none.
    pub fn learn(&mut self, site: &Site, wanted: &Wanted, record: Option<StoredRecord>) {
        self.known.learn(site, wanted, record);
    }

    /// Takes the news that a record could not be had.
    pub fn fail(&mut self, site: &Site, wanted: &Wanted, reason: String) {
        self.known.fail(site, wanted, reason);
    }

    /// Goes on as far as the records allow. A reply is appended to `out`.
    pub fn step(
        &mut self,
        ground: &Ground<'_>,
        moment: &mut Moment<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        match self.advance(ground) {
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

    fn say(&self, site: &Site, stop: Stop, moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let reply = reply(site, &self.request, self.answer.as_ref());
        match stop {
            Stop::Unknown => reply.demand_identity(moment, out),
            Stop::Refused(code, text) => reply.error(code, &text, moment, out),
            Stop::Missing(missing) => {
                reply.error(ResponseCode::ERROR, &missing.to_string(), moment, out);
            }
        }
    }

    fn advance(&mut self, ground: &Ground<'_>) -> Result<Done, Stop> {
        self.identify(ground.site)?;
        let message = self.request.message();
        let request = Request::of(&message)
            .map_err(|error| Stop::Refused(ResponseCode::PROTOCOL_ERROR, error.to_string()))?;
        self.perform(ground, &message, &request)
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
    fn identity(&self) -> Result<&Identity, Stop> {
        match &self.proof {
            Proof::Identity(identity) => Ok(identity),
            _ => Err(Stop::Unknown),
        }
    }

    //--- What is to be done?

    fn perform(
        &self,
        ground: &Ground<'_>,
        message: &Message<'_>,
        request: &Request<'_>,
    ) -> Result<Done, Stop> {
        let unsupported = |text: &str| Stop::refuse(ResponseCode::OPERATION_NOT_SUPPORTED, text);
        match (message.header.op, request) {
            (OpCode::RETRIEVE_TXN | OpCode::DUMP_HANDLES, _) => {
                let identity = self.identity()?;
                ground
                    .rules
                    .replication(identity, ground.site.case_rule())?;
                Ok(Done::Stream(identity.clone()))
            }
            (OpCode::RESOLVE, _) => {
                self.identity()?;
                Err(Stop::refuse(
                    ResponseCode::INSUFFICIENT_PERMISSIONS,
                    NO_RESTRICTED,
                ))
            }
            (OpCode::HOME_PREFIX | OpCode::UNHOME_PREFIX, Request::Named { handle }) => {
                check_prefix(handle)?;
                Err(unsupported(NO_ADMINISTRATION))
            }
            (
                OpCode::CREATE | OpCode::DELETE,
                Request::Named { handle } | Request::Write { handle, .. },
            )
            | (OpCode::ADD_VALUE | OpCode::MODIFY_VALUE, Request::Write { handle, .. })
            | (OpCode::REMOVE_VALUE, Request::Remove { handle, .. }) => {
                check_ours(ground.site, handle)?;
                Err(unsupported(NO_ADMINISTRATION))
            }
            (OpCode::VERIFY_ANSWER, _) => Err(unsupported(NO_VERIFICATION)),
            (
                OpCode::SESSION_SETUP
                | OpCode::SESSION_TERMINATE
                | OpCode::SESSION_EXCHANGE_KEY
                | OpCode::LOGIN,
                _,
            ) => Err(unsupported(NO_SESSIONS)),
            _ => Err(unsupported(NO_ADMINISTRATION)),
        }
    }
}

/// Refuses to home what is no prefix handle.
fn check_prefix(handle: &[u8]) -> Result<HandleRef<'_>, Stop> {
    let handle = HandleRef::from_wire(handle)?;
    match handle.is_prefix_handle() {
        true => Ok(handle),
        false => Err(NameError::NotAPrefix {
            name: handle.as_str().into(),
        }
        .into()),
    }
}

/// Refuses to change a record that cannot be changed here by anybody.
fn check_ours<'a>(site: &Site, handle: &'a [u8]) -> Result<HandleRef<'a>, Stop> {
    let handle = HandleRef::from_wire(handle)?;
    if !site.is_primary() {
        return Err(Misdirected::NotPrimary.into());
    }
    site.is_responsible(handle)?;
    Ok(handle)
}

//----------- Stop -----------------------------------------------------------

/// How an errand succeeds.
enum Done {
    Stream(Identity),
}

/// Why an errand does not go on for now.
enum Stop {
    /// A record is missing.
    Missing(Missing),
    /// It must be known who asks.
    Unknown,
    /// It ends with this code and text.
    Refused(ResponseCode, String),
}

impl Stop {
    fn refuse(code: ResponseCode, text: &str) -> Self {
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
fn reply<'a>(site: &'a Site, request: &'a Kept, answer: Option<&'a Kept>) -> Reply<'a> {
    let Some(answer) = answer else {
        return Reply::to(site, request.envelope(), request.header(), request.octets());
    };
    let envelope = Envelope {
        session_id: 0,
        ..answer.envelope()
    };
    Reply::to(site, envelope, request.header(), answer.octets())
}
