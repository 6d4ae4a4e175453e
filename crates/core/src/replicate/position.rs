//! How far a mirror has come; saved with every portion, in the same transaction.

use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Reason};

use super::log::{LogId, Mark};
use guantong_proto::limits::HANDLE_LEN_MAX;

/// Form of a saved position.
const FORM: u8 = 1;
/// Most queues of a primary: one for each site that takes changes.
pub(super) const QUEUES_MAX: usize = 256;
/// Longest name of a queue.
const QUEUE_NAME_LEN_MAX: usize = 4_096;

//----------- Position -------------------------------------------------------

/// How far a mirror has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// It has nothing yet.
    #[default]
    Nothing,
    /// It is receiving everything.
    Dumping(Dumping),
    /// It has everything up to a change, and follows.
    Following(Following),
}

/// In the middle of receiving everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumping {
    /// Where to go on when everything is here.
    pub then: Following,
    /// The last record received, in the order of the dump.
    pub cursor: Option<String>,
    /// What becomes of records that the dump does not have.
    pub manner: Manner,
    /// Everything was here once before, so that queries can be answered meanwhile.
    pub again: bool,
}

/// How the records that are here and not in the dump are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The dump is in the order of our keys: what lies between two of its records is not in it.
    Merge,
    /// The dump has an order of its own. Every record of it is written, so what has no later
    /// version than this change of our own log was not in it.
    Sweep {
        /// The last change of our own log before the dump.
        before: u64,
    },
}

/// Up to which change of which log a mirror has everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// The log; `None` if the primary says none, as those of other makers do.
    pub log: Option<LogId>,
    /// Number of the last change.
    pub last: u64,
    /// Mark of that change, if known.
    pub mark: Option<Mark>,
    /// Number of the last change that any record here may already show. Records are sent as they
    /// are when they are sent, so in the middle of a stream this is ahead of `last`.
    pub seen: u64,
    /// Mark of that change, if known.
    pub seen_mark: Option<Mark>,
    /// The date to ask for next time, in milliseconds since 1970.
    pub query_ms: u64,
    /// The queues of a primary that has several.
    pub queues: Vec<QueuePosition>,
}

/// How far one of several queues has been followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePosition {
    /// Its name.
    pub name: String,
    /// Number of the last transaction.
    pub last: u64,
    /// The date to ask for next time, in milliseconds since 1970.
    pub query_ms: u64,
}

impl Position {
    /// Whether everything was received once, so that queries can be answered.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Dumping(dumping) => dumping.again,
            Self::Following(_) => true,
        }
    }

    /// The change up to which everything is here, and of which log.
    pub fn followed(&self) -> Option<&Following> {
        match self {
            Self::Following(following) => Some(following),
            _ => None,
        }
    }

    /// Decodes a saved position.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let invalid = |field, why| Err(DecodeError::new(field, 0, Reason::Invalid(why)));
        if r.u8("form")? != FORM {
            return invalid("form of a position", "is not one that this version knows");
        }
        let position = match r.u8("kind of position")? {
            0 => Self::Nothing,
            1 => {
                let then = Following::read(&mut r)?;
                let cursor = match r.u8("cursor follows")? {
                    0 => None,
                    _ => Some(text(&mut r, "cursor", HANDLE_LEN_MAX)?),
                };
                let manner = match r.u8("manner")? {
                    0 => Manner::Merge,
                    _ => Manner::Sweep {
                        before: r.i64("change before the dump")?.cast_unsigned(),
                    },
                };
                Self::Dumping(Dumping {
                    then,
                    cursor,
                    manner,
                    again: r.u8("again")? != 0,
                })
            }
            2 => Self::Following(Following::read(&mut r)?),
            _ => return invalid("kind of position", "is none of 0, 1 and 2"),
        };
        r.finish("position")?;
        Ok(position)
    }

    /// Encodes the position to be saved.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.u8(FORM);
            match self {
                Self::Nothing => w.u8(0),
                Self::Dumping(dumping) => {
                    w.u8(1);
                    dumping.then.write(w);
                    w.u8(dumping.cursor.is_some().into());
                    if let Some(cursor) = &dumping.cursor {
                        w.bytes(cursor.as_bytes());
                    }
                    match dumping.manner {
                        Manner::Merge => w.u8(0),
                        Manner::Sweep { before } => {
                            w.u8(1);
                            w.i64(before.cast_signed());
                        }
                    }
                    w.u8(dumping.again.into());
                }
                Self::Following(following) => {
                    w.u8(2);
                    following.write(w);
                }
            }
        })
    }
}

impl Following {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let log = match r.u8("log follows")? {
            0 => None,
            _ => Some(LogId::read(r)?),
        };
        let last = r.i64("last change")?.cast_unsigned();
        let mark = read_mark(r)?;
        let seen = r.i64("last change seen")?.cast_unsigned();
        let seen_mark = read_mark(r)?;
        let query_ms = r.i64("date of the query")?.cast_unsigned();
        let count = r.count("queue count", 20, QUEUES_MAX)?;
        let mut queues = Vec::with_capacity(count);
        for _ in 0..count {
            queues.push(QueuePosition {
                name: text(r, "queue name", QUEUE_NAME_LEN_MAX)?,
                last: r.i64("last transaction")?.cast_unsigned(),
                query_ms: r.i64("date of the query")?.cast_unsigned(),
            });
        }
        Ok(Self {
            log,
            last,
            mark,
            seen,
            seen_mark,
            query_ms,
            queues,
        })
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.u8(self.log.is_some().into());
        if let Some(log) = self.log {
            log.write(w);
        }
        w.i64(self.last.cast_signed());
        write_mark(self.mark, w);
        w.i64(self.seen.cast_signed());
        write_mark(self.seen_mark, w);
        w.i64(self.query_ms.cast_signed());
        w.size(self.queues.len());
        for queue in &self.queues {
            w.bytes(queue.name.as_bytes());
            w.i64(queue.last.cast_signed());
            w.i64(queue.query_ms.cast_signed());
        }
    }

    /// The queue of that name, made if it is new. `None` if there are too many.
    pub(super) fn queue(&mut self, name: &str) -> Option<&mut QueuePosition> {
        let known = self.queues.iter().position(|queue| queue.name == name);
        let at = match known {
            Some(at) => at,
            None if self.queues.len() >= QUEUES_MAX || name.len() > QUEUE_NAME_LEN_MAX => {
                return None;
            }
            None => {
                self.queues.push(QueuePosition {
                    name: name.to_owned(),
                    ..QueuePosition::default()
                });
                self.queues.len() - 1
            }
        };
        self.queues.get_mut(at)
    }
}

fn read_mark(r: &mut Reader<'_>) -> Result<Option<Mark>, DecodeError> {
    match r.u8("mark follows")? {
        0 => Ok(None),
        _ => Mark::read(r).map(Some),
    }
}

fn write_mark(mark: Option<Mark>, w: &mut Writer<'_>) {
    w.u8(mark.is_some().into());
    if let Some(mark) = mark {
        mark.write(w);
    }
}

fn text(r: &mut Reader<'_>, field: &'static str, max: usize) -> Result<String, DecodeError> {
    let at = r.position();
    let octets = r.bytes_max(field, max)?;
    let text = std::str::from_utf8(octets);
    let text = text.map_err(|_| DecodeError::new(field, at, Reason::NotUtf8))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_survives_a_round_trip_and_truncation_is_found() {
        let then = Following {
            log: Some(LogId([4; 16])),
            last: 77,
            mark: Some(Mark::of(77, 1, 9, "88.118.5/a")),
            seen: 80,
            seen_mark: Some(Mark::of(80, 1, 9, "88.118.5/b")),
            query_ms: 12,
            queues: vec![QueuePosition {
                name: "1:300:0.NA/88.118".into(),
                last: 3,
                query_ms: 4,
            }],
        };
        let dumping = |manner, cursor| {
            Position::Dumping(Dumping {
                then: then.clone(),
                cursor,
                manner,
                again: true,
            })
        };
        for position in [
            Position::Nothing,
            dumping(Manner::Merge, None),
            dumping(Manner::Sweep { before: 5 }, Some("88.118.5/a".into())),
            Position::Following(then.clone()),
            Position::Following(Following::default()),
        ] {
            let octets = position.encode();
            assert_eq!(Position::decode(&octets).unwrap(), position);
            for len in 0..octets.len() {
                assert!(Position::decode(&octets[..len]).is_err(), "{len}");
            }
            let longer = [&octets[..], &[0]].concat();
            assert!(Position::decode(&longer).is_err());
        }
        assert!(Position::decode(&[9, 0]).is_err());
        assert!(Position::decode(&[1, 9]).is_err());
    }

    #[test]
    fn queues_are_bounded() {
        let mut following = Following::default();
        for n in 0..QUEUES_MAX {
            assert!(following.queue(&n.to_string()).is_some());
        }
        assert!(following.queue("one more").is_none());
        assert!(following.queue("7").is_some());
    }
}
