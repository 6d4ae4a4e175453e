//! What a node is and how far it has come: saved in the store, shared by listeners and jobs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guantong_core::replicate::{Claim, Lease, LogId, Position, Role, Standing};
use guantong_proto::DecodeError;
use guantong_proto::data::Site;
use guantong_store::{Batch, Note, Origin, Store, StoreError, Ticket, Trail, WriteError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::gate::Gate;
use super::promote::Wish;
use super::seen::{Mirrors, Seen};
use crate::config::Config;
use crate::node::{Node, StartError, wall_clock_ms};

/// Note in which the standing is saved.
const STANDING: &str = "replication.standing";
/// Note in which the position is saved.
pub(super) const POSITION: &str = "replication.position";
/// Note in which the key shown at the first contact is kept.
pub(super) const PINNED: &str = "replication.pinned";
/// Commands of the operator that may wait.
const COMMANDS_MAX: usize = 4;

//----------- Mirroring ------------------------------------------------------

/// What a node is to the data that it holds, and its traffic with mirrors.
#[derive(Debug)]
pub struct Mirroring {
    /// The identity of our own log.
    pub(super) own: LogId,
    pub(super) gate: Arc<Gate>,
    standing: Mutex<Standing>,
    /// Held while the standing changes.
    changing: tokio::sync::Mutex<()>,
    /// Counts the changes of the standing.
    changed: watch::Sender<u64>,
    /// The last change of our own log.
    news: Arc<watch::Sender<u64>>,
    /// One for each mirror that may be served.
    pub(super) places: Arc<Semaphore>,
    feeds_max: usize,
    figures: Mutex<Figures>,
    /// The mirrors that have followed this node.
    pub(super) mirrors: Mirrors,
    commands: mpsc::Sender<Wish>,
    received: Mutex<Option<mpsc::Receiver<Wish>>>,
}

/// How a mirror fares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The last change of the primary that is here.
    pub last: u64,
    /// The last change of the primary that is known of.
    pub end: u64,
    /// Everything was here once.
    pub is_complete: bool,
    /// When everything that was known of was here.
    pub level: Option<Instant>,
    /// Streams that ended with a fault.
    pub faults: u64,
    /// The primary could not be followed at the last try.
    pub is_cut: bool,
}

/// What the figures of a node say about mirrors.
#[derive(Clone, Copy, Debug)]
pub struct MirrorSnapshot {
    /// What the node is.
    pub role: Role,
    /// The highest epoch that it knows of.
    pub epoch: u64,
    /// Whether it takes changes now.
    pub takes_changes: bool,
    /// How it fares as a mirror.
    pub figures: Figures,
    /// Mirrors that it serves.
    pub feeds: usize,
    /// Changes that wait for a mirror.
    pub unconfirmed: usize,
}

impl Figures {
    /// Changes that are not here yet, as far as is known.
    pub fn lag_changes(&self) -> u64 {
        self.end.saturating_sub(self.last)
    }

    /// Seconds since the mirror last had everything; `None` if it never had.
    pub fn lag(&self) -> Option<Duration> {
        self.level.map(|level| level.elapsed())
    }
}

impl Mirroring {
    /// Reads what was saved, and puts the gate in front of the store.
    pub(crate) fn open(config: &Config, store: &Store, run: u64) -> Result<Self, StartError> {
        let standing = saved(store).map_err(StartError::Replication)?;
        let standing = standing.unwrap_or_else(|| {
            Standing::new(match config.mirror.of {
                Some(_) => Role::Mirror,
                None => Role::Primary,
            })
        });
        let gate = Arc::new(Gate::new(
            standing.role,
            primary_in_words(config, &standing),
            Lease::new(config.mirror.lease.0, run),
            standing.granted,
        ));
        store.set_admission(gate.clone());
        let news = Arc::new(watch::Sender::new(store.last_change()));
        store.on_change({
            let news = news.clone();
            move |last| {
                let _ = news.send_replace(last);
            }
        });
        let feeds_max = usize::try_from(config.mirror.feeds).unwrap_or(0);
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let mirroring = Self {
            own: LogId(store.id()),
            gate,
            standing: Mutex::new(standing),
            changing: tokio::sync::Mutex::new(()),
            changed: watch::Sender::new(0),
            news,
            places: Arc::new(Semaphore::new(feeds_max)),
            feeds_max,
            figures: Mutex::default(),
            mirrors: Mirrors::default(),
            commands,
            received: Mutex::new(Some(received)),
        };
        let position = mirroring.position(store);
        let position = position.map_err(StartError::Replication)?;
        mirroring.figure(|figures| {
            figures.is_complete = position.is_complete();
            figures.last = position.followed().map_or(0, |followed| followed.last);
            figures.end = figures.last;
        });
        Ok(mirroring)
    }

    /// What the node is.
    pub fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    /// How it fares as a mirror.
    pub fn figures(&self) -> Figures {
        *locked(&self.figures)
    }

    /// Mirrors that are being served.
    pub fn feeds(&self) -> usize {
        self.feeds_max
            .saturating_sub(self.places.available_permits())
    }

    /// The mirrors that have followed this node since it started.
    pub fn mirrors(&self) -> Vec<Seen> {
        self.mirrors.all()
    }

    /// Where the primary is, if this node follows one.
    pub(crate) fn primary(&self, config: &Config) -> Option<String> {
        let standing = self.standing();
        let leader = standing
            .leader
            .as_ref()
            .map(|leader| leader.address.clone());
        leader
            .or_else(|| config.mirror.of.clone())
            .filter(|_| standing.role != Role::Primary)
    }

    /// Whether it may answer: it is no mirror, or everything was here once.
    pub fn is_ready(&self) -> bool {
        locked(&self.standing).role != Role::Mirror || self.figures().is_complete
    }

    /// Whether it takes changes now; if not, why.
    pub fn takes_changes(&self) -> Result<(), String> {
        self.gate.is_open()
    }

    pub(super) fn figure(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut locked(&self.figures));
    }

    /// How far it has come as a mirror.
    pub(super) fn position(&self, store: &Store) -> Result<Position, ReadError> {
        match store.note(POSITION)? {
            None => Ok(Position::Nothing),
            Some(octets) => Ok(Position::decode(&octets)?),
        }
    }

    /// Hears of changes of our own log.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Hears of changes of the standing.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The commands, for the one job that carries them out.
    pub(super) fn take_commands(&self) -> Option<mpsc::Receiver<Wish>> {
        locked(&self.received).take()
    }

    /// Hands a command to that job.
    pub(super) fn wish(&self, wish: Wish) {
        // One that cannot wait is dropped, and whoever wished it hears so.
        let _ = self.commands.try_send(wish);
    }

    /// Held by whoever changes the standing.
    pub(super) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Figures of this moment.
    pub(crate) fn snapshot(&self, store: &Store) -> MirrorSnapshot {
        let standing = self.standing();
        MirrorSnapshot {
            role: standing.role,
            epoch: standing.epoch,
            takes_changes: self.gate.is_open().is_ok(),
            figures: self.figures(),
            feeds: self.feeds(),
            unconfirmed: store.unconfirmed(),
        }
    }

    /// Puts a site record right that the settings have made: whether it is primary, and its serial.
    pub(crate) fn put_right(&self, site: &mut Site) {
        let standing = self.standing();
        let primary = match standing.role {
            // A mirror that was promoted is primary whatever its settings have said before.
            Role::Primary => site.is_primary() || standing.serial_raise() > 0,
            Role::Mirror | Role::Fenced => false,
        };
        match primary {
            true => site.flags |= Site::PRIMARY,
            false => site.flags &= !Site::PRIMARY,
        }
        // 65,535 stands for "no serial known", so the count begins anew before it.
        let raise = u32::from(standing.serial_raise());
        if raise > 0 {
            let raised = (u32::from(site.serial) + raise - 1) % 65_534 + 1;
            site.serial = u16::try_from(raised).unwrap_or(1);
        }
    }
}

impl Node {
    /// Saves a new standing, with other notes, then puts it in force and tells the jobs. The caller
    /// is [`Mirroring::alone`].
    pub(super) async fn set_standing(
        &self,
        standing: Standing,
        notes: Vec<Note>,
    ) -> Result<(), WriteError> {
        self.note_standing(standing, notes).await?;
        self.mirroring.changed.send_modify(|count| *count += 1);
        if let Err(error) = self.refresh_site() {
            tracing::error!(%error, "the site could not be published as it is now");
        }
        Ok(())
    }

    /// [`Node::set_standing`] for what changes nothing that others do.
    pub(super) async fn note_standing(
        &self,
        standing: Standing,
        mut notes: Vec<Note>,
    ) -> Result<(), WriteError> {
        notes.push(Note {
            name: STANDING.to_owned(),
            octets: standing.encode(),
        });
        let nothing = Batch {
            changes: Vec::new(),
            at_ms: wall_clock_ms(),
            origin: Origin::Node,
            trail: Trail::default(),
        };
        written(self.store.submit_noted(nothing, notes)).await?;
        let mirroring = &self.mirroring;
        let primary = primary_in_words(&self.config(), &standing);
        if !standing.granted {
            // Whoever was standby before has to be told anew.
            mirroring.gate.disarm();
        }
        mirroring.gate.set(standing.role, primary);
        *locked(&mirroring.standing) = standing;
        Ok(())
    }

    /// What this node claims as primary of an epoch.
    pub(super) fn claim(&self, epoch: u64) -> Claim {
        let config = self.config();
        let host = config.site.domain.clone();
        let host = host.unwrap_or_else(|| config.site.address.to_string());
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        let port = self.addresses().tcp.first().map_or(0, |tcp| tcp.port());
        Claim {
            epoch,
            leader: self.mirroring.own,
            address: format!("{host}:{port}"),
            key: self.key().public().encode(),
        }
    }
}

/// What a store says its node is; `None` if it has never had to do with mirrors, or only as their
/// primary. A store with a position is a mirror's, whatever became of the settings.
pub(super) fn saved(store: &Store) -> Result<Option<Standing>, ReadError> {
    if let Some(octets) = store.note(STANDING)? {
        return Ok(Some(Standing::decode(&octets)?));
    }
    let has_position = store.note(POSITION)?.is_some();
    Ok(has_position.then(|| Standing::new(Role::Mirror)))
}

fn primary_in_words(config: &Config, standing: &Standing) -> String {
    let leader = standing.leader.as_ref().map(|leader| &leader.address);
    leader
        .or(config.mirror.of.as_ref())
        .map_or_else(|| "the new primary".to_owned(), Clone::clone)
}

/// The outcome of a ticket, awaited.
pub(super) async fn written(ticket: Ticket) -> Result<guantong_store::Committed, WriteError> {
    let (sender, outcome) = oneshot::channel();
    ticket.on_done(move |outcome| drop(sender.send(outcome)));
    outcome.await.unwrap_or(Err(WriteError::Closed))
}

/// What a lock guards here is replaced whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//----------- ReadError ------------------------------------------------------

/// Why what was saved cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not decode.
    #[error("what is saved of replication is damaged: {0}: restore a backup")]
    Damaged(#[from] DecodeError),
}
