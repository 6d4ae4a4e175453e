//! Handle names: parsing, parts, and the folding that makes two spellings one name.
//!
//! A handle is `prefix/suffix`; the prefix ends at the first slash. A name without a slash is short
//! for the prefix handle: `X` means `0.NA/X`. Names are UTF-8 of at most
//! [`HANDLE_LEN_MAX`] octets and are never normalised; only ASCII letters fold.
//!
//! [`HandleRef`] borrows and carries all methods, [`Handle`] owns. [`Key`] is a folded name: two
//! handles name the same record exactly if their keys are equal.

use std::fmt;

use crate::limits::HANDLE_LEN_MAX;

/// Prefix of all prefix handles.
const NAMING_AUTHORITY: &str = "0.NA";

//----------- HandleRef ------------------------------------------------------

/// A borrowed handle: not empty, valid UTF-8, at most [`HANDLE_LEN_MAX`] octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandleRef<'a>(&'a str);

impl<'a> HandleRef<'a> {
    /// Checks a name that came as text.
    pub fn parse(name: &'a str) -> Result<Self, NameError> {
        match name.len() {
            0 => Err(NameError::Empty),
            len if len > HANDLE_LEN_MAX => Err(NameError::TooLong { len }),
            _ => Ok(Self(name)),
        }
    }

    /// Checks a name that came as octets.
    pub fn from_wire(octets: &'a [u8]) -> Result<Self, NameError> {
        if octets.len() > HANDLE_LEN_MAX {
            return Err(NameError::TooLong { len: octets.len() });
        }
        let name = std::str::from_utf8(octets).map_err(|error| NameError::NotUtf8 {
            at: error.valid_up_to(),
        })?;
        Self::parse(name)
    }

    /// The name as it was written.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// An owned copy.
    pub fn to_owned(self) -> Handle {
        Handle(self.0.into())
    }

    /// The part in front of the first slash; `0.NA` for a name without a slash.
    pub fn prefix(self) -> &'a str {
        self.0
            .split_once('/')
            .map_or(NAMING_AUTHORITY, |(prefix, _)| prefix)
    }

    /// The part behind the first slash; the whole name if there is none.
    pub fn suffix(self) -> &'a str {
        self.0.split_once('/').map_or(self.0, |(_, suffix)| suffix)
    }

    /// Whether the name has no slash and therefore means `0.NA/<name>`.
    pub fn is_slashless(self) -> bool {
        !self.0.contains('/')
    }

    /// The full form: `0.NA/X` for a slashless `X`, otherwise the name itself.
    pub fn expanded(self) -> Handle {
        match self.is_slashless() {
            true => Handle(format!("{NAMING_AUTHORITY}/{}", self.0).into()),
            false => self.to_owned(),
        }
    }

    /// Whether this is `0.NA/…`, in any case, or a slashless name.
    pub fn is_prefix_handle(self) -> bool {
        self.prefix().eq_ignore_ascii_case(NAMING_AUTHORITY)
    }

    /// Whether the name belongs to the global registry: slashless, or its prefix is `0` or `0.…`.
    pub fn is_global(self) -> bool {
        let prefix = self.prefix();
        prefix == "0" || prefix.starts_with("0.")
    }

    /// The prefix handle that governs this name: `0.NA/P` for `P/s`, with `P` in upper case;
    /// `0.NA/0.NA` for a prefix handle.
    pub fn prefix_handle(self) -> Handle {
        let prefix = self.prefix().to_ascii_uppercase();
        Handle(format!("{NAMING_AUTHORITY}/{prefix}").into())
    }

    /// The prefix handle that this derived prefix handle was derived from: `0.NA/a.b` for
    /// `0.NA/a.b.c`. `None` unless the name starts with `0.NA/` and its suffix has a dot.
    pub fn parent(self) -> Option<HandleRef<'a>> {
        if self.is_slashless() || !self.is_prefix_handle() {
            return None;
        }
        let (parent, _) = self.0.rsplit_once('.')?;
        (parent.len() > NAMING_AUTHORITY.len()).then_some(Self(parent))
    }

    /// Appends the folded name to `out`.
    pub fn fold(self, rule: CaseRule, out: &mut Vec<u8>) {
        let start = out.len();
        if self.is_slashless() {
            out.extend_from_slice(b"0.NA/");
        }
        out.extend_from_slice(self.0.as_bytes());
        let name = &mut out[start..];
        let folded = match rule {
            CaseRule::Insensitive => name.len(),
            CaseRule::Sensitive if name.starts_with(b"0.") => name.len(),
            CaseRule::Sensitive => name.iter().position(|&c| c == b'/').unwrap_or(name.len()),
        };
        name[..folded].make_ascii_uppercase();
    }

    /// The folded name.
    pub fn key(self, rule: CaseRule) -> Key {
        let mut octets = Vec::with_capacity(self.0.len() + 5);
        self.fold(rule, &mut octets);
        Key(octets.into())
    }
}

impl fmt::Display for HandleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

//----------- Handle ---------------------------------------------------------

/// An owned handle. See [`HandleRef`] for what can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(Box<str>);

impl Handle {
    /// Checks a name that came as text.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        HandleRef::parse(name).map(HandleRef::to_owned)
    }

    /// [`parse`](Self::parse) of text that is ours already, without a copy.
    pub fn from_text(name: String) -> Result<Self, NameError> {
        HandleRef::parse(&name)?;
        Ok(Self(name.into_boxed_str()))
    }

    /// Checks a name that came as octets.
    pub fn from_wire(octets: &[u8]) -> Result<Self, NameError> {
        HandleRef::from_wire(octets).map(HandleRef::to_owned)
    }

    /// The prefix handle `0.NA/<prefix>` of a prefix given with or without `0.NA/`.
    pub fn of_prefix(prefix: &str) -> Result<Self, NameError> {
        let handle = HandleRef::parse(prefix)?.expanded();
        if !handle.borrow().is_prefix_handle() {
            return Err(NameError::NotAPrefix {
                name: prefix.into(),
            });
        }
        HandleRef::parse(handle.as_str())?;
        Ok(handle)
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it was written, without a copy.
    pub fn into_text(self) -> String {
        self.0.into_string()
    }

    /// A borrowed view with all methods.
    pub fn borrow(&self) -> HandleRef<'_> {
        HandleRef(&self.0)
    }

    /// The folded name.
    pub fn key(&self, rule: CaseRule) -> Key {
        self.borrow().key(rule)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Handle {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::parse(name)
    }
}

//----------- CaseRule -------------------------------------------------------

/// Which ASCII letters of a name fold.
///
/// The prefix and every name that begins with `0.` always fold; the rest of a suffix folds under
/// the rule that servers have by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaseRule {
    /// The whole name folds.
    #[default]
    Insensitive,
    /// Suffixes keep their case.
    Sensitive,
}

impl CaseRule {
    /// Whether `key` is `name` folded by this rule, found out without folding it.
    pub fn folds(self, name: &[u8], key: &[u8]) -> bool {
        let key = match key.len().checked_sub(name.len()) {
            // A key has a slash, so a name as long as its key is the full name.
            Some(0) => key,
            _ if name.contains(&b'/') => return false,
            _ => match key.strip_prefix(b"0.NA/") {
                Some(rest) => rest,
                None => return false,
            },
        };
        if !name.eq_ignore_ascii_case(key) {
            return false;
        }
        let folded = match self {
            Self::Insensitive => name.len(),
            Self::Sensitive if name.starts_with(b"0.") => name.len(),
            Self::Sensitive => name.iter().position(|&c| c == b'/').unwrap_or(name.len()),
        };
        name[folded..] == key[folded..] && !key[..folded].iter().any(u8::is_ascii_lowercase)
    }
}

//----------- Key ------------------------------------------------------------

/// A folded, expanded name: what a record is stored and looked up under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The octets of the folded name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

//----------- NameError ------------------------------------------------------

/// Why a name is not a handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a handle cannot be empty")]
    Empty,
    /// The name is longer than the protocol allows.
    #[error("the handle has {len} octets, the limit is {HANDLE_LEN_MAX}")]
    TooLong {
        /// Its length in octets.
        len: usize,
    },
    /// The name is not text.
    #[error("the handle is not valid UTF-8 at octet {at}")]
    NotUtf8 {
        /// Offset of the first bad octet.
        at: usize,
    },
    /// A prefix was wanted, and the name has a suffix.
    #[error("`{name}` is not a prefix: write it as `88.118.5` or `0.NA/88.118.5`")]
    NotAPrefix {
        /// The name in question.
        name: Box<str>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(name: &str) -> Handle {
        Handle::parse(name).unwrap()
    }

    #[test]
    fn prefix_ends_at_the_first_slash() {
        let handle = handle("20.500/a/b");
        assert_eq!(handle.borrow().prefix(), "20.500");
        assert_eq!(handle.borrow().suffix(), "a/b");
    }

    #[test]
    fn slashless_name_is_short_for_the_prefix_handle() {
        let rule = CaseRule::Insensitive;
        assert_eq!(
            handle("88.118.5").key(rule),
            handle("0.na/88.118.5").key(rule)
        );
        assert_eq!(handle("0.NA").key(rule), handle("0.NA/0.NA").key(rule));
        assert_eq!(
            handle("88.118.5").borrow().prefix_handle().as_str(),
            "0.NA/0.NA"
        );
    }

    #[test]
    fn prefix_handle_is_in_upper_case() {
        assert_eq!(
            handle("ab.c/X").borrow().prefix_handle().as_str(),
            "0.NA/AB.C"
        );
        assert_eq!(
            handle("0.NA/ab").borrow().prefix_handle().as_str(),
            "0.NA/0.NA"
        );
    }

    #[test]
    fn only_dotted_prefix_handles_have_a_parent() {
        let parents = |name| {
            let handle = handle(name);
            let mut names = Vec::new();
            let mut at = handle.borrow();
            while let Some(parent) = at.parent() {
                names.push(parent.to_string());
                at = parent;
            }
            names
        };
        assert_eq!(parents("0.NA/a.b.c"), ["0.NA/a.b", "0.NA/a"]);
        assert_eq!(parents("0.NA/a"), [""; 0]);
        assert_eq!(parents("a.b/c.d"), [""; 0]);
        assert_eq!(parents("a.b"), [""; 0]);
    }

    #[test]
    fn folding_is_recognised_without_being_done() {
        let names = [
            "a",
            "A",
            "a/b",
            "A/b",
            "A/B",
            "a/B",
            "0.na/a",
            "0.NA/A",
            "0.NA/a",
            "0.na/0.na",
            "0.a/b",
            "0.A/B",
            "0.a/B",
            "a/é",
            "A/é",
            "A/É",
            "/",
            "a/",
            "0.NA/",
            "0.NA",
            "ab/c",
        ];
        for rule in [CaseRule::Insensitive, CaseRule::Sensitive] {
            for name in names {
                for other in names {
                    let key = handle(other).key(rule);
                    let same = handle(name).key(rule) == key;
                    let folds = rule.folds(name.as_bytes(), key.as_bytes());
                    assert_eq!(folds, same, "{name} {other} {rule:?}");
                }
            }
        }
        assert!(!CaseRule::Insensitive.folds(b"a/b", b"a/b"));
        assert!(!CaseRule::Sensitive.folds(b"a/b", b"a/b"));
    }

    #[test]
    fn suffix_keeps_its_case_only_under_the_sensitive_rule() {
        let key = |name, rule| handle(name).key(rule).to_string();
        assert_eq!(key("ab/cd", CaseRule::Insensitive), "AB/CD");
        assert_eq!(key("ab/cd", CaseRule::Sensitive), "AB/cd");
        assert_eq!(key("0.na/cd", CaseRule::Sensitive), "0.NA/CD");
        assert_eq!(key("ab/é中", CaseRule::Insensitive), "AB/é中");
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        assert_eq!(Handle::parse(""), Err(NameError::Empty));
        assert_eq!(
            Handle::from_wire(b"a/\xff"),
            Err(NameError::NotUtf8 { at: 2 })
        );
        let long = "a".repeat(HANDLE_LEN_MAX + 1);
        assert_eq!(
            Handle::parse(&long),
            Err(NameError::TooLong {
                len: HANDLE_LEN_MAX + 1
            })
        );
        assert!(matches!(
            Handle::of_prefix("88.1/x"),
            Err(NameError::NotAPrefix { .. })
        ));
    }

    #[test]
    fn global_names_are_recognised() {
        for name in ["0.NA/1", "0/x", "0.SITE/status", "88.118"] {
            assert!(handle(name).borrow().is_global(), "{name}");
        }
        assert!(!handle("01/x").borrow().is_global());
    }
}
