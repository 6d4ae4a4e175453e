//! Creates in batches over HTTPS (`POST /api/batch`), each batch durable before it is answered.

use std::net::SocketAddr;
use std::sync::Mutex;

use anyhow::{Result, bail, ensure};

use super::{Administrator, NETWORK_BATCH, fresh};
use crate::corpus;
use crate::web::Web;

/// Who sends batches.
pub(super) struct Batches {
    address: SocketAddr,
    token: String,
}

impl Batches {
    pub(super) fn new(address: SocketAddr, administrator: &Administrator) -> Result<Self> {
        let token = administrator.log_in(address)?;
        Ok(Self { address, token })
    }

    /// So many clients, each with a connection of its own.
    pub(super) fn clients(&self, count: usize) -> Result<Clients> {
        let connect = |_| Web::connect_secure(self.address, Some(&self.token)).map(Mutex::new);
        (0..count).map(connect).collect::<Result<_>>().map(Clients)
    }
}

pub(super) struct Clients(Vec<Mutex<Web>>);

impl Clients {
    /// Creates the records from number `first` on, all of them or none.
    pub(super) fn create(&self, client: usize, first: u64) -> Result<()> {
        let Ok(mut web) = self.0[client].lock() else {
            bail!("a client has failed");
        };
        let body = body(first);
        let answer = web.send("POST", "/api/batch", "application/json", body.as_bytes())?;
        let done = answer.success("a batch")?["done"].as_u64();
        ensure!(
            done == Some(NETWORK_BATCH.into()),
            "{done:?} changes are done"
        );
        Ok(())
    }
}

fn body(first: u64) -> String {
    let operations = (first..).take(NETWORK_BATCH as usize).map(|n| {
        let record = corpus::json_line_named(&fresh(n), (n % 1_000_000) as u32);
        // The members of a record are those of an operation.
        record.replacen('{', r#"{"op":"create","#, 1)
    });
    let operations: Vec<String> = operations.collect();
    format!(
        r#"{{"atomic":true,"operations":[{}]}}"#,
        operations.join(",")
    )
}
