//! A mirror's connection to its primary: proof of identity, TLS with the pinned key, requests.

use std::io;
use std::time::Duration;

use guantong_core::admin::Identity;
use guantong_proto::DecodeError;
use guantong_proto::crypto::challenge::{PUBLIC_KEY, answer_with_key};
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::crypto::{Credential, CryptoError, VerifyingKey};
use guantong_proto::data::{PublicKey, Site};
use guantong_proto::limits::{ENVELOPE_LEN, EXPIRATION_DEFAULT_SECS};
use guantong_proto::message::{
    Body, Envelope, Header, Message, OpCode, OpFlags, Request, Response, ResponseCode, Version,
};
use guantong_proto::wire::{Reader, Writer};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::pin;
use crate::key::ServerKey;

/// Time to connect, and for each step until the stream begins.
const STEP_TIME: Duration = Duration::from_secs(10);
/// Name in the TLS handshake. Only the key counts; some name must be there.
const TLS_NAME: &str = "anonymous";
/// Stream type that announces TLS (6.8).
const TLS_WORD: &[u8; 4] = b"TLS\0";

//----------- Credentials ----------------------------------------------------

/// By what a node proves itself to others.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) identity: Identity,
    pub(super) key: ServerKey,
}

/// Whom a node talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Host and port.
    pub(super) address: String,
    /// The only key that is believed.
    pub(super) key: PublicKey,
}

//----------- Link -----------------------------------------------------------

/// Both directions of a connection.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// A connection on which streams are asked for.
pub(super) struct Link {
    stream: Box<dyn Duplex>,
    /// Inside TLS with the pinned key.
    is_protected: bool,
    /// Octets of the stream type that were read while looking for TLS.
    head: Vec<u8>,
    random: SystemRandom,
}

/// An answer with a stream behind it.
#[derive(Debug)]
pub(super) struct Answer {
    /// What stands behind the body that the protocol knows.
    pub(super) behind: Vec<u8>,
    /// The stream begins with its first block rather than with its type.
    pub(super) is_inside_tls: bool,
}

impl Link {
    /// Connects, proves who we are, and makes a request. What follows the answer is a stream.
    pub(super) async fn open(
        peer: &Peer,
        credentials: &Credentials,
        op: OpCode,
        body: &[u8],
    ) -> Result<(Self, Answer), LinkError> {
        let random = SystemRandom::new();
        let (mut tcp, behind) = admitted(peer, credentials, op, body, &random).await?;
        let mut head = vec![0; 4];
        timeout(STEP_TIME, tcp.read_exact(&mut head)).await??;
        let (stream, is_protected): (Box<dyn Duplex>, _) = match head == TLS_WORD {
            true => {
                head.clear();
                let key = VerifyingKey::new(&peer.key)?;
                let config = pin::client(key).map_err(|error| LinkError::Tls(error.to_string()))?;
                let name = ServerName::try_from(TLS_NAME)
                    .map_err(|error| LinkError::Tls(error.to_string()))?;
                let connecting = TlsConnector::from(config).connect(name, tcp);
                let tls = timeout(STEP_TIME, connecting).await?;
                let tls = tls.map_err(|error| LinkError::Tls(error.to_string()))?;
                (Box::new(tls), true)
            }
            false => (Box::new(tcp), false),
        };
        let link = Self {
            stream,
            is_protected,
            head,
            random,
        };
        let answer = Answer {
            behind,
            is_inside_tls: is_protected,
        };
        Ok((link, answer))
    }

    /// Whether nobody on the way can read or change what comes.
    pub(super) fn is_protected(&self) -> bool {
        self.is_protected
    }

    /// Makes the next request on a connection that is kept. The answer may take `wait`.
    pub(super) async fn ask(
        &mut self,
        op: OpCode,
        body: &[u8],
        wait: Duration,
    ) -> Result<Answer, LinkError> {
        let asked = request(op, body, 0, &self.random)?;
        timeout(STEP_TIME, self.stream.write_all(&asked)).await??;
        timeout(STEP_TIME, self.stream.flush()).await??;
        let reply = timeout(STEP_TIME + wait, read_packet(&mut self.stream)).await??;
        let reply = reply.ok_or(LinkError::Closed)?;
        let message = Message::decode(&reply)?;
        let question = Message::decode(&asked)?;
        if message.envelope.request_id != question.envelope.request_id {
            return Err(LinkError::Foreign);
        }
        if !message.header.code.is_success() {
            return Err(refused(&message));
        }
        Ok(Answer {
            behind: behind(&message, op)?.to_vec(),
            is_inside_tls: false,
        })
    }

    /// Reads some octets of the stream into `buf`.
    pub(super) async fn read(&mut self, buf: &mut Vec<u8>) -> Result<(), LinkError> {
        if !self.head.is_empty() {
            buf.append(&mut self.head);
            return Ok(());
        }
        buf.reserve(READ_LEN);
        match timeout(SILENCE_MAX, self.stream.read_buf(buf)).await?? {
            0 => Err(LinkError::Closed),
            _ => Ok(()),
        }
    }
}

/// Asks and proves who asks; the connection that brought the answer, and what stands behind its
/// body. A primary that is open to everybody asks for no proof.
async fn admitted(
    peer: &Peer,
    credentials: &Credentials,
    op: OpCode,
    body: &[u8],
    random: &SystemRandom,
) -> Result<(TcpStream, Vec<u8>), LinkError> {
    let mut tcp = connect(&peer.address).await?;
    let mut asked = request(op, body, 0, random)?;
    tcp.write_all(&asked).await?;
    let mut reply = read_reply(&mut tcp).await?;
    let first = check(&reply, &asked, &peer.key)?;
    if first.header.code == ResponseCode::AUTHENTICATION_NEEDED {
        asked = answer(&first, &asked, credentials, random)?;
        // Others close the connection with the challenge, so the answer gets one of its own (1.3).
        drop(tcp);
        tcp = connect(&peer.address).await?;
        tcp.write_all(&asked).await?;
        reply = read_reply(&mut tcp).await?;
    }
    let message = check(&reply, &asked, &peer.key)?;
    match message.header.code.is_success() {
        true => Ok((tcp, behind(&message, op)?.to_vec())),
        false => Err(refused(&message)),
    }
}

/// Octets read at a time.
const READ_LEN: usize = 64 * 1024;
/// Longest silence in the middle of a stream.
const SILENCE_MAX: Duration = Duration::from_secs(60);

async fn connect(address: &str) -> Result<TcpStream, LinkError> {
    let connecting = timeout(STEP_TIME, TcpStream::connect(address));
    let unreachable = |error: io::Error| LinkError::Unreachable {
        address: address.to_owned(),
        error,
    };
    let tcp = connecting
        .await
        .map_err(|_| unreachable(io::ErrorKind::TimedOut.into()))?
        .map_err(unreachable)?;
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

/// The public key that a server shows in its site record. Nobody vouches for it.
pub(super) async fn shown_key(address: &str) -> Result<PublicKey, LinkError> {
    let mut tcp = connect(address).await?;
    let body = Writer::to_vec(|w| w.bytes(b"/"));
    let asked = request(OpCode::GET_SITE_INFO, &body, 0, &SystemRandom::new())?;
    tcp.write_all(&asked).await?;
    let reply = read_reply(&mut tcp).await?;
    let message = Message::decode(&reply)?;
    let Body::SiteInfo(octets) = Response::of(&message)?.body else {
        return Err(refused(&message));
    };
    let site = Site::decode(octets)?;
    let server = site.servers.first().ok_or(LinkError::NoKey)?;
    Ok(server.key()?)
}

//----------- Messages -------------------------------------------------------

fn request(
    op: OpCode,
    body: &[u8],
    session_id: i32,
    random: &SystemRandom,
) -> Result<Vec<u8>, LinkError> {
    let mut id = [0; 4];
    random.fill(&mut id).map_err(|_| LinkError::Random)?;
    let envelope = Envelope {
        session_id,
        ..Envelope::new(Version::OURS, i32::from_be_bytes(id) & i32::MAX)
    };
    let now = u32::try_from(crate::node::wall_clock_ms() / 1_000).unwrap_or(u32::MAX);
    let flags = OpFlags::DEFAULT
        .with(OpFlags::CERTIFIED)
        .with(OpFlags::RETURN_DIGEST);
    let header = Header::request(op, flags, now.saturating_add(EXPIRATION_DEFAULT_SECS));
    let mut out = Vec::new();
    Message {
        envelope,
        header,
        body,
        credential: Some(&[]),
    }
    .encode(&mut out);
    Ok(out)
}

/// The answer to a challenge, which must be one to what was asked.
fn answer(
    challenge: &Message<'_>,
    asked: &[u8],
    credentials: &Credentials,
    random: &SystemRandom,
) -> Result<Vec<u8>, LinkError> {
    let response = Response::of(challenge)?;
    let (Body::Challenge { nonce }, Some(digest)) = (&response.body, &response.digest) else {
        return Err(LinkError::Foreign);
    };
    let asked = Message::decode(asked)?;
    let own = request_digest(digest.hash, &asked);
    if own != digest.octets {
        return Err(LinkError::Foreign);
    }
    let signed = answer_with_key(credentials.key.signing(), nonce, &own, random)?;
    let answer = Request::ChallengeAnswer {
        auth_type: PUBLIC_KEY,
        user: credentials.identity.handle.as_str().as_bytes(),
        user_index: credentials.identity.index,
        signed: &signed,
    };
    let body = Writer::to_vec(|w| answer.encode(Version::OURS, w));
    let session_id = challenge.envelope.session_id;
    request(OpCode::CHALLENGE_ANSWER, &body, session_id, random)
}

/// A reply must be one to what was asked, and signed by the key that is known.
fn check<'a>(reply: &'a [u8], asked: &[u8], key: &PublicKey) -> Result<Message<'a>, LinkError> {
    let message = Message::decode(reply)?;
    let question = Message::decode(asked)?;
    if message.envelope.request_id != question.envelope.request_id {
        return Err(LinkError::Foreign);
    }
    let credential = Credential::of(&message)?.ok_or(LinkError::Unsigned)?;
    credential.verify_signature(&message, key)?;
    Ok(message)
}

/// What stands behind the body of an answer.
fn behind<'a>(message: &Message<'a>, op: OpCode) -> Result<&'a [u8], LinkError> {
    let mut r = Reader::new(message.body);
    if message.header.flags.has(OpFlags::RETURN_DIGEST) {
        let digest = Response::of(message)?.digest;
        let len = digest.map_or(0, |digest| 1 + digest.octets.len());
        r.take("digest", len)?;
    }
    if op == OpCode::RETRIEVE_TXN {
        r.u8("whether the connection is kept")?;
    }
    Ok(r.rest())
}

fn refused(message: &Message<'_>) -> LinkError {
    let text = match Response::of(message).map(|response| response.body) {
        Ok(Body::Error { text, .. }) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    };
    LinkError::Refused {
        code: message.header.code,
        text,
    }
}

async fn read_reply(tcp: &mut TcpStream) -> Result<Vec<u8>, LinkError> {
    let packet = timeout(STEP_TIME, read_packet(tcp)).await??;
    packet.ok_or(LinkError::Closed)
}

/// Reads one packet and not an octet more; `None` at the end of the connection.
pub(super) async fn read_packet<S>(stream: &mut S) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut packet = vec![0; ENVELOPE_LEN];
    match stream.read(&mut packet[..1]).await {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        // Whoever ends TLS without saying so has closed as well.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    stream.read_exact(&mut packet[1..]).await?;
    let envelope = Envelope::decode(&mut Reader::new(&packet)).map_err(io::Error::other)?;
    let len = envelope.message_len().map_err(io::Error::other)?;
    packet.resize(ENVELOPE_LEN + len, 0);
    stream.read_exact(&mut packet[ENVELOPE_LEN..]).await?;
    Ok(Some(packet))
}

//----------- LinkError ------------------------------------------------------

/// Why a stream could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum LinkError {
    /// Nobody answers.
    #[error("{address} cannot be reached: {error}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The other side took too long.
    #[error("it took too long to answer")]
    TimedOut(#[from] tokio::time::error::Elapsed),
    /// The connection was closed too early.
    #[error("it closed the connection in the middle")]
    Closed,
    /// What came is no message.
    #[error("it sent what cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The reply is not one to what was asked.
    #[error("it answered something else than was asked")]
    Foreign,
    /// The reply is not signed.
    #[error(
        "its reply is not signed, so it cannot be known whose it is; a Guantong node signs as many \
         replies as `limits.signatures_per_second` allows"
    )]
    Unsigned,
    /// A signature is wrong, or a key cannot be used.
    #[error(
        "its reply is not signed by the key known of it ({0}); if it has a new key, see `mirror.key`"
    )]
    Crypto(#[from] CryptoError),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// It refused.
    #[error("it refuses with code {}: {text}", code.0)]
    Refused {
        /// The code.
        code: ResponseCode,
        /// What it says.
        text: String,
    },
    /// It shows no key.
    #[error("its site record names no key; set `mirror.key`")]
    NoKey,
    /// The system has no random octets.
    #[error("the system gives no random octets")]
    Random,
}
