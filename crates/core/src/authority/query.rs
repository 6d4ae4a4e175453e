//! What can be asked, without the octets of a protocol.

use guantong_proto::message::Resolve;
use guantong_proto::type_matches;

/// Most indexes, and most types, of one selection.
///
/// A record has at most that many values, so nobody has use for more; the product with the values
/// of a record bounds the work of one answer.
pub const SELECTION_MAX: usize = guantong_proto::limits::VALUES_MAX;

//----------- Query ----------------------------------------------------------

/// One resolution of one name by a caller who has not proven any identity.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The name as the caller wrote it; checked by [`Lookup`](super::Lookup).
    pub handle: &'a [u8],
    /// Which values are wanted.
    pub selection: Selection<'a>,
    /// Only publicly readable values; never ask who the caller is.
    pub public_only: bool,
    /// No prefix referral, please.
    pub do_not_refer: bool,
    /// Number of servers that have passed the query on.
    pub recursion_count: u8,
}

impl<'a> Query<'a> {
    /// All public values of a name.
    pub fn public(handle: &'a str) -> Self {
        Self {
            handle: handle.as_bytes(),
            selection: Selection::All,
            public_only: true,
            do_not_refer: false,
            recursion_count: 0,
        }
    }
}

//----------- Selection ------------------------------------------------------

/// Which values of a record are wanted. Indexes and types select by union.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// Every value.
    All,
    /// By arrays in wire form.
    Wire(Resolve<'a>),
    /// By lists; both empty select everything.
    Listed {
        /// Indexes.
        indexes: &'a [i32],
        /// Types; one that ends in a dot means a family (4.4).
        types: &'a [String],
    },
}

impl<'a> Selection<'a> {
    /// The selection of a native request.
    pub(super) fn of(resolve: Resolve<'a>) -> Self {
        match resolve.is_selective() {
            true => Self::Wire(resolve),
            false => Self::All,
        }
    }

    /// Whether everything is wanted.
    pub fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Wire(resolve) => !resolve.is_selective(),
            Self::Listed { indexes, types } => indexes.is_empty() && types.is_empty(),
        }
    }

    /// Whether a value of this index and type is wanted.
    pub fn selects(&self, index: i32, kind: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Wire(resolve) => resolve.selects(index, kind),
            Self::Listed { indexes, types } => {
                self.is_all()
                    || indexes.contains(&index)
                    || types
                        .iter()
                        .any(|wanted| type_matches(wanted.as_bytes(), kind))
            }
        }
    }

    /// Whether the lists are longer than [`SELECTION_MAX`].
    pub(super) fn is_too_long(&self) -> bool {
        match self {
            Self::All => false,
            Self::Wire(resolve) => {
                resolve.indexes.iter().nth(SELECTION_MAX).is_some()
                    || resolve.types.iter().nth(SELECTION_MAX).is_some()
            }
            Self::Listed { indexes, types } => {
                indexes.len() > SELECTION_MAX || types.len() > SELECTION_MAX
            }
        }
    }
}
