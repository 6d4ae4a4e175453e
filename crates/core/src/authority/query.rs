//! What can be asked, without the octets of a protocol.

use guantong_proto::message::{Message, OpFlags, Resolve};
use guantong_proto::type_matches;

/// Most indexes, and most types, of one selection.
///
/// A record has at most that many values, so nobody has use for more.
pub const SELECTION_MAX: usize = guantong_proto::limits::VALUES_MAX;

/// Indexes and types together that are compared with every value one by one, however many values
/// there are.
const COMPARED_MAX: usize = 4;
/// Comparisons of one answer. Where there would be more, the selection is sorted first: 2,048 types
/// against 2,048 values are four million.
const COMPARISONS_MAX: usize = 256;

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
    /// No referral, please.
    pub do_not_refer: bool,
    /// Number of servers that have passed the query on.
    pub recursion_count: u8,
    /// The answer of a primary site, past all caches.
    pub authoritative: bool,
    /// A signed answer.
    pub certified: bool,
    /// What is done if the name lives elsewhere.
    pub recursion: Recursion,
}

/// What is done for a caller who asks for a name that lives elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recursion {
    /// The caller is told so, with a referral where we know of one.
    #[default]
    Denied,
    /// The name is resolved for the caller.
    Granted,
}

impl<'a> Query<'a> {
    /// The query of a native request, whose name is not to be resolved for anybody.
    pub(crate) fn of(message: &Message<'_>, resolve: Resolve<'a>) -> Self {
        let flags = message.header.flags;
        Self {
            handle: resolve.handle,
            selection: Selection::of(resolve),
            public_only: flags.has(OpFlags::PUBLIC_ONLY),
            do_not_refer: flags.has(OpFlags::DO_NOT_REFER),
            recursion_count: message.header.recursion_count,
            authoritative: flags.has(OpFlags::AUTHORITATIVE),
            certified: flags.has(OpFlags::CERTIFIED),
            recursion: Recursion::Denied,
        }
    }

    /// All public values of a name.
    pub fn public(handle: &'a str) -> Self {
        Self {
            handle: handle.as_bytes(),
            selection: Selection::All,
            public_only: true,
            do_not_refer: false,
            recursion_count: 0,
            authoritative: false,
            certified: false,
            recursion: Recursion::Denied,
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
    pub(crate) fn of(resolve: Resolve<'a>) -> Self {
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

    /// The selection as a sieve, if it is so long that sorting it pays for so many values.
    pub(crate) fn sieve(&self, values: usize) -> Option<Sieve> {
        let len = self.indexes().count() + self.types().count();
        let is_long = len > COMPARED_MAX && len.saturating_mul(values) > COMPARISONS_MAX;
        is_long.then(|| Sieve::new(self.indexes(), self.types()))
    }

    /// The indexes that are asked for.
    pub fn indexes(&self) -> impl Iterator<Item = i32> + use<'a> {
        let (wire, listed) = match *self {
            Self::All => (None, &[][..]),
            Self::Wire(resolve) => (Some(resolve.indexes.iter()), &[][..]),
            Self::Listed { indexes, .. } => (None, indexes),
        };
        wire.into_iter().flatten().chain(listed.iter().copied())
    }

    /// The types that are asked for.
    pub fn types(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (wire, listed) = match *self {
            Self::All => (None, &[][..]),
            Self::Wire(resolve) => (Some(resolve.types.iter()), &[][..]),
            Self::Listed { types, .. } => (None, types),
        };
        let listed = listed.iter().map(String::as_bytes);
        wire.into_iter().flatten().chain(listed)
    }

    /// Whether the lists are longer than [`SELECTION_MAX`].
    pub(crate) fn is_too_long(&self) -> bool {
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

//----------- Sieve ----------------------------------------------------------

/// A long selection, sorted, so that a value is looked up in it and not compared with all of it.
/// Types are kept in lower case, since case does not matter (4.4).
#[derive(Clone, Debug)]
pub(crate) struct Sieve {
    indexes: Vec<i32>,
    /// Types that select themselves.
    types: Vec<Vec<u8>>,
    /// Families, each with its dot. None is part of another, so the only one that a type can
    /// belong to is the last that does not sort behind it.
    families: Vec<Vec<u8>>,
}

impl Sieve {
    fn new<'a>(indexes: impl Iterator<Item = i32>, types: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut indexes: Vec<i32> = indexes.collect();
        let (mut families, mut types): (Vec<_>, Vec<_>) = types
            .map(<[u8]>::to_ascii_lowercase)
            .partition(|kind| kind.ends_with(b"."));
        indexes.sort_unstable();
        types.sort_unstable();
        families.sort_unstable();
        families.dedup_by(|inner, outer| inner.starts_with(outer));
        Self {
            indexes,
            types,
            families,
        }
    }

    /// [`Selection::selects`] with the same answer.
    pub(crate) fn selects(&self, index: i32, kind: &[u8]) -> bool {
        if self.indexes.binary_search(&index).is_ok() {
            return true;
        }
        let mut kind = kind.to_ascii_lowercase();
        if self.types.binary_search(&kind).is_ok() {
            return true;
        }
        // A type belongs to a family if it begins with it, or is it but for the dot.
        kind.push(b'.');
        let behind = self.families.partition_point(|family| *family <= kind);
        let last = behind.checked_sub(1).map(|at| &self.families[at]);
        last.is_some_and(|family| kind.starts_with(family))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[aAbZ.\\[_]{0,5}").unwrap()
    }

    proptest! {
        /// Few letters, among them some that sort before and behind the dot and the small letters.
        #[test]
        fn sieve_selects_what_the_lists_select(
            indexes in prop::collection::vec(0..9_i32, 0..30),
            types in prop::collection::vec(kind(), 17..40),
            values in prop::collection::vec((0..12_i32, kind()), 0..60),
        ) {
            let selection = Selection::Listed { indexes: &indexes, types: &types };
            let sieve = selection.sieve(COMPARISONS_MAX).unwrap();
            for (index, kind) in &values {
                let kind = kind.as_bytes();
                let expected = selection.selects(*index, kind);
                prop_assert_eq!(sieve.selects(*index, kind), expected, "{} {:?}", index, kind);
            }
        }
    }

    #[test]
    fn selection_is_sorted_if_that_saves_comparisons() {
        let indexes = [1; COMPARED_MAX + 1];
        let is_sorted = |len: usize, values| {
            let indexes = &indexes[..len];
            Selection::Listed {
                indexes,
                types: &[],
            }
            .sieve(values)
            .is_some()
        };
        assert!(!is_sorted(COMPARED_MAX, usize::MAX) && is_sorted(COMPARED_MAX + 1, usize::MAX));
        let values = COMPARISONS_MAX / indexes.len();
        assert!(!is_sorted(indexes.len(), values) && is_sorted(indexes.len(), values + 1));
        assert!(Selection::All.sieve(usize::MAX).is_none());
    }
}
