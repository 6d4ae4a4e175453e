//! The records that a verification wants: from this node's own store if it answers for them, else
//! from the network if it has a resolver. And what is shown of signatures on pages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guantong_core::admin::StoredRecord;
use guantong_core::authority::{self, Outcome, Query};
use guantong_core::resolve::{self, Question, TraceWanted};
use guantong_core::trust::{
    Fault, Found, Judgement, Policy, Report, Verdict, Verification, claimed,
};
use guantong_proto::crypto::Hash;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::TrustConfig;
use crate::node::{Node, view};

/// How long a page waits for certificates.
const JUDGING: Duration = Duration::from_secs(2);
/// For how long a report is shown again.
const KEPT_MS: u64 = 60_000;
/// The same where it could not be found out.
const UNKNOWN_MS: u64 = 5_000;
/// Most reports that are kept.
const KEPT_MAX: usize = 1_024;

//----------- Records --------------------------------------------------------

impl Node {
    /// All that everybody may read of a record, judged by nobody.
    pub(crate) async fn record_to_judge(&self, handle: &Handle) -> Found {
        let query = Query::public(handle.as_str());
        let ours = authority::resolve(&self.site(), query, |key| self.store.get(key), view);
        match ours.inspect_err(|error| self.on_store_error(error)) {
            Ok(Some(Outcome::Record(values))) => {
                found(handle, &Writer::to_vec(|w| Values::encode(&values, w)))
            }
            Ok(Some(Outcome::NotFound | Outcome::ValuesNotFound | Outcome::Withdrawn(_))) => {
                Found::Absent
            }
            // Somebody else answers for it.
            Ok(_) => self.record_of_others(handle).await,
            Err(error) => Found::Failed(error.to_string()),
        }
    }

    async fn record_of_others(&self, handle: &Handle) -> Found {
        let Some(courier) = self.courier() else {
            let text = "it is not here, and this node resolves no names of others";
            return Found::Failed(text.to_owned());
        };
        let question = Question::new(handle.clone());
        let answer = courier.resolve_unjudged(question, TraceWanted::No).await;
        match &answer.outcome {
            resolve::Outcome::Record(entry) => found(handle, entry.wire()),
            resolve::Outcome::NotFound | resolve::Outcome::ValuesNotFound => Found::Absent,
            resolve::Outcome::Failed(error) => Found::Failed(error.to_string()),
            other => Found::Failed(format!("{other:?}")),
        }
    }
}

fn found(handle: &Handle, wire: &[u8]) -> Found {
    match StoredRecord::new(handle.clone(), 0, wire) {
        Ok(record) => Found::Record(record),
        Err(error) => Found::Failed(error.to_string()),
    }
}

//----------- Seal -----------------------------------------------------------

/// What the signature of a record is worth, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Who has signed, or says so: `index:handle`.
    pub(crate) signer: Option<String>,
    /// Until when that is good, in seconds since 1970. `None`: it has no end.
    pub(crate) until: Option<i64>,
    /// How it stands.
    pub(crate) standing: SealStanding,
}

/// How a signature stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealStanding {
    /// It holds.
    Valid,
    /// It does not, for this reason.
    Invalid(Fault),
    /// It could not be found out, for this reason.
    Undecided(Fault),
    /// There is none.
    Unsigned,
    /// Nobody judges it: no roots are believed.
    Unjudged,
}

/// Judges records to show how they are signed.
#[derive(Debug)]
pub(crate) struct Prover {
    policy: Option<Arc<Policy>>,
    cores: Arc<Semaphore>,
    /// Reports by the digest of what was judged.
    kept: Mutex<HashMap<Vec<u8>, Kept>>,
}

/// A report, and the time after which it is made anew.
type Kept = (u64, Arc<Report>);

impl Prover {
    /// One that believes the roots of the settings. Roots that cannot be read are none.
    pub(crate) fn new(config: &TrustConfig) -> Self {
        let policy = crate::trust::policy(config).unwrap_or_else(|error| {
            tracing::warn!(%error, "no record is judged on pages");
            None
        });
        Self {
            policy: policy.map(Arc::new),
            cores: Arc::new(Semaphore::new(1)),
            kept: Mutex::default(),
        }
    }

    fn kept(&self, digest: &[u8], now_ms: u64) -> Option<Arc<Report>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until_ms, report) = kept.get(digest)?;
        (*until_ms > now_ms).then(|| report.clone())
    }

    fn keep(&self, digest: Vec<u8>, report: &Arc<Report>, now_ms: u64) {
        let for_ms = match report.verdict() {
            Verdict::Unknown(_) => UNKNOWN_MS,
            _ => KEPT_MS,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            // They are made anew soon anyway.
            kept.clear();
        }
        kept.insert(digest, (now_ms.saturating_add(for_ms), report.clone()));
    }
}

impl Node {
    /// How the record with these public values is signed; `None` if it is not and nobody cares.
    pub(crate) async fn seal(&self, handle: &Handle, values: &[Value]) -> Option<Seal> {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let claimed = claimed(Values::from_wire(&wire).ok()?);
        let Some(policy) = &self.prover.policy else {
            let (signer, until) = claimed?;
            return Some(Seal {
                signer: Some(signer),
                until,
                standing: SealStanding::Unjudged,
            });
        };
        let judging = self.report(policy, handle, &wire);
        let report = match timeout(JUDGING, judging).await {
            Ok(report) => report?,
            Err(_) => Arc::new(Report {
                handle: handle.clone(),
                signatures: vec![(0, Err(late(handle)))],
            }),
        };
        let standing = match report.verdict() {
            Verdict::Verified(proof) => {
                return Some(Seal {
                    signer: Some(proof.signer.clone()),
                    until: proof.until,
                    standing: SealStanding::Valid,
                });
            }
            Verdict::Unsigned => SealStanding::Unsigned,
            Verdict::Refused(fault) => SealStanding::Invalid(fault.clone()),
            Verdict::Unknown(fault) => SealStanding::Undecided(fault.clone()),
        };
        let (signer, until) = claimed.unzip();
        Some(Seal {
            signer,
            until: until.flatten(),
            standing,
        })
    }

    /// `None` if it cannot be judged at all.
    async fn report(
        &self,
        policy: &Arc<Policy>,
        handle: &Handle,
        wire: &[u8],
    ) -> Option<Arc<Report>> {
        let digest = Hash::Sha256.digest(&[handle.as_str().as_bytes(), &[0], wire]);
        if let Some(report) = self.prover.kept(&digest, self.uptime_ms()) {
            return Some(report);
        }
        let record = StoredRecord::new(handle.borrow().expanded(), 0, wire).ok()?;
        let mut verification = Verification::bounded(record);
        loop {
            let core = self.prover.cores.clone().acquire_owned().await.ok()?;
            let (policy, now_secs) = (policy.clone(), i64::from(self.now_secs()));
            let judge = move || {
                let judged = verification.judge(&policy, now_secs);
                drop(core);
                (verification, judged)
            };
            let (back, judged) = spawn_blocking(judge).await.ok()?;
            verification = back;
            match judged {
                Judgement::Done(report) => {
                    let report = Arc::new(report);
                    self.prover.keep(digest.clone(), &report, self.uptime_ms());
                    return Some(report);
                }
                Judgement::Wanted(wanted) => {
                    let found = self.record_to_judge(&wanted).await;
                    verification.learn(wanted.borrow(), found);
                }
            }
        }
    }
}

fn late(handle: &Handle) -> Fault {
    Fault::Unreachable {
        handle: handle.clone(),
        why: "the certificates did not come in time".to_owned(),
    }
}
