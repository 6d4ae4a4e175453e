//! A question whose answer is judged before anybody is given it: is it what its owner has signed?
//!
//! ```text
//! Inspection::new ──► next ──► Ask(question) ──► the resolver ──► take(answer) ──► next ...
//!                         └──► Done(answer)      the record, or why it is not given on
//! ```
//!
//! A signature covers all public values, so the whole record is asked for whatever was selected;
//! the answer holds more than was asked for, as answers from the cache do. Then come the records
//! that the chain of certificates needs. They are asked for plainly, since the chain is what proves
//! them. What was found out is kept with the entry as its [`Ruling`].

use std::sync::Arc;

use guantong_proto::data::{STATE_INDEX, STATE_TYPE};
use guantong_proto::{Handle, Value, type_matches};

use super::answer::{Answer, Freshness, Outcome, ResolveError};
use super::cache::{Entry, Ruling, Worth};
use super::limits::STALE_PAUSE_MS;
use super::question::Question;
use super::time::{Now, Tick};
use crate::admin::StoredRecord;
use crate::trust::{Found, Judgement, Refusal, Report, Rule, Verification};

/// For how long it counts that a record of a chain does not exist.
const ABSENT_MS: u64 = 60_000;

//----------- Inspection -----------------------------------------------------

/// One question on its way to a judged answer.
#[derive(Debug)]
pub struct Inspection {
    rule: Arc<Rule>,
    question: Question,
    stage: Stage,
    /// The answer to the question as it was asked, if the whole record does not contain that.
    as_asked: Option<(Answer, Arc<Entry>)>,
    judged: Option<Arc<Ruling>>,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Inspected {
    /// Ask the resolver this and [take](Inspection::take) its answer.
    Ask(Question),
    /// It is over.
    Done(Box<Answer>),
}

#[derive(Debug)]
enum Stage {
    /// The question as it was asked: what is not public, or of the state, is not in the record that
    /// everybody reads.
    AsAsked,
    /// The whole record.
    Whole,
    /// Judging it.
    Chain(Box<Chain>),
    Over(Box<Answer>),
}

/// The judging of a record.
#[derive(Debug)]
struct Chain {
    answer: Answer,
    entry: Arc<Entry>,
    verification: Verification,
    wanted: Option<Handle>,
    /// Until then what was fetched may be used.
    holds_until: Tick,
}

impl Inspection {
    /// Begins. Aliases are not followed: each record on the way would be one to judge.
    pub fn new(question: Question, rule: Arc<Rule>) -> Self {
        let question = Question {
            handle: question.handle.borrow().expanded(),
            follow_aliases: false,
            ..question
        };
        let stage = match question.public_only && !selects_state(&question) {
            true => Stage::Whole,
            false => Stage::AsAsked,
        };
        Self {
            rule,
            question,
            stage,
            as_asked: None,
            judged: None,
        }
    }

    /// The record that is asked for.
    pub fn handle(&self) -> &Handle {
        &self.question.handle
    }

    /// Whether the next step is one that takes a processor for a while.
    pub fn is_judging(&self) -> bool {
        matches!(self.stage, Stage::Chain(_))
    }

    /// What was found out just now; `None` if that was known, or there is no record.
    pub fn judged(&self) -> Option<&Ruling> {
        self.judged.as_deref()
    }

    /// The next step at `now`.
    pub fn next(&mut self, now: Now) -> Inspected {
        match &mut self.stage {
            Stage::AsAsked => Inspected::Ask(self.question.clone()),
            Stage::Whole => Inspected::Ask(self.whole()),
            Stage::Over(answer) => Inspected::Done(answer.clone()),
            Stage::Chain(chain) => match chain
                .verification
                .judge(&self.rule.policy, i64::from(now.secs))
            {
                Judgement::Wanted(handle) => {
                    let question = Question {
                        certified: self.question.certified,
                        recursion_count: self.question.recursion_count,
                        ..Question::new(handle.clone())
                    };
                    chain.wanted = Some(handle);
                    Inspected::Ask(question)
                }
                Judgement::Done(report) => self.conclude(&report, now),
            },
        }
    }

    /// The whole of what everybody may read.
    fn whole(&self) -> Question {
        Question {
            indexes: Vec::new(),
            types: Vec::new(),
            public_only: true,
            ..self.question.clone()
        }
    }

    /// Takes the answer to what was asked last.
    pub fn take(&mut self, answer: Answer, now: Now) {
        match &mut self.stage {
            Stage::AsAsked => match &answer.outcome {
                Outcome::Record(entry) => {
                    let entry = entry.clone();
                    self.as_asked = Some((answer, entry));
                    self.stage = Stage::Whole;
                }
                _ => self.stage = Stage::Over(Box::new(answer)),
            },
            Stage::Whole => self.take_whole(answer, now),
            Stage::Chain(chain) => chain.learn(&answer, now),
            Stage::Over(_) => {}
        }
    }

    fn take_whole(&mut self, answer: Answer, now: Now) {
        let (answer, entry) = match (&answer.outcome, self.as_asked.take()) {
            (Outcome::Record(entry), as_asked) => {
                self.as_asked = as_asked;
                let entry = entry.clone();
                (answer, entry)
            }
            (Outcome::NotFound, Some((answer, entry))) if is_state_only(&entry) => {
                // That the record is withdrawn is all that the public may read of it.
                (answer, entry)
            }
            (Outcome::NotFound | Outcome::ValuesNotFound, Some((asked, _))) => {
                return self.refuse(&asked, Refusal::Changed);
            }
            _ => {
                self.stage = Stage::Over(Box::new(answer));
                return;
            }
        };
        if let Some(ruling) = entry.ruling(now) {
            return self.apply(&answer, &entry, &ruling);
        }
        let handle = self.question.handle.clone();
        let Ok(record) = StoredRecord::new(handle, 0, entry.wire()) else {
            // What cannot be read did not come from the resolver.
            return self.refuse(&answer, Refusal::Changed);
        };
        self.stage = Stage::Chain(Box::new(Chain {
            answer,
            entry,
            verification: Verification::bounded(record),
            wanted: None,
            holds_until: Tick(u64::MAX),
        }));
    }

    /// Keeps what was found out, and ends.
    fn conclude(&mut self, report: &Report, now: Now) -> Inspected {
        if let Stage::Chain(chain) = &self.stage {
            let ruling = Ruling::of(report, self.rule.demand, chain.holds_until, now);
            let ruling = Arc::new(ruling);
            let (answer, entry) = (chain.answer.clone(), chain.entry.clone());
            entry.rule(&ruling);
            self.judged = Some(ruling.clone());
            self.apply(&answer, &entry, &ruling);
        }
        self.next(now)
    }

    fn apply(&mut self, answer: &Answer, entry: &Entry, ruling: &Arc<Ruling>) {
        if let Worth::Refused(why) = ruling.worth() {
            return self.refuse(answer, why.clone());
        }
        let answer = match self.as_asked.take() {
            None => answer.clone(),
            Some((asked, part)) if is_part(&part, entry) => {
                part.rule(ruling);
                asked
            }
            Some((asked, _)) => return self.refuse(&asked, Refusal::Changed),
        };
        self.stage = Stage::Over(Box::new(answer));
    }

    fn refuse(&mut self, answer: &Answer, why: Refusal) {
        let handle = self.question.handle.clone();
        self.stage = Stage::Over(Box::new(Answer {
            outcome: Outcome::Failed(Arc::new(ResolveError::Distrusted { handle, why })),
            ..answer.clone()
        }));
    }

    /// The answer where the judging did not come to an end, and why.
    pub fn undecided(handle: Handle, why: &str) -> Answer {
        let why = Refusal::Undecided(why.into());
        Answer {
            outcome: Outcome::Failed(Arc::new(ResolveError::Distrusted { handle, why })),
            freshness: Freshness::Fresh,
            age_secs: 0,
            aliases: Vec::new(),
            namespace: None,
            trace: None,
        }
    }
}

impl Chain {
    fn learn(&mut self, answer: &Answer, now: Now) {
        let Some(handle) = self.wanted.take() else {
            return;
        };
        let (found, holds_ms) = match &answer.outcome {
            Outcome::Record(entry) => {
                let left_ms = u64::try_from(entry.left_ms(now.tick)).unwrap_or(0);
                // Nobody can renew a stale one just now.
                (record(&handle, entry), left_ms.max(STALE_PAUSE_MS))
            }
            Outcome::NotFound | Outcome::ValuesNotFound => (Found::Absent, ABSENT_MS),
            Outcome::Failed(error) => (Found::Failed(error.to_string()), 0),
        };
        self.holds_until = self.holds_until.min(now.tick + holds_ms);
        self.verification.learn(handle.borrow(), found);
    }
}

fn record(handle: &Handle, entry: &Entry) -> Found {
    match StoredRecord::new(handle.clone(), 0, entry.wire()) {
        Ok(record) => Found::Record(record),
        Err(error) => Found::Failed(error.to_string()),
    }
}

/// Whether the state is asked for, of which the whole record says nothing.
fn selects_state(question: &Question) -> bool {
    let mut types = question.types.iter();
    question.indexes.contains(&STATE_INDEX)
        || types.any(|kind| type_matches(kind, STATE_TYPE.as_bytes()))
}

fn is_state_only(entry: &Entry) -> bool {
    entry.values().iter().all(|value| value.is_state())
}

/// Whether all values of `part` are values of `whole`.
fn is_part(part: &Entry, whole: &Entry) -> bool {
    let values = |entry: &Entry| entry.values().to_vec().unwrap_or_default();
    let whole = values(whole);
    let is_in_it = |value: &Value| {
        let same = |other: &Value| other.is_same_but_for_time(value);
        whole.iter().any(same)
    };
    values(part).iter().all(is_in_it)
}
