//! Watches when signatures and certificates end, for metrics: a slow walk over the store after the
//! start, then a look at the records that have changed; and at the certificates of the node's own
//! signing key and of the roots.
//!
//! So many records are kept that end first. As long as one of them is left, the first end is known
//! without the others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guantong_core::trust::{
    Ascent, Climbed, Found, Policy, ROOT, certificate_end, root_end, signature_end,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};
use guantong_store::{Scope, Store, StoreError, StoredRecord};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::listen::tls;
use crate::metrics::Expiring;
use crate::node::Node;
use crate::shutdown::Stop;
use crate::trust;

/// Records that are read at a time.
const PAGE_LEN: usize = 128;
/// Changes that are read at a time; each has up to a MiB.
const CHANGES_AT_ONCE: usize = 16;
/// Records that are kept, of signatures and of certificates: a key of each and a number.
const KEPT_MAX: usize = 4_096;
/// The walk rests so many times as long as it works: it takes a twentieth of one core at most.
const REST: u32 = 19;
/// The shortest rest between two pages.
const REST_MIN: Duration = Duration::from_millis(10);
/// From the end of one look to the beginning of the next.
const PAUSE: Duration = Duration::from_secs(3_600);

/// Watches until it is time to stop.
pub(crate) async fn watch(node: Arc<Node>, stop: Stop) {
    let mut known = Watch::new(KEPT_MAX);
    let walk = async {
        loop {
            certificates(&node).await;
            let renewed = {
                let node = node.clone();
                spawn_blocking(move || tls::renew(&node)).await
            };
            if let Ok(Err(error)) = renewed {
                tracing::warn!(%error, "the node's own certificate could not be renewed");
            }
            if let Err(error) = records(&node, &mut known).await {
                tracing::warn!(%error, "when signatures end could not be read from the store");
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.told() => {}
        () = walk => {}
    }
}

//----------- Certificates ---------------------------------------------------

async fn certificates(node: &Node) {
    let config = node.config().trust.clone();
    if let Some(identity) = &config.sign_as {
        let mut ascent = Ascent::new(identity);
        let links = loop {
            match ascent.climb() {
                Climbed::Done(links) => break links,
                Climbed::Wanted(handle) => {
                    let found = node.record_to_judge(&handle).await;
                    ascent.learn(handle.borrow(), found);
                }
            }
        };
        // The root is told apart.
        let links = links.iter().filter(|link| link.issuer != link.subject);
        let end = links.filter_map(|link| link.expires).min();
        node.metrics.expiry.set(Expiring::Signer, end);
    }
    if let (Some(path), Ok(Some(policy))) = (&config.roots, trust::policy(&config)) {
        let in_file = || {
            let values = trust::root_record(path)?;
            let wire = Writer::to_vec(|w| Values::encode(&values, w));
            root_end(Values::from_wire(&wire).ok()?, &policy)
        };
        let end = published_root_end(node, &policy).await.or_else(in_file);
        node.metrics.expiry.set(Expiring::Root, end);
    }
}

async fn published_root_end(node: &Node, policy: &Policy) -> Option<i64> {
    match node.record_to_judge(&Handle::parse(ROOT).ok()?).await {
        Found::Record(record) => root_end(record.values(), policy),
        Found::Absent | Found::Failed(_) => None,
    }
}

//----------- Records --------------------------------------------------------

/// The records that end first, and up to which change they are known.
#[derive(Debug)]
struct Watch {
    signatures: Earliest,
    certificates: Earliest,
    /// The last change that is known; `None` before the first walk.
    through: Option<u64>,
    /// Where the walk over all records is; `None` while changes are followed.
    walk: Option<Place>,
    /// Records that were read, for tests.
    read: u64,
}

/// A place between two records.
#[derive(Debug)]
enum Place {
    Begin,
    Behind(Box<[u8]>),
}

impl Watch {
    fn new(kept_max: usize) -> Self {
        Self {
            signatures: Earliest::new(kept_max),
            certificates: Earliest::new(kept_max),
            through: None,
            walk: None,
            read: 0,
        }
    }

    /// Begins anew where changes do not lead to what is to be known: at the start, in a store that
    /// was put in the place of another one, and when all that was kept is gone.
    fn begin(&mut self, store: &Store) {
        let last = store.last_change();
        let is_of_other = self.through.is_none_or(|through| through > last);
        let is_used_up = self.signatures.is_used_up() || self.certificates.is_used_up();
        if self.walk.is_none() && (is_of_other || is_used_up) {
            self.signatures.forget();
            self.certificates.forget();
            // What changes while the walk goes on is looked at again afterwards.
            self.through = Some(last);
            self.walk = Some(Place::Begin);
        }
    }

    /// Reads some records; whether there may be more.
    fn step(&mut self, store: &Store) -> Result<bool, StoreError> {
        let Some(place) = self.walk.take() else {
            return self.follow(store);
        };
        let after = match &place {
            Place::Begin => None,
            Place::Behind(key) => Some(&key[..]),
        };
        let mut last = None;
        for found in store.scan(&Scope::All, after).take(PAGE_LEN) {
            let (key, record) = found?;
            self.note(&key, Some(record.values_wire()));
            last = Some(key.into());
        }
        self.walk = last.map(Place::Behind);
        Ok(true)
    }

    /// Looks at the records of some changes; whether there may be more.
    fn follow(&mut self, store: &Store) -> Result<bool, StoreError> {
        let through = self.through.unwrap_or(0);
        let changes = store.changes(through, CHANGES_AT_ONCE)?;
        for change in &changes {
            let key = change.handle.key(store.case_rule());
            let record = store.get(key.as_bytes())?;
            self.note(
                key.as_bytes(),
                record.as_ref().map(StoredRecord::values_wire),
            );
            self.through = Some(change.number);
        }
        Ok(!changes.is_empty())
    }

    fn note(&mut self, key: &[u8], values: Option<&[u8]>) {
        self.read += 1;
        let values = values.and_then(|wire| Values::from_wire(wire).ok());
        let values = values.unwrap_or(Values::EMPTY);
        self.signatures.note(key, signature_end(values));
        self.certificates.note(key, certificate_end(values));
    }
}

async fn records(node: &Arc<Node>, watch: &mut Watch) -> Result<(), StoreError> {
    watch.begin(&node.store);
    loop {
        let begun = Instant::now();
        let reader = node.clone();
        let mut taken = std::mem::replace(watch, Watch::new(KEPT_MAX));
        let read = spawn_blocking(move || {
            let has_more = taken.step(&reader.store);
            (taken, has_more)
        });
        let Ok((read, has_more)) = read.await else {
            // The runtime ends, or reading panicked, which was told; then it begins anew.
            return Ok(());
        };
        *watch = read;
        if !has_more? {
            break;
        }
        sleep((begun.elapsed() * REST).max(REST_MIN)).await;
    }
    let expiry = &node.metrics.expiry;
    expiry.set(Expiring::Records, watch.signatures.first());
    expiry.set(Expiring::Certificates, watch.certificates.first());
    Ok(())
}

//----------- Earliest -------------------------------------------------------

/// The records that end first, of a store that may have any number of them.
#[derive(Debug)]
struct Earliest {
    max: usize,
    ends: BTreeSet<(i64, Box<[u8]>)>,
    by_key: HashMap<Box<[u8]>, i64>,
    /// No record that is not kept ends before; `None` if all are kept that end.
    rest: Option<i64>,
}

impl Earliest {
    fn new(max: usize) -> Self {
        Self {
            max,
            ends: BTreeSet::new(),
            by_key: HashMap::new(),
            rest: None,
        }
    }

    fn forget(&mut self) {
        *self = Self::new(self.max);
    }

    /// Notes when a record ends, or that it does not, whatever was known of it.
    fn note(&mut self, key: &[u8], end: Option<i64>) {
        if let Some((key, old)) = self.by_key.remove_entry(key) {
            self.ends.remove(&(old, key));
        }
        let Some(end) = end.filter(|end| self.rest.is_none_or(|rest| *end < rest)) else {
            return;
        };
        self.by_key.insert(key.into(), end);
        self.ends.insert((end, key.into()));
        if self.ends.len() > self.max
            && let Some((last, key)) = self.ends.pop_last()
        {
            self.by_key.remove(&key);
            self.rest = Some(last);
        }
    }

    /// Whether there are records that end, and none of them is kept.
    fn is_used_up(&self) -> bool {
        self.ends.is_empty() && self.rest.is_some()
    }

    /// When the first one ends. Where none is kept any more, no earlier than this.
    fn first(&self) -> Option<i64> {
        self.ends.first().map(|(end, _)| *end).or(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use guantong_proto::{CaseRule, Value};
    use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Trail};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let path = folder.path().join("store");
        let store = Store::create(&path, &create, &Options::default()).unwrap();
        (folder, store)
    }

    /// A record whose signature ends then; nobody verifies it here.
    fn signed(number: usize, end: i64) -> Change {
        let claims = format!(
            r#"{{"digests":{{"alg":"SHA-256","digests":[]}},"sub":"88.1/{number}",
                "iss":"300:88.1/k","iat":1,"nbf":1,"exp":{end}}}"#
        );
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let jws = format!(
            "{}.{}.{}",
            part(r#"{"alg":"RS256"}"#),
            part(&claims),
            part("x")
        );
        put(number, &[Value::new(400, "HS_SIGNATURE", jws)])
    }

    fn put(number: usize, values: &[Value]) -> Change {
        Change::Put {
            handle: Handle::parse(&format!("88.1/{number}")).unwrap(),
            values: Writer::to_vec(|w| Values::encode(values, w)),
            expect: Expect::Anything,
        }
    }

    fn submit(store: &Store, changes: Vec<Change>) {
        let batch = Batch {
            changes,
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        store.submit(batch).wait().unwrap();
    }

    /// Goes on until there is nothing more; how many records were read, and the first end.
    fn look(watch: &mut Watch, store: &Store) -> (u64, Option<i64>) {
        let before = watch.read;
        watch.begin(store);
        while watch.step(store).unwrap() {}
        (watch.read - before, watch.signatures.first())
    }

    #[test]
    fn every_record_is_read_once_and_then_those_only_that_change() {
        let (_folder, store) = store();
        let ends = (0..300).map(|n| signed(n, 1_000 + n as i64));
        submit(&store, ends.collect());
        let mut watch = Watch::new(KEPT_MAX);
        assert_eq!(look(&mut watch, &store), (300, Some(1_000)));
        assert_eq!(look(&mut watch, &store), (0, Some(1_000)));
        submit(&store, vec![signed(0, 5_000)]);
        assert_eq!(look(&mut watch, &store), (1, Some(1_001)));
        let gone = Change::Delete {
            handle: Handle::parse("88.1/1").unwrap(),
            expect: Expect::Present,
        };
        submit(&store, vec![gone, put(2, &[]), signed(300, 7)]);
        assert_eq!(look(&mut watch, &store), (3, Some(7)));
        submit(&store, vec![put(300, &[])]);
        assert_eq!(look(&mut watch, &store), (1, Some(1_003)));
        // A node that was started again finds the same.
        let mut again = Watch::new(KEPT_MAX);
        assert_eq!(look(&mut again, &store), (300, Some(1_003)));
    }

    #[test]
    fn what_changes_during_the_walk_is_not_missed() {
        let (_folder, store) = store();
        submit(&store, (0..300).map(|n| signed(n, 1_000)).collect());
        let mut watch = Watch::new(KEPT_MAX);
        watch.begin(&store);
        assert!(watch.step(&store).unwrap());
        // Names are in the order of their octets: this one was passed already.
        submit(&store, vec![signed(0, 7)]);
        assert_eq!(look(&mut watch, &store).1, Some(7));
    }

    #[test]
    fn so_many_ends_are_kept_and_the_store_is_walked_again_when_they_are_gone() {
        let (_folder, store) = store();
        submit(
            &store,
            (0..10).map(|n| signed(n, 1_000 + n as i64)).collect(),
        );
        let mut watch = Watch::new(3);
        assert_eq!(look(&mut watch, &store), (10, Some(1_000)));
        assert_eq!(watch.signatures.ends.len(), 3);
        // One that ends later than what is kept is not kept, one that ends earlier is.
        submit(&store, vec![signed(10, 1_004), signed(11, 999)]);
        assert_eq!(look(&mut watch, &store), (2, Some(999)));
        assert_eq!(watch.signatures.by_key.len(), 3);
        submit(&store, vec![put(11, &[]), put(0, &[]), put(1, &[])]);
        assert_eq!(look(&mut watch, &store), (3, Some(1_002)));
        assert_eq!(look(&mut watch, &store), (12, Some(1_002)));
    }
}
