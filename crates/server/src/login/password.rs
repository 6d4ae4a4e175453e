//! Logins by password (口令登录), with a second factor if the user has one.
//!
//! Hashing takes a core for tens of milliseconds and 19 MiB each time. It is done beside the
//! threads that answer, by few at a time, and whoever finds too many waiting is told to come again.

use std::collections::HashMap;
use std::net::IpAddr;

use guantong_core::admin::authenticate::{Failed, Proven, Subject};
use guantong_core::admin::{Identity, Place, StoredRecord, places};
use guantong_core::identity::{Chosen, Login, LoginState, SALT_LEN, check_nobody, check_password};
use guantong_proto::{Handle, Key};

use super::{LoginError, Token};
use crate::errand::locked;
use crate::limit::host_of;
use crate::node::Node;

/// Most passwords that are hashed at a time.
pub(super) const HASHING_MAX: usize = 2;
/// Most that wait for it.
pub(super) const HASHING_WAITING_MAX: usize = 32;
/// Most users whose last code is remembered.
const CODES_MAX: usize = 4_096;
/// Seconds after which a code is not right any more, whatever the clock of its device.
const CODE_SECS: u64 = 120;
/// Seconds of a step of time.
const STEP_SECS: u64 = 30;
/// Steps by which the clock of a device may be ahead.
const STEPS_AHEAD: u64 = 1;

//----------- UsedCodes ------------------------------------------------------

/// The step of the last code of each user who has logged in with one: each is good once (RFC 6238,
/// 5.2). Only as long as it could be shown again; [`is_from_before`] sees to those that were used
/// before the node was started.
#[derive(Debug, Default)]
pub(super) struct UsedCodes(HashMap<Key, u64>);

/// Whether a code of this step could have been shown before the node was started, which is not
/// remembered.
fn is_from_before(step: u64, started_secs: u32) -> bool {
    step <= u64::from(started_secs) / STEP_SECS + STEPS_AHEAD
}

impl UsedCodes {
    /// Takes the code of a step. `false`: it was used, or there are too many users to tell.
    pub(super) fn take(&mut self, user: Key, step: u64, now_secs: u32) -> bool {
        if self.0.len() >= CODES_MAX {
            let now_secs = u64::from(now_secs);
            self.0
                .retain(|_, step| *step * STEP_SECS + CODE_SECS > now_secs);
        }
        let last = self.0.get(&user);
        let is_new = last.is_none_or(|last| step > *last);
        let has_room = last.is_some() || self.0.len() < CODES_MAX;
        if is_new && has_room {
            self.0.insert(user, step);
        }
        is_new && has_room
    }
}

//----------- Credentials ----------------------------------------------------

/// What a person shows.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a Handle,
    pub(crate) password: &'a str,
    /// The code of the second factor.
    pub(crate) code: Option<&'a str>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// Somebody whose password was right, and how he logs in.
pub(crate) struct Owner {
    pub(crate) proven: Proven,
    pub(crate) login: Login,
    /// The version of his record.
    pub(crate) version: u64,
    /// When it was last written how he logs in.
    written_secs: u32,
    /// Whether the password is one that would not be taken as a new one: of a digest nobody could
    /// tell.
    is_unfit: bool,
}

impl Owner {
    /// Whether the password is good for nothing but setting another one.
    pub(crate) fn must_change(&self) -> bool {
        self.login.must_change() || self.is_unfit
    }
}

//----------- Node -----------------------------------------------------------

impl Node {
    /// Begins a session for whoever has shown the password of a user of this node.
    pub(crate) async fn login_password(
        &self,
        credentials: Credentials<'_>,
        peer: IpAddr,
    ) -> Result<Token, LoginError> {
        let owner = self.login_owner(credentials, peer).await?;
        match owner.must_change() {
            true => Err(LoginError::MustChange),
            false => Ok(self.login_begin(owner.proven)),
        }
    }

    /// Whoever has shown the password of a user of this node, and the code if he has a second
    /// factor.
    pub(crate) async fn login_owner(
        &self,
        credentials: Credentials<'_>,
        peer: IpAddr,
    ) -> Result<Owner, LoginError> {
        let (user, rule) = (credentials.user, self.site().case_rule());
        let (key, source) = (user.key(rule), host_of(peer));
        let mut subjects = vec![
            Subject::Password(key.as_bytes().into(), source),
            Subject::Identity(key.as_bytes().into()),
        ];
        if !self.config().limits.trusts(peer) {
            subjects.push(Subject::Source(source));
        }
        if self.errands.is_blocked(&subjects, self.uptime_ms()) {
            return Err(Failed::TooManyAttempts.into());
        }
        let owner = self.owner_by_password(user, credentials.password).await?;
        let Some(owner) = owner else {
            self.errands.failed(subjects, self.uptime_ms());
            return Err(LoginError::Wrong);
        };
        if !owner.login.has_second_factor() {
            return Ok(owner);
        }
        let Some(code) = credentials.code else {
            return Err(LoginError::CodeNeeded);
        };
        let now_secs = self.now_secs();
        let step = owner.login.step_of(code, now_secs);
        let started_secs = self.started_secs();
        // A second factor that is younger than the run has no codes from before it.
        let is_old = owner.written_secs < started_secs;
        if is_old && step.is_some_and(|step| is_from_before(step, started_secs)) {
            return Err(LoginError::TooSoon);
        }
        let is_new = step.is_some_and(|step| locked(&self.logins.codes).take(key, step, now_secs));
        match is_new {
            true => Ok(owner),
            false => {
                self.errands.failed(subjects, self.uptime_ms());
                Err(LoginError::Wrong)
            }
        }
    }

    /// The user of that password, if he may log in. Takes as long if there is no such user.
    async fn owner_by_password(
        &self,
        user: &Handle,
        password: &str,
    ) -> Result<Option<Owner>, LoginError> {
        // Other nodes give no logins away.
        let is_here = places(&self.site(), user.borrow()).contains(&Place::Here);
        let record = match is_here {
            true => self.record_of(user).await.map_err(|reason| {
                let user = user.clone();
                Failed::KeyUnreachable { user, reason }
            })?,
            false => None,
        };
        let values = record.as_ref().map(StoredRecord::values);
        let found = values.and_then(|values| {
            let (value, login) = Login::of(values)?;
            Some((Proven::by(user, &value), login, value.timestamp))
        });
        let version = record.as_ref().map_or(0, |record| record.version);
        let (password, is_unfit) = (password.to_owned(), check_password(password).is_err());
        let checked = self.aside(move || match found {
            Some((proven, login, written_secs)) => {
                let is_right = login.is_password(&password);
                let may = login.state() == LoginState::Enabled;
                (is_right && may).then_some((proven, login, written_secs))
            }
            None => {
                check_nobody(&password);
                None
            }
        });
        Ok(checked.await?.map(|(proven, login, written_secs)| Owner {
            proven,
            login,
            version,
            written_secs,
            is_unfit,
        }))
    }

    /// When the node was started.
    pub(super) fn started_secs(&self) -> u32 {
        // Not one by whole seconds from the other, which may give the second behind. The two are
        // read one after the other, so the millisecond may be the one behind.
        let started_ms = self.now_ms().saturating_sub(self.uptime_ms() + 1);
        u32::try_from(started_ms / 1_000).unwrap_or(u32::MAX)
    }

    /// Takes as long as a password takes that is checked.
    pub(crate) async fn login_as_long(&self, password: &str) -> Result<(), LoginError> {
        let password = password.to_owned();
        self.aside(move || check_nobody(&password)).await
    }

    /// A new login for a password.
    pub(crate) async fn login_of_password(
        &self,
        password: &str,
        chosen: Chosen,
    ) -> Result<Login, LoginError> {
        let (password, salt) = (password.to_owned(), self.random::<SALT_LEN>());
        let made = self.aside(move || Login::new(&password, salt, chosen));
        Ok(made.await??)
    }

    /// A new login for a password of which the digest is known.
    pub(crate) async fn login_of_digest(&self, digest: &str) -> Result<Login, LoginError> {
        let (digest, salt) = (digest.to_owned(), self.random::<SALT_LEN>());
        let made = self.aside(move || Login::of_digest(&digest, salt));
        Ok(made.await??)
    }

    /// Begins a session for a user who has just written how he logs in.
    pub(crate) async fn login_again(&self, user: &Handle) -> Option<(Identity, Token)> {
        let record = self.record_of(user).await.ok()??;
        let (value, _) = Login::of(record.values())?;
        let proven = Proven::by(user, &value);
        Some((proven.identity.clone(), self.login_begin(proven)))
    }

    /// Takes the code of a second factor that is yet to be set up.
    pub(crate) fn login_take_code(&self, user: &Handle, step: u64) -> bool {
        let key = user.key(self.site().case_rule());
        locked(&self.logins.codes).take(key, step, self.now_secs())
    }

    /// Runs what takes a core for long: hashing a password, making a key.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoginError> {
        let Ok(_waiting) = self.logins.waiting.try_acquire() else {
            return Err(LoginError::Busy);
        };
        // Never closed.
        let _place = self.logins.hashing.acquire().await;
        #[cfg(test)]
        self.logins
            .hashed
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| LoginError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::CaseRule;

    use super::*;

    fn key(n: usize) -> Key {
        let handle = Handle::parse(&format!("1/User_{n}")).unwrap();
        handle.key(CaseRule::Insensitive)
    }

    #[test]
    fn code_is_good_once_and_so_are_those_before_it() {
        let mut codes = UsedCodes::default();
        assert!(codes.take(key(1), 100, 3_000));
        assert!(!codes.take(key(1), 100, 3_000));
        assert!(!codes.take(key(1), 99, 3_000));
        assert!(codes.take(key(2), 100, 3_000));
        assert!(codes.take(key(1), 101, 3_030));
    }

    #[test]
    fn codes_that_could_have_been_used_before_the_start_are_known() {
        let started_secs = 3_010;
        for (step, is) in [(98, true), (100, true), (101, true), (102, false)] {
            assert_eq!(is_from_before(step, started_secs), is, "{step}");
        }
    }

    #[test]
    fn codes_are_remembered_for_so_many_users_only() {
        let mut codes = UsedCodes::default();
        for n in 0..CODES_MAX {
            assert!(codes.take(key(n), 100, 3_000));
        }
        assert!(!codes.take(key(CODES_MAX), 100, 3_000));
        assert!(codes.take(key(CODES_MAX), 110, 3_300));
        assert_eq!(codes.0.len(), 1);
    }
}
