//! Whether what a record's signatures say is true (clause 7, steps 1, 2 and 4).

use std::collections::HashMap;

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::crypto::jws::{Claims, Digests, Jws, parse_identity};
use guantong_proto::data::PublicKey;
use guantong_proto::{Handle, HandleRef, Reference, ValueRef, Values, is_of_type};

use super::chain::{Certificate, Found, Gap, Records, gather, is_same, is_same_handle};
use super::permission::covers;
use super::policy::{CLOCK_SKEW_SECS, Policy};
use super::{ROOT, SIGNATURE};
use crate::admin::StoredRecord;

/// Most signatures of a record that are looked at.
pub const SIGNATURES_MAX: usize = 8;

//----------- Verification ---------------------------------------------------

/// The verification of one record.
#[derive(Clone, Debug)]
pub struct Verification {
    record: StoredRecord,
    records: Records,
}

/// How far a verification has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// The record of this handle is needed: fetch it and [learn](Verification::learn) it.
    Wanted(Handle),
    /// Here is the result.
    Done(Report),
}

impl Verification {
    /// Begins with a record as it was answered: all of its public values.
    pub fn new(record: StoredRecord) -> Self {
        let mut records = Records::default();
        // Owners of prefixes sign their own records, too.
        records.learn(record.handle.borrow(), Found::Record(record.clone()));
        Self { record, records }
    }

    /// The same for a node that does it for others: at most
    /// [`CHAIN_RECORDS_MAX`](super::CHAIN_RECORDS_MAX) records are wanted, and
    /// [`CHAIN_OCTETS_MAX`](super::CHAIN_OCTETS_MAX) of their octets held.
    pub fn bounded(record: StoredRecord) -> Self {
        let mut verification = Self::new(record);
        verification.records.bound();
        verification
    }

    /// Takes the record that was wanted, or what became of it.
    pub fn learn(&mut self, handle: HandleRef<'_>, found: Found) {
        self.records.learn(handle, found);
    }

    /// The result at `now_secs`, in seconds since 1970; or the record that is needed for it. At
    /// most [`RECORDS_MAX`](super::RECORDS_MAX) records are wanted.
    pub fn judge(&self, policy: &Policy, now_secs: i64) -> Judgement {
        let handle = self.record.handle.borrow();
        let values = self.record.values();
        let of_type = |value: &ValueRef<'_>| is_of_type(value.kind, SIGNATURE);
        let examination = Examination {
            handle,
            values,
            records: &self.records,
            policy,
            now_secs,
        };
        let mut prepared = Vec::new();
        for value in values.iter().filter(of_type).take(SIGNATURES_MAX) {
            let outcome = match examination.prepare(&value) {
                Err(Gap::Wanted(handle)) => return Judgement::Wanted(handle),
                Err(Gap::Fault(fault)) => Err(fault),
                Ok(prepared) => Ok(prepared),
            };
            prepared.push((value.index, outcome));
        }
        // Only now, so that the cryptography is done once, however many records were wanted.
        let prove = |(index, outcome): (i32, Result<Prepared, Fault>)| {
            (index, outcome.and_then(|found| examination.prove(&found)))
        };
        Judgement::Done(Report {
            handle: handle.to_owned(),
            signatures: prepared.into_iter().map(prove).collect(),
        })
    }
}

//----------- Report ---------------------------------------------------------

/// What was found out about a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The record.
    pub handle: Handle,
    /// Each signature by its index: what it proves, or why it proves nothing.
    pub signatures: Vec<(i32, Result<Proof, Fault>)>,
}

/// The result in one word.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// The record is what its owner has signed.
    Verified(&'a Proof),
    /// It carries no signature.
    Unsigned,
    /// It carries signatures, and none of them holds. The reason is that of the first.
    Refused(&'a Fault),
    /// It could not be found out, because a record could not be had.
    Unknown(&'a Fault),
}

impl Report {
    /// The result. One signature that holds is enough: somebody else may have signed, too.
    pub fn verdict(&self) -> Verdict<'_> {
        let proofs = self
            .signatures
            .iter()
            .filter_map(|(_, found)| found.as_ref().ok());
        if let Some(proof) = proofs.max_by_key(|proof| proof.until.unwrap_or(i64::MAX)) {
            return Verdict::Verified(proof);
        }
        let mut faults = self
            .signatures
            .iter()
            .filter_map(|(_, found)| found.as_ref().err());
        let unknown = faults
            .clone()
            .find(|fault| matches!(fault, Fault::Unreachable { .. }));
        match (unknown, faults.next()) {
            (Some(fault), _) => Verdict::Unknown(fault),
            (None, Some(fault)) => Verdict::Refused(fault),
            (None, None) => Verdict::Unsigned,
        }
    }
}

/// A signature that holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The key that signed the record: `index:handle`.
    pub signer: String,
    /// The certificates, from that of the signer up to the root.
    pub links: Vec<Link>,
    /// From when on it does not hold any more, in seconds since 1970: when the signature or the
    /// first certificate expires. `None`: never by itself.
    pub until: Option<i64>,
}

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose key it certifies: `index:handle`.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// When it expires, in seconds since 1970.
    pub expires: Option<i64>,
}

impl Link {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let claims = &certificate.claims;
        Self {
            subject: claims.sub.clone(),
            issuer: claims.iss.clone(),
            expires: claims.exp,
        }
    }
}

//----------- Examination ----------------------------------------------------

/// The examination of one signature.
struct Examination<'a> {
    handle: HandleRef<'a>,
    values: Values<'a>,
    records: &'a Records,
    policy: &'a Policy,
    now_secs: i64,
}

/// A signature of which everything is at hand.
struct Prepared {
    jws: Jws,
    claims: Claims,
    chain: Vec<Certificate>,
}

impl Examination<'_> {
    /// First what costs nothing, then what must be fetched.
    fn prepare(&self, value: &ValueRef<'_>) -> Result<Prepared, Gap> {
        let malformed = |why: String| Fault::Malformed {
            index: value.index,
            handle: self.handle.to_owned(),
            why,
        };
        let jws = Jws::parse(value.data).map_err(|error| malformed(error.to_string()))?;
        let claims = jws.claims().map_err(|error| malformed(error.to_string()))?;
        if !is_same_handle(self.handle, &claims.sub) {
            return Err(Fault::OtherHandle { sub: claims.sub }.into());
        }
        self.check_dates("the signature", &claims)?;
        self.check_digests(claims.digests.as_ref())?;
        let chain = gather(&claims, self.records)?;
        for link in &chain[..chain.len() - 1] {
            self.check_published(link)?;
        }
        Ok(Prepared { jws, claims, chain })
    }

    /// Then the cryptography.
    fn prove(&self, prepared: &Prepared) -> Result<Proof, Fault> {
        let Prepared { jws, claims, chain } = prepared;
        self.check_chain(jws, &claims.iss, chain)?;
        Ok(proof(claims, chain))
    }

    fn check_dates(&self, what: &str, claims: &Claims) -> Result<(), Fault> {
        let what = || what.to_owned();
        match (claims.nbf, claims.exp) {
            (Some(at), _) if at > self.now_secs.saturating_add(CLOCK_SKEW_SECS) => {
                Err(Fault::NotYet { what: what(), at })
            }
            (_, Some(at)) if at.saturating_add(CLOCK_SKEW_SECS) <= self.now_secs => {
                Err(Fault::Expired { what: what(), at })
            }
            _ => Ok(()),
        }
    }

    /// Every public value must be signed and unchanged, and every signed value must be there.
    fn check_digests(&self, digests: Option<&Digests>) -> Result<(), Fault> {
        let digests = digests.ok_or(Fault::NoDigests)?;
        if is_weak(&digests.alg) {
            let algorithm = digests.alg.clone();
            return Err(Fault::Weak { algorithm });
        }
        let mut signed = HashMap::new();
        for digest in &digests.digests {
            if signed.insert(digest.index, ()).is_some() {
                return Err(Fault::SignedTwice {
                    index: digest.index,
                });
            }
        }
        let covered = |value: &ValueRef<'_>| !is_of_type(value.kind, SIGNATURE);
        for value in self.values.iter().filter(covered) {
            let index = value.index;
            signed.remove(&index);
            match digests.covers(&value) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return Err(Fault::Changed { index }),
                Ok(None) if value.is_public() => return Err(Fault::NotCovered { index }),
                // Only who may read it knows that it is there.
                Ok(None) => {}
                Err(error) => {
                    let why = error.to_string();
                    return Err(Fault::Unreadable { why });
                }
            }
        }
        match signed.keys().min() {
            Some(&index) => Err(Fault::Missing { index }),
            None => Ok(()),
        }
    }

    /// A key that its owner does not publish any more is revoked, and so is one in whose place
    /// another is published.
    fn check_published(&self, link: &Certificate) -> Result<(), Gap> {
        let subject = &link.claims.sub;
        let Some(Reference { handle, index }) = parse_identity(subject).filter(|r| r.index > 0)
        else {
            return Ok(());
        };
        let revoked = || Fault::Revoked {
            key: subject.clone(),
        };
        let handle = Handle::parse(&handle).map_err(|_| revoked())?;
        let values = self.records.values(&handle)?;
        let published = values
            .iter()
            .find(|value| value.index == index && is_of_type(value.kind, b"HS_PUBKEY"))
            .and_then(|value| PublicKey::decode(value.data).ok())
            .and_then(|key| VerifyingKey::new(&key).ok());
        let certified = key_of(link)?;
        match published == Some(certified) {
            true => Ok(()),
            false => Err(revoked().into()),
        }
    }

    fn check_chain(
        &self,
        signature: &Jws,
        signer: &str,
        chain: &[Certificate],
    ) -> Result<(), Fault> {
        let mut below = (signature, "the signature".to_owned());
        for link in chain {
            let name = format!("the certificate of {}", link.claims.sub);
            let key = key_of(link)?;
            verify(below.0, &below.1, &key)?;
            self.check_dates(&name, &link.claims)?;
            if !covers(
                link.claims.perms.as_deref().unwrap_or_default(),
                self.handle,
            ) {
                return Err(Fault::NotPermitted {
                    key: link.claims.sub.clone(),
                    handle: self.handle.to_owned(),
                });
            }
            below = (&link.jws, name);
        }
        let Some(root) = chain.last() else {
            return Err(Fault::TooLong);
        };
        let key = key_of(root)?;
        verify(&root.jws, &below.1, &key)?;
        let subject = &root.claims.sub;
        let is_of_root = parse_identity(subject).is_some_and(|named| {
            HandleRef::parse(ROOT).is_ok_and(|r| is_same_handle(r, &named.handle))
        });
        if !is_of_root || !self.policy.is_root(&key) {
            let subject = subject.clone();
            return Err(Fault::UnknownRoot { subject });
        }
        self.check_signers(signer, chain)
    }

    fn check_signers(&self, signer: &str, chain: &[Certificate]) -> Result<(), Fault> {
        let signers = self.policy.signers();
        let is_required = |found: &str| {
            let mut signers = signers.iter();
            signers.any(|r| is_same(found, &format!("{}:{}", r.index, r.handle)))
        };
        let mut above = chain.iter().map(|link| link.claims.sub.as_str());
        match signers.is_empty() || is_required(signer) || above.any(is_required) {
            true => Ok(()),
            false => Err(Fault::NotRequired {
                signer: signer.to_owned(),
            }),
        }
    }
}

fn key_of(link: &Certificate) -> Result<VerifyingKey, Fault> {
    let key = link.claims.key().and_then(|key| VerifyingKey::new(&key));
    key.map_err(|error| Fault::BadKey {
        key: link.claims.sub.clone(),
        why: error.to_string(),
    })
}

fn verify(jws: &Jws, what: &str, key: &VerifyingKey) -> Result<(), Fault> {
    if let Some(weak) = jws.algorithms().find(|algorithm| is_weak(algorithm)) {
        let algorithm = weak.to_owned();
        return Err(Fault::Weak { algorithm });
    }
    jws.verify_with(key).map_err(|error| Fault::Forged {
        what: what.to_owned(),
        why: error.to_string(),
    })
}

/// Algorithms for which two texts with the same digest can be made.
fn is_weak(algorithm: &str) -> bool {
    let plain: String = algorithm
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let plain = plain.to_ascii_uppercase();
    matches!(plain.as_str(), "SHA1" | "SHA" | "MD5" | "RS160" | "DS160")
}

fn proof(claims: &Claims, chain: &[Certificate]) -> Proof {
    let links: Vec<Link> = chain.iter().map(Link::of).collect();
    let expire = links.iter().filter_map(|link| link.expires);
    Proof {
        signer: claims.iss.clone(),
        until: expire.chain(claims.exp).min(),
        links,
    }
}

//----------- Fault ----------------------------------------------------------

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A signature or certificate cannot be read.
    #[error("value {index} of {handle} is no signature or certificate that can be read: {why}")]
    Malformed {
        /// Index of the value.
        index: i32,
        /// Its record.
        handle: Handle,
        /// What is wrong with it.
        why: String,
    },
    /// A digest cannot be read.
    #[error("the signature cannot be compared with the values: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// It signs another record: it was copied, or the record was renamed.
    #[error("the signature is one of {sub}, not of this record")]
    OtherHandle {
        /// What it signs.
        sub: String,
    },
    /// It is not valid yet.
    #[error("{what} is not valid before {at} (seconds since 1970); is the clock right?")]
    NotYet {
        /// Signature or certificate.
        what: String,
        /// When it begins to be.
        at: i64,
    },
    /// It is not valid any more.
    #[error("{what} has expired at {at} (seconds since 1970): it must be made anew")]
    Expired {
        /// Signature or certificate.
        what: String,
        /// When it has ended.
        at: i64,
    },
    /// It signs no values.
    #[error("the signature has no digests of values")]
    NoDigests,
    /// A value is named twice.
    #[error("the signature names value {index} twice")]
    SignedTwice {
        /// Its index.
        index: i32,
    },
    /// A public value is not signed.
    #[error("value {index} is not signed: it was added later, or by somebody else")]
    NotCovered {
        /// Its index.
        index: i32,
    },
    /// A value is not what was signed.
    #[error("value {index} is not what was signed")]
    Changed {
        /// Its index.
        index: i32,
    },
    /// A signed value is not there.
    #[error("value {index} was signed and is not there")]
    Missing {
        /// Its index.
        index: i32,
    },
    /// An algorithm is not taken any more.
    #[error("`{algorithm}` is too weak to prove anything")]
    Weak {
        /// Its name.
        algorithm: String,
    },
    /// A signature was not made with the certified key.
    #[error("{what} was not made with the key that is certified for it: {why}")]
    Forged {
        /// Signature or certificate.
        what: String,
        /// What was found.
        why: String,
    },
    /// There is no certificate where one should be.
    #[error("there is no certificate of the key {subject} at {place}")]
    NoCertificate {
        /// Whose it should be.
        subject: String,
        /// Where it should be.
        place: String,
    },
    /// The certificate is about another key.
    #[error("the chain is broken: {issuer} has signed, and the certificate is one of {subject}")]
    Broken {
        /// Who has signed.
        issuer: String,
        /// Whose certificate was found.
        subject: String,
    },
    /// A key certifies itself by way of others.
    #[error("the certificates of {subject} go round in a circle")]
    Loop {
        /// Whose certificate comes a second time.
        subject: String,
    },
    /// The chain has no end.
    #[error("the chain has too many certificates")]
    TooLong,
    /// A certified key cannot be used.
    #[error("the certified key {key} cannot be used: {why}")]
    BadKey {
        /// Whose it is.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The owner does not publish the key any more.
    #[error("the key {key} is revoked: its record does not publish it any more")]
    Revoked {
        /// Whose it is.
        key: String,
    },
    /// A certificate does not let its subject sign this record.
    #[error("the certificate of {key} does not let it sign {handle}")]
    NotPermitted {
        /// Whose certificate it is.
        key: String,
        /// The record.
        handle: Handle,
    },
    /// The chain ends at a root that is not believed.
    #[error("the chain ends at {subject}, whose key is not among the root keys that are believed")]
    UnknownRoot {
        /// The self-certified key.
        subject: String,
    },
    /// None of the required signers stands in the chain.
    #[error("{signer} has signed, and none of the required signers stands above")]
    NotRequired {
        /// Who has signed.
        signer: String,
    },
    /// A record that is needed could not be had.
    #[error("the record {handle} could not be had: {why}")]
    Unreachable {
        /// Which.
        handle: Handle,
        /// Why.
        why: String,
    },
}
