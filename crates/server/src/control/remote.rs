//! The client's side of the control socket.

use std::collections::VecDeque;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use guantong_api::control::{
    Answer, Ask, Body, Imported, Mode, OnConflict, Outcome, Question, Reply, VERSION,
};

use super::desk::Say;
use super::import::Item;
use super::line::{self, Found};
use super::{Control, Fault, Importer};

/// Answers that wait for us. More than batches can be under way, so that the node is never kept
/// from reading by a client that is itself kept from writing.
const ANSWERS_MAX: usize = 32;

//----------- Remote ---------------------------------------------------------

/// A connection to a running node.
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
    stream: UnixStream,
    output: BufWriter<UnixStream>,
    answers: Option<Receiver<Result<Answer, String>>>,
    reader: Option<JoinHandle<()>>,
    asked: u64,
}

impl Remote {
    /// Connects to the control socket at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        let (sender, answers) = mpsc::sync_channel(ANSWERS_MAX);
        let input = stream.try_clone()?;
        let reader = thread::Builder::new()
            .name("control-answers".to_owned())
            .spawn(move || read_answers(&input, &sender))?;
        Ok(Self {
            path: path.to_owned(),
            output: BufWriter::new(stream.try_clone()?),
            stream,
            answers: Some(answers),
            reader: Some(reader),
            asked: 0,
        })
    }

    fn send(&mut self, ask: Ask) -> Result<u64, Fault> {
        self.asked += 1;
        let question = Question {
            version: VERSION,
            id: self.asked,
            ask,
        };
        let sent = line::write(&mut self.output, &question).and_then(|()| self.output.flush());
        match sent {
            Ok(()) => Ok(self.asked),
            // The node may have said why before it closed.
            Err(error) => Err(match self.next(0) {
                Err(Fault::Lost { .. }) => self.lost(error.to_string()),
                Err(refused) => refused,
                Ok(_) => self.lost(error.to_string()),
            }),
        }
    }

    /// The next answer to question `id`.
    fn next(&self, id: u64) -> Result<Body, Fault> {
        let received = self.answers.as_ref().map(Receiver::recv);
        match received {
            Some(Ok(Ok(answer))) => match answer.body {
                Body::Refused(refusal) => Err(Fault::Refused(refusal)),
                body if answer.id == id => Ok(body),
                _ => Err(Fault::Strange),
            },
            Some(Ok(Err(cause))) => Err(self.lost(cause)),
            Some(Err(_)) | None => Err(self.lost("it has closed the connection".to_owned())),
        }
    }

    fn lost(&self, cause: String) -> Fault {
        Fault::Lost {
            path: self.path.clone(),
            cause,
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        // Without a receiver the reader cannot wait for us.
        self.answers = None;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read_answers(stream: &UnixStream, answers: &SyncSender<Result<Answer, String>>) {
    let mut input = BufReader::new(stream);
    let mut text = Vec::new();
    loop {
        let answer = match line::read(&mut input, &mut text) {
            Ok(Found::Line) => serde_json::from_slice::<Answer>(&text)
                .map_err(|error| format!("its answer is not understood: {error}")),
            Ok(Found::End) => return,
            Ok(Found::TooLong) => Err("its answer is too long".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let is_last = answer.is_err();
        if answers.send(answer).is_err() || is_last {
            return;
        }
    }
}

impl Control for Remote {
    fn ask(&mut self, ask: Ask, say: Say<'_>) -> Result<Reply, Fault> {
        let id = self.send(ask)?;
        loop {
            match self.next(id)? {
                Body::Done(reply) => return Ok(reply),
                Body::Refused(refusal) => return Err(Fault::Refused(refusal)),
                body => say(body).map_err(|_| Fault::Stopped)?,
            }
        }
    }

    fn import(&mut self, on_conflict: OnConflict, mode: Mode) -> Box<dyn Importer + '_> {
        Box::new(RemoteImport {
            remote: self,
            on_conflict,
            mode,
            under_way: VecDeque::new(),
        })
    }

    fn is_running_node(&self) -> bool {
        true
    }
}

//----------- RemoteImport ---------------------------------------------------

/// Batches on their way to the node.
struct RemoteImport<'a> {
    remote: &'a mut Remote,
    on_conflict: OnConflict,
    mode: Mode,
    /// Number of each question, and for each item of the batch why it was not sent.
    under_way: VecDeque<(u64, Vec<Option<String>>)>,
}

impl Importer for RemoteImport<'_> {
    fn submit(&mut self, items: Vec<Item>) -> Result<(), Fault> {
        let mut records = Vec::with_capacity(items.len());
        let unsent = items.into_iter().map(|item| match item {
            Ok(record) => {
                records.push(record.to_json());
                None
            }
            Err(reason) => Some(reason),
        });
        let unsent = unsent.collect();
        let id = self.remote.send(Ask::Import {
            on_conflict: self.on_conflict,
            mode: self.mode,
            records,
        })?;
        self.under_way.push_back((id, unsent));
        Ok(())
    }

    fn outcomes(&mut self) -> Result<Option<Imported>, Fault> {
        let Some((id, unsent)) = self.under_way.pop_front() else {
            return Ok(None);
        };
        let imported = match self.remote.next(id)? {
            Body::Done(Reply::Imported(imported)) => imported,
            _ => {
                return Err(self
                    .remote
                    .lost("it answers with something else".to_owned()));
            }
        };
        let mut sent = imported.outcomes.into_iter();
        let outcomes = unsent.into_iter().map(|reason| match reason {
            Some(reason) => Some(Outcome::Refused(reason)),
            None => sent.next(),
        });
        match outcomes.collect::<Option<Vec<_>>>() {
            Some(outcomes) => Ok(Some(Imported {
                outcomes,
                last_change: imported.last_change,
            })),
            None => Err(Fault::Strange),
        }
    }

    fn under_way(&self) -> usize {
        self.under_way.len()
    }
}
