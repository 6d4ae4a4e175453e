//! Which records an errand will want, told before its first step.
//!
//! A step ends at the first record that is not known, and the next one begins anew: it reads the
//! request again, and checks again who asks. Whoever has proven who he is nearly always needs the
//! same three records: the one with his key, the one that he changes, and, where he creates, the
//! one of the prefix. Learnt before the first step, they make it the only one.
//!
//! Nothing is decided here. What is not foreseen is asked for by the step that misses it.

use guantong_proto::message::{OpCode, OpFlags};
use guantong_proto::wire::Reader;
use guantong_proto::{Handle, HandleRef};

use super::decide::above;
use super::errand::{Errand, Proof};
use super::known::{Missing, Wanted};
use super::present::Presented;
use super::session::locked;
use crate::authority::Site;

/// Whether somebody has proven before who he is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Proven,
    /// He says so, and it will be looked at: for a stranger nothing but his key is read.
    Claims,
}

impl Errand {
    /// Records of our own store that the errand will probably want, not known so far.
    pub fn foreseen(&self, site: &Site) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if self.written.is_some() {
            return wanted;
        }
        let Some((user, standing)) = self.user() else {
            return wanted;
        };
        let mut want = |handle: HandleRef<'_>| {
            if site.responsibility(handle).is_ok()
                && let Err(Missing::Record(record)) = self.known.here(site, handle)
                && !wanted.contains(&record)
            {
                wanted.push(record);
            }
        };
        want(user.borrow());
        if standing == Standing::Proven
            && let Some(subject) = self.subject()
        {
            if !self.mints() {
                want(subject);
            }
            if self.request.header().op == OpCode::CREATE {
                want(above(subject).0.borrow());
            }
        }
        wanted
    }

    /// The record that is to be changed; none if nothing is to be.
    fn subject(&self) -> Option<HandleRef<'_>> {
        let changes = [
            OpCode::CREATE,
            OpCode::DELETE,
            OpCode::ADD_VALUE,
            OpCode::MODIFY_VALUE,
            OpCode::REMOVE_VALUE,
        ];
        if !changes.contains(&self.request.header().op) {
            return None;
        }
        // Each of them begins with the name.
        let name = Reader::new(self.request.message().body).bytes("handle");
        HandleRef::from_wire(name.ok()?).ok()
    }

    /// Whether the rest of the name is chosen here, so that there can be no record of it yet.
    fn mints(&self) -> bool {
        let header = self.request.header();
        header.op == OpCode::CREATE && header.flags.has(OpFlags::MINT_SUFFIX)
    }

    fn user(&self) -> Option<(Handle, Standing)> {
        Some(match (&self.proof, &self.channel) {
            (Proof::Identity(proven), _) => (proven.identity.handle.clone(), Standing::Proven),
            (Proof::Claimed(claimed), _) => (claimed.0.user().clone(), Standing::Claims),
            (Proof::Presented(presented), _) => {
                let standing = match **presented {
                    Presented::Session(_) => Standing::Proven,
                    _ => Standing::Claims,
                };
                (presented.user().clone(), standing)
            }
            (Proof::None, Some(channel)) => {
                let proven = locked(&channel.session).proven()?;
                (proven.identity.handle, Standing::Proven)
            }
            (Proof::None | Proof::Failed(_) | Proof::Rejected(_), _) => return None,
        })
    }
}
