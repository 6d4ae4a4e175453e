//! The mirrors that have followed this node since it started: who, from where, how far each has
//! come. For people only: what a mirror is sent does not depend on it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guantong_core::admin::Identity;

/// Mirrors that are remembered. When there are more, the one that has been silent for longest is
/// forgotten.
const SEEN_MAX: usize = 64;

/// A mirror, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The identity by which it follows.
    pub identity: String,
    /// The other end of its last connection.
    pub address: SocketAddr,
    /// The last change that it has; `None` while it copies everything.
    pub last: Option<u64>,
    /// Whether it keeps its connection; mirrors of other makers come anew each time.
    pub stays: bool,
    /// When it last asked for something.
    heard: Instant,
    /// Its connections.
    connections: usize,
}

impl Seen {
    /// Whether it is connected now.
    pub fn is_connected(&self) -> bool {
        self.connections > 0
    }

    /// For how long it has asked for nothing.
    pub fn silence(&self) -> Duration {
        self.heard.elapsed()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<Vec<Seen>>);

impl Mirrors {
    /// In the order of their names.
    pub(super) fn all(&self) -> Vec<Seen> {
        let mut all = self.seen().clone();
        all.sort_by(|one, other| one.identity.cmp(&other.identity));
        all
    }

    /// Counts a connection until what is given back is dropped.
    pub(super) fn connected(&self, identity: &Identity, address: SocketAddr) -> Connected<'_> {
        let identity = identity.to_string();
        let mut seen = self.seen();
        let at = match seen.iter().position(|one| one.identity == identity) {
            Some(at) => at,
            None => {
                if seen.len() >= SEEN_MAX {
                    let silent = seen.iter().enumerate();
                    let silent = silent.min_by_key(|(_, one)| (one.connections, one.heard));
                    if let Some((at, _)) = silent {
                        seen.swap_remove(at);
                    }
                }
                seen.push(Seen {
                    identity: identity.clone(),
                    address,
                    last: None,
                    stays: true,
                    heard: Instant::now(),
                    connections: 0,
                });
                seen.len() - 1
            }
        };
        seen[at].address = address;
        seen[at].connections += 1;
        Connected {
            mirrors: self,
            identity,
        }
    }

    /// Takes what a mirror says that it has; `None` if it asks for everything.
    pub(super) fn heard(&self, identity: &Identity, last: Option<u64>, stays: bool) {
        let identity = identity.to_string();
        let mut seen = self.seen();
        if let Some(one) = seen.iter_mut().find(|one| one.identity == identity) {
            one.last = last;
            one.stays = stays;
            one.heard = Instant::now();
        }
    }

    /// What the lock guards stays whole even if a holder panicked: each change is one assignment.
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of a mirror.
#[derive(Debug)]
pub(super) struct Connected<'a> {
    mirrors: &'a Mirrors,
    identity: String,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let mut seen = self.mirrors.seen();
        let found = seen.iter_mut().find(|one| one.identity == self.identity);
        if let Some(one) = found {
            one.connections = one.connections.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Handle;

    use super::*;

    fn identity(n: usize) -> Identity {
        Identity {
            handle: Handle::parse(&format!("88.118.5/NODE-{n}")).unwrap(),
            index: 300,
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn a_mirror_is_remembered_when_its_connection_has_ended() {
        let mirrors = Mirrors::default();
        let connected = mirrors.connected(&identity(1), address(1));
        assert_eq!(mirrors.all()[0].last, None);
        mirrors.heard(&identity(1), Some(7), true);
        let again = mirrors.connected(&identity(1), address(2));
        drop(connected);
        assert!(mirrors.all()[0].is_connected());
        drop(again);
        let all = mirrors.all();
        assert_eq!((all.len(), all[0].last), (1, Some(7)));
        assert_eq!((all[0].address, all[0].is_connected()), (address(2), false));
        assert_eq!(all[0].identity, "300:88.118.5/NODE-1");
    }

    #[test]
    fn of_too_many_mirrors_one_that_is_not_connected_is_forgotten() {
        let mirrors = Mirrors::default();
        let mut held: Vec<_> = (0..SEEN_MAX)
            .map(|n| mirrors.connected(&identity(n), address(1)))
            .collect();
        drop(held.remove(5));
        let _new = mirrors.connected(&identity(SEEN_MAX), address(1));
        let all = mirrors.all();
        assert_eq!(all.len(), SEEN_MAX);
        let names: Vec<_> = all.iter().map(|one| one.identity.as_str()).collect();
        assert!(!names.contains(&"300:88.118.5/NODE-5"), "{names:?}");
        assert!(names.contains(&"300:88.118.5/NODE-64"), "{names:?}");
        // What is heard of one that was forgotten brings nobody back.
        mirrors.heard(&identity(5), Some(1), true);
        assert_eq!(mirrors.all().len(), SEEN_MAX);
    }
}
