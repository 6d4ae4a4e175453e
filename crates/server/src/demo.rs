//! The demonstration: one enterprise node on this machine, filled with real figures.
//!
//! Every indicator of `test-data/indicators` becomes a record under [`PREFIX`]: its names, unit,
//! sort and topic, and one `OBSERVATION` value per figure with period, source and verbatim quote.
//! A few more records show redirects. The node itself is an ordinary one, made by [`init`] and
//! started by [`start`]; only its records and its ports are chosen here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use guantong_api::observation::{OBSERVATION_TYPE, Observation};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, StoreError, WriteError};
use serde::Deserialize;

use crate::config::{self, ConfigErrors, FILE_NAME};
use crate::init::{InitError, InitOptions, init};
use crate::node::{Node, StartError};
use crate::publish;
use crate::running::{Running, start};

/// The prefix of the demonstration.
pub const PREFIX: &str = "88.118.5";

/// The figures, one JSON object a line, those of one indicator not always side by side.
const INDICATORS: &str = include_str!("../../../test-data/indicators/indicators.jsonl");

/// Index of the first figure of a record.
const OBSERVATIONS_AT: i32 = 1_000;
/// Index of the administrator of every record.
const ADMIN_INDEX: i32 = 100;
/// Index of the administrator's key in the prefix record.
const KEY_INDEX: i32 = 300;
/// Attempts to find one port that is free for datagrams and streams.
const PORT_ATTEMPTS: usize = 32;

/// Suffix, type and text of records that lead somewhere.
const LINKS: [(&str, &str, &str); 4] = [
    ("5g", "HS_ALIAS", "88.118.5/5g-base-stations"),
    (
        "handle-overview",
        "URL",
        "https://www.rfc-editor.org/rfc/rfc3650.html",
    ),
    (
        "handle-namespace",
        "URL",
        "https://www.rfc-editor.org/rfc/rfc3651.html",
    ),
    (
        "handle-protocol",
        "10320/loc",
        r#"<locations choose_by="locatt,country,weighted">
  <location id="0" href="https://www.rfc-editor.org/rfc/rfc3652.html" weight="1" view="text"/>
  <location id="1" href="https://www.rfc-editor.org/info/rfc3652" weight="0" view="status"/>
  <location id="2" href="https://datatracker.ietf.org/doc/rfc3652/" weight="0" country="cn"/>
</locations>"#,
    ),
];

//----------- Ports ----------------------------------------------------------

/// The ports of the demonstration; 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Native protocol, over UDP and TCP.
    pub native: u16,
    /// HTTP and HTTPS.
    pub http: u16,
    /// Metrics and health.
    pub console: u16,
}

impl Ports {
    /// The ports that everybody expects.
    pub const DEFAULT: Self = Self {
        native: 2641,
        http: 8000,
        console: 8080,
    };
    /// Any free ports.
    pub const FREE: Self = Self {
        native: 0,
        http: 0,
        console: 0,
    };

    /// The same, with free ports in the place of those that another program has.
    #[must_use]
    pub fn or_free(self) -> Self {
        let streams = |port| if is_free(port, false) { port } else { 0 };
        Self {
            native: if is_free(self.native, true) {
                self.native
            } else {
                0
            },
            http: streams(self.http),
            console: streams(self.console),
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn is_free(port: u16, with_datagrams: bool) -> bool {
    let streams = TcpListener::bind(loopback(port)).is_ok();
    streams && (!with_datagrams || UdpSocket::bind(loopback(port)).is_ok())
}

/// A port that is free for streams and for datagrams: clients expect both under one number.
fn free_pair() -> u16 {
    for _ in 0..PORT_ATTEMPTS {
        let Ok(listener) = TcpListener::bind(loopback(0)) else {
            continue;
        };
        let Ok(address) = listener.local_addr() else {
            continue;
        };
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
    0
}

//----------- Demo -----------------------------------------------------------

/// A running demonstration. Dropping it stops the node.
#[derive(Debug)]
pub struct Demo {
    /// The node.
    pub running: Running,
    /// Records under the prefix.
    pub records: u64,
    /// Records that were written now; those that were there have been kept.
    pub written: usize,
}

/// Makes the node in `dir` unless it is there, starts it, and fills in the records that it lacks.
pub fn run(dir: &Path, ports: Ports) -> Result<Demo, DemoError> {
    if !dir.join(FILE_NAME).exists() {
        init(
            dir,
            &InitOptions {
                prefix: Some(PREFIX.to_owned()),
                name: Some("Guantong demo".to_owned()),
                description: Some("Demonstration with figures from press conferences".to_owned()),
                ..InitOptions::default()
            },
        )?;
    }
    let mut config = config::load(dir)?;
    let native = match ports.native {
        0 => free_pair(),
        port => port,
    };
    config.listen.udp = vec![loopback(native)];
    config.listen.tcp = vec![loopback(native)];
    config.listen.http = vec![loopback(ports.http)];
    config.listen.console = Some(loopback(ports.console));
    let running = start(config)?;
    let node = running.node();
    let prefix = Handle::of_prefix(PREFIX)?;
    if !node.store.is_homed(prefix.borrow()) {
        return Err(DemoError::OtherNode);
    }
    let written = fill(node)?;
    // The ports may be others than those of the last time.
    publish::own_site(node)?;
    let scope = guantong_store::Scope::of_prefix(PREFIX)?;
    let records = node.store.count(&scope)?;
    Ok(Demo {
        running,
        records,
        written,
    })
}

/// Writes the records that are not there yet, and says how many they were.
fn fill(node: &Node) -> Result<usize, DemoError> {
    let mut missing = Vec::new();
    for (handle, values) in records(node.now_secs())? {
        if node.store.record(handle.borrow())?.is_none() {
            missing.push(Change::Put {
                handle,
                values: Writer::to_vec(|w| Values::encode(&values, w)),
                expect: Expect::Absent,
            });
        }
    }
    let written = missing.len();
    if written > 0 {
        let batch = Batch {
            changes: missing,
            at_ms: node.now_ms(),
            origin: Origin::Operator,
        };
        node.store.submit(batch).wait()?;
    }
    Ok(written)
}

//----------- Records --------------------------------------------------------

/// One line of the figures.
#[derive(Debug, Deserialize)]
struct Line {
    indicator: String,
    name_zh: String,
    name_en: String,
    topic: String,
    #[serde(flatten)]
    observation: Observation,
}

/// All records of the demonstration.
pub fn records(now_secs: u32) -> Result<Vec<(Handle, Vec<Value>)>, DemoError> {
    let mut records: Vec<(Handle, Vec<Value>)> = Vec::new();
    for (number, line) in (1..).zip(INDICATORS.lines()) {
        let data = |source| DemoError::Data {
            line: number,
            source,
        };
        let line: Line = serde_json::from_str(line).map_err(data)?;
        let handle = Handle::parse(&format!("{PREFIX}/{}", line.indicator))?;
        let position = match records.iter().position(|(known, _)| *known == handle) {
            Some(position) => position,
            None => {
                records.push((handle, described(&line)));
                records.len() - 1
            }
        };
        let values = &mut records[position].1;
        let last = values.last().map_or(0, |value| value.index);
        let json = serde_json::to_string(&line.observation).map_err(data)?;
        values.push(Value::new(
            OBSERVATIONS_AT.max(last + 1),
            OBSERVATION_TYPE,
            json,
        ));
    }
    for (suffix, kind, text) in LINKS {
        let handle = Handle::parse(&format!("{PREFIX}/{suffix}"))?;
        records.push((handle, vec![Value::new(1, kind, text), administrator()]));
    }
    for value in records.iter_mut().flat_map(|(_, values)| values) {
        value.timestamp = now_secs;
    }
    Ok(records)
}

/// What is said of an indicator before its figures.
fn described(line: &Line) -> Vec<Value> {
    let kind = line.observation.kind.as_deref().unwrap_or_default();
    vec![
        Value::new(1, "NAME.ZH", line.name_zh.as_str()),
        Value::new(2, "NAME.EN", line.name_en.as_str()),
        Value::new(3, "UNIT", line.observation.unit.as_str()),
        Value::new(4, "KIND", kind),
        Value::new(5, "TOPIC", line.topic.as_str()),
        administrator(),
    ]
}

fn administrator() -> Value {
    let admin = Admin::new(AdminPermissions::ALL, format!("0.NA/{PREFIX}"), KEY_INDEX);
    Value::new(ADMIN_INDEX, "HS_ADMIN", admin.encode())
}

//----------- DemoError ------------------------------------------------------

/// Why the demonstration cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The folder holds a node of another prefix.
    #[error("the folder holds a node that does not home {PREFIX}; choose an empty folder")]
    OtherNode,
    /// The node cannot be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Its settings cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The node cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The records cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The records cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The figures that are built in are damaged.
    #[error("line {line} of the figures that are built in: {source}")]
    Data {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A name in the figures that are built in is no handle.
    #[error("the figures that are built in: {0}")]
    Name(#[from] guantong_proto::NameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_indicator_becomes_a_record() {
        let records = records(1_700_000_000).unwrap();
        assert_eq!(records.len(), 294 + LINKS.len());
        let figures = records.iter().flat_map(|(_, values)| values);
        let figures = figures
            .filter(|value| value.kind == OBSERVATION_TYPE)
            .count();
        assert_eq!(figures, 416);
        for (handle, values) in &records {
            let mut indexes: Vec<i32> = values.iter().map(|value| value.index).collect();
            indexes.sort_unstable();
            indexes.dedup();
            assert_eq!(indexes.len(), values.len(), "{handle}");
        }
    }

    #[test]
    fn figures_keep_their_digits_and_their_quotes() {
        let records = records(0).unwrap();
        let name = "88.118.5/5g-base-stations";
        let (_, values) = records
            .iter()
            .find(|(handle, _)| handle.as_str() == name)
            .unwrap();
        let first = values
            .iter()
            .find(|value| value.index == OBSERVATIONS_AT)
            .unwrap();
        let text = first.text().unwrap();
        assert!(text.contains("\"value\":3647000,"), "{text}");
        assert!(text.contains("364.7万个"), "{text}");
        assert!(
            text.starts_with("{\"period_start\":null,\"period_end\":\"2024-03-31\""),
            "{text}"
        );
    }
}
