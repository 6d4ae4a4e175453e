//! Who takes changes: epochs, claims, and what a node is.
//!
//! A data set has one primary at a time. Each promotion raises the **epoch**. A node that was
//! promoted makes a [`Claim`]; whoever hears of a claim with a higher epoch than its own takes no
//! changes any more, for good: it is **fenced**. Two claims of the same epoch, which only force can
//! bring about, are ordered by the identities of their nodes, so that one of them gives way.

use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Reason};

use super::log::LogId;

/// Epoch of a data set without any promotion.
const EPOCH_FIRST: u64 = 1;
/// Form of a saved standing.
const FORM: u8 = 1;
/// Longest address of a claim.
const ADDRESS_LEN_MAX: usize = 300;
/// Longest public key of a claim: RSA of 16,384 bits.
const KEY_LEN_MAX: usize = 4_096;

//----------- Claim ----------------------------------------------------------

/// "I am the primary now."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its epoch.
    pub epoch: u64,
    /// Who claims, by the identity of its log.
    pub leader: LogId,
    /// Where it answers: host and port of the native protocol over TCP.
    pub address: String,
    /// Its public key, as its site record has it.
    pub key: Vec<u8>,
}

impl Claim {
    /// By this the claims of all nodes are ordered; the highest one holds.
    fn rank(&self) -> (u64, LogId) {
        (self.epoch, self.leader)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let epoch = r.i64("epoch of a claim")?.cast_unsigned();
        let leader = LogId::read(r)?;
        let at = r.position();
        let address = std::str::from_utf8(r.bytes_max("address of a claim", ADDRESS_LEN_MAX)?);
        let not_utf8 = |_| DecodeError::new("address of a claim", at, Reason::NotUtf8);
        Ok(Self {
            epoch,
            leader,
            address: address.map_err(not_utf8)?.to_owned(),
            key: r.bytes_max("key of a claim", KEY_LEN_MAX)?.to_vec(),
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.i64(self.epoch.cast_signed());
        self.leader.write(w);
        w.bytes(self.address.as_bytes());
        w.bytes(&self.key);
    }
}

//----------- Standing -------------------------------------------------------

/// What a node is to the data that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes changes.
    Primary,
    /// It follows a primary.
    Mirror,
    /// It was primary until another node was promoted. It may hold changes that nobody else has.
    Fenced,
}

impl Role {
    /// The word for logs and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Mirror => "mirror",
            Self::Fenced => "fenced",
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Primary => 0,
            Self::Mirror => 1,
            Self::Fenced => 2,
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = r.position();
        match r.u8("role")? {
            0 => Ok(Self::Primary),
            1 => Ok(Self::Mirror),
            2 => Ok(Self::Fenced),
            _ => {
                let reason = Reason::Invalid("is none of 0, 1 and 2");
                Err(DecodeError::new("role", at, reason))
            }
        }
    }
}

/// What a node is, and since which promotion; saved in its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub role: Role,
    /// The highest epoch that it knows of.
    pub epoch: u64,
    /// Who is primary, if that is not what the settings say.
    pub leader: Option<Claim>,
    /// The primary before this one, which has not acknowledged yet that it is not any more.
    pub unaware: Option<Claim>,
    /// How long the leases of our primary run, 0 if it gives us none.
    pub lease_ms: u64,
    /// As primary of this epoch it has let a standby know of leases: from then on it takes changes
    /// only while it holds one.
    pub granted: bool,
}

impl Standing {
    /// A node that nobody has promoted or fenced.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            epoch: EPOCH_FIRST,
            leader: None,
            unaware: None,
            lease_ms: 0,
            granted: false,
        }
    }

    /// Whether the node takes changes at all.
    pub fn is_primary(&self) -> bool {
        self.role == Role::Primary
    }

    /// What the site serial is raised by: every promotion publishes the site anew.
    pub fn serial_raise(&self) -> u16 {
        u16::try_from(self.epoch - self.epoch.min(EPOCH_FIRST)).unwrap_or(u16::MAX)
    }

    /// The node is promoted. `before` is the primary that it followed, with its last known epoch.
    #[must_use]
    pub fn promoted(&self, before: Option<Claim>) -> Self {
        Self {
            role: Role::Primary,
            epoch: self.epoch + 1,
            leader: None,
            unaware: before,
            lease_ms: 0,
            granted: false,
        }
    }

    /// The primary before this one has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Self {
        Self {
            unaware: None,
            ..self.clone()
        }
    }

    /// A fenced node holds what its new primary holds; it is a mirror like any other.
    #[must_use]
    pub fn rejoined(&self) -> Self {
        Self {
            role: Role::Mirror,
            ..self.clone()
        }
    }

    /// What a claim of another node means to the node whose log is `own`.
    pub fn judge(&self, claim: &Claim, own: LogId) -> Verdict {
        if claim.leader == own {
            return Verdict::Known;
        }
        let held = match (&self.leader, self.role) {
            (_, Role::Primary) => (self.epoch, own),
            (Some(leader), _) => (self.epoch.max(leader.epoch), leader.leader),
            (None, _) => (self.epoch, LogId([0; 16])),
        };
        if self.leader.as_ref() == Some(claim) {
            return Verdict::Known;
        }
        if claim.rank() <= held && !self.moved(claim) {
            return Verdict::Outdated;
        }
        let role = match self.role {
            Role::Primary | Role::Fenced => Role::Fenced,
            Role::Mirror => Role::Mirror,
        };
        Verdict::Follow(Self {
            role,
            epoch: claim.epoch,
            leader: Some(claim.clone()),
            unaware: None,
            lease_ms: 0,
            granted: false,
        })
    }

    /// Whether the claim is the one we know, from another address or with another key.
    fn moved(&self, claim: &Claim) -> bool {
        self.leader
            .as_ref()
            .is_some_and(|leader| leader.rank() == claim.rank())
    }

    /// Decodes a saved standing.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        if r.u8("form")? != FORM {
            let reason = Reason::Invalid("is not one that this version knows");
            return Err(DecodeError::new("form of a standing", 0, reason));
        }
        let role = Role::read(&mut r)?;
        let epoch = r.i64("epoch")?.cast_unsigned();
        let lease_ms = r.i64("lease")?.cast_unsigned();
        let granted = r.u8("granted")? != 0;
        let mut claim = || match r.u8("claim follows")? {
            0 => Ok(None),
            _ => Claim::read(&mut r).map(Some),
        };
        let (leader, unaware) = (claim()?, claim()?);
        r.finish("standing")?;
        Ok(Self {
            role,
            epoch,
            leader,
            unaware,
            lease_ms,
            granted,
        })
    }

    /// Encodes the standing to be saved.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.u8(FORM);
            w.u8(self.role.code());
            w.i64(self.epoch.cast_signed());
            w.i64(self.lease_ms.cast_signed());
            w.u8(self.granted.into());
            for claim in [&self.leader, &self.unaware] {
                w.u8(claim.is_some().into());
                if let Some(claim) = claim {
                    claim.write(w);
                }
            }
        })
    }
}

/// What a claim means to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing new; it holds.
    Known,
    /// It holds: this is what the node is from now on.
    Follow(Standing),
    /// A higher claim is known. The claimant is to be told of it.
    Outdated,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: LogId = LogId([1; 16]);
    const NEW: LogId = LogId([2; 16]);

    fn claim(epoch: u64, leader: LogId) -> Claim {
        Claim {
            epoch,
            leader,
            address: "192.0.2.7:2641".into(),
            key: vec![1, 2, 3],
        }
    }

    #[test]
    fn primary_is_fenced_by_a_higher_epoch_and_by_no_other() {
        let primary = Standing::new(Role::Primary);
        let Verdict::Follow(fenced) = primary.judge(&claim(2, NEW), OLD) else {
            panic!("it stays primary");
        };
        assert_eq!((fenced.role, fenced.epoch), (Role::Fenced, 2));
        assert_eq!(fenced.judge(&claim(2, NEW), OLD), Verdict::Known);
        assert_eq!(
            primary.judge(&claim(1, LogId([0; 16])), OLD),
            Verdict::Outdated
        );
        let promoted = primary.promoted(None);
        assert_eq!(promoted.judge(&claim(1, NEW), OLD), Verdict::Outdated);
    }

    #[test]
    fn of_two_primaries_of_the_same_epoch_exactly_one_gives_way() {
        let two = Standing::new(Role::Mirror).promoted(None);
        let gives_way = |own, other| matches!(two.judge(&claim(2, other), own), Verdict::Follow(_));
        assert!(gives_way(OLD, NEW));
        assert!(!gives_way(NEW, OLD));
    }

    #[test]
    fn fenced_node_stays_so_until_it_holds_what_its_primary_holds() {
        let Verdict::Follow(fenced) = Standing::new(Role::Primary).judge(&claim(2, NEW), OLD)
        else {
            panic!("it stays primary");
        };
        let Verdict::Follow(again) = fenced.judge(&claim(3, LogId([3; 16])), OLD) else {
            panic!("the higher claim is not heard");
        };
        assert_eq!(again.role, Role::Fenced);
        assert_eq!(again.rejoined().role, Role::Mirror);
        assert_eq!(again.judge(&claim(2, NEW), OLD), Verdict::Outdated);
    }

    #[test]
    fn leader_that_moved_is_followed_to_its_new_address() {
        let mut mirror = Standing::new(Role::Mirror);
        mirror.leader = Some(claim(1, NEW));
        let moved = Claim {
            address: "192.0.2.8:2641".into(),
            ..claim(1, NEW)
        };
        assert!(matches!(mirror.judge(&moved, OLD), Verdict::Follow(s) if s.leader == Some(moved)));
    }

    #[test]
    fn standing_survives_a_round_trip_and_truncation_is_found() {
        let mut standing = Standing::new(Role::Fenced);
        standing.leader = Some(claim(5, NEW));
        (standing.lease_ms, standing.granted) = (10_000, true);
        for unaware in [None, Some(claim(4, OLD))] {
            standing.unaware = unaware;
            let octets = standing.encode();
            assert_eq!(Standing::decode(&octets).unwrap(), standing);
            for len in 0..octets.len() {
                assert!(Standing::decode(&octets[..len]).is_err(), "{len}");
            }
        }
        assert!(Standing::decode(&[9; 40]).is_err());
    }

    #[test]
    fn every_promotion_raises_the_serial() {
        let first = Standing::new(Role::Mirror);
        assert_eq!(first.serial_raise(), 0);
        assert_eq!(first.promoted(None).promoted(None).serial_raise(), 2);
    }
}
