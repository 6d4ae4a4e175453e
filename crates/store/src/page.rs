//! Pages of a listing, and the tokens that say where the next one begins.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guantong_proto::Handle;

use crate::error::TokenError;
use crate::format::{Scope, digest16};

/// Version of the token's form.
const VERSION: u8 = 1;
/// Octets of the check.
const CHECK_LEN: usize = 8;
/// Octets in front of the key: version and check.
const HEAD_LEN: usize = 1 + CHECK_LEN;
/// Longest token text that is looked at: a folded handle with its head in base64, with room.
const TOKEN_TEXT_MAX: usize = 4096;

//----------- Page -----------------------------------------------------------

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Handles in the order of their folded names, spelled as they were written.
    pub handles: Vec<Handle>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<PageToken>,
}

//----------- PageToken ------------------------------------------------------

/// Where a page begins: opaque text that fits into a URL.
///
/// It stays valid as long as the store lives. It belongs to one listing of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(Box<[u8]>);

impl PageToken {
    /// The token that continues `listing` behind `key`.
    pub(crate) fn new(store: &[u8; 16], listing: &Listing<'_>, key: &[u8]) -> Self {
        let mut octets = Vec::with_capacity(HEAD_LEN + key.len());
        octets.push(VERSION);
        octets.extend_from_slice(&check(store, listing, key));
        octets.extend_from_slice(key);
        Self(octets.into())
    }

    /// The key that the page begins behind, if the token is one of `listing`.
    pub(crate) fn key(&self, store: &[u8; 16], listing: &Listing<'_>) -> Result<&[u8], TokenError> {
        match self.0.first() {
            None => return Err(TokenError::Malformed),
            Some(&VERSION) => {}
            Some(&other) => return Err(TokenError::Version(other)),
        }
        let Some((head, key)) = self.0.split_at_checked(HEAD_LEN) else {
            return Err(TokenError::Malformed);
        };
        match head[1..] == check(store, listing, key) {
            true => Ok(key),
            false => Err(TokenError::Foreign),
        }
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl FromStr for PageToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_TEXT_MAX {
            return Err(TokenError::Malformed);
        }
        let octets = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| TokenError::Malformed)?;
        Ok(Self(octets.into()))
    }
}

//----------- Listing --------------------------------------------------------

/// What a token belongs to.
pub(crate) enum Listing<'a> {
    /// Records of a scope.
    Scope(&'a Scope),
    /// Records that hold a value: the start of their index entries.
    Find(&'a [u8]),
}

fn check(store: &[u8; 16], listing: &Listing<'_>, key: &[u8]) -> [u8; CHECK_LEN] {
    let (kind, argument): (u8, &[u8]) = match listing {
        Listing::Scope(Scope::All) => (0, &[]),
        Listing::Scope(Scope::Prefix(prefix)) => (1, &prefix.0),
        Listing::Find(start) => (2, start),
    };
    let len = (argument.len() as u64).to_be_bytes();
    let digest = digest16(&[b"page", &[VERSION, kind], store, &len, argument, key]);
    let mut check = [0; CHECK_LEN];
    check.copy_from_slice(&digest[..CHECK_LEN]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: [u8; 16] = [1; 16];

    #[test]
    fn token_leads_back_to_its_key_as_text_too() {
        let listing = Listing::Scope(&Scope::All);
        let token = PageToken::new(&STORE, &listing, b"A/\xe4\xb8\xad");
        let again: PageToken = token.to_string().parse().unwrap();
        assert_eq!(again.key(&STORE, &listing), Ok(&b"A/\xe4\xb8\xad"[..]));
    }

    #[test]
    fn foreign_altered_and_garbled_tokens_are_refused() {
        let prefix = Scope::of_prefix("a").unwrap();
        let listing = Listing::Scope(&prefix);
        let token = PageToken::new(&STORE, &listing, b"A/1");
        let refused = |token: &PageToken, store, listing: &Listing<'_>| {
            token.key(store, listing).unwrap_err()
        };
        assert_eq!(refused(&token, &[2; 16], &listing), TokenError::Foreign);
        let all = Listing::Scope(&Scope::All);
        assert_eq!(refused(&token, &STORE, &all), TokenError::Foreign);
        for at in 1..token.0.len() {
            let mut altered = token.clone();
            altered.0[at] ^= 1;
            assert_eq!(refused(&altered, &STORE, &listing), TokenError::Foreign);
        }
        let mut newer = token.clone();
        newer.0[0] = 2;
        assert_eq!(refused(&newer, &STORE, &listing), TokenError::Version(2));
        let short = PageToken(token.0[..5].into());
        assert_eq!(refused(&short, &STORE, &listing), TokenError::Malformed);
        assert_eq!("%%".parse::<PageToken>(), Err(TokenError::Malformed));
        let long = "A".repeat(TOKEN_TEXT_MAX + 1);
        assert_eq!(long.parse::<PageToken>(), Err(TokenError::Malformed));
    }
}
