//! Watches when signatures and certificates end, for metrics: a slow walk over the store, again and
//! again, and a look at the certificates of the node's own signing key and of the roots.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guantong_core::trust::{
    Ascent, Climbed, Found, Policy, ROOT, certificate_end, root_end, signature_end,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};
use guantong_store::{Scope, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::listen::tls;
use crate::metrics::Expiring;
use crate::node::Node;
use crate::shutdown::Stop;
use crate::trust;

/// Records that are read at a time.
const PAGE_LEN: usize = 128;
/// The walk rests so many times as long as it works: it takes a twentieth of one core at most.
const REST: u32 = 19;
/// The shortest rest between two pages.
const REST_MIN: Duration = Duration::from_millis(10);
/// From the end of one walk to the beginning of the next.
const PAUSE: Duration = Duration::from_secs(3_600);

/// Watches until it is time to stop.
pub(crate) async fn watch(node: Arc<Node>, stop: Stop) {
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
            if let Err(error) = records(&node).await {
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

/// One walk over all records.
#[derive(Debug, Default)]
struct Ends {
    signature: Option<i64>,
    certificate: Option<i64>,
    /// The key of the last record that was read.
    after: Option<Box<[u8]>>,
}

async fn records(node: &Arc<Node>) -> Result<(), StoreError> {
    let mut ends = Ends::default();
    loop {
        let begun = Instant::now();
        let reader = node.clone();
        let read = spawn_blocking(move || {
            let has_more = read_page(&reader, &mut ends)?;
            Ok::<_, StoreError>((ends, has_more))
        });
        let Ok(read) = read.await else {
            // The runtime ends, or reading panicked, which was told.
            return Ok(());
        };
        let (read, has_more) = read?;
        ends = read;
        if !has_more {
            break;
        }
        sleep((begun.elapsed() * REST).max(REST_MIN)).await;
    }
    let expiry = &node.metrics.expiry;
    expiry.set(Expiring::Records, ends.signature);
    expiry.set(Expiring::Certificates, ends.certificate);
    Ok(())
}

/// Reads some records; whether there may be more.
fn read_page(node: &Node, ends: &mut Ends) -> Result<bool, StoreError> {
    let after = ends.after.take();
    for found in node
        .store
        .scan(&Scope::All, after.as_deref())
        .take(PAGE_LEN)
    {
        let (key, record) = found?;
        let values = Values::from_wire(record.values_wire()).unwrap_or(Values::EMPTY);
        ends.signature = earlier(ends.signature, signature_end(values));
        ends.certificate = earlier(ends.certificate, certificate_end(values));
        ends.after = Some(key.into());
    }
    Ok(ends.after.is_some())
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}
