//! The names of identities (身份): `88.118.5/App_line-3`, `88.118.5/User_wang`,
//! `88.118.5/Group_operators`.

use guantong_proto::{Handle, HandleRef, NameError};

/// Most characters of the part that somebody chooses.
pub const CODE_CHARS_MAX: usize = 64;

//----------- Kind -----------------------------------------------------------

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A program (应用身份).
    App,
    /// A person (用户身份).
    User,
    /// A group of them (身份组).
    Group,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::App, Self::User, Self::Group];

    /// What suffixes begin with.
    pub fn lead(self) -> &'static str {
        match self {
            Self::App => "App_",
            Self::User => "User_",
            Self::Group => "Group_",
        }
    }

    /// What an identity of that handle is; `None` if it is none. Products in the field write `APP_`
    /// as well, so letters of either case are the same here.
    pub fn of(handle: HandleRef<'_>) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| code_of(*kind, handle).is_some())
    }

    /// The handle of an identity of this kind.
    pub fn handle(self, prefix: &str, code: &str) -> Result<Handle, NameFault> {
        let is_part = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        if code.is_empty() || code.len() > CODE_CHARS_MAX || !code.bytes().all(is_part) {
            return Err(NameFault::Code { code: code.into() });
        }
        if prefix.is_empty() || prefix.contains('/') {
            return Err(NameFault::Prefix {
                prefix: prefix.into(),
            });
        }
        Ok(Handle::parse(&format!("{prefix}/{}{code}", self.lead()))?)
    }
}

/// The part of the name that somebody has chosen.
pub fn code_of(kind: Kind, handle: HandleRef<'_>) -> Option<&str> {
    if handle.is_prefix_handle() {
        return None;
    }
    let (suffix, lead) = (handle.suffix(), kind.lead());
    let head = suffix.get(..lead.len())?;
    let code = &suffix[lead.len()..];
    (head.eq_ignore_ascii_case(lead) && !code.is_empty()).then_some(code)
}

//----------- NameFault ------------------------------------------------------

/// Why an identity cannot have this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// The chosen part.
    #[error("`{code}` must have 1 to {CODE_CHARS_MAX} letters, digits, `-`, `_`, `.`")]
    Code {
        /// What was chosen.
        code: Box<str>,
    },
    /// The prefix.
    #[error("`{prefix}` must be a prefix such as 88.118.5")]
    Prefix {
        /// What was given.
        prefix: Box<str>,
    },
    /// Both together.
    #[error(transparent)]
    Handle(#[from] NameError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_products_in_the_field_are_known() {
        let kind = |name: &str| Kind::of(Handle::parse(name).unwrap().borrow());
        assert_eq!(kind("88.118.5/App_1"), Some(Kind::App));
        assert_eq!(kind("88.118.5/APP_1"), Some(Kind::App));
        assert_eq!(kind("88.118.5/User_wang"), Some(Kind::User));
        assert_eq!(kind("88.118.5/Group_a"), Some(Kind::Group));
        for other in [
            "88.118.5/App_",
            "88.118.5/Apple",
            "0.NA/App_1",
            "88.118.5/META_App_",
        ] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn name_that_is_made_is_known_by_its_parts(
            code in "[A-Za-z0-9_.-]{1,64}",
            prefix in "[0-9]{1,4}(\\.[0-9]{1,4}){0,3}",
            at in 0_usize..3,
        ) {
            let kind = Kind::ALL[at];
            let handle = kind.handle(&prefix, &code).unwrap();
            prop_assert_eq!(Kind::of(handle.borrow()), Some(kind));
            prop_assert_eq!(code_of(kind, handle.borrow()), Some(code.as_str()));
            prop_assert_eq!(handle.borrow().prefix(), prefix);
        }

        #[test]
        fn any_text_is_a_name_or_refused(code in "\\PC{0,80}", prefix in "\\PC{0,20}") {
            if let Ok(handle) = Kind::App.handle(&prefix, &code) {
                prop_assert_eq!(code_of(Kind::App, handle.borrow()), Some(code.as_str()));
            }
        }
    }
}
