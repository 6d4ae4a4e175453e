//! Reads a scenario and plays it. The form is told in `test-data/replay/README.md`.

use std::collections::HashMap;

use guantong_core::resolve::{
    Answer, Event, Freshness, Hop, HopResult, Outcome, Question, RootRefresh, Ticket,
};
use guantong_proto::data::site::{HashOption, Protocol};
use guantong_proto::{CaseRule, Handle, Permissions, Ttl, Value};

use crate::server::{Fixed, Lie, Server, SiteOf, Stored};
use crate::world::World;

/// Longest time that a question may take in a scenario before it counts as unanswered.
const PATIENCE_MS: u64 = 60_000;

//----------- Scenario -------------------------------------------------------

/// A scenario that is being played.
pub(crate) struct Scenario {
    world: World,
    /// Where values that are indented go.
    record: Option<(String, Vec<u8>)>,
    tickets: HashMap<String, Ticket>,
    /// The ticket and answer that the indented lines are about.
    last: Option<(Ticket, Answer)>,
    expected: Option<Vec<String>>,
    line: usize,
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// Plays a scenario; the panic names the line that does not hold.
pub(crate) fn play(text: &str) {
    let mut scenario = Scenario {
        world: World::new(),
        record: None,
        tickets: HashMap::new(),
        last: None,
        expected: None,
        line: 0,
    };
    for (number, line) in (1..).zip(text.lines()).skip(1) {
        scenario.line = number;
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            scenario.end_of_block();
            continue;
        }
        if line.starts_with(' ') {
            scenario.indented(line.trim());
            continue;
        }
        scenario.end_of_block();
        scenario.command(line);
    }
    scenario.end_of_block();
}

impl Scenario {
    #[track_caller]
    fn fail(&self, what: impl std::fmt::Display) -> ! {
        panic!("line {}: {what}\n{}", self.line, self.told())
    }

    /// What happened, for whoever reads the failure.
    fn told(&self) -> String {
        let mut told = format!(
            "at {} ms; asked: {:?}\n",
            self.world.now_ms, self.world.asked
        );
        if let Some((_, answer)) = &self.last {
            told += &format!("answer: {}\n", outcome_text(answer));
            for line in trace_lines(&self.world, answer) {
                told += &format!("  {line}\n");
            }
        }
        told
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace().peekable();
        let word = words.next().unwrap_or_default();
        match word {
            "server" => self.server(&mut words),
            "site" => self.site(&mut words),
            "roots" | "bare-roots" => {
                self.world.bare_roots = word == "bare-roots";
                self.world.roots = words.map(str::to_owned).collect();
            }
            "set" => self.set(&mut words),
            "record" => self.begin_record(&mut words),
            "forget" => self.forget_record(&mut words),
            "ask" => self.ask(&mut words),
            "refresh" => {
                let question = self.question(&mut words);
                let now = self.world.now();
                self.world.resolver().refresh(question, now);
                self.world.pump();
            }
            "cancel" => {
                let ticket = self.ticket(words.next());
                self.world.resolver().cancel(ticket);
                self.world.pump();
            }
            "wait" => {
                let ms = self.milliseconds(&mut words);
                self.world.run(ms, |_| false);
            }
            "restart" => self.restart(),
            "answer" => self.answer(&mut words),
            "unanswered" => {
                let ticket = self.ticket(words.next());
                if self.world.answers.contains_key(&ticket) {
                    self.fail("it is answered already");
                }
            }
            "took" => self.took(&mut words),
            "asked" => self.asked(&mut words),
            "figure" => self.figure(&mut words),
            "trace" => self.trace(line),
            "aliases" => self.aliases(&mut words),
            "namespace" => self.namespace(line),
            "event" => self.event(line),
            name if self.world.servers.contains_key(name) => self.behave(name, &mut words),
            other => self.fail(format!("`{other}` is not a command")),
        }
    }

    //--- The network

    fn server(&mut self, words: &mut Words<'_>) {
        let name = self.word(words, "a name");
        let ip = self.word(words, "an address");
        let mut server = Server::new(ip.parse().expect("an IP address"));
        while let Some(word) = words.next() {
            match word {
                "homes" => {
                    let list = self.word(words, "prefixes");
                    server.homes = list.split(',').map(str::to_owned).collect();
                }
                "by" => {
                    let list = self.word(words, "transports");
                    server.protocols = list.split(',').map(protocol).collect();
                }
                "takes" => server.takes_ms = self.milliseconds(words),
                "signs" => server.is_signing = true,
                "mirror" => server.is_mirror = true,
                "serial" => server.serial = self.number(words),
                "version" => server.version = (2, self.number(words)),
                other => self.fail(format!("a server has no `{other}`")),
            }
        }
        self.world.servers.insert(name.to_owned(), server);
    }

    fn site(&mut self, words: &mut Words<'_>) {
        let name = self.word(words, "a name").to_owned();
        let mut site = SiteOf {
            servers: Vec::new(),
            hash: HashOption::Whole,
        };
        for word in words {
            match word {
                "of" => {}
                "by-prefix" => site.hash = HashOption::Prefix,
                "by-suffix" => site.hash = HashOption::Suffix,
                server => site.servers.push(server.to_owned()),
            }
        }
        self.world.sites.insert(name, site);
    }

    fn set(&mut self, words: &mut Words<'_>) {
        let name = self.word(words, "a setting");
        if name == "root-refresh" {
            self.world.settings.root_refresh = RootRefresh::Daily;
            return;
        }
        let ms = self.milliseconds(words);
        let secs = u32::try_from(ms / 1_000).expect("seconds");
        let number = usize::try_from(ms).expect("a small number");
        match name {
            "timeout" => self.world.settings.timeout_ms = ms,
            "stream-timeout" => self.world.settings.stream_timeout_ms = ms,
            "stale-wait" => self.world.settings.stale_wait_ms = ms,
            "pending" => self.world.settings.pending_max = number,
            "negative-ttl" => self.world.cache_settings.negative_ttl_secs = secs,
            "stale" => self.world.cache_settings.stale_secs = secs,
            "ttl-max" => self.world.cache_settings.ttl_max_secs = secs,
            "ttl-min" => self.world.cache_settings.ttl_min_secs = secs,
            other => self.fail(format!("there is no setting `{other}`")),
        }
    }

    fn begin_record(&mut self, words: &mut Words<'_>) {
        let server = self.word(words, "a server").to_owned();
        let key = self.key(words);
        let Some(found) = self.world.servers.get_mut(&server) else {
            self.fail("no such server");
        };
        found.records.insert(key.clone(), Vec::new());
        self.record = Some((server, key));
    }

    fn forget_record(&mut self, words: &mut Words<'_>) {
        let server = self.word(words, "a server").to_owned();
        let key = self.key(words);
        let server = self.world.servers.get_mut(&server);
        server.expect("the server").records.remove(&key);
    }

    /// A value of the record: `INDEX TYPE DATA [ttl TIME | until SECONDS] [restricted]`.
    fn value(&mut self, line: &str) {
        let mut words = line.split_whitespace().peekable();
        let index = self.number(&mut words);
        let kind = self.word(&mut words, "a type").to_owned();
        let mut value = Value::new(index, kind, "");
        let mut data = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "ttl" => {
                    let secs = i64::try_from(self.milliseconds(&mut words)).expect("small") / 1_000;
                    value.ttl = Ttl::Relative(i32::try_from(secs).expect("small"));
                }
                "until" => {
                    let ms = self.milliseconds(&mut words);
                    let secs = self.world.now().secs + u32::try_from(ms / 1_000).expect("small");
                    value.ttl = Ttl::Absolute(i32::try_from(secs).expect("small"));
                }
                "restricted" => value.permissions = Permissions(Permissions::ADMIN_READ),
                "long" => data.push("x".repeat(2_000)),
                word => data.push(word.to_owned()),
            }
        }
        let data = data.join(" ");
        let kind = value.kind.as_str();
        let is_site = kind.starts_with("HS_SITE") || kind == "HS_NA_DELEGATE";
        let known = self.world.servers.contains_key(&data) || self.world.sites.contains_key(&data);
        let stored = match is_site && known {
            true => Stored {
                value,
                site: Some(data),
            },
            false => {
                value.data = data.into_bytes();
                Stored { value, site: None }
            }
        };
        let Some((server, key)) = &self.record else {
            self.fail("this value has no record");
        };
        let server = self.world.servers.get_mut(server).expect("it was there");
        server
            .records
            .get_mut(key)
            .expect("it was there")
            .push(stored);
    }

    /// What a server does from now on.
    fn behave(&mut self, name: &str, words: &mut Words<'_>) {
        let verb = self.word(words, "what it does");
        match verb {
            "takes" => {
                let ms = self.milliseconds(words);
                self.at(name).takes_ms = ms;
            }
            "loses" => {
                let count = self.number(words);
                self.at(name).loses = count;
            }
            "serial" => {
                let serial = self.number(words);
                self.at(name).serial = serial;
            }
            "lies" => {
                let lie = Lie::parse(self.word(words, "a lie")).expect("a known lie");
                let server = self.at(name);
                (server.lie, server.lies_first) = (Some(lie), words.next() == Some("first"));
            }
            "recovers" => {
                let server = self.at(name);
                server.silent.clear();
                server.refuses.clear();
                server.codes.clear();
                server.referrals.clear();
                (server.lie, server.loses) = (None, 0);
            }
            "silent" | "refuses" => {
                let all = "udp,tcp,http,https";
                let list = if words.next() == Some("by") {
                    words.next()
                } else {
                    None
                };
                let set = list.unwrap_or(all).split(',').map(|p| protocol(p).0);
                let server = self.at(name);
                match verb {
                    "silent" => server.silent.extend(set),
                    _ => server.refuses.extend(set),
                }
            }
            "answers" => {
                let fixed = self.fixed(words);
                self.at(name).codes.push(fixed);
            }
            "refers" => {
                let fixed = self.fixed(words);
                self.at(name).referrals.push(fixed);
            }
            other => self.fail(format!("a server cannot `{other}`")),
        }
    }

    /// `CODE [for HANDLE] [by TRANSPORT] [to SITE,SITE | over HANDLE] [saying TEXT]`
    fn fixed(&mut self, words: &mut Words<'_>) -> Fixed {
        let mut fixed = Fixed {
            code: self.number(words),
            handle: None,
            protocol: None,
            text: String::new(),
            sites: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word {
                "for" => fixed.handle = words.next().map(str::to_owned),
                "by" => fixed.protocol = words.next().map(protocol),
                "to" => {
                    let list = self.word(words, "sites");
                    fixed.sites = list.split(',').map(str::to_owned).collect();
                }
                "over" => fixed.text = self.word(words, "a handle").to_owned(),
                "saying" => fixed.text = words.by_ref().collect::<Vec<_>>().join(" "),
                other => self.fail(format!("`{other}` is not understood")),
            }
        }
        fixed
    }

    //--- Questions

    /// `HANDLE [types T,T] [indexes N,N] [auth] [cert] [all] [aliases] [no-referral] [count N]`
    fn question(&mut self, words: &mut Words<'_>) -> Question {
        let handle = self.word(words, "a handle");
        let mut question = Question::new(Handle::parse(handle).expect("a handle"));
        while let Some(word) = words.peek().copied() {
            match word {
                "as" => break,
                "auth" => question.authoritative = true,
                "cert" => question.certified = true,
                "all" => question.public_only = false,
                "aliases" => question.follow_aliases = true,
                "no-referral" => question.do_not_refer = true,
                _ => {}
            }
            words.next();
            match word {
                "types" => {
                    let list: Vec<&str> = self.word(words, "types").split(',').collect();
                    question = question.with_types(&list);
                }
                "indexes" => {
                    let list = self.word(words, "indexes").split(',');
                    question.indexes = list.map(|n| n.parse().expect("an index")).collect();
                }
                "count" => question.recursion_count = self.number(words),
                "auth" | "cert" | "all" | "aliases" | "no-referral" => {}
                other => self.fail(format!("a question has no `{other}`")),
            }
        }
        question
    }

    fn ask(&mut self, words: &mut Words<'_>) {
        let question = self.question(words);
        let name = match words.next() {
            Some("as") => self.word(words, "a name"),
            _ => "it",
        };
        let ticket = self.world.ask(question);
        self.tickets.insert(name.to_owned(), ticket);
    }

    /// `answer [of NAME] [fresh|cached|stale] [not found | values not found | fails TEXT]`, and
    /// values on the lines below.
    fn answer(&mut self, words: &mut Words<'_>) {
        let mut word = self.word(words, "what it is");
        let mut name = "it";
        if word == "of" {
            name = self.word(words, "a name");
            word = self.word(words, "what it is");
        }
        let ticket = self.ticket(Some(name));
        self.world
            .run(PATIENCE_MS, |world| world.answers.contains_key(&ticket));
        let Some((_, answer)) = self.world.answers.get(&ticket).cloned() else {
            self.fail("no answer came");
        };
        self.last = Some((ticket, answer.clone()));
        if word == "fails" {
            let text: Vec<&str> = words.collect();
            let found = outcome_text(&answer);
            if !found.starts_with("failed") || !found.contains(&text.join(" ")) {
                self.fail("another failure was expected");
            }
            return;
        }
        let freshness = match word {
            "fresh" => Freshness::Fresh,
            "cached" => Freshness::Cached,
            "stale" => Freshness::Stale,
            other => self.fail(format!("an answer is not `{other}`")),
        };
        if answer.freshness != freshness {
            self.fail(format!("it is {:?}", answer.freshness));
        }
        let rest: Vec<&str> = words.collect();
        match rest.join(" ").as_str() {
            "" => self.expected = Some(Vec::new()),
            text if text == outcome_text(&answer) => {}
            _ => self.fail("something else was found"),
        }
    }

    fn restart(&mut self) {
        let settings = self.world.cache_settings.clone();
        self.world.restart(|old, now| {
            let mut octets = Vec::new();
            let saved = old.save(now, |block| {
                octets.extend_from_slice(block);
                Ok::<_, std::convert::Infallible>(())
            });
            saved.expect("memory takes everything");
            let cache = guantong_core::resolve::Cache::new(settings.clone());
            cache.load(&octets, now).expect("what was saved is loaded");
            std::sync::Arc::new(cache)
        });
    }

    //--- Expectations

    fn took(&mut self, words: &mut Words<'_>) {
        let Some((ticket, _)) = &self.last else {
            self.fail("nothing was answered");
        };
        let took = self.world.answers[ticket].0 - self.world.started[ticket];
        let relation = self.word(words, "`under`, `over` or `exactly`");
        let ms = self.milliseconds(words);
        let holds = match relation {
            "under" => took < ms,
            "over" => took > ms,
            _ => took == ms,
        };
        if !holds {
            self.fail(format!("it took {took} ms"));
        }
    }

    /// `asked SERVER [by TRANSPORT] [for HANDLE] N`, since the last question.
    fn asked(&mut self, words: &mut Words<'_>) {
        let name = self.word(words, "a server").to_owned();
        let (mut by, mut handle, mut count) = (None, None, None);
        while let Some(word) = words.next() {
            match word {
                "by" => by = words.next().map(protocol),
                "for" => handle = words.next(),
                "never" => count = Some(0),
                "once" => count = Some(1),
                "twice" => count = Some(2),
                number => count = number.parse().ok(),
            }
        }
        let fits = |(server, protocol, asked): &&(String, Protocol, String)| {
            *server == name
                && by.is_none_or(|by| by == *protocol)
                && handle.is_none_or(|handle| handle == asked)
        };
        let found = self.world.asked.iter().filter(fits).count();
        if Some(found) != count {
            self.fail(format!("{name} was asked {found} times"));
        }
    }

    fn figure(&mut self, words: &mut Words<'_>) {
        let name = self.word(words, "a figure");
        let expected: u64 = self.number(words);
        let figures = self.world.resolver().figures();
        let count = |n: usize| u64::try_from(n).expect("a small number");
        let found = match name {
            "questions" => figures.questions,
            "coalesced" => figures.coalesced,
            "cached" => figures.cached,
            "stale" => figures.stale,
            "failed" => figures.failed,
            "refused" => figures.refused,
            "refreshes" => figures.refreshes,
            "retries" => figures.retries,
            "hedges" => figures.hedges,
            "hedges-won" => figures.hedges_won,
            "referrals" => figures.referrals,
            "dropped-unknown" => figures.dropped_unknown,
            "dropped-mismatched" => figures.dropped_mismatched,
            "loops" => figures.loops,
            "walks" => count(figures.walks),
            "in-flight" => count(figures.in_flight),
            "exchanges" => figures.exchanges.iter().map(|figures| figures.sent).sum(),
            "udp-sent" => figures.exchanges[0].sent,
            "tcp-sent" => figures.exchanges[1].sent,
            "tcp-abandoned" => figures.exchanges[1].abandoned,
            "abandoned-streams" => count(self.world.abandoned),
            other => self.fail(format!("there is no figure `{other}`")),
        };
        if found != expected {
            self.fail(format!("{name} is {found}"));
        }
    }

    /// `trace has TEXT` or `trace lacks TEXT`: in one of the lines of the trace.
    fn trace(&mut self, line: &str) {
        let Some((_, answer)) = &self.last else {
            self.fail("nothing was answered");
        };
        let lines = trace_lines(&self.world, answer);
        let has = |text: &str| lines.iter().any(|line| line.contains(text.trim()));
        let holds = match (
            line.strip_prefix("trace has "),
            line.strip_prefix("trace lacks "),
        ) {
            (Some(text), _) => has(text),
            (_, Some(text)) => !has(text),
            _ => false,
        };
        if !holds {
            self.fail("the trace is another");
        }
    }

    fn aliases(&mut self, words: &mut Words<'_>) {
        let found = self.last.as_ref().map(|(_, answer)| &answer.aliases);
        let found: Vec<&str> = found.into_iter().flatten().map(Handle::as_str).collect();
        if !found.iter().copied().eq(words.by_ref()) {
            self.fail(format!("the aliases are {found:?}"));
        }
    }

    fn namespace(&mut self, line: &str) {
        let expected = line.strip_prefix("namespace ").unwrap_or_default();
        let found = self.last.as_ref().and_then(|(_, a)| a.namespace.as_deref());
        if found != Some(expected.as_bytes()) {
            self.fail("the namespace is another");
        }
    }

    /// `event roots changed` or `event roots refused TEXT`: one has happened since the last.
    fn event(&mut self, line: &str) {
        let line = line.trim_end();
        let events = std::mem::take(&mut self.world.events);
        let holds = events.iter().any(|event| match event {
            Event::RootsChanged => line == "event roots changed",
            Event::RootsRefused(why) => line
                .strip_prefix("event roots refused ")
                .is_some_and(|text| why.contains(text)),
            _ => false,
        });
        if !holds {
            self.fail(format!("the events were {events:?}"));
        }
    }

    //--- Blocks

    fn indented(&mut self, line: &str) {
        match &mut self.expected {
            Some(expected) => expected.push(line.to_owned()),
            None => self.value(line),
        }
    }

    fn end_of_block(&mut self) {
        self.record = None;
        let Some(expected) = self.expected.take() else {
            return;
        };
        let Some((ticket, answer)) = self.last.clone() else {
            return;
        };
        let found = value_lines(&answer);
        if found != expected {
            self.fail(format!(
                "{ticket:?}: expected {expected:?}\nfound {found:?}"
            ));
        }
    }

    //--- Words

    fn word<'a>(&self, words: &mut Words<'a>, what: &str) -> &'a str {
        let Some(word) = words.next() else {
            self.fail(format!("{what} is missing"));
        };
        word
    }

    fn number<T: std::str::FromStr>(&self, words: &mut Words<'_>) -> T {
        let word = self.word(words, "a number");
        word.parse()
            .unwrap_or_else(|_| self.fail(format!("`{word}` is not such a number")))
    }

    /// `300 ms`, `5 s`, `2 h`; a number alone stays as it is.
    fn milliseconds(&self, words: &mut Words<'_>) -> u64 {
        let number: u64 = self.number(words);
        let factor = match words.peek().copied() {
            Some("ms") => 1,
            Some("s") => 1_000,
            Some("h") => 3_600_000,
            _ => return number,
        };
        words.next();
        number * factor
    }

    fn key(&self, words: &mut Words<'_>) -> Vec<u8> {
        let handle = Handle::parse(self.word(words, "a handle")).expect("a handle");
        handle.key(CaseRule::Sensitive).as_bytes().to_vec()
    }

    fn ticket(&self, name: Option<&str>) -> Ticket {
        let name = name.unwrap_or("it");
        let Some(ticket) = self.tickets.get(name) else {
            self.fail(format!("nothing was asked as `{name}`"));
        };
        *ticket
    }

    fn at(&mut self, name: &str) -> &mut Server {
        self.world.servers.get_mut(name).expect("the name is known")
    }
}

fn protocol(name: &str) -> Protocol {
    Protocol::parse(name).unwrap_or_else(|| panic!("`{name}` is not a transport"))
}

//----------- Text -----------------------------------------------------------

fn outcome_text(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Record(_) => format!("values {:?}", value_lines(answer)),
        Outcome::ValuesNotFound => "values not found".into(),
        Outcome::NotFound => "not found".into(),
        Outcome::Failed(error) => format!("failed: {error}"),
        other => format!("{other:?}"),
    }
}

/// The values of an answer, one line each; data that is not text is left out.
fn value_lines(answer: &Answer) -> Vec<String> {
    let Outcome::Record(entry) = &answer.outcome else {
        return Vec::new();
    };
    let values = entry.values().to_vec().expect("types are text");
    let line = |value: Value| {
        let text = value.text().filter(|text| text.len() < 200);
        let text = text.unwrap_or("...");
        format!("{} {} {text}", value.index, value.kind)
    };
    values.into_iter().map(line).collect()
}

fn trace_lines(world: &World, answer: &Answer) -> Vec<String> {
    let hops = answer.trace.iter().flat_map(|trace| &trace.hops);
    hops.map(|hop| hop_line(world, hop)).collect()
}

/// `HANDLE at SERVER by udp because root: 303`
fn hop_line(world: &World, hop: &Hop) -> String {
    let mut line = hop.handle.to_string();
    if let Some(server) = &hop.server {
        let named = world
            .servers
            .iter()
            .find(|(_, s)| s.ip == server.address.ip());
        let name = named.map_or("?", |(name, _)| name);
        let protocol = server.protocol.name().unwrap_or("?").to_ascii_lowercase();
        line += &format!(" at {name} by {protocol}");
    }
    line += &format!(" because {}: ", hop.why);
    match &hop.result {
        HopResult::Code(code, text) if text.is_empty() => line += &code.0.to_string(),
        HopResult::Code(code, text) => line += &format!("{} {text}", code.0),
        HopResult::Silent => line += "silent",
        HopResult::Incomplete => line += "incomplete",
        HopResult::Abandoned => line += "abandoned",
        HopResult::Unsound(why) => line += &format!("unsound, {why}"),
        HopResult::Stream(fault) => line += &fault.to_string(),
        other => line += &format!("{other:?}"),
    }
    if hop.retries > 0 {
        line += &format!(", {} retries", hop.retries);
    }
    if let Some(why) = &hop.dropped_because {
        line += &format!(", {} dropped, {why}", hop.dropped);
    }
    if hop.behind_secs > 0 {
        line += &format!(", clock {} s behind", hop.behind_secs);
    }
    if hop.verified {
        line += ", verified";
    }
    line
}
