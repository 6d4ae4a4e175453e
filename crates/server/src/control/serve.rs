//! The control socket of a running node.
//!
//! One thread accepts, one thread serves each connection; they are few and operators' own. A peer
//! whose user id is neither ours nor root's is told so and dropped before it has said anything.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use guantong_api::control::{Answer, Ask, Body, Question, Reason, Refusal, Reply, VERSION};
use guantong_store::Source;
use serde::Deserialize;

use super::desk::{Desk, Gone};
use super::import::{BATCHES_AHEAD_MAX, Import};
use super::line::{self, Found};
use super::refusal::refusal;
use super::words::parse_items;
use crate::priority::step_back;

/// Most connections at a time. Operators are few; each connection is a thread and may hold a
/// snapshot.
pub const CONNECTIONS_MAX: usize = 16;
/// Octets read ahead, so that the next batch of an import arrives while one is being written.
const READ_AHEAD: usize = 256 * 1024;
/// Pause after the socket could not accept, so that the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the turn to import: what a killed client left behind takes less.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause between two attempts to get it.
const TURN_PAUSE: Duration = Duration::from_millis(5);
/// Mode of the socket: its owner alone.
const SOCKET_MODE: u32 = 0o600;
/// Mode of a folder that is made for the socket.
const FOLDER_MODE: u32 = 0o700;
/// Bits of a folder's mode that let others replace the socket.
const OTHERS_WRITE: u32 = 0o022;

//----------- Listener -------------------------------------------------------

/// A control socket that is open. Dropping it closes the socket and ends all connections.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    desk: Arc<Desk>,
    listener: UnixListener,
    is_stopping: AtomicBool,
    connections: Mutex<HashMap<u64, UnixStream>>,
    /// Held by the connection that imports. A client that was killed has batches under way here;
    /// whoever resumes its import must not begin before they are written.
    import_turn: Mutex<()>,
}

impl Listener {
    /// Opens the control socket at `path` and answers there from `desk`.
    pub fn bind(desk: Arc<Desk>, path: &Path) -> Result<Self, BindError> {
        prepare_folder(path)?;
        remove_stale(path)?;
        let at = |cause| BindError::Io {
            path: path.to_owned(),
            cause,
        };
        let listener = UnixListener::bind(path).map_err(at)?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(at)?;
        let shared = Arc::new(Shared {
            desk,
            listener,
            is_stopping: AtomicBool::new(false),
            connections: Mutex::new(HashMap::new()),
            import_turn: Mutex::new(()),
        });
        let acceptor = thread::Builder::new().name("control".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.accept()
        });
        Ok(Self {
            path: path.to_owned(),
            shared,
            acceptor: Some(acceptor.map_err(at)?),
        })
    }

    /// Closes the socket, ends all connections, and waits until their threads have ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        // Either of the two wakes the acceptor: the first on Linux, the second elsewhere. If the
        // file is gone and the first has no effect, the connection fails and nobody can come in.
        let fd = self.shared.listener.as_raw_fd();
        let _ = nix::sys::socket::shutdown(fd, nix::sys::socket::Shutdown::Both);
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
        for stream in self.shared.connections().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            // A thread that panicked has told so on its way out.
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<u64, UnixStream>> {
        // Entries are added and removed whole, so the map is sound even if a holder panicked.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for id in 0_u64.. {
            let accepted = self.listener.accept();
            if self.is_stopping.load(Ordering::Acquire) {
                break;
            }
            threads.retain(|thread| !thread.is_finished());
            match accepted {
                Ok((stream, _)) => threads.extend(self.start(id, stream)),
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    // Out of file descriptors, most likely: others must close theirs first.
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }

    /// Gives a connection its thread, or tells it why not.
    fn start(self: &Arc<Self>, id: u64, stream: UnixStream) -> Option<JoinHandle<()>> {
        let uid = match check_peer(&stream) {
            Ok(uid) => uid,
            Err(refusal) => {
                tracing::warn!(reason = refusal.message, "control connection refused");
                say_and_close(&stream, refusal);
                return None;
            }
        };
        let kept = stream.try_clone().ok()?;
        {
            let mut connections = self.connections();
            if connections.len() >= CONNECTIONS_MAX {
                let message = format!(
                    "{CONNECTIONS_MAX} control connections are open already: wait until one ends"
                );
                say_and_close(&stream, refusal(Reason::Busy, message));
                return None;
            }
            connections.insert(id, kept);
        }
        let thread = thread::Builder::new().name("control".to_owned()).spawn({
            let shared = self.clone();
            move || {
                let desk = Desk::clone(&shared.desk).asked_from(Source::Control { uid });
                // A connection that fails has a client that has gone.
                let _ = Connection::new(&desk, &shared.import_turn, &stream).run();
                shared.connections().remove(&id);
            }
        });
        if thread.is_err() {
            self.connections().remove(&id);
        }
        thread.ok()
    }
}

fn say_and_close(stream: &UnixStream, refusal: Refusal) {
    let mut stream = stream;
    // Whoever does not read this will see the connection closed.
    let _ = line::write(&mut stream, &answer(0, Body::Refused(refusal)));
    let _ = stream.shutdown(Shutdown::Both);
}

fn answer(id: u64, body: Body) -> Answer {
    Answer {
        version: VERSION,
        id,
        body,
    }
}

//----------- Connection -----------------------------------------------------

/// One client.
struct Connection<'a> {
    desk: &'a Desk,
    import_turn: &'a Mutex<()>,
    turn: Option<MutexGuard<'a, ()>>,
    input: BufReader<&'a UnixStream>,
    output: BufWriter<&'a UnixStream>,
    /// Batches of an import that are not answered yet, and the numbers of their questions.
    import: Option<Import<'a>>,
    unanswered: Vec<u64>,
}

impl<'a> Connection<'a> {
    fn new(desk: &'a Desk, import_turn: &'a Mutex<()>, stream: &'a UnixStream) -> Self {
        Self {
            desk,
            import_turn,
            turn: None,
            input: BufReader::with_capacity(READ_AHEAD, stream),
            output: BufWriter::new(stream),
            import: None,
            unanswered: Vec::new(),
        }
    }

    fn run(mut self) -> io::Result<()> {
        let served = self.serve();
        // The turn to import is given up only when everything is in the store.
        if let Some(import) = &mut self.import {
            while import.outcomes().is_some() {}
        }
        served
    }

    /// Waits for the turn to import, and keeps it.
    fn take_turn(&mut self) -> Result<(), Refusal> {
        let asked = Instant::now();
        while self.turn.is_none() {
            match self.import_turn.try_lock() {
                Ok(turn) => {
                    self.turn = Some(turn);
                    // From here on it is bulk work.
                    step_back();
                }
                // The lock guards no data that a panic could have left half-changed.
                Err(TryLockError::Poisoned(turn)) => self.turn = Some(turn.into_inner()),
                Err(TryLockError::WouldBlock) if asked.elapsed() < TURN_WAIT_MAX => {
                    thread::sleep(TURN_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let message = "another import is under way: wait until it has ended";
                    return Err(refusal(Reason::Busy, message));
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        loop {
            // While the client is sending the next batch, the disk may work on this one.
            if self.input.buffer().is_empty() {
                self.answer_imports(0)?;
                self.output.flush()?;
            }
            match line::read(&mut self.input, &mut text)? {
                Found::Line => {}
                Found::End => return Ok(()),
                Found::TooLong => {
                    let message = format!(
                        "the line is longer than {} octets: send less at a time",
                        guantong_api::control::LINE_LEN_MAX
                    );
                    self.say(0, Body::Refused(refusal(Reason::Invalid, message)))?;
                    return self.output.flush();
                }
            }
            match parse_question(&text) {
                Ok(question) => self.perform(question)?,
                Err((id, refusal)) => self.say(id, Body::Refused(refusal))?,
            }
        }
    }

    fn perform(&mut self, question: Question) -> io::Result<()> {
        let id = question.id;
        if matches!(question.ask, Ask::BeginImport | Ask::Import { .. })
            && let Err(refusal) = self.take_turn()
        {
            return self.say(id, Body::Refused(refusal));
        }
        if let Ask::Import {
            on_conflict,
            mode,
            records,
        } = question.ask
        {
            if !self
                .import
                .as_ref()
                .is_some_and(|i| i.is_for(on_conflict, mode))
            {
                self.answer_imports(0)?;
                self.import = Some(self.desk.import(on_conflict, mode));
            }
            self.answer_imports(BATCHES_AHEAD_MAX - 1)?;
            let import = self.import.as_mut();
            let submitted = import.map_or(Ok(()), |import| import.submit(parse_items(&records)));
            return match submitted {
                Ok(()) => {
                    self.unanswered.push(id);
                    Ok(())
                }
                Err(refusal) => {
                    self.answer_imports(0)?;
                    self.import = None;
                    self.say(id, Body::Refused(refusal))
                }
            };
        }
        self.answer_imports(0)?;
        let mut broken = None;
        let output = &mut self.output;
        let result = self.desk.perform(question.ask, &mut |body| {
            let written = line::write(output, &answer(id, body)).and_then(|()| output.flush());
            written.map_err(|error| {
                broken = Some(error);
                Gone
            })
        });
        match (broken, result) {
            (Some(error), _) => Err(error),
            (None, Ok(reply)) => self.say(id, Body::Done(reply)),
            (None, Err(refusal)) => self.say(id, Body::Refused(refusal)),
        }
    }

    /// Answers batches of an import, the oldest first, until `left` are under way.
    fn answer_imports(&mut self, left: usize) -> io::Result<()> {
        while self.unanswered.len() > left {
            let imported = self.import.as_mut().and_then(Import::outcomes);
            let id = self.unanswered.remove(0);
            match imported {
                Some(Ok(imported)) => self.say(id, Body::Done(Reply::Imported(imported)))?,
                Some(Err(refusal)) => self.say(id, Body::Refused(refusal))?,
                None => {}
            }
        }
        Ok(())
    }

    fn say(&mut self, id: u64, body: Body) -> io::Result<()> {
        line::write(&mut self.output, &answer(id, body))
    }
}

fn parse_question(text: &[u8]) -> Result<Question, (u64, Refusal)> {
    /// What every version of the protocol has.
    #[derive(Deserialize)]
    struct Head {
        version: u32,
        id: u64,
    }
    let head = serde_json::from_slice::<Head>(text).map_err(|error| {
        let message = format!("the line is not a question: {error}");
        (0, refusal(Reason::Invalid, message))
    })?;
    if head.version != VERSION {
        let message = format!(
            "the question is of version {}, this node speaks version {VERSION}: use the command line of the node's version",
            head.version
        );
        return Err((head.id, refusal(Reason::Version, message)));
    }
    serde_json::from_slice(text).map_err(|error| {
        let message = format!("the question is not understood: {error}");
        (head.id, refusal(Reason::Invalid, message))
    })
}

//----------- Access ---------------------------------------------------------

/// The user id at the other end, which must be ours or root's.
fn check_peer(stream: &UnixStream) -> Result<u32, Refusal> {
    let ours = nix::unistd::geteuid().as_raw();
    let denied = |who: String| {
        refusal(
            Reason::Denied,
            format!("this node belongs to user {ours}, and {who}: run the command as its owner"),
        )
    };
    let peer = peer_uid(stream);
    let peer = peer.map_err(|error| denied(format!("it cannot be known who you are ({error})")))?;
    match peer == ours || peer == 0 {
        true => Ok(peer),
        false => Err(denied(format!("you are user {peer}"))),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn peer_uid(stream: &UnixStream) -> nix::Result<u32> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    Ok(getsockopt(stream, PeerCredentials)?.uid())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn peer_uid(stream: &UnixStream) -> nix::Result<u32> {
    Ok(nix::unistd::getpeereid(stream)?.0.as_raw())
}

/// Makes the folder if there is none; refuses one in which others could replace the socket.
fn prepare_folder(path: &Path) -> Result<(), BindError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let at = |cause| BindError::Io {
        path: folder.to_owned(),
        cause,
    };
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(at)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE)).map_err(at)?;
    }
    let found = fs::metadata(folder).map_err(at)?;
    let owner = found.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(BindError::ForeignFolder {
            folder: folder.to_owned(),
            owner,
        });
    }
    match found.mode() & OTHERS_WRITE {
        0 => Ok(()),
        _ => Err(BindError::OpenFolder {
            folder: folder.to_owned(),
            mode: found.mode() & 0o7777,
        }),
    }
}

/// Removes a socket that a node left behind which did not end in order.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let at = |cause| BindError::Io {
        path: path.to_owned(),
        cause,
    };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(at)?,
    };
    let in_use = !found.file_type().is_socket() || UnixStream::connect(path).is_ok();
    match in_use {
        true => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        false => fs::remove_file(path).map_err(at),
    }
}

//----------- BindError ------------------------------------------------------

/// Why a control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A file of that name is there, or another node answers.
    #[error("{path}: something else is there: stop the other node, or set another `node.control`")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Others could replace the socket.
    #[error(
        "{folder} has mode {mode:o}, so others could replace the control socket: `chmod go-w {folder}`"
    )]
    OpenFolder {
        /// The folder of the socket.
        folder: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The folder belongs to somebody else.
    #[error(
        "{folder} belongs to user {owner}: run the node as that user, or set another `node.control`"
    )]
    ForeignFolder {
        /// The folder of the socket.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The operating system refused.
    #[error("cannot open the control socket at {path}: {cause}")]
    Io {
        /// The socket or its folder.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: io::Error,
    },
}
