//! HTTP/1.1, HTTP/2 and HTTPS, all on the same ports.
//!
//! A connection begins with a thread of `poll`, which answers plain requests, and
//! comes here when it asks for more. The first octet tells: 0x16 begins a TLS handshake, anything
//! else is HTTP in clear. What is answered is the router's business; here are the limits of a
//! connection. Every request carries a [`Peer`] in its extensions, and axum's `ConnectInfo` with
//! the address.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::future::{Either, Ready, ready};
use guantong_proto::message::ResponseCode;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::poll::Handed;
use super::timed::{Patience, Timed};
use super::tls::ClientCertificate;
use super::{Peer, accept};
use crate::http::quick_answer;
use crate::limit::Place;
use crate::metrics::{Drop as Dropped, Transport};
use crate::node::Node;
use crate::shutdown::Stop;

/// First octet of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// Octets of the head of a request. A handle name of 2,048 octets, each written as `%XX`, takes 6
/// KiB of it.
pub const HEAD_LEN_MAX: usize = 32 * 1024;
/// Header lines of a request.
pub const HEADERS_MAX: usize = 64;
/// Requests of one HTTP/2 connection that may be in progress.
pub const STREAMS_MAX: u32 = 64;

/// What one HTTP listener serves.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) node: Arc<Node>,
    pub(crate) router: Router,
    /// Replaced when the certificate is.
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Whether this is the console address.
    pub(crate) console: bool,
    pub(crate) stop: Stop,
}

impl Http {
    /// Accepts connections until told to stop: those to the console, which are few.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.node, &listener, Transport::Http) => accepted,
                () = self.stop.told() => return,
            };
            let Some((stream, address, place)) = accepted else {
                continue;
            };
            tokio::spawn(self.clone().begin(stream, address, place));
        }
    }

    /// Serves a connection on which nothing has been read.
    async fn begin(self, stream: TcpStream, address: SocketAddr, place: Place) {
        let bound = self.node.config().limits.message_timeout.as_duration();
        match timeout(bound, stream.peek(&mut [0])).await {
            Ok(Ok(_)) => {
                let patience = self.patience();
                let peer = self.peer(address);
                self.talk(Timed::new(stream, patience), peer, None).await;
            }
            Ok(Err(_)) => {}
            Err(_) => self.node.metrics.dropped(Dropped::Idle),
        }
        drop(place);
    }

    /// Goes on with a connection until its end.
    pub(super) async fn take_over(self, handed: Handed) {
        let Handed {
            stream,
            peer: address,
            place,
            is_new,
            octets,
            out,
            ..
        } = handed;
        let (read, write) = match TcpStream::from_std(stream) {
            Ok(stream) => stream.into_split(),
            Err(error) => {
                return tracing::error!(peer = %address, %error, "a connection could not go on");
            }
        };
        let is_tls = is_new && octets.first() == Some(&TLS_HANDSHAKE);
        let peer = self.peer(address);
        // What has been read already comes first.
        let stream = tokio::io::join(std::io::Cursor::new(octets).chain(read), write);
        let mut stream = Timed::new(stream, self.patience());
        if let Err(error) = stream.write_all(&out).await {
            return tracing::debug!(%peer.address, %error, "an HTTP connection failed");
        }
        if let Some(tls) = self.tls.as_ref().filter(|_| is_tls) {
            let stream = stream.into_inner();
            self.shake_hands(tls.load_full(), stream, peer).await;
        } else {
            self.talk(stream, peer, None).await;
        }
        drop(place);
    }

    async fn shake_hands<S>(&self, tls: Arc<ServerConfig>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bound = self.node.config().limits.message_timeout.as_duration();
        match timeout(bound, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => {
                let peer = Peer {
                    secure: true,
                    ..peer
                };
                let shown = ClientCertificate::of(stream.get_ref().1);
                self.talk(Timed::new(stream, self.patience()), peer, shown)
                    .await;
            }
            Ok(Err(error)) => {
                self.node.metrics.dropped(Dropped::TlsFailed);
                tracing::debug!(peer = %peer.address, %error, "a TLS handshake failed");
            }
            Err(_) => self.node.metrics.dropped(Dropped::Slow),
        }
    }

    fn patience(&self) -> Patience {
        let limits = &self.node.config().limits;
        Patience {
            read: limits.idle_timeout.as_duration(),
            write: limits.message_timeout.as_duration(),
        }
    }

    fn peer(&self, address: SocketAddr) -> Peer {
        Peer {
            address,
            secure: false,
            console: self.console,
        }
    }

    async fn talk<S>(&self, stream: S, peer: Peer, shown: Option<ClientCertificate>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head_timeout = self.node.config().limits.message_timeout.as_duration();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_LEN_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_LEN_MAX as u32)
            .keep_alive_interval(head_timeout)
            .keep_alive_timeout(head_timeout);
        let service = WithPeer {
            inner: TowerToHyperService::new(self.router.clone()),
            node: self.node.clone(),
            peer,
            shown,
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            // First, so that a request that has begun when the node stops is not overlooked.
            biased;
            ended = connection.as_mut() => ended,
            () = self.stop.told() => {
                // Requests in progress are answered, new ones are not taken.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.address, %error, "an HTTP connection failed");
        }
    }
}

/// Tells every request who its peer is, counts its answer, and refuses those above the rate.
struct WithPeer {
    inner: TowerToHyperService<Router>,
    node: Arc<Node>,
    peer: Peer,
    /// The certificate that the client has shown.
    shown: Option<ClientCertificate>,
}

impl WithPeer {
    /// Whether the peer's address may ask now. The console is for the operator.
    fn admits(&self) -> bool {
        let limits = &self.node.config().limits;
        let peer = self.peer.address.ip();
        self.peer.console
            || self
                .node
                .requests
                .admits(peer, limits, self.node.uptime_ms())
    }
}

/// The answer to a request above the rate, in the form of the JSON API.
fn too_fast() -> Response {
    let body = serde_json::json!({
        "responseCode": ResponseCode::SERVER_TOO_BUSY.0,
        "message": "too many requests from this address; wait a second",
    });
    let wait = [(header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, wait, Json(body)).into_response()
}

type Answer = Result<Response, Infallible>;
type Answered = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

impl Service<Request<Incoming>> for WithPeer {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Pin<Box<dyn Future<Output = Answer> + Send + 'static>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if !self.admits() {
            self.node.metrics.dropped(Dropped::RequestRate);
            return Either::Left(ready(Ok(too_fast())));
        }
        let is_anybody = !self.peer.console && self.shown.is_none();
        if is_anybody && let Some(response) = quick_answer(&self.node, &request) {
            self.node.metrics.http(response.status().as_u16());
            return Either::Left(ready(Ok(response)));
        }
        request.extensions_mut().insert(self.peer);
        if let Some(shown) = &self.shown {
            request.extensions_mut().insert(shown.clone());
        }
        request
            .extensions_mut()
            .insert(ConnectInfo(self.peer.address));
        let node = self.node.clone();
        let answered: Answered = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = answered.await?;
            node.metrics.http(response.status().as_u16());
            Ok(response)
        }))
    }
}
