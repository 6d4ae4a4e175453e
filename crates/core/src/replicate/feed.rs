//! What a primary sends: changes after a position, or everything (6.8).
//!
//! A create or an update carries the values that the record has *now*; one whose record has
//! vanished since says nothing that a later change does not say better, and is left out, as is a
//! deletion whose record is there again. A mirror of ours gets a placeholder in place of what is
//! left out, so that it can check that no number is missing.

use guantong_proto::limits::HANDLE_LEN_MAX;
use guantong_proto::stream::{Action, Content, Entries, Transaction};
use guantong_proto::wire::Writer;
use guantong_proto::{HandleRef, Values};

use super::log::{LogId, Mark};
use super::notice::Asked;
use super::receiver::Receiver;

//----------- Start ----------------------------------------------------------

/// Where the stream of a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind this change.
    After(u64),
    /// Nowhere: the mirror has to ask for everything.
    Redump(Redump),
}

/// Why a mirror has to ask for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redump {
    /// It has nothing yet.
    Nothing,
    /// Its position is one of another log.
    OtherLog,
    /// Its position is behind the end of the log: the log was restored from a backup.
    BehindTheEnd,
    /// The log has another change under that number: it was restored from a backup and went on.
    OtherChange,
}

impl Redump {
    /// The reason in words.
    pub fn why(self) -> &'static str {
        match self {
            Self::Nothing => "the mirror has nothing yet",
            Self::OtherLog => "the mirror has followed another log",
            Self::BehindTheEnd => "the mirror has changes that are not in this log",
            Self::OtherChange => "the mirror has another change under the same number",
        }
    }
}

impl Start {
    /// Where to begin for a mirror whose last change is `last`. `end` is the last change of the log
    /// `own`; `change` looks up the mark and the date of the change with a number. The log must
    /// have both the last change that the mirror has and the last one that its records may show.
    ///
    /// A mirror of another maker has no mark. It says when it asked last, and a change that is
    /// younger than that cannot be the one that it has seen.
    pub fn find(
        own: LogId,
        end: u64,
        (last, query_ms): (u64, u64),
        asked: Option<&Asked>,
        mut change: impl FnMut(u64) -> Option<(Mark, u64)>,
    ) -> Self {
        if let Some(asked) = asked {
            match asked.log {
                None => return Self::Redump(Redump::Nothing),
                Some(log) if log != own => return Self::Redump(Redump::OtherLog),
                Some(_) => {}
            }
        }
        let seen = asked.map_or(last, |asked| asked.seen.max(last));
        if seen > end {
            return Self::Redump(Redump::BehindTheEnd);
        }
        let mut is_same = |number, known: Option<Mark>| {
            let found = change(number);
            number == 0
                || found.is_some_and(|(mark, at_ms)| match asked {
                    Some(_) => known == Some(mark),
                    None => query_ms == 0 || at_ms <= query_ms,
                })
        };
        let (mark, seen_mark) = asked.map_or((None, None), |asked| (asked.mark, asked.seen_mark));
        match is_same(last, mark) && (seen == last || is_same(seen, seen_mark)) {
            true => Self::After(last),
            false => Self::Redump(Redump::OtherChange),
        }
    }
}

//----------- Feed -----------------------------------------------------------

/// A change as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct LogChange<'a> {
    /// Its number.
    pub number: u64,
    /// What it did, by the numbers of the stream.
    pub action: Action,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The record, or the prefix handle.
    pub handle: HandleRef<'a>,
}

/// What a feed needs to know to send a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The record of the change's handle, as it is now.
    Record,
}

/// Whether the receiver wants every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// It gets a placeholder for a change that says nothing.
    Dense,
    /// It gets no such change.
    Sparse,
}

/// Writes the changes for one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    receiver: Receiver,
    numbering: Numbering,
}

impl Feed {
    /// A feed for `receiver`.
    pub fn new(receiver: Receiver, numbering: Numbering) -> Self {
        Self {
            receiver,
            numbering,
        }
    }

    /// What is needed to send a change.
    pub fn need(&self, change: &LogChange<'_>) -> Need {
        let about_record = matches!(
            change.action,
            Action::CREATE | Action::UPDATE | Action::DELETE
        );
        match about_record && self.receiver.takes(change.handle) {
            true => Need::Record,
            false => Need::Nothing,
        }
    }

    /// Appends the block of a change, without a signature. `record` is the record as it is now, for
    /// [`Need::Record`]. Says whether there is a block.
    pub fn write(
        &self,
        change: &LogChange<'_>,
        record: Option<Values<'_>>,
        out: &mut Vec<u8>,
    ) -> bool {
        let is_about_prefix = matches!(change.action, Action::HOME | Action::UNHOME);
        let says = match (change.action, record) {
            _ if is_about_prefix => true,
            _ if !self.receiver.takes(change.handle) => false,
            (Action::CREATE | Action::UPDATE, Some(_)) | (Action::DELETE, None) => true,
            _ => false,
        };
        if !says && self.numbering == Numbering::Sparse {
            return false;
        }
        let entries = record.filter(|_| says && change.action != Action::DELETE);
        let entries = entries.map(to_entries);
        let transaction = Transaction {
            id: change.number.cast_signed(),
            handle: match says {
                true => change.handle.as_str().as_bytes(),
                false => b"",
            },
            action: match says {
                true => change.action,
                false => Action::PLACEHOLDER,
            },
            date_ms: change.at_ms.cast_signed(),
            values: entries.as_deref().map(Entries::from_octets),
        };
        Content::Transaction(transaction).encode(&mut Writer::new(out));
        true
    }

    /// Appends the block of a record of a dump, if the receiver holds it. Says whether it does.
    pub fn write_record(
        &self,
        handle: HandleRef<'_>,
        values: Values<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.receiver.takes(handle) {
            return false;
        }
        debug_assert!(handle.as_str().len() <= HANDLE_LEN_MAX);
        let entries = to_entries(values);
        let record = Content::Record {
            handle: handle.as_str().as_bytes(),
            values: Entries::from_octets(&entries),
        };
        record.encode(&mut Writer::new(out));
        true
    }
}

/// Appends the block with which a dump begins: how far the log has come.
pub fn write_dump_head(last: u64, at_ms: u64, out: &mut Vec<u8>) {
    let position = Content::Position {
        date_ms: at_ms.cast_signed(),
        last_txn: last.cast_signed(),
    };
    position.encode(&mut Writer::new(out));
}

/// Appends the block of a homed prefix, behind the records.
pub fn write_dump_tail(prefix: HandleRef<'_>, out: &mut Vec<u8>) {
    Content::HomedPrefix(prefix.as_str().as_bytes()).encode(&mut Writer::new(out));
}

fn to_entries(values: Values<'_>) -> Vec<u8> {
    let values: Vec<_> = values.iter().collect();
    Writer::to_vec(|w| Entries::encode(values.into_iter(), w))
}

#[cfg(test)]
mod tests {
    use guantong_proto::stream::{StreamDecoder, StreamKind};
    use guantong_proto::{Handle, Value};

    use super::*;

    const OWN: LogId = LogId([1; 16]);

    fn mark(number: u64) -> Mark {
        Mark::of(number, 1, number * 10, "88.118.5/a")
    }

    fn find(position: (u64, u64), asked: Option<&Asked>) -> Start {
        Start::find(OWN, 9, position, asked, |n| Some((mark(n), n * 10)))
    }

    fn asked(log: Option<LogId>, mark: Option<Mark>) -> Asked {
        Asked {
            mirror: LogId([2; 16]),
            epoch: 1,
            log,
            last: 0,
            mark,
            seen: 0,
            seen_mark: None,
            token: None,
            wait_ms: 0,
            claim: None,
        }
    }

    #[test]
    fn mirror_goes_on_only_where_it_has_seen_the_same_change() {
        let own = Some(OWN);
        for (last, asked, expected) in [
            (5, asked(own, Some(mark(5))), Start::After(5)),
            (0, asked(own, None), Start::After(0)),
            (
                5,
                asked(own, Some(mark(4))),
                Start::Redump(Redump::OtherChange),
            ),
            (5, asked(own, None), Start::Redump(Redump::OtherChange)),
            (
                10,
                asked(own, Some(mark(10))),
                Start::Redump(Redump::BehindTheEnd),
            ),
            (
                5,
                asked(Some(LogId([3; 16])), None),
                Start::Redump(Redump::OtherLog),
            ),
            (0, asked(None, None), Start::Redump(Redump::Nothing)),
        ] {
            assert_eq!(find((last, 0), Some(&asked)), expected, "{last}");
        }
    }

    #[test]
    fn mirror_of_another_maker_is_judged_by_its_date() {
        assert_eq!(find((5, 50), None), Start::After(5));
        assert_eq!(find((5, 49), None), Start::Redump(Redump::OtherChange));
        assert_eq!(find((10, 99), None), Start::Redump(Redump::BehindTheEnd));
        assert_eq!(find((0, 0), None), Start::After(0));
    }

    fn sent(feed: &Feed, action: Action, record: bool) -> Option<(Action, usize)> {
        let handle = Handle::parse("88.118.5/a").unwrap();
        let wire = Writer::to_vec(|w| Values::encode(&[Value::new(1, "URL", "x")], w));
        let values = Values::from_wire(&wire).unwrap();
        let change = LogChange {
            number: 7,
            action,
            at_ms: 9,
            handle: handle.borrow(),
        };
        let mut out = [[0xff; 4], [0, 0, 0, 1], [0, 0, 0, 2]].concat();
        if !feed.write(&change, record.then_some(values), &mut out) {
            return None;
        }
        let mut decoder = StreamDecoder::new(StreamKind::Transactions);
        let mut at = 0;
        loop {
            let (block, len) = decoder.next(&out[at..]).unwrap().unwrap();
            at += len;
            if let Content::Transaction(transaction) = block.content {
                let values = transaction.values.map_or(0, |values| values.iter().count());
                assert_eq!(transaction.id, 7);
                return Some((transaction.action, values));
            }
        }
    }

    #[test]
    fn changes_carry_what_is_there_now_or_are_left_out() {
        let sparse = Feed::new(Receiver::ALL, Numbering::Sparse);
        let dense = Feed::new(Receiver::ALL, Numbering::Dense);
        for (action, record, expected) in [
            (Action::CREATE, true, Some((Action::CREATE, 1))),
            (Action::UPDATE, true, Some((Action::UPDATE, 1))),
            (Action::UPDATE, false, None),
            (Action::DELETE, false, Some((Action::DELETE, 0))),
            (Action::DELETE, true, None),
            (Action::HOME, false, Some((Action::HOME, 0))),
        ] {
            assert_eq!(sent(&sparse, action, record), expected);
            let placeholder = Some((Action::PLACEHOLDER, 0));
            assert_eq!(sent(&dense, action, record), expected.or(placeholder));
        }
    }

    #[test]
    fn other_servers_records_are_left_out_but_not_their_prefixes() {
        let here = (0..2)
            .map(|n| Feed::new(Receiver::new(2, 2, n).unwrap(), Numbering::Sparse))
            .filter(|feed| sent(feed, Action::CREATE, true).is_some());
        assert_eq!(here.count(), 1);
        for n in 0..2 {
            let feed = Feed::new(Receiver::new(2, 2, n).unwrap(), Numbering::Sparse);
            assert!(sent(&feed, Action::HOME, false).is_some());
        }
    }
}
