//! Challenges that wait for their answers, each with the request that it holds up.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use guantong_proto::crypto::Hash;
use guantong_proto::limits::NONCE_LEN;
use guantong_proto::message::{HashId, Version};

use crate::admin::kept::Kept;

/// Most challenges that one table keeps. A table of this size lasts 20 seconds at 100 strangers a
/// second, and a flood costs the oldest, not the newest, their place.
pub const CHALLENGES_MAX: usize = 2_048;
/// Most octets of requests that one table keeps; room for a dozen of the largest.
pub const CHALLENGES_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Most challenges of one source, so that it pushes out its own before those of others.
const SOURCE_MAX: usize = 128;

//----------- Challenge ------------------------------------------------------

/// The random parts of a challenge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Names the challenge in the envelope; not 0.
    pub session_id: i32,
    /// To be signed by the client.
    pub nonce: [u8; NONCE_LEN],
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The nonce of a challenge that waits is nobody's business.
        write!(f, "Challenge({})", self.session_id)
    }
}

//----------- Pending --------------------------------------------------------

/// A challenge that was sent, with the request that it holds up.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What the client was asked to sign.
    pub nonce: [u8; NONCE_LEN],
    /// The request that is carried out once the client has proven who it is.
    pub request: Kept,
    source: u64,
    due_ms: u64,
    number: u64,
}

impl Pending {
    /// A challenge for `request`, outside of any table.
    pub fn new(nonce: [u8; NONCE_LEN], request: Kept) -> Self {
        Self {
            nonce,
            request,
            source: 0,
            due_ms: u64::MAX,
            number: 0,
        }
    }

    /// The version in which the challenge was sent.
    pub fn version(&self) -> Version {
        self.request.envelope().answer_version()
    }

    /// The digest of the request that is signed with the nonce, as the challenge stated it (2.3).
    pub fn digest(&self) -> Vec<u8> {
        let hash = Hash::of_digest(HashId::of_version(self.version()));
        hash.digest(&[self.request.octets()])
    }
}

//----------- Challenges -----------------------------------------------------

/// The challenges that wait for an answer: bounded in number, in octets, and by source.
///
/// When the table is full, the oldest challenge goes. A shell with many threads keeps several
/// tables and chooses by the id.
#[derive(Debug)]
pub struct Challenges {
    lifetime_ms: u64,
    pending: HashMap<i32, Pending>,
    by_source: HashMap<u64, Source>,
    /// Ids and numbers in the order of their coming; those that were answered stay until they are
    /// met at the front.
    order: VecDeque<(i32, u64)>,
    octets: usize,
    next_number: u64,
}

/// The challenges of one source.
#[derive(Debug, Default)]
struct Source {
    /// How many wait.
    waiting: usize,
    order: VecDeque<(i32, u64)>,
}

impl Challenges {
    /// An empty table whose challenges are good for `lifetime_ms`.
    pub fn new(lifetime_ms: u64) -> Self {
        Self {
            lifetime_ms,
            pending: HashMap::new(),
            by_source: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            next_number: 1,
        }
    }

    /// Sets how long challenges that are yet to come are good for.
    pub fn set_lifetime(&mut self, lifetime_ms: u64) {
        self.lifetime_ms = lifetime_ms;
    }

    /// Number of challenges that wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Entries of the queue, for the test that it is bounded.
    #[cfg(test)]
    pub(super) fn traces(&self) -> usize {
        self.order.len()
    }

    /// Whether no challenge has the id.
    pub fn is_free(&self, session_id: i32) -> bool {
        session_id != 0 && !self.pending.contains_key(&session_id)
    }

    /// Keeps `request` under a challenge whose id is free. Says how many challenges that were not
    /// too old had to go for it.
    pub fn keep(
        &mut self,
        challenge: &Challenge,
        request: Kept,
        source: u64,
        now_ms: u64,
    ) -> usize {
        self.forget_old(now_ms);
        let mut pushed_out = usize::from(self.make_room_of(source));
        let len = request.octets().len();
        while self.pending.len() >= CHALLENGES_MAX
            || !self.pending.is_empty() && self.octets + len > CHALLENGES_OCTETS_MAX
        {
            pushed_out += usize::from(self.drop_oldest());
        }
        let number = self.next_number;
        self.next_number += 1;
        self.octets += len;
        let entry = (challenge.session_id, number);
        self.order.push_back(entry);
        let of_source = self.by_source.entry(source).or_default();
        of_source.waiting += 1;
        of_source.order.push_back(entry);
        let pending = Pending {
            nonce: challenge.nonce,
            request,
            source,
            due_ms: now_ms.saturating_add(self.lifetime_ms),
            number,
        };
        self.pending.insert(challenge.session_id, pending);
        pushed_out
    }

    /// Takes the challenge of that id out of the table, whatever will come of it: an answer is
    /// looked at once. Only the source that was challenged can answer, and so nobody else can take
    /// its challenge away by guessing an id.
    pub fn take(&mut self, session_id: i32, source: u64, now_ms: u64) -> Option<Pending> {
        if self.pending.get(&session_id)?.source != source {
            return None;
        }
        let pending = self.remove(session_id)?;
        (pending.due_ms > now_ms).then_some(pending)
    }

    fn remove(&mut self, session_id: i32) -> Option<Pending> {
        let pending = self.pending.remove(&session_id)?;
        self.octets -= pending.request.octets().len();
        if let Some(source) = self.by_source.get_mut(&pending.source) {
            source.waiting -= 1;
            if source.waiting == 0 {
                self.by_source.remove(&pending.source);
            }
        }
        Some(pending)
    }

    /// Drops what is too old, and the traces of what was answered.
    fn forget_old(&mut self, now_ms: u64) {
        while let Some((id, number)) = self.order.front().copied() {
            match self.pending.get(&id) {
                Some(pending) if pending.number == number => {
                    if pending.due_ms > now_ms {
                        break;
                    }
                    self.remove(id);
                }
                _ => {}
            }
            self.order.pop_front();
        }
        // One that waits at the front keeps the traces behind it; they must not grow for ever.
        if self.order.len() > 2 * CHALLENGES_MAX {
            retain_waiting(&mut self.order, &self.pending);
        }
    }

    /// Drops the challenge that has waited longest; says whether there was one.
    fn drop_oldest(&mut self) -> bool {
        while let Some((id, number)) = self.order.pop_front() {
            if self.pending.get(&id).is_some_and(|p| p.number == number) {
                self.remove(id);
                return true;
            }
        }
        false
    }

    /// If the source has as many challenges as it may, drops its oldest; says whether it did.
    fn make_room_of(&mut self, source: u64) -> bool {
        let Some(of_source) = self.by_source.get_mut(&source) else {
            return false;
        };
        if of_source.order.len() > 2 * SOURCE_MAX {
            retain_waiting(&mut of_source.order, &self.pending);
        }
        while of_source.waiting >= SOURCE_MAX {
            let Some((id, number)) = of_source.order.pop_front() else {
                return false;
            };
            if self.pending.get(&id).is_some_and(|p| p.number == number) {
                return self.remove(id).is_some();
            }
        }
        false
    }
}

/// Leaves only those that still wait.
fn retain_waiting(order: &mut VecDeque<(i32, u64)>, pending: &HashMap<i32, Pending>) {
    order.retain(|(id, number)| pending.get(id).is_some_and(|p| p.number == *number));
}
