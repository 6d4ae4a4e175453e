//! The primary's side of replication: the shell around `core::replicate::Feed`.

use guantong_core::replicate::{
    Asked, Claim, Feed, LogChange, LogId, Need, Numbering, Receiver, Role, Standing, Start, Told,
    write_dump_head, write_dump_tail,
};
use guantong_proto::message::{OpCode, Request, TxnPosition, Version};
use guantong_proto::stream::{Content, Protection};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{Handle, Values};

use super::node::{Member, NodeId, address_of};
use super::store::{Content as Records, RULE, Step, key_of};
use super::stream::ConnectionId;
use super::{Net, Wake};

/// Requests that wait for news at most.
const POLLS_MAX: usize = 64;

//----------- Poll -----------------------------------------------------------

/// A request of a mirror that is not answered yet.
pub(super) struct Poll {
    stream: ConnectionId,
    op: OpCode,
    body: Vec<u8>,
    asked: Asked,
    /// When it is answered in any case.
    until: u64,
    /// The commit that must be durable before.
    needs: u64,
    /// The claim in it holds here.
    gives_way: bool,
}

/// What a reply was made from, to be compared with what the mirror makes of it.
pub(super) struct Served {
    pub(super) log: LogId,
    pub(super) end: u64,
    pub(super) digest: Vec<u8>,
    pub(super) is_dump: bool,
    /// The stream goes on with an earlier one, so it alone does not make equal.
    pub(super) is_resumed: bool,
}

impl Member {
    /// Whether it is primary, and will be so after a crash.
    pub(super) fn leads(&self) -> bool {
        self.store.seen.standing.is_primary() && self.store.is_durably_primary()
    }

    fn start_for(&self, asked: &Asked, last: u64) -> Start {
        let content = &self.store.seen;
        Start::find(
            self.store.id,
            content.last(),
            (last, 0),
            Some(asked),
            |number| content.mark(number),
        )
    }

    /// The stream of a request; the last change in it, and whether a dump was resumed.
    fn stream(&self, request: &Request<'_>, asked: &Asked, window: u64) -> (Vec<u8>, u64, bool) {
        let content = &self.store.seen;
        let head = Content::Head {
            protection: Protection::Plain,
            digest: None,
        };
        let mut out = Writer::to_vec(|w| head.encode(w));
        match request {
            Request::RetrieveTxn { position, .. } => {
                let last = match position {
                    TxnPosition::Single { last_txn, .. } => last_txn.cast_unsigned(),
                    TxnPosition::State(_) => 0,
                };
                let start = self.start_for(asked, last);
                let last = transactions(content, start, window, &mut out);
                (out, last, false)
            }
            Request::Dump { resume, .. } => {
                let start = self.start_for(asked, asked.last);
                let may_resume = matches!(start, Start::After(_));
                let after = resume.filter(|_| may_resume).map(|(point, _)| point);
                let after = after.and_then(|point| Handle::from_wire(point).ok());
                dump(content, after.as_ref(), window, &mut out);
                (out, content.last(), after.is_some())
            }
            _ => (out, content.last(), false),
        }
    }
}

fn transactions(content: &Records, start: Start, window: u64, out: &mut Vec<u8>) -> u64 {
    let status = match start {
        Start::After(_) => Content::SENDING,
        Start::Redump(_) => Content::REDUMP,
    };
    let begin = Content::Start {
        format: 1,
        status: Some(status),
    };
    begin.encode(&mut Writer::new(out));
    let Start::After(after) = start else {
        return content.last();
    };
    let feed = Feed::new(Receiver::ALL, Numbering::Dense);
    let last = content.last().min(after.saturating_add(window));
    for number in after + 1..=last {
        let Some(logged) = content.logged(number) else {
            continue;
        };
        let change = LogChange {
            number,
            action: logged.action,
            at_ms: logged.at_ms,
            handle: logged.handle.borrow(),
        };
        let record = match feed.need(&change) {
            Need::Record => content.records.get(&key_of(&logged.handle)),
            Need::Nothing => None,
        };
        let values = record.and_then(|record| Values::from_wire(&record.values).ok());
        feed.write(&change, values, out);
    }
    let end = Content::End {
        next_query_ms: Some(0),
    };
    end.encode(&mut Writer::new(out));
    last
}

fn dump(content: &Records, after: Option<&Handle>, cut_at: u64, out: &mut Vec<u8>) {
    let start = Content::Start {
        format: 2,
        status: None,
    };
    start.encode(&mut Writer::new(out));
    write_dump_head(content.last(), 0, out);
    let feed = Feed::new(Receiver::ALL, Numbering::Dense);
    let after = after.map(key_of);
    let records = content.records.iter();
    let rest = records.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let mut sent = 0;
    for (_, record) in rest {
        if sent == cut_at {
            break;
        }
        if let Ok(values) = Values::from_wire(&record.values) {
            feed.write_record(record.handle.borrow(), values, out);
        }
        sent += 1;
    }
    if sent < cut_at {
        for prefix in content.homed.values() {
            write_dump_tail(prefix.borrow(), out);
        }
    }
    Content::DumpEnd.encode(&mut Writer::new(out));
}

impl Net {
    /// A request of a mirror, or a claim of a new primary, arrives.
    pub(super) fn on_mirror_request(&mut self, id: NodeId, stream: ConnectionId, request: &[u8]) {
        let mut r = Reader::new(request);
        let op = r.i32("operation").map(OpCode);
        let body = r.rest();
        let op = op.unwrap_or(OpCode(0));
        let Ok((_, Some(asked))) = Asked::decode(op, Version::OURS, body) else {
            return self.violated(format_args!("{id} cannot read a request of a mirror"));
        };
        let needs = match &asked.claim {
            Some(claim) => self.hear_claim(id, claim),
            None => None,
        };
        self.hear_epoch(id, asked.epoch);
        let granted = self.hear_standby(id, stream, op, &asked);
        let poll = Poll {
            stream,
            op,
            body: body.to_vec(),
            until: self.now + u64::from(asked.wait_ms),
            asked,
            needs: needs.unwrap_or(0).max(granted),
            gives_way: needs.is_some(),
        };
        let until = poll.until;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        if member.running.polls.len() >= POLLS_MAX {
            member.running.polls.remove(0);
        }
        member.running.polls.push(poll);
        self.wake(id, until, Wake::Polls);
        self.look_at_polls(id);
    }

    /// Somebody was promoted, and the mirror has heard of it, though not by whom.
    fn hear_epoch(&mut self, id: NodeId, epoch: u64) {
        let Some(member) = self.member(id) else {
            return;
        };
        let standing = &member.store.seen.standing;
        if standing.is_primary() && epoch > standing.epoch {
            self.say(format_args!("{id} hears of epoch {epoch} and is fenced"));
            let mut fenced = Standing::new(Role::Fenced);
            fenced.epoch = epoch;
            self.commit(id, vec![Step::Standing(fenced)]);
            self.begin_patience(id);
        }
    }

    /// What the standby says keeps the lease alive, and confirms changes. The commit after which
    /// it may be told of leases.
    fn hear_standby(&mut self, id: NodeId, stream: ConnectionId, op: OpCode, asked: &Asked) -> u64 {
        let now = self.nodes[id].clock.instant(self.now);
        let client = self.connections.get(stream).map(|c| c.client);
        let Some(member) = self.member(id) else {
            return 0;
        };
        let group = &self.groups[member.group];
        if client.is_none() || group.standby_of(id) != client {
            return 0;
        }
        // In the middle of a dump it asks for what has come since the dump began, and has not all
        // that came before.
        let is_level = op == OpCode::RETRIEVE_TXN;
        let has = match member.start_for(asked, asked.last) {
            Start::After(last) if is_level && asked.log == Some(member.store.id) => last,
            _ => 0,
        };
        let standing = member.store.seen.standing.clone();
        let begins = member.leads() && !standing.granted && asked.claim.is_none();
        let Some(member) = self.member_mut(id) else {
            return 0;
        };
        let running = &mut member.running;
        running.confirmed = running.confirmed.max(has);
        if let Some(token) = &asked.token {
            running.lease.renew(token, now);
        }
        let granted = match begins {
            true => {
                running.lease.begin(now);
                let granted = true;
                let standing = Standing {
                    granted,
                    ..standing
                };
                self.commit(id, vec![Step::Standing(standing)])
            }
            false => 0,
        };
        self.settle_pending(id);
        granted
    }

    /// Answers the requests that have waited long enough, or for which there is news.
    pub(super) fn look_at_polls(&mut self, id: NodeId) {
        let now = self.now;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let polls = std::mem::take(&mut member.running.polls);
        let (end, synced) = (member.store.seen.last(), member.store.synced());
        let is_due = |poll: &Poll| {
            poll.needs <= synced
                && (poll.until <= now
                    || poll.asked.last != end
                    || poll.asked.claim.is_some()
                    || poll.op != OpCode::RETRIEVE_TXN)
        };
        let (due, waiting) = polls.into_iter().partition(is_due);
        member.running.polls = waiting;
        let due: Vec<Poll> = due;
        for poll in due {
            self.answer_poll(id, &poll);
        }
    }

    fn answer_poll(&mut self, id: NodeId, poll: &Poll) {
        let Some(client) = self.connections.get(poll.stream).map(|c| c.client) else {
            return;
        };
        let instant = self.nodes[id].clock.instant(self.now);
        let Some(member) = self.member(id) else {
            return;
        };
        let Ok((request, _)) = Asked::decode(poll.op, Version::OURS, &poll.body) else {
            return;
        };
        let (stream, last, is_resumed) = member.stream(&request, &poll.asked, self.plan.window);
        let content = &member.store.seen;
        let end = content.last();
        let group = &self.groups[member.group];
        let is_standby = group.standby_of(id) == Some(client);
        let gives_token = is_standby && member.leads() && content.standing.granted;
        let lease = &member.running.lease;
        let told = Told {
            log: member.store.id,
            epoch: content.standing.epoch,
            role: content.standing.role,
            case_rule: RULE,
            last,
            mark: content.mark(last).map(|(mark, _)| mark),
            end,
            end_mark: content.mark(end).map(|(mark, _)| mark),
            token: gives_token.then(|| lease.token(instant)),
            lease_ms: match gives_token {
                true => lease.span_ms(),
                false => 0,
            },
            cut_at: match poll.op {
                OpCode::DUMP_HANDLES => self.plan.window,
                _ => 0,
            },
            resumed: is_resumed,
            had: None,
            gives_way: poll.gives_way && content.standing.role != Role::Primary,
            leader: leader_of(id, member),
        };
        let served = Served {
            log: member.store.id,
            end,
            digest: content.digest(),
            is_dump: poll.op == OpCode::DUMP_HANDLES,
            is_resumed,
        };
        let notice = Writer::to_vec(|w| told.write(w));
        let reply = Writer::to_vec(|w| {
            w.bytes(&notice);
            w.raw(&stream);
        });
        self.served.insert(poll.stream, served);
        self.reply_on(poll.stream, &reply);
    }
}

/// Who is primary, as far as this node can tell others: itself, if it was promoted.
fn leader_of(id: NodeId, member: &Member) -> Option<Claim> {
    let standing = &member.store.seen.standing;
    match member.leads() {
        true if standing.epoch > 1 => Some(Claim {
            epoch: standing.epoch,
            leader: member.store.id,
            address: address_of(id).to_string(),
            key: Vec::new(),
        }),
        true => None,
        false => standing.leader.clone(),
    }
}
