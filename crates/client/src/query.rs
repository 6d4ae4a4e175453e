//! What to ask: a handle, a selection of its values, and wishes about the answer.

use guantong_proto::message::OpFlags;
use guantong_proto::{Handle, NameError};

/// A question about one handle.
///
/// Indexes and types select by union; without any, all values are asked for. A type that ends in a
/// dot means the family: `URL.` selects `URL` and `URL.anything`.
///
/// ```
/// # use guantong_client::Query;
/// let query = Query::parse("88.118.5/5g-base-stations")?.with_type("OBSERVATION").with_index(1);
/// # Ok::<(), guantong_proto::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub(crate) handle: Handle,
    pub(crate) indexes: Vec<i32>,
    pub(crate) types: Vec<String>,
    pub(crate) flags: OpFlags,
}

impl Query {
    /// Asks for all publicly readable values of `handle`.
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            indexes: Vec::new(),
            types: Vec::new(),
            flags: OpFlags::DEFAULT.with(OpFlags::RETURN_DIGEST),
        }
    }

    /// Like [`Query::new`], for a handle that is still text.
    pub fn parse(handle: &str) -> Result<Self, NameError> {
        Handle::parse(handle).map(Self::new)
    }

    /// The handle asked for.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Also selects the values of a type.
    #[must_use]
    pub fn with_type(mut self, kind: impl Into<String>) -> Self {
        self.types.push(kind.into());
        self
    }

    /// Also selects the value with an index.
    #[must_use]
    pub fn with_index(mut self, index: i32) -> Self {
        self.indexes.push(index);
        self
    }

    /// Asks for an answer from a primary site, past all caches (flag AUTH).
    #[must_use]
    pub fn authoritative(self) -> Self {
        self.with_flags(OpFlags::AUTHORITATIVE)
    }

    /// Asks for a signed answer (flag CERT). [`Answer::verify`](crate::Answer::verify) checks it.
    #[must_use]
    pub fn certified(self) -> Self {
        self.with_flags(OpFlags::CERTIFIED)
    }

    /// Asks for values that not everybody may read, too (clears flag PUBL). A server answers with
    /// an authentication challenge, which this client reports as [`Error::Refused`].
    ///
    /// [`Error::Refused`]: crate::Error::Refused
    #[must_use]
    pub fn with_restricted(mut self) -> Self {
        self.flags = self.flags.without(OpFlags::PUBLIC_ONLY);
        self
    }

    fn with_flags(mut self, flags: OpFlags) -> Self {
        self.flags = self.flags.with(flags);
        self
    }
}
