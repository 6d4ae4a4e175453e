//! What a sound reply leads to (5.5).

use std::sync::Arc;

use guantong_proto::message::{Body, Header, OpFlags, ResponseCode};
use guantong_proto::{Handle, Values};

use super::answer::{Freshness, Outcome, ResolveError, Tried};
use super::ask::{figure_of, prefer_stream};
use super::cache::{Entry, EntryKind};
use super::exchange::{Exchange, Reply};
use super::find::Service;
use super::limits::{ERROR_TEXT_CHARS_MAX, REFERRAL_VALUES_MAX, REFERRALS_MAX};
use super::resolver::{Resolver, Step};
use super::time::Now;
use super::trace::{Hop, HopResult, Mismatch, Why};
use super::transmit::Transport;
use super::walk::{Finding, Found, Kind, Tag, Walk};
use crate::delegation::{Delegation, Scope};

impl Resolver {
    /// Takes the sound reply to an exchange that is off the lists already.
    pub(super) fn on_reply(
        &mut self,
        walk: &mut Walk,
        exchange: &Exchange,
        reply: &Reply<'_>,
        reply_len: usize,
        now: Now,
    ) -> Step {
        self.note_reply(exchange, now);
        self.compare_serial(exchange, reply, now);
        let hop = reply_hop(walk, exchange, reply, reply_len, now);
        let result = hop.result.clone();
        walk.hops.push(exchange.began, hop);
        if let Some(asking) = &mut walk.asking {
            asking.in_flight.retain(|id| *id != exchange.id);
        }
        let is_primary = reply.message.header.flags.has(OpFlags::AUTHORITATIVE);
        let code = reply.message.header.code;
        match (&reply.body, code) {
            (Body::Record { values, .. }, _) => self.on_record(walk, *values, is_primary, now),
            (_, ResponseCode::HANDLE_NOT_FOUND) => absent(Outcome::NotFound, is_primary),
            (_, ResponseCode::VALUES_NOT_FOUND) => absent(Outcome::ValuesNotFound, is_primary),
            (Body::Referral { handle, values }, _) => {
                let referral = Referral {
                    code,
                    handle,
                    values: *values,
                };
                match self.on_referral(walk, exchange, &referral, now) {
                    Some(step) => step,
                    None => self.on_useless(walk, exchange, result, now),
                }
            }
            (_, ResponseCode::OUT_OF_DATE_SITE_INFO) if self.may_refresh_roots(walk) => {
                self.on_out_of_date(walk, now)
            }
            (body, code) if is_final(code) => Step::Done(Found::failed(ResolveError::Refused {
                handle: walk.question.handle.clone(),
                server: exchange.place.route.address,
                code,
                text: text_of(body),
            })),
            _ => self.on_useless(walk, exchange, result, now),
        }
    }

    fn note_reply(&mut self, exchange: &Exchange, now: Now) {
        self.figures.exchanges[figure_of(exchange.transport)].answered += 1;
        let took_ms = now.tick.since(exchange.began);
        let peer = exchange.place.peer();
        self.peers.note(&peer, |peer| match exchange.tries {
            1 => peer.answered(took_ms),
            _ => peer.revived(),
        });
        self.won(exchange);
    }

    fn won(&mut self, exchange: &Exchange) {
        if exchange.is_hedge {
            self.figures.hedges_won += 1;
        }
    }

    /// The values that were asked for.
    fn on_record(
        &mut self,
        walk: &mut Walk,
        values: Values<'_>,
        is_primary: bool,
        now: Now,
    ) -> Step {
        let life_secs = self.cache.life_secs(values, now);
        let entry = Entry::new(EntryKind::Record, values.wire(), life_secs, now);
        let entry = Arc::new(entry);
        if walk.kind == Kind::Roots {
            return self.on_root_record(walk, entry, now);
        }
        Step::Done(Found {
            is_authoritative: is_primary,
            ..Found::new(Outcome::Record(entry), Freshness::Fresh)
        })
    }

    /// A reply after which somebody else is asked.
    fn on_useless(
        &mut self,
        walk: &mut Walk,
        exchange: &Exchange,
        result: HopResult,
        now: Now,
    ) -> Step {
        let is_udp = matches!(exchange.transport, Transport::Udp { .. });
        let is_general = matches!(result, HopResult::Code(ResponseCode::ERROR, _));
        if let Some(asking) = &mut walk.asking {
            let place = &exchange.place;
            match is_udp && is_general {
                // "Too large for a datagram", among others: the same server by stream.
                true => prefer_stream(asking, place),
                // It would say the same by any other transport.
                false => asking
                    .candidates
                    .retain(|other| !other.is_same_server(place)),
            }
        }
        walk.tried.push(Tried {
            address: exchange.place.route.address,
            protocol: exchange.place.protocol,
            result,
        });
        self.go_on(walk, exchange.id, now)
    }

    //--- Referrals

    /// Follows a referral; `None` if it leads nowhere, so that another server is asked.
    fn on_referral(
        &mut self,
        walk: &mut Walk,
        exchange: &Exchange,
        referral: &Referral<'_>,
        now: Now,
    ) -> Option<Step> {
        let is_prefix_referral = referral.code == ResponseCode::PREFIX_REFERRAL;
        let name = walk.question.name();
        if walk.kind == Kind::Roots || is_prefix_referral && !name.is_prefix_handle() {
            return None;
        }
        let values = referral.values.unwrap_or(Values::EMPTY);
        if values.len() > REFERRAL_VALUES_MAX {
            return None;
        }
        let scope = match is_prefix_referral {
            true => Scope::DerivedPrefixes,
            false => Scope::Names,
        };
        let delegation = Delegation::of(values, scope);
        let named = Handle::from_wire(referral.handle).ok();
        if delegation.is_empty() && named.is_none() {
            return None;
        }
        if walk.referrals >= REFERRALS_MAX {
            let handle = walk.question.handle.clone();
            let error = ResolveError::TooManyReferrals { handle };
            return Some(Step::Done(Found::failed(error)));
        }
        self.figures.referrals += 1;
        let named = named.unwrap_or_else(|| walk.question.handle.clone());
        let mut finding = Finding::new(named.clone());
        finding.why = Some(Why::Referral(referral.code));
        if !values.is_empty() {
            finding.life_secs = self.cache.life_secs(values, now);
        }
        if is_prefix_referral && !walk.has_left {
            let parent = name.parent().map(|parent| parent.to_owned());
            finding.hint_for = parent;
        }
        walk.has_left |= !is_prefix_referral;
        self.follow(walk, exchange, finding, now);
        let service = Service {
            handle: named,
            scope,
            depth: 0,
        };
        match delegation.is_empty() {
            true => self.ask_service(walk, &service, Kind::Plain, now),
            false => self.take_delegation(walk, &service, delegation, now),
        }
        Some(self.pursue_referral(walk, now))
    }

    /// Leaves the sites that were asked for those that `finding` will have.
    fn follow(&mut self, walk: &mut Walk, exchange: &Exchange, finding: Finding, now: Now) {
        walk.referrals += 1;
        walk.referred.insert(exchange.place.route.address);
        self.abandon_exchanges(walk, now);
        let left = self.leave_walks(walk);
        self.abort_unwanted(left);
        walk.asking = None;
        walk.tried.clear();
        walk.inbox.clear();
        walk.finding = Some(finding);
    }

    /// Goes on after a referral; a circle is one that leads to nobody new.
    fn pursue_referral(&mut self, walk: &mut Walk, now: Now) -> Step {
        let leads_on = walk
            .finding
            .as_ref()
            .is_some_and(|finding| finding.outstanding > 0 || !walk.inbox.is_empty());
        let known = walk.finding.iter().flat_map(|finding| &finding.sites);
        let mut servers = known.flat_map(|known| &known.site.servers);
        let is_circle = servers.any(|server| {
            let mut referred = walk.referred.iter();
            referred.any(|address| address.ip() == server.address)
        });
        self.take_sites(walk, now);
        if walk.asking.is_none() && !leads_on && is_circle {
            self.figures.loops += 1;
            let handle = walk.question.handle.clone();
            return Step::Done(Found::failed(ResolveError::Loop { handle }));
        }
        self.pursue(walk, now)
    }

    //--- The root record

    /// Our site information is out of date (300): fetches the root record, then begins anew.
    fn on_out_of_date(&mut self, walk: &mut Walk, now: Now) -> Step {
        walk.has_refreshed_roots = true;
        self.abandon_exchanges(walk, now);
        walk.asking = None;
        walk.finding = None;
        let question = self.root_question();
        self.ask(walk, Tag::Roots, question, Kind::Roots, now);
        Step::Wait
    }

    /// A root server whose own site record is newer than ours: the root record has changed (2.1).
    fn compare_serial(&mut self, exchange: &Exchange, reply: &Reply<'_>, now: Now) {
        let (ours, theirs) = (exchange.place.site.serial, reply.message.header.site_serial);
        let known = ours != Header::NO_SERIAL && theirs != Header::NO_SERIAL;
        if exchange.place.why == Why::Root && known && theirs > ours {
            self.hasten_root_refresh(now);
        }
    }

    /// Why nobody answered.
    pub(super) fn nobody_answered(&self, walk: &Walk) -> ResolveError {
        let handle = walk.question.handle.clone();
        let tried = walk.tried.clone();
        let code_of = |tried: &Tried| match &tried.result {
            HopResult::Code(code, _) => Some(*code),
            _ => None,
        };
        let codes: Vec<ResponseCode> = tried.iter().filter_map(code_of).collect();
        let is_signature = |tried: &Tried| {
            let HopResult::Unsound(mismatch) = &tried.result else {
                return false;
            };
            matches!(
                mismatch,
                Mismatch::Unsigned | Mismatch::NoKey | Mismatch::Signature(_)
            )
        };
        let not_ours = ResponseCode::SERVER_NOT_RESPONSIBLE;
        if codes.contains(&not_ours) {
            return ResolveError::NotResponsible { handle, tried };
        }
        if tried.iter().any(is_signature) {
            return ResolveError::Unverified { handle, tried };
        }
        let refusal = tried.iter().rev().find_map(|tried| match &tried.result {
            HopResult::Code(code, text) => Some((tried.address, *code, text.clone())),
            _ => None,
        });
        match refusal {
            Some((server, code, text)) => ResolveError::Refused {
                handle,
                server,
                code,
                text,
            },
            None => ResolveError::Unreachable { handle, tried },
        }
    }
}

struct Referral<'a> {
    code: ResponseCode,
    handle: &'a [u8],
    values: Option<Values<'a>>,
}

/// The record, or its values, do not exist.
fn absent(outcome: Outcome, is_primary: bool) -> Step {
    Step::Done(Found {
        is_authoritative: is_primary,
        ..Found::new(outcome, Freshness::Fresh)
    })
}

/// Whether other servers would say the same, because it is about the record or the asker.
fn is_final(code: ResponseCode) -> bool {
    code == ResponseCode::INVALID_HANDLE || (400..500).contains(&code.0)
}

fn text_of(body: &Body<'_>) -> Box<str> {
    let Body::Error { text, .. } = body else {
        return "".into();
    };
    let text = String::from_utf8_lossy(text);
    let kept: String = text.chars().take(ERROR_TEXT_CHARS_MAX).collect();
    kept.into()
}

fn reply_hop(
    walk: &Walk,
    exchange: &Exchange,
    reply: &Reply<'_>,
    reply_len: usize,
    now: Now,
) -> Hop {
    let header = &reply.message.header;
    let values = match &reply.body {
        Body::Record { values, .. } => *values,
        Body::Referral { values, .. } => values.unwrap_or(Values::EMPTY),
        _ => Values::EMPTY,
    };
    let ttls = values.iter().map(|value| value.ttl.seconds_left(now.secs));
    Hop {
        handle: exchange.handle.clone(),
        types: walk.question.types.clone(),
        server: Some(exchange.place.hop_server()),
        why: exchange.place.why.clone(),
        started_ms: 0,
        elapsed_ms: now.tick.since(exchange.began),
        retries: exchange.tries - 1,
        result: HopResult::Code(header.code, text_of(&reply.body)),
        serial: Some(header.site_serial).filter(|serial| *serial != Header::NO_SERIAL),
        ttl_secs: ttls.min(),
        authoritative: header.flags.has(OpFlags::AUTHORITATIVE),
        verified: reply.verified,
        reply_len,
        values: values.len(),
        behind_secs: now.secs.saturating_sub(header.expiration),
        dropped: exchange.dropped,
        dropped_because: exchange.dropped_because.clone(),
    }
}
