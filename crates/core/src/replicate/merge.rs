//! Makes a stretch of the store equal to the same stretch of a dump, with as few changes as
//! possible.

use std::iter::Peekable;

use guantong_proto::Handle;

use super::follower::RecordChange;

/// A record of the store.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its folded handle.
    pub key: Vec<u8>,
    /// Its handle.
    pub handle: Handle,
    /// Its values in wire form.
    pub values: Vec<u8>,
}

/// A record of the dump.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its folded handle.
    pub key: Vec<u8>,
    /// Its handle.
    pub handle: Handle,
    /// Its values in wire form.
    pub values: Vec<u8>,
}

/// The changes that turn `local` into `received`. Both are in ascending order of their keys, and of
/// the same stretch. The result is as lazy as its sources, so that a long stretch of records that
/// are gone costs no memory.
pub fn merge<E>(
    local: impl Iterator<Item = Result<Local, E>>,
    received: impl Iterator<Item = Received>,
) -> impl Iterator<Item = Result<RecordChange, E>> {
    let mut local = local.peekable();
    let mut received = received.peekable();
    std::iter::from_fn(move || {
        loop {
            match next(&mut local, &mut received)? {
                Ok(Some(change)) => return Some(Ok(change)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// The next step: a change, nothing for a record that is equal, or the end.
fn next<E>(
    local: &mut Peekable<impl Iterator<Item = Result<Local, E>>>,
    received: &mut Peekable<impl Iterator<Item = Received>>,
) -> Option<Result<Option<RecordChange>, E>> {
    let theirs = received.peek().map(|record| record.key.as_slice());
    let old = local.next_if(|ours| match (ours, theirs) {
        (Ok(ours), Some(theirs)) => ours.key.as_slice() <= theirs,
        _ => true,
    });
    let old = match old.transpose() {
        Ok(old) => old,
        Err(error) => return Some(Err(error)),
    };
    let is_same = old
        .as_ref()
        .is_some_and(|old| Some(old.key.as_slice()) == theirs);
    if let Some(old) = &old
        && !is_same
    {
        let handle = old.handle.clone();
        return Some(Ok(Some(RecordChange::Delete { handle })));
    }
    let new = received.next()?;
    if old.is_some_and(|old| old.handle == new.handle && old.values == new.values) {
        return Some(Ok(None));
    }
    let (handle, values) = (new.handle, new.values);
    Some(Ok(Some(RecordChange::Put { handle, values })))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn records(text: &str) -> Vec<(String, Vec<u8>)> {
        let records = text.split_whitespace();
        let parse = |record: &str| {
            let (name, values) = record.split_once('=').unwrap();
            (format!("1/{name}"), values.as_bytes().to_vec())
        };
        records.map(parse).collect()
    }

    fn changes(local: &str, received: &str) -> String {
        let local = records(local).into_iter().map(|(name, values)| {
            Ok::<_, Infallible>(Local {
                key: name.to_ascii_uppercase().into_bytes(),
                handle: Handle::parse(&name).unwrap(),
                values,
            })
        });
        let received = records(received)
            .into_iter()
            .map(|(name, values)| Received {
                key: name.to_ascii_uppercase().into_bytes(),
                handle: Handle::parse(&name).unwrap(),
                values,
            });
        let say = |change| match change {
            Ok(RecordChange::Put { handle, .. }) => format!("+{}", &handle.as_str()[2..]),
            Ok(RecordChange::Delete { handle }) => format!("-{}", &handle.as_str()[2..]),
            other => panic!("{other:?}"),
        };
        let changes: Vec<_> = merge(local, received).map(say).collect();
        changes.join(" ")
    }

    #[test]
    fn only_what_differs_is_changed() {
        for (local, received, expected) in [
            ("", "a=1 b=2", "+a +b"),
            ("a=1 b=2", "a=1 b=2", ""),
            ("a=1 b=2 c=3", "a=1 c=4", "-b +c"),
            ("a=1 b=2", "", "-a -b"),
            ("b=2 d=4", "a=1 b=2 c=3", "+a +c -d"),
            ("a=1", "A=1", "+A"),
        ] {
            assert_eq!(changes(local, received), expected, "{local} -> {received}");
        }
    }

    #[test]
    fn source_that_fails_ends_the_merge_with_its_error() {
        let local = [Err("disk")].into_iter();
        let mut merged = merge(local, std::iter::empty());
        assert_eq!(merged.next().unwrap().unwrap_err(), "disk");
    }
}
