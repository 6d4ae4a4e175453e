//! Streams between nodes: octets arrive in order or the stream is broken. Both ways must be open
//! for it to live.

use std::collections::BTreeMap;

use guantong_core::resolve::{ExchangeId, StreamFault};

use super::node::{Kind, NodeId};
use super::{Event, Net};

/// How long a machine tries to connect, or to get octets through, before it gives up.
const GIVE_UP_MS: u64 = 3_000;
/// Pieces in which a reply travels.
const PIECES: usize = 3;

/// Number of a stream.
pub(super) type ConnectionId = u64;

//----------- Connection -----------------------------------------------------

/// A stream, from the side of the one who opened it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: NodeId,
    pub(super) server: NodeId,
    /// The server's process that accepted it.
    accepted_by: Option<u32>,
    pub(super) purpose: Purpose,
    /// It is broken, and its client will hear of it.
    is_broken: bool,
}

/// What a stream was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request of a resolver.
    Resolve(ExchangeId),
    /// A mirror follows its primary.
    Follow,
    /// A primary tells the one before it that it is not any more.
    Tell,
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    last: ConnectionId,
}

impl Connections {
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.open.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

/// Something that happens to a stream.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// The request arrives at the server.
    Request(ConnectionId, Vec<u8>),
    /// A piece of the reply arrives at the client.
    Piece(ConnectionId, Vec<u8>),
    /// The client learns that it is broken.
    Broken(ConnectionId, StreamFault),
}

impl Net {
    /// Opens a stream and sends a request on it.
    pub(super) fn open_stream(
        &mut self,
        client: NodeId,
        server: NodeId,
        purpose: Purpose,
        request: Vec<u8>,
    ) -> ConnectionId {
        self.connections.last += 1;
        let id = self.connections.last;
        let connection = Connection {
            client,
            server,
            accepted_by: None,
            purpose,
            is_broken: false,
        };
        self.connections.open.insert(id, connection);
        if self.links.is_cut_either_way(client, server) {
            let fault = StreamFault::Connect("no route".into());
            self.plan_break(id, GIVE_UP_MS, fault);
        } else {
            let there = self.links.delay_ms(client, server, &mut self.random);
            let connect = match purpose {
                // The connection is kept from one request to the next.
                Purpose::Follow => 0,
                Purpose::Resolve(_) | Purpose::Tell => 2 * self.links.base_ms(client, server),
            };
            let at = self.now + there + connect;
            self.at(at, Event::Stream(StreamEvent::Request(id, request)));
        }
        id
    }

    /// Sends a reply on a stream, in pieces.
    pub(super) fn reply_on(&mut self, id: ConnectionId, reply: &[u8]) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let (client, server) = (connection.client, connection.server);
        let mut at = self.now + self.links.delay_ms(client, server, &mut self.random);
        let cut = match self.links.cuts_stream(&mut self.random) {
            true => Some(self.random.below(reply.len() as u64 + 1)),
            false => None,
        };
        let len = cut.map_or(reply.len(), |len| usize::try_from(len).unwrap_or(0));
        let size = reply.len().div_ceil(PIECES).max(1);
        for piece in reply[..len].chunks(size) {
            let event = StreamEvent::Piece(id, piece.to_vec());
            self.at(at, Event::Stream(event));
            at += 1 + self.random.below(self.links.weather.jitter_ms + 1);
        }
        if cut.is_some() {
            self.at(
                at,
                Event::Stream(StreamEvent::Broken(id, StreamFault::Closed)),
            );
        }
    }

    /// Ends a stream of which nobody wants anything any more.
    pub(super) fn close_stream(&mut self, id: ConnectionId) {
        self.connections.open.remove(&id);
    }

    /// The streams of a process that died: its own are gone, those to it break.
    pub(super) fn break_streams_of(&mut self, node: NodeId) {
        self.connections.open.retain(|_, c| c.client != node);
        let to_it = self.connections.open.iter();
        let to_it = to_it.filter(|(_, c)| c.server == node && c.accepted_by.is_some());
        let broken: Vec<ConnectionId> = to_it.map(|(id, _)| *id).collect();
        for id in broken {
            self.plan_break(id, 1 + self.links.weather.jitter_ms, StreamFault::Closed);
        }
    }

    fn plan_break(&mut self, id: ConnectionId, in_ms: u64, fault: StreamFault) {
        if let Some(connection) = self.connections.open.get_mut(&id) {
            connection.is_broken = true;
            let event = StreamEvent::Broken(id, fault);
            self.at(self.now + in_ms, Event::Stream(event));
        }
    }

    pub(super) fn on_stream_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Request(id, request) => self.on_request(id, &request),
            StreamEvent::Piece(id, piece) => self.on_piece(id, &piece),
            StreamEvent::Broken(id, fault) => {
                if let Some(connection) = self.connections.open.remove(&id) {
                    self.on_broken(&connection, id, fault);
                }
            }
        }
    }

    fn on_request(&mut self, id: ConnectionId, request: &[u8]) {
        let Some(connection) = self.connections.open.get_mut(&id) else {
            return;
        };
        let (client, server) = (connection.client, connection.server);
        let (purpose, is_broken) = (connection.purpose, connection.is_broken);
        if is_broken {
            return;
        }
        if self.links.is_cut_either_way(client, server) {
            return self.plan_break(id, GIVE_UP_MS, StreamFault::Closed);
        }
        if !self.nodes[server].up {
            let fault = StreamFault::Connect("refused".into());
            return self.plan_break(id, self.links.base_ms(client, server), fault);
        }
        connection.accepted_by = Some(self.nodes[server].run);
        self.log.mix(request);
        match (&self.nodes[server].kind, purpose) {
            (Kind::Hostile(_), _) => self.on_hostile_request(server, id, request),
            (Kind::Member(_), Purpose::Resolve(_)) => {
                let reply = self.answer_of(server, request);
                self.reply_on(id, &reply);
            }
            (Kind::Member(_), Purpose::Follow | Purpose::Tell) => {
                self.on_mirror_request(server, id, request);
            }
            (Kind::Recursive(_), _) => self.plan_break(id, 1, StreamFault::Closed),
        }
    }

    fn on_piece(&mut self, id: ConnectionId, piece: &[u8]) {
        let Some(connection) = self.connections.get(id).filter(|c| !c.is_broken) else {
            return;
        };
        let (client, server) = (connection.client, connection.server);
        if self.links.is_cut_either_way(client, server) {
            return self.plan_break(id, GIVE_UP_MS, StreamFault::Closed);
        }
        self.log.mix(piece);
        match connection.purpose {
            Purpose::Resolve(exchange) => self.on_reply_piece(client, id, exchange, piece),
            Purpose::Follow => self.on_followed_piece(client, id, piece),
            Purpose::Tell => self.on_told_piece(client, id, piece),
        }
    }

    fn on_broken(&mut self, connection: &Connection, id: ConnectionId, fault: StreamFault) {
        let client = connection.client;
        match connection.purpose {
            Purpose::Resolve(exchange) => self.on_reply_broken(client, exchange, fault),
            Purpose::Follow => self.on_follow_broken(client, id),
            Purpose::Tell => self.on_tell_broken(client, id),
        }
    }
}
