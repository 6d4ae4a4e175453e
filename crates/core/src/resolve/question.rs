//! What is asked of the resolver.

use guantong_proto::message::OpFlags;
use guantong_proto::{Handle, HandleRef, type_matches};

//----------- Question -------------------------------------------------------

/// A handle to resolve, the selection of its values, and how to go about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The handle as it was asked. A name without a slash means its prefix record.
    pub handle: Handle,
    /// Indexes asked for. Indexes and types select by union; both empty select everything.
    pub indexes: Vec<i32>,
    /// Types asked for; a type that ends in a dot means a family.
    pub types: Vec<Box<[u8]>>,
    /// Ask primary sites only, and let no cache answer.
    pub authoritative: bool,
    /// The answer must be signed, and so must be every answer that leads to it.
    pub certified: bool,
    /// Only publicly readable values (PUBL). Without it no cache answers, and the record's own site
    /// may refuse.
    pub public_only: bool,
    /// Go on to the handle that an HS_ALIAS value names.
    pub follow_aliases: bool,
    /// No prefix referral (DNRF).
    pub do_not_refer: bool,
    /// Servers that the question has passed through.
    pub recursion_count: u8,
}

impl Question {
    /// A plain question for all public values of a handle.
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            indexes: Vec::new(),
            types: Vec::new(),
            authoritative: false,
            certified: false,
            public_only: true,
            follow_aliases: false,
            do_not_refer: false,
            recursion_count: 0,
        }
    }

    /// The same question for values of `types` only.
    #[must_use]
    pub fn with_types(mut self, types: &[&str]) -> Self {
        self.types = types.iter().map(|kind| kind.as_bytes().into()).collect();
        self
    }

    /// Whether it selects by index or type at all.
    pub fn is_selective(&self) -> bool {
        !self.indexes.is_empty() || !self.types.is_empty()
    }

    /// Whether it selects a value of this index and type.
    pub fn selects(&self, index: i32, kind: &[u8]) -> bool {
        !self.is_selective()
            || self.indexes.contains(&index)
            || self.types.iter().any(|wanted| type_matches(wanted, kind))
    }

    /// Whether a cache may answer it and keep its answer (5.7).
    pub fn is_cacheable(&self) -> bool {
        self.public_only && !self.authoritative && !self.do_not_refer
    }

    /// The handle, borrowed.
    pub fn name(&self) -> HandleRef<'_> {
        self.handle.borrow()
    }

    /// The flags of a request that asks it. RECU stays clear: we ask those who know (5.6).
    pub(crate) fn flags(&self) -> OpFlags {
        let mut flags = OpFlags::RETURN_DIGEST.with(OpFlags::CACHE_CERTIFY);
        for (wanted, flag) in [
            (self.authoritative, OpFlags::AUTHORITATIVE),
            (self.certified, OpFlags::CERTIFIED),
            (self.public_only, OpFlags::PUBLIC_ONLY),
            (self.do_not_refer, OpFlags::DO_NOT_REFER),
        ] {
            if wanted {
                flags = flags.with(flag);
            }
        }
        flags
    }
}

//----------- Ticket ---------------------------------------------------------

/// Stands for a question that was asked, until its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Whether the answer is to tell how it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceWanted {
    /// Leave the trace out.
    #[default]
    No,
    /// Put it into the answer, failed or not.
    Yes,
}
