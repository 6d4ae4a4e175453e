//! The certificates from a signature up to a root (clause 7, step 3).

use std::collections::{HashMap, VecDeque};

use guantong_proto::crypto::jws::{Claims, Jws, parse_identity};
use guantong_proto::{CaseRule, Handle, HandleRef, Key, Reference, ValueRef, Values, is_of_type};

use super::CERTIFICATE;
use super::verify::Fault;
use crate::admin::StoredRecord;

/// Most certificates of one chain.
pub const CHAIN_LEN_MAX: usize = 50;
/// Most records that one verification may want.
pub const RECORDS_MAX: usize = 64;
/// Most records that a node fetches to judge one for others. A chain has one for each level of the
/// tree.
pub const CHAIN_RECORDS_MAX: usize = 16;
/// Most octets of them.
pub const CHAIN_OCTETS_MAX: usize = 256 * 1024;
/// Names are compared so: whoever wrote them did not know which server would hold the record.
const RULE: CaseRule = CaseRule::Insensitive;

//----------- Found ----------------------------------------------------------

/// What became of a record that was wanted.
#[derive(Clone, Debug)]
pub enum Found {
    /// Here it is.
    Record(StoredRecord),
    /// There is none, said by whoever must know.
    Absent,
    /// It could not be had, and why.
    Failed(String),
}

/// The records that were learnt so far.
#[derive(Clone, Debug)]
pub(super) struct Records {
    known: HashMap<Key, Found>,
    octets: usize,
    records_max: usize,
    octets_max: usize,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            octets: 0,
            records_max: RECORDS_MAX,
            octets_max: usize::MAX,
        }
    }
}

/// Why there is no result yet, or none at all.
pub(super) enum Gap {
    /// This record is needed first.
    Wanted(Handle),
    /// There will be none.
    Fault(Fault),
}

impl From<Fault> for Gap {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Records {
    pub(super) fn learn(&mut self, handle: HandleRef<'_>, found: Found) {
        if let Found::Record(record) = &found {
            self.octets = self.octets.saturating_add(record.values().wire().len());
        }
        let found = match self.octets > self.octets_max {
            true => Found::Failed(format!("more than {} octets are needed", self.octets_max)),
            false => found,
        };
        self.known.insert(handle.key(RULE), found);
    }

    /// From now on, at most as many as a node fetches for others.
    pub(super) fn bound(&mut self) {
        self.records_max = self.known.len() + CHAIN_RECORDS_MAX;
        self.octets_max = self.octets.saturating_add(CHAIN_OCTETS_MAX);
    }

    /// The values of a record; none if there is no such record.
    pub(super) fn values(&self, handle: &Handle) -> Result<Values<'_>, Gap> {
        match self.known.get(&handle.key(RULE)) {
            Some(Found::Record(record)) => Ok(record.values()),
            Some(Found::Absent) => Ok(Values::EMPTY),
            Some(Found::Failed(why)) => Err(Gap::Fault(Fault::Unreachable {
                handle: handle.clone(),
                why: why.clone(),
            })),
            None if self.known.len() >= self.records_max => Err(Gap::Fault(Fault::TooLong)),
            None => Err(Gap::Wanted(handle.clone())),
        }
    }
}

//----------- Certificate ----------------------------------------------------

/// A certificate of a chain.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) jws: Jws,
    pub(super) claims: Claims,
}

impl Certificate {
    fn read(value: &ValueRef<'_>, handle: &Handle) -> Result<Self, Fault> {
        let malformed = |why: String| Fault::Malformed {
            index: value.index,
            handle: handle.clone(),
            why,
        };
        let jws = Jws::parse(value.data).map_err(|error| malformed(error.to_string()))?;
        let claims = jws.claims().map_err(|error| malformed(error.to_string()))?;
        Ok(Self { jws, claims })
    }
}

/// The certificates from that of the issuer of `signature` up to one that certifies itself.
///
/// Where they are, the claim `chain` says. Where it says nothing, it is the newest one about the
/// issuer in the issuer's own record.
pub(super) fn gather(signature: &Claims, records: &Records) -> Result<Vec<Certificate>, Gap> {
    let mut chain = Vec::new();
    gather_into(&mut chain, signature, records)?;
    Ok(chain)
}

/// The same; `chain` has what was found if there is a gap.
pub(super) fn gather_into(
    chain: &mut Vec<Certificate>,
    signature: &Claims,
    records: &Records,
) -> Result<(), Gap> {
    let mut places = VecDeque::new();
    loop {
        let child = chain.last().map_or(signature, |link| &link.claims);
        if chain.len() >= CHAIN_LEN_MAX {
            return Err(Fault::TooLong.into());
        }
        if places.is_empty() {
            places.extend(child.chain.iter().flatten().cloned());
        }
        let issuer = child.iss.clone();
        let place = places.pop_front().unwrap_or_else(|| handle_in(&issuer));
        let certificate = find(&place, &issuer, records)?;
        let subject = certificate.claims.sub.clone();
        if !is_same(&subject, &issuer) {
            return Err(Fault::Broken { issuer, subject }.into());
        }
        let mut seen = chain.iter().map(|link| &link.claims.sub);
        if seen.any(|seen| is_same(seen, &subject)) {
            return Err(Fault::Loop { subject }.into());
        }
        let is_last = is_same(&certificate.claims.iss, &subject);
        chain.push(certificate);
        if is_last {
            return Ok(());
        }
    }
}

/// The certificate at `place`: `index:handle`, or a handle where the newest about `subject` counts.
fn find(place: &str, subject: &str, records: &Records) -> Result<Certificate, Gap> {
    let missing = || Fault::NoCertificate {
        subject: subject.to_owned(),
        place: place.to_owned(),
    };
    let named = parse_identity(place).filter(|reference| reference.index > 0);
    let name = named.as_ref().map_or(place, |named| named.handle.as_str());
    let name = name.strip_prefix("0:").unwrap_or(name);
    let handle = Handle::parse(name).map_err(|_| missing())?;
    let values = records.values(&handle)?;
    let of_type = |value: &ValueRef<'_>| is_of_type(value.kind, CERTIFICATE);
    if let Some(Reference { index, .. }) = named {
        let value = values
            .iter()
            .find(|value| value.index == index && of_type(value));
        let value = value.ok_or_else(missing)?;
        return Ok(Certificate::read(&value, &handle)?);
    }
    // One that cannot be read must not hide the others.
    let certificates = values.iter().filter(of_type);
    let certificates = certificates.filter_map(|value| Certificate::read(&value, &handle).ok());
    let about = certificates.filter(|found| is_same(&found.claims.sub, subject));
    let newest = about.max_by_key(|found| found.claims.iat.unwrap_or(i64::MIN));
    Ok(newest.ok_or_else(missing)?)
}

/// The handle in `index:handle`.
fn handle_in(identity: &str) -> String {
    parse_identity(identity).map_or_else(|| identity.to_owned(), |named| named.handle)
}

/// Whether two `index:handle` name the same key.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let key = |text: &str| {
        let named = parse_identity(text)?;
        let handle = Handle::parse(&named.handle).ok()?;
        Some((named.index, handle.key(RULE)))
    };
    match (key(one), key(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Whether two names are the same handle.
pub(super) fn is_same_handle(one: HandleRef<'_>, other: &str) -> bool {
    HandleRef::parse(other).is_ok_and(|other| one.key(RULE) == other.key(RULE))
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;

    use super::*;

    fn handle(n: usize) -> Handle {
        Handle::parse(&format!("1/{n}")).unwrap()
    }

    fn record(n: usize, octets: usize) -> Found {
        let value = Value::new(1, "TEXT", vec![b'x'; octets]);
        let wire = Writer::to_vec(|w| Values::encode(&[value], w));
        Found::Record(StoredRecord::new(handle(n), 0, &wire).unwrap())
    }

    #[test]
    fn node_that_judges_for_others_wants_no_more_records_and_octets_than_it_may() {
        // What is judged itself counts for neither.
        let mut records = Records::default();
        records.learn(handle(0).borrow(), record(0, CHAIN_OCTETS_MAX));
        records.bound();
        for n in 1..=CHAIN_RECORDS_MAX {
            assert!(matches!(records.values(&handle(n)), Err(Gap::Wanted(_))));
            records.learn(handle(n).borrow(), record(n, 100));
            assert!(records.values(&handle(n)).is_ok());
        }
        let next = records.values(&handle(CHAIN_RECORDS_MAX + 1));
        assert!(matches!(next, Err(Gap::Fault(Fault::TooLong))));
        records.learn(handle(1).borrow(), record(1, CHAIN_OCTETS_MAX));
        let large = records.values(&handle(1));
        assert!(matches!(large, Err(Gap::Fault(Fault::Unreachable { .. }))));
    }
}
