//! Changes of one sender that are decided together, without a message for any of them.
//!
//! ```text
//!   Together::new(..) ──► decide(at) ──► Some(wanted) ──► learn / fail ──► decide(at) …
//!                            └─► None: that one is decided
//!                     ──► take_orders ──► the shell writes them ──► written ──► into_verdicts
//! ```
//!
//! Each is decided as if it had come alone, by the same function as a message that means the same
//! ([`decide`](super::decide)). What they have in common is done once: who the sender is, and the
//! records that say so and what he may. The changes must be about different records: none sees
//! what another does.
//!
//! A record that is to be created is taken for absent without a look, as it nearly always is: the
//! store looks anyway. If one is there after all, or if nothing is to be written, so that nobody
//! looks, everything that rests on it is decided again with what is there.

use guantong_proto::message::{OpCode, ResponseCode};
use guantong_proto::{Handle, HandleRef};

use super::authenticate::{Failed, Proven};
use super::decide::{Adding, Decided, Deciding, deletion};
use super::errand::{CONFLICTS_MAX, Ground, why_not_written};
use super::known::{Known, Missing, SHARED_MAX, SHARED_OCTETS_MAX, StoredRecord, Wanted};
use super::plan::Change;
use super::stop::Stop;
use super::write::{Effect, Expected, Order, Write, Written};
use crate::authority::Site;

const UNKNOWN: &str = "prove who you are, with the key of an administrator";
const BROKEN: &str = "the request was cut off";

//----------- Wish -----------------------------------------------------------

/// One change that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The record.
    pub handle: Handle,
    /// What is to become of it.
    pub deed: Deed,
    /// What the record must be for it to happen; else it is refused with a text that begins with
    /// [`STALE`](super::STALE).
    pub condition: Option<Expected>,
}

/// What is to become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Exactly this.
    Change(Change),
    /// It is deleted, which may come to withdrawing it ([`OnDelete`](super::OnDelete)).
    Delete,
}

impl Wish {
    /// The operation of the native protocol that means the same.
    pub fn op(&self) -> OpCode {
        match &self.deed {
            Deed::Change(Change::Create(_) | Change::Put(_)) => OpCode::CREATE,
            Deed::Change(Change::Add(_) | Change::Write(_)) => OpCode::ADD_VALUE,
            Deed::Change(Change::Modify(_) | Change::State(_)) => OpCode::MODIFY_VALUE,
            Deed::Change(Change::Remove(_)) => OpCode::REMOVE_VALUE,
            Deed::Change(Change::Delete) | Deed::Delete => OpCode::DELETE,
        }
    }
}

/// Why a change was not made, as the sender of a message would be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Declined {
    /// What it is.
    pub code: ResponseCode,
    /// The reason.
    pub text: String,
}

/// What came of a wish: what it did to the record, or would have done, or why it did not.
pub type Verdict = Result<Effect, Declined>;

//----------- Together -------------------------------------------------------

/// Changes that are on their way together.
#[derive(Debug)]
pub struct Together {
    by: Option<Proven>,
    /// Whether the key of the sender was found to be there still.
    is_admitted: bool,
    is_rehearsal: bool,
    /// Whether records that are to be created are taken for absent.
    presumes_absent: bool,
    known: Known,
    /// What lets the sender create records of the prefix in which he did so last.
    adding: Option<Adding>,
    members: Vec<Member>,
    conflicts: u8,
}

#[derive(Debug)]
struct Member {
    wish: Wish,
    fate: Fate,
}

impl Member {
    /// Whether it can be made only if there is no record, so that the store looks for one.
    fn expects_absence(&self) -> bool {
        let is_create = matches!(self.wish.deed, Deed::Change(Change::Create(_)));
        is_create && matches!(self.wish.condition, None | Some(Expected::Absent))
    }
}

#[derive(Debug)]
enum Fate {
    /// It is not decided yet.
    Open,
    /// It comes to this, once what it orders is written; `None` if nothing is to be.
    Decided(Option<Box<Order>>, Effect),
    /// It has come to its end.
    Over(Verdict),
}

impl Together {
    /// Changes wanted by somebody who has proven who he is; `None` is anybody.
    pub fn new(by: Option<Proven>, wishes: Vec<Wish>) -> Self {
        let member = |wish| Member {
            wish,
            fate: Fate::Open,
        };
        Self {
            by,
            is_admitted: false,
            is_rehearsal: false,
            presumes_absent: true,
            known: Known::default(),
            adding: None,
            members: wishes.into_iter().map(member).collect(),
            conflicts: 0,
        }
    }

    /// Decides everything and writes nothing.
    #[must_use]
    pub fn rehearsal(self, is_rehearsal: bool) -> Self {
        Self {
            is_rehearsal,
            presumes_absent: !is_rehearsal,
            ..self
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The operation at this place.
    pub fn op(&self, at: usize) -> OpCode {
        self.members[at].wish.op()
    }

    /// Octets that the change at this place holds until it is written: the record that it makes.
    pub fn held_octets(&self, at: usize) -> usize {
        match &self.members[at].fate {
            Fate::Decided(Some(order), _) => match &order.write {
                Write::Put { values, .. } => values.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Whether some are not decided yet.
    pub fn is_open(&self) -> bool {
        let is_open = |member: &Member| matches!(member.fate, Fate::Open);
        self.members.iter().any(is_open)
    }

    /// A record of our own store that deciding the change at this place will want.
    pub fn foreseen(&self, at: usize, site: &Site) -> Option<Wanted> {
        let member = &self.members[at];
        let handle = member.wish.handle.borrow();
        let is_open = matches!(member.fate, Fate::Open);
        if !is_open || self.presumes_absent(member) || site.responsibility(handle).is_err() {
            return None;
        }
        match self.known.here(site, handle) {
            Err(Missing::Record(wanted)) => Some(wanted),
            _ => None,
        }
    }

    /// Decides the change at this place as far as the records allow, and says which one is missing.
    pub fn decide(&mut self, at: usize, ground: &Ground<'_>) -> Option<Wanted> {
        if !matches!(self.members[at].fate, Fate::Open) {
            return None;
        }
        let fate = match self.decided(at, ground) {
            Err(Stop::Missing(Missing::Record(wanted))) => return Some(wanted),
            Err(stop) => Fate::Over(Err(declined(stop))),
            Ok(decided) => self.fate(decided),
        };
        let presumed = self.presumes_absent(&self.members[at]);
        let member = &mut self.members[at];
        member.fate = fate;
        if !presumed {
            let handle = member.wish.handle.borrow();
            self.known.forget_one(ground.site, handle);
        }
        // What is shared is the key, the prefix record and some groups. Where it is more, every
        // change begins with nothing, as if it had come alone.
        if self.known.len() > SHARED_MAX || self.known.octets() > SHARED_OCTETS_MAX {
            self.known.forget();
        }
        None
    }

    /// Ends the change at this place without a decision, because of a mistake of ours.
    pub fn break_off(&mut self, at: usize) {
        self.members[at].fate = Fate::Over(Err(Declined {
            code: ResponseCode::ERROR,
            text: BROKEN.to_owned(),
        }));
    }

    /// Takes the record that was wanted, or the news that there is none.
    pub fn learn(&mut self, site: &Site, wanted: &Wanted, record: Option<StoredRecord>) {
        self.known.learn(site, wanted, record);
    }

    /// Takes the news that a record could not be had.
    pub fn fail(&mut self, site: &Site, wanted: &Wanted, reason: String) {
        self.known.fail(site, wanted, reason);
    }

    /// Whether one of them was refused.
    pub fn has_declined(&self) -> bool {
        let is_declined = |member: &Member| matches!(member.fate, Fate::Over(Err(_)));
        self.members.iter().any(is_declined)
    }

    /// Has decided anew what rests on a record that was taken for absent, as nothing is to be
    /// written by which it would come out.
    pub fn look_closely(&mut self) {
        if std::mem::take(&mut self.presumes_absent) {
            let is_presumed = |member: &&mut Member| {
                member.expects_absence() && matches!(member.fate, Fate::Decided(..))
            };
            for member in self.members.iter_mut().filter(is_presumed) {
                member.fate = Fate::Open;
            }
        }
    }

    /// What is to be written, in the order of the changes.
    pub fn take_orders(&mut self) -> Vec<Order> {
        let orders = self
            .members
            .iter_mut()
            .filter_map(|member| match &mut member.fate {
                Fate::Decided(order, _) => order.take().map(|order| *order),
                _ => None,
            });
        orders.collect()
    }

    /// Takes the news of the orders that were taken. Upon a conflict they are to be decided anew,
    /// and with them everything that rests on the same moment.
    pub fn written(&mut self, written: &Written) {
        if *written == Written::Conflict && self.conflicts < CONFLICTS_MAX {
            self.conflicts += 1;
            self.presumes_absent = false;
            return self.again();
        }
        self.end(written);
    }

    /// Has those decided anew that were decided and are not over.
    pub fn again(&mut self) {
        self.known.forget();
        self.adding = None;
        let is_decided = |member: &&mut Member| matches!(member.fate, Fate::Decided(..));
        for member in self.members.iter_mut().filter(is_decided) {
            member.fate = Fate::Open;
        }
    }

    /// What was wanted.
    pub fn into_wishes(self) -> Vec<Wish> {
        self.members.into_iter().map(|member| member.wish).collect()
    }

    /// What came of each.
    pub fn into_verdicts(self) -> Vec<(Wish, Verdict)> {
        let result = |member: Member| {
            let result = match member.fate {
                Fate::Over(result) => result,
                Fate::Decided(_, effect) => Ok(effect),
                Fate::Open => Err(Declined {
                    code: ResponseCode::ERROR,
                    text: BROKEN.to_owned(),
                }),
            };
            (member.wish, result)
        };
        self.members.into_iter().map(result).collect()
    }

    fn end(&mut self, written: &Written) {
        for member in &mut self.members {
            let Fate::Decided(_, effect) = &member.fate else {
                continue;
            };
            member.fate = Fate::Over(match why_not_written(written) {
                None => Ok(*effect),
                Some((code, text)) => Err(Declined { code, text }),
            });
        }
    }

    fn presumes_absent(&self, member: &Member) -> bool {
        self.presumes_absent && member.expects_absence()
    }

    fn decided(&mut self, at: usize, ground: &Ground<'_>) -> Result<Decided, Stop> {
        self.admit(ground.site)?;
        let Wish {
            handle,
            deed,
            condition,
        } = &self.members[at].wish;
        let deciding = Deciding {
            known: &self.known,
            by: self.by.as_ref().map(|proven| &proven.identity),
            owner: None,
            condition: *condition,
            presumes_absent: self.presumes_absent(&self.members[at]),
            adding: self.adding.as_ref(),
        };
        let handle = handle.borrow();
        let decided = match deed {
            Deed::Change(change @ (Change::Create(_) | Change::Put(_))) => {
                deciding.create(ground, handle, change)?
            }
            Deed::Change(change) => deciding.change(ground, handle, change)?,
            Deed::Delete => deciding.change(ground, handle, &deletion(ground)?)?,
        };
        if let Some(adding) = Adding::of(handle, &decided) {
            self.adding = Some(adding);
        }
        Ok(decided)
    }

    /// Refuses somebody whose key is gone since he has proven who he is.
    fn admit(&mut self, site: &Site) -> Result<(), Stop> {
        let Some(proven) = self.by.as_ref().filter(|_| !self.is_admitted) else {
            return Ok(());
        };
        if !proven.is_by_foreign_secret() {
            let user: HandleRef<'_> = proven.identity.handle.borrow();
            let record = match self.known.record(site, user) {
                Ok(record) => record,
                Err(missing @ Missing::Record(_)) => return Err(missing.into()),
                Err(other) => {
                    let reason = other.to_string();
                    let user = user.to_owned();
                    return Err((&Failed::KeyUnreachable { user, reason }).into());
                }
            };
            if !proven.holds(record.map(StoredRecord::values)) {
                let identity = proven.identity.clone();
                return Err((&Failed::Revoked { identity }).into());
            }
        }
        self.is_admitted = true;
        Ok(())
    }

    fn fate(&self, decided: Decided) -> Fate {
        let Decided { write, warrant, .. } = decided;
        let effect = write.as_ref().map_or(Effect::Changed, Write::effect);
        let write = write.filter(|_| !self.is_rehearsal);
        let order = write.map(|write| Box::new(Order { write, warrant }));
        Fate::Decided(order, effect)
    }
}

fn declined(stop: Stop) -> Declined {
    let (code, text) = match stop {
        Stop::Refused(code, text) => (code, text),
        Stop::Referral(code, _) => (code, String::new()),
        Stop::Unknown => (ResponseCode::AUTHENTICATION_NEEDED, UNKNOWN.to_owned()),
        Stop::Missing(missing) => (ResponseCode::UNABLE_TO_AUTHENTICATE, missing.to_string()),
    };
    Declined { code, text }
}
