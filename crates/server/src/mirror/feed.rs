//! Serving a mirror: the reply, TLS, the stream, and the next request on the same connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use guantong_core::admin::{Identity, Stream};
use guantong_core::authority::{Moment, Recursion};
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{
    Envelope, Header, Message, OpCode, OpFlags, ResponseCode, begin, finish,
};
use guantong_proto::stream::{Content, Protection};
use guantong_proto::wire::Writer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::link::read_packet;
use super::plan::{Plan, Refusal, plan};
use super::serve::{Broken, Form, PIECES_MAX, produce};
use crate::listen::tls;
use crate::node::Node;
use crate::shutdown::Stop;

const NO_PLACE: &str = "this node serves as many mirrors as `mirror.feeds` allows; ask again later";
const NO_CLEAR: &str = "this node sends its records over TLS only, which version 2.8 brought; \
     update the mirror, or set `mirror.clear_streams` here";

//----------- serve ----------------------------------------------------------

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The reply is in `out`; the connection is what it was before.
    Refused,
    /// The connection has had its use.
    Over,
}

/// Sends a stream to somebody who may have it, and goes on as long as it asks for more.
pub(crate) async fn serve(
    node: &Arc<Node>,
    tcp: &mut TcpStream,
    stream: &Stream,
    stop: &Stop,
    out: &mut Vec<u8>,
) -> Served {
    let refuse = |code, text: &str, out: &mut Vec<u8>| {
        at_this_moment(node, |moment| {
            stream.refuse(&node.site(), code, text, moment, out);
        });
        Served::Refused
    };
    let knows_tls = stream.version().at_least(2, 8);
    if !knows_tls && !node.config().mirror.clear_streams {
        return refuse(ResponseCode::OPERATION_NOT_SUPPORTED, NO_CLEAR, out);
    }
    let Ok(_place) = node.mirroring.places.clone().try_acquire_owned() else {
        return refuse(ResponseCode::SERVER_TOO_BUSY, NO_PLACE, out);
    };
    let address = tcp.peer_addr().unwrap_or(([0, 0, 0, 0], 0).into());
    let _connected = node.mirroring.mirrors.connected(stream.identity(), address);
    let request = stream.request().message();
    let plan = match plan(node, stream.identity(), &request, stop).await {
        Ok(plan) => plan,
        Err(Refusal { code, text }) => return refuse(code, &text, out),
    };
    at_this_moment(node, |moment| {
        stream.accept(&node.site(), &plan.body(), moment, out);
    });
    let feed = Feeding {
        node,
        identity: stream.identity(),
        stop,
    };
    let reply = std::mem::take(out);
    let served = match knows_tls {
        true => feed.over_tls(tcp, reply, plan).await,
        false => feed.signed(tcp, reply, plan).await,
    };
    if let Err(error) = served {
        tracing::info!(mirror = %stream.identity(), %error, "the feed of a mirror ended");
    }
    Served::Over
}

/// Writes a reply that cannot be a challenge.
fn at_this_moment(node: &Node, write: impl FnOnce(&Moment<'_>)) {
    write(&Moment {
        now_secs: node.now_secs(),
        challenge: &mut |_| unreachable!("whoever gets a stream has proven who it is"),
        recursion: Recursion::Denied,
    });
}

struct Feeding<'a> {
    node: &'a Arc<Node>,
    identity: &'a Identity,
    stop: &'a Stop,
}

impl Feeding<'_> {
    async fn signed(&self, tcp: &mut TcpStream, reply: Vec<u8>, plan: Plan) -> io::Result<()> {
        self.write(tcp, &reply).await?;
        let form = Form::Signed(self.node.key().clone());
        self.send(tcp, plan, form).await?;
        tcp.shutdown().await
    }

    async fn over_tls(&self, tcp: &mut TcpStream, reply: Vec<u8>, plan: Plan) -> io::Result<()> {
        let mut octets = reply;
        let head = Content::Head {
            protection: Protection::Tls,
            digest: None,
        };
        head.encode(&mut Writer::new(&mut octets));
        self.write(tcp, &octets).await?;
        let now_secs = self.node.now_ms() / 1_000;
        let config = tls::of_key(&self.node.key(), now_secs).map_err(io::Error::other)?;
        let accepting = TlsAcceptor::from(config).accept(tcp);
        let mut tls = timeout(self.patience(), accepting).await??;
        let is_kin = plan.told.is_some();
        self.send(&mut tls, plan, Form::InsideTls).await?;
        // Mirrors of other makers close here.
        while is_kin && self.answer_next(&mut tls).await? {}
        tls.shutdown().await
    }

    /// Answers the next request on the connection; `false` if there is none.
    async fn answer_next<S>(&self, stream: &mut S) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let idle = self.node.config().limits.idle_timeout.as_duration();
        let packet = tokio::select! {
            packet = timeout(idle, read_packet(stream)) => packet??,
            () = self.stop.told() => return Ok(false),
        };
        let Some(packet) = packet else {
            return Ok(false);
        };
        let message = Message::decode(&packet).map_err(io::Error::other)?;
        let op = message.header.op;
        let is_ours = matches!(op, OpCode::RETRIEVE_TXN | OpCode::DUMP_HANDLES);
        if !is_ours || !self.may_still_follow() {
            let text =
                "this connection is for a mirror that may follow this node, and nothing else";
            let reply = self.error(&message, ResponseCode::OPERATION_NOT_SUPPORTED, text);
            self.write(stream, &reply).await?;
            return Ok(false);
        }
        let plan = match plan(self.node, self.identity, &message, self.stop).await {
            Ok(plan) => plan,
            Err(Refusal { code, text }) => {
                let reply = self.error(&message, code, &text);
                self.write(stream, &reply).await?;
                return Ok(true);
            }
        };
        let reply = self.reply(&message, ResponseCode::SUCCESS, &plan.body());
        self.write(stream, &reply).await?;
        self.send(stream, plan, Form::Plain).await?;
        Ok(!self.stop.is_told())
    }

    /// The settings may have changed since the mirror has proven who it is.
    fn may_still_follow(&self) -> bool {
        let config = self.node.config();
        let rules = &config.administration.rules;
        rules.replication(self.identity, config.case_rule).is_ok()
    }

    fn error(&self, message: &Message<'_>, code: ResponseCode, text: &str) -> Vec<u8> {
        let body = Writer::to_vec(|w| w.bytes(text.as_bytes()));
        self.reply(message, code, &body)
    }

    /// A reply inside TLS, which needs no signature.
    fn reply(&self, message: &Message<'_>, code: ResponseCode, body: &[u8]) -> Vec<u8> {
        let envelope = Envelope::new(
            message.envelope.answer_version(),
            message.envelope.request_id,
        );
        let now = self.node.now_secs();
        let expiration = now.saturating_add(EXPIRATION_DEFAULT_SECS);
        let header = Header {
            code,
            site_serial: self.node.site().serial(),
            ..Header::request(message.header.op, OpFlags::DEFAULT, expiration)
        };
        let mut out = Vec::new();
        let start = begin(&mut out, &envelope, &header);
        out.extend_from_slice(body);
        finish(&mut out, start, Some(&[]));
        out
    }

    /// Sends the stream of a plan as it is made.
    async fn send<S>(&self, stream: &mut S, plan: Plan, form: Form) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
        let node = self.node.clone();
        let making = tokio::task::spawn_blocking(move || produce(&node, &plan, form, sender));
        while let Some(piece) = pieces.recv().await {
            self.write(stream, &piece).await?;
        }
        match making.await {
            Ok(Ok(())) | Ok(Err(Broken::Gone)) => stream.flush().await,
            Ok(Err(Broken::Store(error))) => {
                tracing::error!(%error, "the store failed to read for a mirror");
                Err(io::Error::other(error))
            }
            Ok(Err(Broken::Sign(error))) => Err(io::Error::other(error)),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Writes; a mirror that takes nothing for too long is given up.
    async fn write<S>(&self, stream: &mut S, octets: &[u8]) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        timeout(self.patience(), stream.write_all(octets)).await?
    }

    fn patience(&self) -> Duration {
        self.node.config().limits.message_timeout.as_duration()
    }
}
