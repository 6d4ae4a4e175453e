//! GT_LOGIN: how a person logs in, in one value of his record. It is sent to nobody but mirrors.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params};
use guantong_proto::{Permissions, Value, ValueRef, Values, is_of_type};
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};

use super::day::api_digest;

/// Type of the value.
pub const LOGIN_TYPE: &str = "GT_LOGIN";
/// Index of the value.
pub const LOGIN_INDEX: i32 = 400;
/// Fewest characters of a password. Length is what guards a password; the rest is habit.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Most octets of a password, so that nobody has us hash a novel.
pub const PASSWORD_OCTETS_MAX: usize = 256;
/// Octets of a salt.
pub const SALT_LEN: usize = 16;
/// Octets of the secret of a second factor (RFC 4226, 4).
pub const SECRET_LEN: usize = 20;
/// Steps of 30 seconds by which clocks may differ (RFC 6238, 5.2).
const SKEW_STEPS: u16 = 1;
/// Most that the hash of a record may ask for: memory in KiB, rounds, lanes. What we write asks for
/// 19 MiB, 2 and 1.
const COST_MAX: (u32, u32, u32) = (131_072, 10, 4);

//----------- Login ----------------------------------------------------------

/// How somebody logs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// Whether he may.
    state: LoginState,
    /// Whether the password was given by somebody else, so that it is good for one thing only: to
    /// set one's own.
    #[serde(default)]
    must_change: bool,
    /// Argon2id of the password, as a PHC string.
    hash: String,
    /// Whether it is Argon2id of the digest of the password (`api_digest`): who made the login has
    /// not seen the password itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    of_digest: bool,
    /// The secret of the second factor in base32, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totp: Option<String>,
}

/// Whether somebody may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoginState {
    /// He may.
    Enabled,
    /// He may not (停用).
    Disabled,
}

/// Who has chosen a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Its owner.
    ByOwner,
    /// An administrator; the owner must choose one of his own.
    ByOther,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hashes can be tried at leisure.
        write!(f, "Login({:?})", self.state)
    }
}

impl Login {
    /// A login by password alone. Takes some 20 milliseconds and 19 MiB.
    pub fn new(password: &str, salt: [u8; SALT_LEN], chosen: Chosen) -> Result<Self, LoginFault> {
        check_password(password)?;
        Self::hashed(password, salt, chosen)
    }

    /// A login by a password of which only the digest is known: SHA-256, in hexadecimal digits.
    /// Whether it is long enough shows when its owner logs in.
    pub fn of_digest(digest: &str, salt: [u8; SALT_LEN]) -> Result<Self, LoginFault> {
        let is_digest = digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit());
        let digest = is_digest.then(|| digest.to_ascii_lowercase());
        let login = Self::hashed(&digest.ok_or(LoginFault::Digest)?, salt, Chosen::ByOwner)?;
        Ok(Self {
            of_digest: true,
            ..login
        })
    }

    fn hashed(text: &str, salt: [u8; SALT_LEN], chosen: Chosen) -> Result<Self, LoginFault> {
        let hash = Argon2::default().hash_password_with_salt(text.as_bytes(), &salt);
        Ok(Self {
            state: LoginState::Enabled,
            must_change: chosen == Chosen::ByOther,
            hash: hash.map_err(|_| LoginFault::Hash)?.to_string(),
            of_digest: false,
            totp: None,
        })
    }

    /// The login of a record, `None` if it has none that can be read.
    pub fn of(values: Values<'_>) -> Option<(ValueRef<'_>, Self)> {
        let value = values.iter().find(|value| value.index == LOGIN_INDEX)?;
        let is_login = is_of_type(value.kind, LOGIN_TYPE.as_bytes());
        let login = Self::parse(value.data).ok().filter(|_| is_login)?;
        Some((value, login))
    }

    /// Reads the data of a value.
    pub fn parse(data: &[u8]) -> Result<Self, LoginFault> {
        let login: Self = serde_json::from_slice(data).map_err(|_| LoginFault::Form)?;
        hash_of(&login.hash)?;
        login.totp.as_deref().map(code_maker).transpose()?;
        Ok(login)
    }

    /// The value that says so. Administrators may write it; it is read by nobody, as is said by its
    /// type: permissions that say so would keep them from the rest of the record, too.
    pub fn to_value(&self) -> Value {
        // A form of texts is always written.
        let data = serde_json::to_string(self).unwrap_or_default();
        Value {
            permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
            ..Value::new(LOGIN_INDEX, LOGIN_TYPE, data.as_str())
        }
    }

    /// Whether he may log in.
    pub fn state(&self) -> LoginState {
        self.state
    }

    /// Whether the password is good for nothing but setting another one.
    pub fn must_change(&self) -> bool {
        self.must_change
    }

    /// Whether a code is needed besides the password.
    pub fn has_second_factor(&self) -> bool {
        self.totp.is_some()
    }

    /// Whether this is the password. Takes as long as [`new`](Self::new), whatever it is.
    pub fn is_password(&self, password: &str) -> bool {
        let fits = password.len() <= PASSWORD_OCTETS_MAX;
        match hash_of(&self.hash).ok().filter(|_| fits) {
            Some(hash) => {
                let text = match self.of_digest {
                    true => api_digest(password.as_bytes()),
                    false => password.to_owned(),
                };
                let checked = Argon2::default().verify_password(text.as_bytes(), &hash);
                checked.is_ok()
            }
            None => {
                check_nobody(password);
                false
            }
        }
    }

    /// The step of time to which a code belongs, if it is right now; each step is good once, which
    /// the caller sees to.
    pub fn step_of(&self, code: &str, now_secs: u32) -> Option<u64> {
        let totp = code_maker(self.totp.as_deref()?).ok()?;
        step_of(&totp, code, now_secs)
    }

    /// The same with another password; the second factor stays.
    pub fn with_password(self, other: Self) -> Self {
        Self {
            hash: other.hash,
            of_digest: other.of_digest,
            must_change: other.must_change,
            ..self
        }
    }

    /// The same with another state.
    pub fn with_state(self, state: LoginState) -> Self {
        Self { state, ..self }
    }

    /// The same with a second factor, or without.
    pub fn with_second_factor(self, factor: Option<&SecondFactor>) -> Self {
        let totp = factor.map(|factor| factor.secret.clone());
        Self { totp, ..self }
    }
}

/// Whether a text can be a password at all.
pub fn check_password(password: &str) -> Result<(), LoginFault> {
    let chars = password.chars().count();
    match chars < PASSWORD_CHARS_MIN || password.len() > PASSWORD_OCTETS_MAX {
        true => Err(LoginFault::Password),
        false => Ok(()),
    }
}

/// Does the work of checking a password of somebody who is not there, so that the time does not
/// tell who is.
pub fn check_nobody(password: &str) {
    let len = password.len().min(PASSWORD_OCTETS_MAX);
    let octets = password.as_bytes().get(..len).unwrap_or_default();
    let _ = Argon2::default().hash_password_with_salt(octets, &[0; SALT_LEN]);
}

/// A hash of a record, if checking it costs what we are ready to spend.
fn hash_of(text: &str) -> Result<PasswordHash, LoginFault> {
    let hash = PasswordHash::new(text).map_err(|_| LoginFault::Hash)?;
    let params = Params::try_from(&hash).map_err(|_| LoginFault::Hash)?;
    let is_argon2id = hash.algorithm == Algorithm::Argon2id.ident();
    let (memory, rounds, lanes) = COST_MAX;
    let fits = params.m_cost() <= memory && params.t_cost() <= rounds && params.p_cost() <= lanes;
    match is_argon2id && fits && hash.salt.is_some() && hash.hash.is_some() {
        true => Ok(hash),
        false => Err(LoginFault::Hash),
    }
}

//----------- SecondFactor ---------------------------------------------------

/// A second factor (双因素) that is yet to be set up: RFC 6238 with SHA-1, six digits, 30 seconds,
/// which every app for it knows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    secret: String,
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecondFactor")
    }
}

impl SecondFactor {
    /// A new one of random octets.
    pub fn new(random: [u8; SECRET_LEN]) -> Self {
        let secret = Secret::new(random.into()).to_base32();
        Self { secret }
    }

    /// The one with this secret in base32.
    pub fn of(secret: &str) -> Result<Self, LoginFault> {
        code_maker(secret)?;
        let secret = secret.to_owned();
        Ok(Self { secret })
    }

    /// The secret in base32, for the owner alone.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The step of time to which a code belongs, if it is right now.
    pub fn step_of(&self, code: &str, now_secs: u32) -> Option<u64> {
        step_of(&code_maker(&self.secret).ok()?, code, now_secs)
    }

    /// The code of a moment, which only the owner's device should have to make.
    pub fn code_at(&self, now_secs: u32) -> Option<String> {
        let totp = code_maker(&self.secret).ok()?;
        Some(totp.generate(now_secs.into()).to_string())
    }
}

fn code_maker(secret: &str) -> Result<Totp, LoginFault> {
    let secret = Secret::try_from_base32(secret).map_err(|_| LoginFault::Secret)?;
    let builder = Builder::new().with_secret(secret).with_skew(SKEW_STEPS);
    builder.build().map_err(|_| LoginFault::Secret)
}

fn step_of(totp: &Totp, code: &str, now_secs: u32) -> Option<u64> {
    let is_code = code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit());
    totp.check(is_code.then_some(code)?, now_secs.into())
}

//----------- LoginFault -----------------------------------------------------

/// Why something is no login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginFault {
    /// It cannot be a password.
    #[error(
        "a password has at least {PASSWORD_CHARS_MIN} characters and at most \
         {PASSWORD_OCTETS_MAX} octets"
    )]
    Password,
    /// It cannot be the digest of a password.
    #[error("the digest of a password is its SHA-256, 64 hexadecimal digits")]
    Digest,
    /// The data of the value is not what is kept there.
    #[error("the data of a {LOGIN_TYPE} value is not the JSON that is expected there")]
    Form,
    /// The hash is none, or would cost too much to check.
    #[error("the hash is not one of Argon2id in the PHC form, within {COST_MAX:?}")]
    Hash,
    /// The secret of the second factor is none.
    #[error("the secret of the second factor is not base32 of at least 16 octets")]
    Secret,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "correct horse 电池";

    fn login() -> Login {
        Login::new(PASSWORD, [7; SALT_LEN], Chosen::ByOwner).unwrap()
    }

    #[test]
    fn login_is_read_back_and_knows_its_password() {
        let value = login().to_value();
        assert!(!value.permissions.public_read());
        let read = Login::parse(&value.data).unwrap();
        assert_eq!(read, login());
        assert!(read.is_password(PASSWORD) && !read.is_password("correct horse"));
        assert!(!read.is_password(&"x".repeat(100_000)));
        assert!(!format!("{read:?}").contains("argon2"));
    }

    #[test]
    fn password_is_known_by_its_digest() {
        let digest = api_digest(PASSWORD.as_bytes());
        let login = Login::of_digest(&digest.to_uppercase(), [7; SALT_LEN]).unwrap();
        let read = Login::parse(&login.to_value().data).unwrap();
        assert!(read.is_password(PASSWORD) && !read.is_password(&digest));
        assert!(!read.must_change());
        let other = read.with_password(self::login());
        assert!(other.is_password(PASSWORD));
        for bad in ["", "8d969eef", &"x".repeat(64), &digest[1..]] {
            let made = Login::of_digest(bad, [7; SALT_LEN]);
            assert_eq!(made, Err(LoginFault::Digest), "{bad}");
        }
    }

    #[test]
    fn weak_and_endless_passwords_are_refused() {
        for bad in ["", "123456789", "中文中文中文中文中", &"x".repeat(257)] {
            let made = Login::new(bad, [1; SALT_LEN], Chosen::ByOwner);
            assert_eq!(made, Err(LoginFault::Password), "{bad}");
        }
    }

    #[test]
    fn hash_that_costs_too_much_is_not_checked() {
        let text = |cost: &str| {
            let hash = "c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";
            format!(r#"{{"state":"enabled","hash":"$argon2id$v=19${cost}${hash}"}}"#)
        };
        assert!(Login::parse(text("m=19456,t=2,p=1").as_bytes()).is_ok());
        for cost in [
            "m=4194304,t=2,p=1",
            "m=19456,t=4000000,p=1",
            "m=19456,t=2,p=200",
        ] {
            let read = Login::parse(text(cost).as_bytes());
            assert_eq!(read, Err(LoginFault::Hash), "{cost}");
        }
        let other = text("m=19456,t=2,p=1").replace("argon2id", "argon2d");
        assert!(Login::parse(other.as_bytes()).is_err());
    }

    /// The first vector of RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let factor = SecondFactor::new(*b"12345678901234567890");
        assert_eq!(factor.code_at(59).as_deref(), Some("287082"));
        assert_eq!(factor.code_at(1_111_111_109).as_deref(), Some("081804"));
        let login = login().with_second_factor(Some(&factor));
        assert_eq!(login.step_of("287082", 59), Some(1));
        assert_eq!(login.step_of("287082", 89), Some(1));
        assert_eq!(login.step_of("287082", 120), None);
        for bad in ["", "28708", "2870820", "28 082", "abcdef", "２８７０８２"] {
            assert_eq!(login.step_of(bad, 59), None, "{bad}");
        }
        assert!(!format!("{factor:?}").contains(factor.secret()));
    }

    #[test]
    fn second_factor_outlasts_another_password() {
        let factor = SecondFactor::new([5; SECRET_LEN]);
        let login = login().with_second_factor(Some(&factor));
        let other = Login::new("another password", [2; SALT_LEN], Chosen::ByOther).unwrap();
        let changed = login.with_password(other);
        assert!(changed.has_second_factor() && changed.must_change());
        assert!(!changed.with_second_factor(None).has_second_factor());
        assert!(SecondFactor::of("A").is_err() && SecondFactor::of("1!").is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_no_login(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Login::parse(&data).is_err());
        }

        #[test]
        fn garbage_is_no_hash(hash in "\\PC{0,120}") {
            prop_assert!(hash_of(&hash).is_err());
        }
    }
}
