//! Mixed work at a rate: each kind has a connection and a thread of its own, and asks when the next
//! request is due, whatever the node does. Latency counts from then.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::native::{Native, nth};
use super::thing::{BATCH, Thing, template_handle};
use crate::dialect::{Dialect, Verdict};
use crate::load::Tally;
use crate::web::{Web, encode};

/// Most octets of an answer over UDP.
const DATAGRAM_MAX: usize = 2_048;
/// A datagram without an answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Faults of a kind that are told in words.
const TOLD_MAX: u64 = 3;

/// What is asked, and its share of the requests in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native,
    Json,
    Restricted,
    Retrieve,
    Search,
    Change,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Native,
        Self::Json,
        Self::Restricted,
        Self::Retrieve,
        Self::Search,
        Self::Change,
    ];

    pub fn share(self) -> f64 {
        match self {
            Self::Native => 0.30,
            Self::Json => 0.25,
            Self::Restricted | Self::Retrieve => 0.15,
            Self::Search => 0.10,
            Self::Change => 0.05,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native, UDP: a public value",
            Self::Json => "/api/handles: what is public",
            Self::Restricted => "/api/v2/registrations, by a grant",
            Self::Retrieve => "/api/v1/doip retrieve, by a grant",
            Self::Search => "/api/v2/registrations?field=",
            Self::Change => "registrations and changes",
        }
    }
}

/// The node, who asks it, and what it has.
pub struct Work<'a> {
    pub native: SocketAddr,
    pub http: SocketAddr,
    pub administrator: &'a str,
    pub program: &'a str,
    pub records: u32,
    pub templates: u32,
    /// The next number of a thing that nobody has registered yet.
    pub next: AtomicU32,
}

impl Work<'_> {
    /// Asks for `time` at `rate` requests a second of all kinds together.
    pub fn run(&self, rate: f64, time: Duration) -> Result<Vec<(Kind, Tally)>> {
        std::thread::scope(|scope| {
            let threads = Kind::ALL.map(|kind| {
                let rate = rate * kind.share();
                (
                    kind,
                    scope.spawn(move || self.keep_asking(kind, rate, time)),
                )
            });
            let ends = threads.into_iter().map(|(kind, thread)| {
                let Ok(tally) = thread.join() else {
                    bail!("a client has panicked");
                };
                Ok((kind, tally?))
            });
            ends.collect()
        })
    }

    fn keep_asking(&self, kind: Kind, rate: f64, time: Duration) -> Result<Tally> {
        let mut client = Client::new(self, kind)?;
        let (mut tally, begun) = (Tally::new(), Instant::now());
        for n in 0_u32.. {
            let due = Duration::from_secs_f64(f64::from(n) / rate);
            if due >= time {
                break;
            }
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                std::thread::sleep(early);
            }
            match client.ask(n) {
                Ok(()) => tally.right(begun + due, Instant::now()),
                Err(error) => {
                    tally.wrong += 1;
                    if tally.wrong <= TOLD_MAX {
                        eprintln!("{}: {error:#}", kind.name());
                    }
                    client = Client::new(self, kind)?;
                }
            }
        }
        tally.time = begun.elapsed();
        Ok(tally)
    }
}

/// Somebody who asks for one kind of thing.
struct Client<'a> {
    work: &'a Work<'a>,
    kind: Kind,
    web: Web,
    socket: UdpSocket,
    random: SmallRng,
}

impl<'a> Client<'a> {
    fn new(work: &'a Work<'a>, kind: Kind) -> Result<Self> {
        let token = match kind {
            Kind::Native | Kind::Json => None,
            Kind::Restricted | Kind::Retrieve => Some(work.program),
            Kind::Search | Kind::Change => Some(work.administrator),
        };
        let socket = UdpSocket::bind("127.0.0.1:0").context("no socket for questions")?;
        socket.connect(work.native)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            work,
            kind,
            web: Web::connect(work.http, token)?,
            socket,
            random: SmallRng::seed_from_u64(kind as u64),
        })
    }

    fn ask(&mut self, n: u32) -> Result<()> {
        let drawn = self.random.random_range(0..self.work.records);
        let thing = nth(drawn, self.work.templates);
        match self.kind {
            Kind::Native => self.native(drawn, n),
            Kind::Json => self.json(thing),
            Kind::Restricted => self.restricted(thing),
            Kind::Retrieve => self.retrieve(thing),
            Kind::Search => self.search(thing),
            Kind::Change if n.is_multiple_of(2) => self.register(thing.number),
            Kind::Change => self.change(thing, n),
        }
    }

    fn native(&mut self, drawn: u32, id: u32) -> Result<()> {
        let dialect = Native::Things {
            templates: self.work.templates,
        };
        let (mut question, mut answer) = (Vec::new(), [0; DATAGRAM_MAX]);
        dialect.ask(drawn, id, &mut question);
        self.socket.send(&question)?;
        let len = self.socket.recv(&mut answer).context("no answer")?;
        let verdict = dialect.judge(drawn, id, &answer[..len]);
        ensure!(verdict == Verdict::Right(len), "another answer for {drawn}");
        Ok(())
    }

    fn json(&mut self, thing: Thing) -> Result<()> {
        let path = format!("/api/handles/{}", thing.handle());
        let body = self.web.get(&path)?.success(&path)?;
        let text = body.to_string();
        let is_right = body["handle"] == json!(thing.handle())
            && text.contains(&thing.serial())
            && !text.contains("\"mass\"");
        ensure!(is_right, "{path}: {text}");
        Ok(())
    }

    fn restricted(&mut self, thing: Thing) -> Result<()> {
        let path = format!("/api/v2/registrations/{}", thing.handle());
        let body = self.web.get(&path)?.success(&path)?;
        let fields = &body["fields"];
        let is_right = fields["serial"] == json!(thing.serial())
            && number(&fields["mass"]) == Some(thing.mass())
            && fields["cost"].is_null()
            && body["withheld"] == json!(true);
        ensure!(is_right, "{path}: {body}");
        Ok(())
    }

    fn retrieve(&mut self, thing: Thing) -> Result<()> {
        let target = encode(&thing.handle());
        let path = format!("/api/v1/doip?targetId={target}&operationId=0.DOIP%2FOp.Retrieve");
        let body = self.web.get(&path)?.success(&path)?;
        let elements = body["data"]["attributes"]["elements"].as_array();
        let element = |name: &str| {
            let mut elements = elements.into_iter().flatten();
            let found = elements.find(|element| element["type"] == name || element["name"] == name);
            found.map(|element| element["data"].clone())
        };
        let mass = element("mass").as_ref().and_then(number_in);
        let is_right = body["code"] == 1
            && body.to_string().contains(&thing.serial())
            && mass == Some(thing.mass())
            && element("cost").is_none();
        ensure!(is_right, "{path}: {body}");
        Ok(())
    }

    fn search(&mut self, thing: Thing) -> Result<()> {
        let template = encode(&template_handle(thing.template));
        let batch = thing.batch();
        let path =
            format!("/api/v2/registrations?template={template}&field=batch&value={batch}&limit=20");
        let body = self.web.get(&path)?.success(&path)?;
        let found = body["handles"].as_array().context("no list")?;
        let (work, first) = (self.work, thing.number / BATCH * BATCH);
        let of_template = (work.records - thing.template).div_ceil(work.templates);
        let wanted = (first..of_template.min(first + BATCH)).map(|number| {
            let one = Thing { number, ..thing };
            json!(one.handle())
        });
        ensure!(wanted.eq(found.iter().cloned()), "{path}: {body}");
        Ok(())
    }

    fn register(&mut self, parent: u32) -> Result<()> {
        let thing = Thing {
            template: 0,
            number: self.work.next.fetch_add(1, Relaxed),
        };
        let (mut fields, template) = (thing.fields(), thing.template);
        let parent = Thing {
            template,
            number: parent,
        };
        fields["parent"] = json!(parent.handle());
        let body = json!({"template": template_handle(0), "handle": thing.handle(),
            "fields": fields});
        let answer = self.web.post("/api/v2/registrations", &body)?;
        ensure!(answer.status == 201, "{thing:?}: {answer:?}");
        Ok(())
    }

    fn change(&mut self, thing: Thing, n: u32) -> Result<()> {
        let path = format!("/api/v2/registrations/{}", thing.handle());
        let body = json!({"fields": {"cost": n % 1_000}});
        self.web.patch(&path, &body)?.success(&path).map(drop)
    }
}

/// A number in JSON or as a text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// A number by itself, or in an object with the form of a value.
fn number_in(value: &Value) -> Option<f64> {
    number(value).or_else(|| number(&value["value"]))
}
