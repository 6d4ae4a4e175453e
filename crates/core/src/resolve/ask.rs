//! Asking servers: whom, when again, and when somebody else as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use guantong_proto::data::Site;
use guantong_proto::data::site::Protocol;
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;

use super::answer::{ResolveError, Tried};
use super::exchange::{Exchange, Stamp, request_packet};
use super::limits::{
    EXCHANGES_MAX, EXPIRATION_SPREAD_SECS, IN_FLIGHT_MAX, RTO_MAX_MS, SILENT_MAX, TRIED_MAX,
    UDP_REQUEST_LEN_MAX, UDP_TRIES,
};
use super::place::{KnownSite, Place, Wanted, places};
use super::resolver::{Resolver, Step, Timer};
use super::time::Now;
use super::trace::{Hop, HopResult, Mismatch};
use super::transmit::{ExchangeId, StreamFault, Transport};
use super::walk::{Asking, Found, Walk};

impl Resolver {
    /// Makes candidates of the sites that were found since.
    pub(super) fn take_sites(&mut self, walk: &mut Walk, now: Now) {
        let Some(finding) = &mut walk.finding else {
            return;
        };
        let known = walk.asking.as_ref().map(|asking| asking.sites.as_slice());
        let known = known.unwrap_or_default();
        let is_new = |site: &KnownSite| !known.iter().any(|known| known.site == site.site);
        let mut new = std::mem::take(&mut finding.sites);
        new.retain(is_new);
        if new.is_empty() {
            return;
        }
        let wanted = match walk.question.authoritative {
            true => Wanted::Primary,
            false => Wanted::Any,
        };
        // Drawn before, since the draw needs the resolver as a whole.
        let mut seed = self.random_below(u64::MAX);
        let jitter = |end| {
            seed = seed.rotate_left(11).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            seed % end
        };
        let name = walk.question.name();
        let mut found = places(
            &new,
            name,
            wanted,
            self.reach,
            &self.peers,
            now.tick,
            jitter,
        );
        found.retain(|place| !walk.referred.contains(&place.route.address));
        if found.is_empty() {
            return;
        }
        let asking = walk.asking.get_or_insert_with(Asking::default);
        for place in found.iter().skip(1) {
            self.peers.fade(&place.peer());
        }
        asking.sites.extend(new);
        asking.candidates.extend(found);
        asking
            .candidates
            .make_contiguous()
            .sort_by_key(|place| place.rank);
        let expires = now.tick + u64::from(finding.life_secs) * 1_000;
        if let Some(parent) = &finding.hint_for {
            let sites: Vec<Arc<Site>> = asking.sites.iter().map(|s| s.site.clone()).collect();
            let certified = walk.question.certified;
            self.hints.insert(certified, parent, sites, expires);
        }
    }

    /// Asks the next candidate; whether there was one.
    pub(super) fn ask_next(&mut self, walk: &mut Walk, now: Now) -> Result<bool, ResolveError> {
        loop {
            let Some(place) = walk.asking.as_mut().and_then(next_place) else {
                return Ok(false);
            };
            if self.begin_exchange(walk, place, now)? {
                return Ok(true);
            }
        }
    }

    /// Asks a second server while the first is still being waited for. If the budget is used up,
    /// the first one is all there is.
    fn ask_another(&mut self, walk: &mut Walk, now: Now) {
        let Some(asking) = &mut walk.asking else {
            return;
        };
        asking.hedge_at = None;
        let asked: Vec<&Place> = asking
            .in_flight
            .iter()
            .filter_map(|id| Some(&self.exchanges.get(id)?.place))
            .collect();
        if asked.is_empty() || asked.len() >= IN_FLIGHT_MAX {
            return;
        }
        let is_other = |place: &Place| !asked.iter().any(|asked| asked.is_same_server(place));
        let Some(at) = asking.candidates.iter().position(is_other) else {
            return;
        };
        let Some(place) = asking.candidates.remove(at) else {
            return;
        };
        if self.begin_exchange(walk, place, now) != Ok(true) {
            return;
        }
        self.figures.hedges += 1;
        if let Some(asking) = &mut walk.asking {
            asking.hedge_at = None;
            let last = asking.in_flight.last();
            if let Some(exchange) = last.and_then(|id| self.exchanges.get_mut(id)) {
                exchange.is_hedge = true;
            }
        }
    }

    /// Sends the question to a server; `false` if it cannot be sent there.
    fn begin_exchange(
        &mut self,
        walk: &mut Walk,
        place: Place,
        now: Now,
    ) -> Result<bool, ResolveError> {
        let spread = self.random_below(u64::from(EXPIRATION_SPREAD_SECS));
        let spread = u32::try_from(spread).unwrap_or(0);
        let stamp = Stamp {
            request_id: self.request_id(),
            expiration: now
                .secs
                .saturating_add(EXPIRATION_DEFAULT_SECS)
                .saturating_add(spread),
            recursion_count: walk.recursion_count(),
        };
        let packet = request_packet(&walk.question, &place, stamp);
        let Some(transport) = self.transport(place.protocol, packet.len()) else {
            return Ok(false);
        };
        self.spend(walk)?;
        let peer = self.peers.of(&place.peer());
        let wait_ms = match transport {
            Transport::Udp { .. } => peer.wait_ms(),
            _ => self.settings.stream_timeout_ms,
        };
        let id = ExchangeId(self.next_id());
        let exchange = Exchange {
            id,
            walk: walk.id,
            handle: walk.question.handle.clone(),
            transport,
            packet: packet.into(),
            request_id: stamp.request_id,
            certified: walk.question.certified,
            began: now.tick,
            due: now.tick + wait_ms,
            wait_ms,
            tries: 1,
            is_hedge: false,
            is_partial: false,
            dropped: 0,
            dropped_because: None,
            place,
        };
        let asking = walk.asking.get_or_insert_with(Asking::default);
        asking.in_flight.push(id);
        asking.hedge_at = Some(now.tick + peer.hedge_ms(transport.protocol()));
        self.figures.exchanges[figure_of(transport)].sent += 1;
        self.by_request.insert(exchange.request_id, id);
        self.timers.insert((exchange.due, Timer::Exchange(id)));
        self.transmits.push_back(exchange.transmit(self.reach));
        self.exchanges.insert(id, exchange);
        Ok(true)
    }

    fn transport(&mut self, protocol: Protocol, packet_len: usize) -> Option<Transport> {
        match protocol {
            Protocol::UDP if packet_len > UDP_REQUEST_LEN_MAX => None,
            Protocol::UDP => {
                let local = self.random_below(u64::from(self.settings.sockets));
                let local = u16::try_from(local).unwrap_or(0);
                Some(Transport::Udp { local })
            }
            Protocol::TCP => Some(Transport::Tcp),
            Protocol::HTTP => Some(Transport::Http),
            Protocol::HTTPS => Some(Transport::Https),
            _ => None,
        }
    }

    /// Counts an exchange against the question for which the walk was begun.
    fn spend(&mut self, walk: &Walk) -> Result<(), ResolveError> {
        let family = self.families.entry(walk.family).or_default();
        if family.exchanges >= EXCHANGES_MAX {
            let handle = walk.question.handle.clone();
            return Err(ResolveError::TooManyExchanges { handle });
        }
        family.exchanges += 1;
        Ok(())
    }

    //--- Time

    /// The wait for a reply is over: sends again, or gives up.
    pub(super) fn on_exchange_due(&mut self, id: ExchangeId, now: Now) {
        let Some(exchange) = self.exchanges.get_mut(&id) else {
            return;
        };
        let is_datagram = matches!(exchange.transport, Transport::Udp { .. });
        if is_datagram && exchange.is_partial {
            return self.end_exchange(id, &HopResult::Incomplete, now);
        }
        if !is_datagram || exchange.tries >= UDP_TRIES {
            return self.end_exchange(id, &HopResult::Silent, now);
        }
        exchange.tries += 1;
        exchange.wait_ms = (exchange.wait_ms * 2).min(RTO_MAX_MS);
        exchange.due = now.tick + exchange.wait_ms;
        self.timers.insert((exchange.due, Timer::Exchange(id)));
        self.transmits.push_back(exchange.transmit(self.reach));
        self.figures.retries += 1;
    }

    /// The time of a walk has come: for its end, for an expired entry, or for a second server.
    pub(super) fn on_walk_due(&mut self, walk: &mut Walk, now: Now) -> Step {
        if walk.deadline <= now.tick {
            let tried = self.tried_so_far(walk);
            let error = ResolveError::TimedOut {
                handle: walk.question.handle.clone(),
                after_ms: now.tick.since(walk.started),
                tried,
            };
            return Step::Done(Found::failed(error));
        }
        if walk.stale_at.is_some_and(|at| at <= now.tick) {
            self.deliver_stale(walk, now);
        }
        let hedge_at = walk.asking.as_ref().and_then(|asking| asking.hedge_at);
        if hedge_at.is_some_and(|at| at <= now.tick) {
            self.ask_another(walk, now);
        }
        Step::Wait
    }

    //--- Ends

    /// An exchange ended without a sound reply.
    pub(super) fn end_exchange(&mut self, id: ExchangeId, result: &HopResult, now: Now) {
        let Some(exchange) = self.take_exchange(id) else {
            return;
        };
        let figures = &mut self.figures.exchanges[figure_of(exchange.transport)];
        match result {
            HopResult::Silent => figures.silent += 1,
            _ => figures.failed += 1,
        }
        if !matches!(
            result,
            HopResult::Incomplete | HopResult::Stream(StreamFault::Local(_))
        ) {
            let peer = exchange.place.peer();
            self.peers.note(&peer, |peer| peer.failed(now.tick));
        }
        if matches!(exchange.transport, Transport::Udp { .. }) {
            // Nothing to tell the shell: the socket is shared.
        } else if matches!(result, HopResult::Silent) {
            self.abandoned.push_back(id);
        }
        self.work_on(exchange.walk, now, |resolver, walk| {
            let hop = failed_hop(walk, &exchange, result.clone(), now);
            walk.hops.push(exchange.began, hop);
            walk.tried.push(Tried {
                address: exchange.place.route.address,
                protocol: exchange.place.protocol,
                result: telling(&exchange, result.clone()),
            });
            if let Some(asking) = &mut walk.asking {
                match result {
                    HopResult::Incomplete => prefer_stream(asking, &exchange.place),
                    HopResult::Silent if exchange.place.protocol == Protocol::UDP => {
                        asking.silent += 1;
                    }
                    _ => {}
                }
            }
            resolver.go_on(walk, id, now)
        });
    }

    /// Goes on after an exchange that brought nothing: with the next server at once, even if
    /// another is still being waited for.
    pub(super) fn go_on(&mut self, walk: &mut Walk, ended: ExchangeId, now: Now) -> Step {
        let Some(asking) = &mut walk.asking else {
            return self.pursue(walk, now);
        };
        asking.in_flight.retain(|id| *id != ended);
        if asking.in_flight.is_empty() {
            asking.hedge_at = None;
            return self.pursue(walk, now);
        }
        self.ask_another(walk, now);
        Step::Wait
    }

    /// Gives up what a walk has in flight.
    pub(super) fn abandon_exchanges(&mut self, walk: &mut Walk, now: Now) {
        let Some(asking) = &mut walk.asking else {
            return;
        };
        for id in std::mem::take(&mut asking.in_flight) {
            let Some(exchange) = self.take_exchange(id) else {
                continue;
            };
            self.figures.exchanges[figure_of(exchange.transport)].abandoned += 1;
            let waited_ms = now.tick.since(exchange.began);
            let peer = exchange.place.peer();
            self.peers.note(&peer, |peer| peer.slower_than(waited_ms));
            if !matches!(exchange.transport, Transport::Udp { .. }) {
                self.abandoned.push_back(id);
            }
            let hop = failed_hop(walk, &exchange, HopResult::Abandoned, now);
            walk.hops.push(exchange.began, hop);
        }
        if let Some(asking) = &mut walk.asking {
            asking.hedge_at = None;
        }
    }

    /// Who was asked in vain, and who has not answered yet, also on behalf of the records that the
    /// walk waits for.
    fn tried_so_far(&self, walk: &Walk) -> Vec<Tried> {
        let mut all = self.tried_by(walk);
        let mut waiting = walk.waits_on.clone();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop()
            && all.len() < TRIED_MAX
        {
            if let Some(other) = self.walks.get(&id)
                && seen.insert(id)
            {
                all.extend(self.tried_by(other));
                waiting.extend(&other.waits_on);
            }
        }
        all.truncate(TRIED_MAX);
        all
    }

    fn tried_by(&self, walk: &Walk) -> Vec<Tried> {
        let in_flight = walk.asking.iter().flat_map(|asking| &asking.in_flight);
        let open = in_flight.filter_map(|id| self.exchanges.get(id));
        let open = open.map(|exchange| Tried {
            address: exchange.place.route.address,
            protocol: exchange.place.protocol,
            result: telling(exchange, HopResult::Silent),
        });
        walk.tried.iter().cloned().chain(open).collect()
    }
}

/// The next candidate. If several servers were silent by UDP, streams come first.
fn next_place(asking: &mut Asking) -> Option<Place> {
    if asking.silent >= SILENT_MAX {
        let is_stream = |place: &Place| place.protocol != Protocol::UDP && !place.rank.0;
        if let Some(at) = asking.candidates.iter().position(is_stream) {
            return asking.candidates.remove(at);
        }
    }
    asking.candidates.pop_front()
}

/// Puts the stream of the same server first.
pub(super) fn prefer_stream(asking: &mut Asking, place: &Place) {
    let is_stream = |other: &Place| other.protocol != Protocol::UDP && other.is_same_server(place);
    if let Some(at) = asking.candidates.iter().position(is_stream)
        && let Some(place) = asking.candidates.remove(at)
    {
        asking.candidates.push_front(place);
    }
}

pub(super) fn figure_of(transport: Transport) -> usize {
    match transport {
        Transport::Udp { .. } => 0,
        Transport::Tcp => 1,
        Transport::Http => 2,
        Transport::Https => 3,
    }
}

/// A server whose replies do not match says more than one that is silent.
fn telling(exchange: &Exchange, result: HopResult) -> HopResult {
    match (&result, &exchange.dropped_because) {
        (HopResult::Silent, Some(mismatch)) => HopResult::Unsound(mismatch.clone()),
        _ => result,
    }
}

fn failed_hop(walk: &Walk, exchange: &Exchange, result: HopResult, now: Now) -> Hop {
    let behind_secs = match &exchange.dropped_because {
        Some(Mismatch::Expired(secs)) => *secs,
        _ => 0,
    };
    Hop {
        handle: exchange.handle.clone(),
        types: walk.question.types.clone(),
        server: Some(exchange.place.hop_server()),
        why: exchange.place.why.clone(),
        started_ms: 0,
        elapsed_ms: now.tick.since(exchange.began),
        retries: exchange.tries - 1,
        result,
        serial: None,
        ttl_secs: None,
        authoritative: false,
        verified: false,
        reply_len: 0,
        values: 0,
        behind_secs,
        dropped: exchange.dropped,
        dropped_because: exchange.dropped_because.clone(),
    }
}
