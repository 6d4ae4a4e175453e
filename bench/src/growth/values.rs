//! The number of values of each record, and with it the length of an answer.
//!
//! Over connections only: an answer of more than 512 octets is cut into several datagrams, and the
//! client of `bench` does not put these together.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Bench, Part};
use crate::cast::{row, streams};
use crate::corpus;
use crate::dialect::{Dialect, Exactness, Handles, Json, Verdict};
use crate::round::{NODE, Row, median, of_row};
use crate::server::{Node, NodeSetup};

/// How many values a record has.
const COUNTS: [usize; 4] = [1, 4, 16, 64];
/// Records: few enough that those with the most values fit into the memory that a node has by
/// default.
const RECORDS: u32 = 10_000;
/// Many questions on their way on few connections: what a long answer costs is not hidden behind
/// what a system call costs.
const TCP: &str = "values, tcp 4x64";
/// HTTP has no pipelines here: one question at a time on each connection.
const HTTP: &str = "values, http 64x1";
/// How long the one answer may take whose length is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node whose records have so many values, and what it is asked in.
struct Long {
    of: String,
    node: Node,
    handles: Handles,
    json: Json,
}

impl Bench<'_> {
    /// Asks nodes whose records have more and more values, over TCP and HTTP.
    pub(super) fn values(&mut self) -> Result<()> {
        let nodes = COUNTS.map(|count| self.node_of_values(count));
        let nodes: Vec<Long> = nodes.into_iter().collect::<Result<_>>()?;
        let mut rows = Vec::new();
        for one in &nodes {
            let (server, shape) = (&one.node.server, streams(4, 64));
            let row = row(TCP, &one.of, server, &one.handles, shape);
            rows.push(self.filled(row, RECORDS));
        }
        for one in &nodes {
            let (server, shape) = (&one.node.server, streams(64, 1));
            rows.push(Row {
                address: one.node.http,
                ..row(HTTP, &one.of, server, &one.json, shape)
            });
        }
        let measured = self.measure(rows, RECORDS)?;
        for one in &nodes {
            self.memory(Part::Values, &one.of, &one.node.server)?;
        }
        for group in [TCP, HTTP] {
            for one in &nodes {
                let octets = match group {
                    TCP => answer_octets(&one.handles, one.node.server.address),
                    _ => answer_octets(&one.json, one.node.http),
                };
                let octets = octets.with_context(|| format!("{group} {}", one.of))?;
                let rates = of_row(&measured, group, &one.of).map(|one| one.rate);
                let megabytes = median(rates) * octets as f64 / 1e6;
                let rest = format!("{octets} octets, {megabytes:.0} MB/s");
                self.table.add(&measured, group, &one.of, rest);
            }
        }
        Ok(())
    }

    fn node_of_values(&self, count: usize) -> Result<Long> {
        let setting = self.setting(&format!("values-{count}"), RECORDS)?;
        let setup = NodeSetup::authoritative(&setting, &self.args.node, "node")?;
        setup.import_made(RECORDS, |n| corpus::json_line_of(n, count))?;
        Ok(Long {
            of: count.to_string(),
            node: setup.serve_streams(NODE)?,
            handles: Handles::with_values(RECORDS, count, Exactness::Octets),
            json: Json::with_values(RECORDS, count),
        })
    }
}

/// Octets of the right answer for record 0, with what frames it.
fn answer_octets(dialect: &dyn Dialect, address: SocketAddr) -> Result<usize> {
    let (mut question, mut answer, mut buffer) = (Vec::new(), Vec::new(), [0; 4_096]);
    dialect.ask(0, 1, &mut question);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&question)?;
    loop {
        let len = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..len]);
        match dialect.judge(0, 1, &answer) {
            Verdict::Right(octets) => return Ok(octets),
            Verdict::Incomplete if len > 0 => {}
            _ => bail!("the answer is not the right one"),
        }
    }
}
