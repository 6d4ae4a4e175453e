//! HTTP: what the frameworks do when there is nothing to do. One worker thread each.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::dialect::FIXED_BODY;

/// An axum router whose one handler gives always the same text.
pub fn axum(address: SocketAddr) -> Result<()> {
    run(async move {
        let listener = listen(address).await?;
        let router = axum::Router::new().fallback(|| async { FIXED_BODY });
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}

/// hyper without a framework.
pub fn hyper(address: SocketAddr) -> Result<()> {
    run(async move {
        let listener = listen(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let answer = |_: Request<Incoming>| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                        FIXED_BODY.as_bytes(),
                    ))))
                };
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // The client ends its connections without ceremony.
                let _ = connection.await;
            });
        }
    })
}

fn run(serve: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve)
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("{address} is taken"))
}
