//! `guantong trust verify`, and `guantong resolve --verify`: fetches what a verification wants, and
//! tells what came of it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use guantong_client::{Client, Error, Query, Server};
use guantong_core::admin::{Identity, StoredRecord};
use guantong_core::resolve::{CacheSettings, Outcome, Question, TraceWanted};
use guantong_core::trust::{
    self, Found, Judgement, Policy, Proof, Refusal, Report as Judged, Verdict, Verification,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Reference, Value, Values};
use guantong_server::recurse::Courier;
use guantong_server::trust::root_keys;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cmd::resolve::walk;
use crate::cmd::{NodeArgs, block_on, local};
use crate::failed::{Exit, Failed, Report};
use crate::output::style::{BAD, GOOD, WARN};
use crate::output::{Output, note};

pub(super) const EXAMPLES: &str = "\
Examples:
  guantong trust verify 88.118.5/SN1 --trust-root root.pem
  guantong trust verify 88.118.5/SN1 --root 203.0.113.1 --trust-root bootstrap_handles
  guantong trust verify 88.118.5/SN1 --signer 300:0.NA/88.118.5 --json

Root keys come from --trust-root: a key in any form, the record 0.0/0.0 as JSON, or a file
bootstrap_handles. Without it, from `trust.roots` of the node's settings.

Exit code 0: the record is what its owner has signed. 1: it is not signed, or not so. 3: that could
not be found out.";

//----------- Args -----------------------------------------------------------

/// Which keys are believed; also part of `resolve --verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct RootArgs {
    /// File with a root key that is believed. May be repeated
    #[arg(long = "trust-root", value_name = "FILE")]
    roots: Vec<PathBuf>,

    /// One of these must have signed, or have certified who has. May be repeated
    #[arg(long = "signer", value_name = "INDEX:HANDLE")]
    signers: Vec<Identity>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The handle
    handle: String,

    /// The node to ask for every record; by default the node of --config, else 127.0.0.1:2641
    #[arg(
        long,
        value_name = "ADDR",
        env = "GUANTONG_AT",
        conflicts_with = "root"
    )]
    at: Option<Server>,

    /// Ask no node, but resolve from the root down
    #[arg(long, value_name = "FILE|ADDR")]
    root: Option<String>,

    #[command(flatten)]
    believed: RootArgs,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

/// What `resolve --verify` demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Demand {
    /// Every record must be signed
    Always,
    /// A record that is signed must be signed rightly
    IfSigned,
}

pub(super) fn run(args: &Args) -> Result<(), Failed> {
    let policy = args.believed.policy(&args.node)?;
    let handle =
        Handle::parse(&args.handle).map_err(|error| Report::new(Exit::Usage, error).fail())?;
    let source = Source::of(args.root.as_deref(), args.at.as_ref(), &args.node)?;
    let (judged, _) = verify_record(&source, &handle, &policy)?;
    source.stop();
    print(&judged, args.json)?;
    outcome(&judged, Demand::Always)
}

//----------- Policy ---------------------------------------------------------

impl RootArgs {
    /// The root keys that are named, or those of the settings.
    pub(crate) fn policy(&self, node: &NodeArgs) -> Result<Policy, Failed> {
        let mut files = self.roots.clone();
        if files.is_empty()
            && let Some(config) = node.load_if_any()?
        {
            files.extend(config.trust.roots);
        }
        if files.is_empty() {
            return Err(Report::new(
                Exit::Usage,
                "no root key is believed, so nothing can be verified",
            )
            .hint("name a file with --trust-root, or set trust.roots in the node's settings")
            .fail());
        }
        let mut keys = Vec::new();
        for file in &files {
            let found = root_keys(file);
            keys.extend(found.map_err(|error| {
                let what = "the root keys cannot be had";
                Report::new(Exit::Usage, what).causes_of(&error).fail()
            })?);
        }
        let signers = self.signers.iter().map(|identity| Reference {
            handle: identity.handle.as_str().to_owned(),
            index: identity.index,
        });
        Ok(Policy::new(&keys).with_signers(signers.collect()))
    }
}

//----------- Source ---------------------------------------------------------

/// Where records are fetched: at one node, or by resolving from the root down.
pub(crate) enum Source {
    /// Everything at one node.
    Node(Client),
    /// Each where it is.
    Network(Arc<Courier>),
}

impl Source {
    pub(crate) fn of(
        root: Option<&str>,
        at: Option<&Server>,
        node: &NodeArgs,
    ) -> Result<Self, Failed> {
        if let Some(root) = root {
            return Ok(Self::Network(walk::courier(
                root,
                CacheSettings::default(),
            )?));
        }
        let server = match (at, node.load_if_any()?) {
            (Some(server), _) => server.clone(),
            (None, Some(config)) => Server::new(local::endpoints(&config)),
            (None, None) => Server::native(Ipv4Addr::LOCALHOST.into()),
        };
        Ok(Self::Node(Client::builder(server).build()))
    }

    /// All public values of a record.
    async fn record(&self, handle: &Handle) -> Found {
        match self {
            Self::Node(client) => {
                let Ok(query) = Query::parse(handle.as_str()) else {
                    return Found::Absent;
                };
                match client.query(&query).await {
                    Ok(answer) => found(handle, answer.values()),
                    Err(Error::NotFound { .. } | Error::NoSuchValues { .. }) => Found::Absent,
                    Err(error) => Found::Failed(error.to_string()),
                }
            }
            Self::Network(courier) => {
                let answer = courier
                    .resolve(Question::new(handle.clone()), TraceWanted::No)
                    .await;
                match answer.outcome {
                    Outcome::Record(entry) => {
                        let values = entry.select(&[], &[]);
                        let values: Vec<Value> =
                            values.filter_map(|value| value.to_value().ok()).collect();
                        found(handle, &values)
                    }
                    Outcome::NotFound | Outcome::ValuesNotFound => Found::Absent,
                    Outcome::Failed(error) => Found::Failed(error.to_string()),
                    _ => Found::Failed("it was answered with what is no record".to_owned()),
                }
            }
        }
    }

    pub(crate) fn stop(&self) {
        if let Self::Network(courier) = self {
            courier.stop();
        }
    }
}

fn found(handle: &Handle, values: &[Value]) -> Found {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    match StoredRecord::new(handle.clone(), 0, &wire) {
        Ok(record) => Found::Record(record),
        Err(error) => Found::Failed(error.to_string()),
    }
}

//----------- Verification ---------------------------------------------------

/// Fetches a record whole and verifies it; also its public values.
pub(crate) fn verify_record(
    source: &Source,
    handle: &Handle,
    policy: &Policy,
) -> Result<(Judged, Vec<Value>), Failed> {
    let record = match block_on(source.record(handle))? {
        Found::Record(record) => record,
        Found::Absent => {
            let what = format!("{handle} does not exist");
            return Err(Report::new(Exit::Refused, what).fail());
        }
        Found::Failed(why) => {
            let what = format!("{handle} could not be had");
            return Err(Report::new(Exit::Network, what).cause(why).fail());
        }
    };
    let values = record.values().to_vec().unwrap_or_default();
    Ok((verify(source, record, policy)?, values))
}

fn verify(source: &Source, record: StoredRecord, policy: &Policy) -> Result<Judged, Failed> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_secs = since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    let mut verification = Verification::new(record);
    loop {
        match verification.judge(policy, now_secs) {
            Judgement::Done(judged) => return Ok(judged),
            Judgement::Wanted(wanted) => {
                let record = block_on(source.record(&wanted))?;
                verification.learn(wanted.borrow(), record);
            }
        }
    }
}

/// Success, or why not.
pub(crate) fn outcome(judged: &Judged, demand: Demand) -> Result<(), Failed> {
    let handle = &judged.handle;
    let demand = match demand {
        Demand::Always => trust::Demand::Required,
        Demand::IfSigned => trust::Demand::IfSigned,
    };
    let Err(refusal) = demand.admit(judged) else {
        return Ok(());
    };
    Err(match refusal {
        Refusal::Unsigned => Report::new(Exit::Refused, format_args!("{handle} is not signed"))
            .hint("nothing shows that these values are its owner's"),
        Refusal::Undecided(why) => {
            let what = "is what its owner has signed could not be found out";
            Report::new(Exit::Network, format_args!("whether {handle} {what}")).cause(why)
        }
        Refusal::Wrong(why) => {
            let what = format_args!("{handle} is not what its owner has signed");
            Report::new(Exit::Refused, what).cause(why)
        }
        other => Report::new(Exit::Refused, format_args!("{handle} is not believed")).cause(other),
    }
    .fail())
}

/// One line about the result, for people who look at the record itself.
pub(crate) fn note_verdict(judged: &Judged) {
    match judged.verdict() {
        Verdict::Verified(proof) => note(format_args!(
            "{GOOD}verified:{GOOD:#} signed by {}{}",
            proof.signer,
            until(proof.until)
        )),
        Verdict::Unsigned => note(format_args!("{WARN}note:{WARN:#} the record is not signed")),
        Verdict::Refused(_) | Verdict::Unknown(_) => {}
    }
}

fn print(judged: &Judged, json: bool) -> Result<(), Failed> {
    let mut output = Output::new();
    if json {
        output.line(as_json(judged))?;
        return output.finish();
    }
    for (index, outcome) in &judged.signatures {
        match outcome {
            Ok(proof) => {
                output.line(format_args!(
                    "{GOOD}verified{GOOD:#} signature {index} by {}{}",
                    proof.signer,
                    until(proof.until)
                ))?;
                print_chain(&mut output, proof)?;
            }
            Err(fault) => output.line(format_args!(
                "{BAD}refused{BAD:#}  signature {index}: {fault}"
            ))?,
        }
    }
    output.finish()
}

fn print_chain(output: &mut Output, proof: &Proof) -> Result<(), Failed> {
    for link in &proof.links {
        let who = match link.issuer == link.subject {
            true => "a root key that is believed".to_owned(),
            false => format!("certified by {}", link.issuer),
        };
        output.line(format_args!(
            "  {}: {who}{}",
            link.subject,
            until(link.expires)
        ))?;
    }
    Ok(())
}

fn as_json(judged: &Judged) -> serde_json::Value {
    let verdict = match judged.verdict() {
        Verdict::Verified(_) => "verified",
        Verdict::Unsigned => "unsigned",
        Verdict::Refused(_) => "refused",
        Verdict::Unknown(_) => "unknown",
    };
    let signatures: Vec<_> = judged
        .signatures
        .iter()
        .map(|(index, outcome)| match outcome {
            Ok(proof) => serde_json::json!({
                "index": index,
                "verified": true,
                "signer": proof.signer,
                "until": proof.until,
                "chain": proof.links.iter().map(|link| serde_json::json!({
                    "subject": link.subject, "issuer": link.issuer, "until": link.expires,
                })).collect::<Vec<_>>(),
            }),
            Err(fault) => serde_json::json!({
                "index": index, "verified": false, "reason": fault.to_string(),
            }),
        })
        .collect();
    serde_json::json!({
        "handle": judged.handle.as_str(), "verdict": verdict, "signatures": signatures,
    })
}

fn until(secs: Option<i64>) -> String {
    let moment = secs.and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.map_or_else(String::new, |text| format!(", until {text}"))
}
