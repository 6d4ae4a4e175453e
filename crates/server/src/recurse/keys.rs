//! Keys of administrators that other servers hold, for those who have to check a signature.
//!
//! What is found here is believed, so only certified answers count: signed all the way down from a
//! root whose key is known (7). A root of which only addresses are known has no such way.
//!
//! A secret key is never given out, so its server is asked whether an answer is right (6.5). Which
//! server that is, and its key, come from the certified record of the prefix.

use std::sync::Arc;

use guantong_client::{Client, Error, SecretAnswer, Server, Transport, Trust};
use guantong_core::admin::{Confirm, StoredRecord};
use guantong_core::delegation::{Delegation, Scope};
use guantong_core::resolve::{Outcome, Question, Reach, TraceWanted};
use guantong_proto::data::Site;
use guantong_proto::{Handle, Values};

use super::courier::Courier;
use crate::errand::{Confirmed, FoundRecord, KeySource};

/// Records of others never change under the hands of a request, so they need no version.
const VERSION: u64 = 0;
/// Sites that are asked about an answer, one after the other, until one says something.
const SITES_ASKED_MAX: usize = 3;
/// Service handles that are looked up to find the sites of a prefix.
const SERVICES_MAX: usize = 3;

/// Finds keys by resolving.
#[derive(Clone)]
pub(super) struct Keys {
    courier: Arc<Courier>,
    /// Which addresses may be asked about secret keys.
    reach: Reach,
}

impl Keys {
    pub(super) fn new(courier: Arc<Courier>, reach: Reach) -> Self {
        Self { courier, reach }
    }

    /// The certified record of a handle.
    async fn certified(&self, handle: Handle) -> Result<Option<StoredRecord>, String> {
        let question = Question {
            certified: true,
            ..Question::new(handle.clone())
        };
        let answer = self
            .courier
            .resolve_unjudged(question, TraceWanted::No)
            .await;
        match &answer.outcome {
            Outcome::Record(entry) => StoredRecord::new(handle, VERSION, entry.wire())
                .map(Some)
                .map_err(|error| error.to_string()),
            Outcome::NotFound | Outcome::ValuesNotFound => Ok(None),
            Outcome::Failed(error) => Err(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    /// The sites that answer for names like `handle`, primaries first.
    async fn sites(&self, handle: &Handle) -> Result<Vec<Arc<Site>>, String> {
        let prefix = handle.borrow().prefix_handle();
        let record = self.certified(prefix).await?;
        let values = record.as_ref().map_or(Values::EMPTY, StoredRecord::values);
        let delegation = Delegation::of(values, Scope::Names);
        let mut sites = delegation.sites;
        for service in delegation.services.into_iter().take(SERVICES_MAX) {
            if let Some(record) = self.certified(service).await? {
                sites.extend(Delegation::of(record.values(), Scope::Names).sites);
            }
        }
        sites.sort_by_key(|site| !site.is_primary());
        sites.truncate(SITES_ASKED_MAX);
        Ok(sites)
    }

    async fn ask(&self, site: &Site, confirm: &Confirm) -> Result<bool, String> {
        let server = site.server_for(confirm.user.borrow());
        let server = server.ok_or("the site has no server")?;
        if !self.reach.allows(server.address) {
            return Err(format!("{} is not to be asked", server.address));
        }
        let key = server.key().map_err(|error| error.to_string())?;
        // What is sent would let whoever reads it try secrets, so it goes encrypted where it can.
        let whole = Server::of_site(site, server);
        let encrypted = whole.only(Transport::Https);
        let to = match encrypted.endpoints().is_empty() {
            true => whole.only(Transport::Tcp),
            false => encrypted,
        };
        let client = Client::builder(to).trust(Trust::Key(key.clone())).build();
        let answer = SecretAnswer {
            user: confirm.user.as_str(),
            index: confirm.index,
            nonce: &confirm.nonce,
            digest: &confirm.digest,
            signed: &confirm.signed,
        };
        let said = client.confirm(&answer, &key).await;
        said.map_err(|error: Error| error.to_string())
    }

    async fn confirmed(self, confirm: Confirm) -> Result<bool, String> {
        let mut why = "its prefix names no site".to_owned();
        for site in self.sites(&confirm.user).await? {
            match self.ask(&site, &confirm).await {
                Ok(said) => return Ok(said),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

impl KeySource for Keys {
    fn record(&self, handle: Handle) -> FoundRecord {
        let keys = self.clone();
        Box::pin(async move { keys.certified(handle).await })
    }

    fn confirm(&self, confirm: Confirm) -> Confirmed {
        Box::pin(self.clone().confirmed(confirm))
    }
}
