//! Plain questions by the dozen: their look-ups wait for memory together.
//!
//! A record that is not in a cache of the processor costs two or three waits for memory, which is
//! more than all the rest of an answer. So the questions of a batch are read first, then the table
//! is asked for all their places, and only then are they answered, one after the other:
//!
//! ```text
//!   packets ──► read all ──► touch all ──► find, answer; find, answer; …
//!                  │ not plain, not in memory: left to Node::answer_at
//! ```
//!
//! The records are those of the store, or what others have answered and the resolver's cache keeps.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use guantong_core::authority::{Plain, Site, Whose, append_plain_key};
use guantong_core::resolve::{self, Entry, Hit, Now};
use guantong_store::{Place, StoredRecord};

use crate::metrics::Transport;
use crate::node::{Node, view};
use crate::recurse::Courier;

/// Packets that are looked at together.
pub(crate) const AHEAD: usize = 64;

/// A question with what is known.
pub(crate) struct Ready<'a> {
    plain: &'a Plain<'a>,
    known: Known<'a>,
    now_secs: u32,
}

enum Known<'a> {
    Record(&'a StoredRecord),
    Cached(Hit<&'a Entry>),
}

impl Ready<'_> {
    /// Appends the whole reply. If it says that it could not, nothing was appended, and the packet
    /// goes the long way.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> bool {
        let Self {
            plain, now_secs, ..
        } = self;
        match &self.known {
            Known::Record(record) => plain.answer(view(record), *now_secs, out),
            Known::Cached(hit) => plain.answer_of_others(hit, *now_secs, out),
        }
    }
}

/// A question whose answer is still to be found.
struct Planned<'a> {
    plain: Plain<'a>,
    key: Range<usize>,
    place: Place,
}

impl Planned<'_> {
    /// Where in the table of these names its answer is.
    fn place_of(&self, whose: Whose) -> Option<Place> {
        (self.plain.whose() == whose).then_some(self.place)
    }
}

/// How many were answered.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ours: usize,
    others: usize,
}

impl Counts {
    fn note(&mut self, whose: Whose) {
        match whose {
            Whose::Ours => self.ours += 1,
            Whose::Others => self.others += 1,
        }
    }
}

/// Packets that are looked at together.
pub(crate) struct Asked<'a, M> {
    pub(crate) site: &'a Site,
    pub(crate) now_secs: u32,
    /// Over what they came.
    pub(crate) via: Transport,
    pub(crate) packets: [Option<&'a [u8]>; AHEAD],
    /// Whether names of others are resolved for whoever sent the packet of a number.
    pub(crate) may_recurse: M,
}

/// What is in memory, for as long as nothing of it may change.
struct Memory<'a> {
    records: guantong_store::Look<'a>,
    /// Nothing, if the node resolves no names of others.
    others: Option<Others<'a>>,
}

struct Others<'a> {
    courier: &'a Courier,
    answers: resolve::Look<'a>,
    now: Now,
}

impl<'a> Memory<'a> {
    fn of(node: &'a Node) -> Self {
        let others = |courier: &'a Arc<Courier>| Others {
            courier,
            answers: courier.look(),
            now: courier.now(),
        };
        Self {
            records: node.store.look(),
            others: node.courier().map(others),
        }
    }

    /// The packets that are plain questions, with the places of their answers.
    fn plan<'p, M: Fn(usize) -> bool>(
        &self,
        asked: &Asked<'p, M>,
        keys: &mut Vec<u8>,
    ) -> [Option<Planned<'p>>; AHEAD] {
        std::array::from_fn(|n| {
            let start = keys.len();
            let plain = Plain::read(asked.site, asked.packets[n]?, keys)?;
            let key = &keys[start..];
            let place = match (plain.whose(), &self.others) {
                (Whose::Ours, _) => self.records.place(key),
                (Whose::Others, Some(others)) if (asked.may_recurse)(n) => {
                    others.answers.place(key)
                }
                (Whose::Others, _) => return None,
            };
            Some(Planned {
                plain,
                key: start..keys.len(),
                place,
            })
        })
    }

    fn touch(&self, planned: &[Option<Planned<'_>>; AHEAD]) {
        let places = |whose| {
            let planned = planned.iter().flatten();
            planned.filter_map(move |planned| planned.place_of(whose))
        };
        self.records.touch(places(Whose::Ours));
        if let Some(others) = &self.others {
            others.answers.touch(places(Whose::Others));
        }
    }

    fn find(&self, planned: &Planned<'_>, keys: &[u8]) -> Option<Known<'_>> {
        let key = &keys[planned.key.clone()];
        match planned.plain.whose() {
            Whose::Ours => self.records.find(planned.place, key).map(Known::Record),
            Whose::Others => {
                let others = self.others.as_ref()?;
                let hit = others.answers.find(planned.place, key, others.now)?;
                Some(Known::Cached(hit))
            }
        }
    }
}

impl Node {
    /// Calls `each` with the number of every packet that is a plain question whose answer is in
    /// memory, in order; it says whether an answer was made and should be counted. Writes to the
    /// store and the resolver wait meanwhile, so `each` should not take long. `keys` is working
    /// space.
    ///
    /// A panic would be a mistake of ours; it ends the round, and is reported as the error.
    pub(crate) fn answer_ahead<M: Fn(usize) -> bool>(
        &self,
        asked: &Asked<'_, M>,
        keys: &mut Vec<u8>,
        mut each: impl FnMut(usize, Ready<'_>) -> bool,
    ) -> Result<(), Panicked> {
        let count = asked.packets.iter().flatten().count();
        let begun = self.metrics.is_sample_of(u32::try_from(count).unwrap_or(0));
        let begun = begun.then(Instant::now);
        let (via, now_secs) = (asked.via, asked.now_secs);
        keys.clear();
        let mut counts = Counts::default();
        let round = catch_unwind(AssertUnwindSafe(|| {
            let memory = Memory::of(self);
            let all = memory.plan(asked, keys);
            memory.touch(&all);
            for (n, planned) in all.iter().enumerate() {
                let Some(planned) = planned else { continue };
                let Some(known) = memory.find(planned, keys) else {
                    continue;
                };
                let plain = &planned.plain;
                if let (Known::Cached(hit), Some(others)) = (&known, &memory.others)
                    && hit.wants_refresh
                {
                    self.refresh(others.courier, plain.question());
                }
                let ready = Ready {
                    plain,
                    known,
                    now_secs,
                };
                if each(n, ready) {
                    counts.note(plain.whose());
                }
            }
        }));
        let count = counts.ours + counts.others;
        self.metrics.records(via, count);
        self.metrics.cache_hits(counts.others);
        if let Some(begun) = begun
            && let Ok(count) = u32::try_from(count)
            && count > 0
        {
            self.metrics.took(via, begun.elapsed() / count);
        }
        round.map_err(|_| Panicked)
    }
}

impl Node {
    /// Calls `each` with the number of every name whose record is in memory, in order, and with
    /// that record: what is asked over HTTP, where a name alone is the question. Writes to the
    /// store wait meanwhile, so `each` should not take long. `keys` is working space.
    ///
    /// A panic would be a mistake of ours; it ends the round, and is reported as the error.
    pub(crate) fn records_ahead(
        &self,
        site: &Site,
        names: &[Option<&str>; AHEAD],
        keys: &mut Vec<u8>,
        mut each: impl FnMut(usize, &StoredRecord),
    ) -> Result<(), Panicked> {
        keys.clear();
        let round = catch_unwind(AssertUnwindSafe(|| {
            let records = self.store.look();
            let places = names.map(|name| {
                let start = keys.len();
                let is_ours = append_plain_key(site, name?, keys);
                let key = start..keys.len();
                is_ours.then(|| (records.place(&keys[key.clone()]), key))
            });
            records.touch(places.iter().flatten().map(|(place, _)| *place));
            for (n, planned) in places.iter().enumerate() {
                let Some((place, key)) = planned else {
                    continue;
                };
                if let Some(record) = records.find(*place, &keys[key.clone()]) {
                    each(n, record);
                }
            }
        }));
        round.map_err(|_| Panicked)
    }
}

/// Octets made the node panic.
#[derive(Debug)]
pub(crate) struct Panicked;
