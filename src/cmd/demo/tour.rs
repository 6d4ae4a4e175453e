//! The tour: hop by hop from the root, then every way to ask the recursive node once, then an
//! outage, and the trace of a bottle; over real sockets, with the answers in readable form.

#[path = "bottle.rs"]
mod bottle;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use guantong_api::observation::{Bound, OBSERVATION_TYPE, Observation};
use guantong_client::{Answer, Client, Endpoint, Error, Server, Transport, printable};
use guantong_core::resolve::{CacheSettings, Outcome, Question, TraceWanted};
use guantong_proto::json::Record;
use guantong_proto::{Handle, Value};
use guantong_server::demo::{DemoError, Network, PREFIX, ROOT_INFO};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ACCEPT_LANGUAGE, HOST, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::block_on;
use super::super::resolve::walk::{courier, trace_lines};
use super::{SAMPLE, outage};

use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::output::style::{FAINT, GOOD, STRONG};
use crate::render;

/// A small record, so that its answer travels in datagrams.
const SMALL: &str = "88.118.5/nev-production";
/// A handle that leads to a web page.
const LINK: &str = "88.118.5/handle-overview";
/// A handle that nobody registered.
const MISSING: &str = "88.118.5/no-such-indicator";
/// Time for one answer over HTTP; on loopback it takes a millisecond.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest body that is read.
const BODY_LEN_MAX: usize = 4 * 1024 * 1024;

/// Asks everything and prints the answers; fails at the first answer that is not as it should be.
pub(super) fn run(network: &mut Network, folder: &Path) -> Result<(), Failed> {
    let mut out = Output::new();
    let stopped = |error: DemoError| wrong("the start", error);
    out.line(format_args!(
        "{STRONG}Guantong 贯通{STRONG:#}: a tour of a network of {} nodes, {} records",
        network.members().len(),
        network.records().map_err(stopped)?
    ))?;
    hop_by_hop(&mut out, folder)?;
    let addresses = network.recursive().map_err(stopped)?.addresses();
    let (Some(&native), Some(&http)) = (addresses.tcp.first(), addresses.http.first()) else {
        return Err(wrong("the start", "the node does not listen"));
    };
    block_on(async {
        datagrams(&mut out, native).await?;
        stream(&mut out, native).await?;
        json(&mut out, http).await?;
        page(&mut out, http).await?;
        prefix(&mut out, native).await?;
        link(&mut out, http).await?;
        missing(&mut out, native, http).await
    })??;
    heading(&mut out, 9, "Outage: two top-level nodes stop under load")?;
    outage::run(&mut out, network, folder)?;
    bottle::run(&mut out, network, folder, native)?;
    out.line(format_args!(
        "\n{GOOD}All answers are as they should be.{GOOD:#}"
    ))?;
    out.finish()
}

//----------- Stops ----------------------------------------------------------

fn hop_by_hop(out: &mut Output, folder: &Path) -> Result<(), Failed> {
    let root = folder.join(ROOT_INFO).display().to_string();
    let what = format!("From the root: guantong resolve {SMALL} --trace --root {root}");
    heading(out, 1, &what)?;
    let courier = courier(&root, CacheSettings::default())?;
    let handle = Handle::parse(SMALL).map_err(|e| wrong(&what, e))?;
    let answer = block_on(courier.resolve(Question::new(handle), TraceWanted::Yes))?;
    courier.stop();
    for line in trace_lines(&answer.trace.unwrap_or_default()) {
        out.line(format_args!("  {line}"))?;
    }
    match answer.outcome {
        Outcome::Record(_) => Ok(()),
        outcome => Err(wrong(&what, format_args!("{outcome:?}"))),
    }
}

async fn datagrams(out: &mut Output, native: SocketAddr) -> Result<(), Failed> {
    let what = format!("UDP: guantong resolve {SMALL} --at udp://{native}");
    heading(out, 2, &what)?;
    let answer = resolve(native, Transport::Udp, SMALL)
        .await
        .map_err(|e| wrong(&what, e))?;
    show(out, &what, &answer, "vehicle")
}

async fn stream(out: &mut Output, native: SocketAddr) -> Result<(), Failed> {
    let what = format!("TCP: guantong resolve {SAMPLE} --at tcp://{native}");
    heading(out, 3, &what)?;
    let answer = resolve(native, Transport::Tcp, SAMPLE)
        .await
        .map_err(|e| wrong(&what, e))?;
    show(out, &what, &answer, "station")
}

async fn json(out: &mut Output, http: SocketAddr) -> Result<(), Failed> {
    let path = format!("/api/handles/{SAMPLE}?type=NAME.ZH&type=NAME.EN&index=1000");
    let what = format!("JSON: curl 'http://{http}{path}'");
    heading(out, 4, &what)?;
    let (status, _, body) = get(http, &path).await.map_err(|e| wrong(&what, e))?;
    expect(&what, status == 200, || format!("status {status}"))?;
    let record = Record::parse(&body).map_err(|e| wrong(&what, e))?;
    expect(&what, record.values.len() == 3, || {
        format!("{} values", record.values.len())
    })?;
    out.line(String::from_utf8_lossy(&body))
}

async fn page(out: &mut Output, http: SocketAddr) -> Result<(), Failed> {
    let what = format!("Page: a browser at http://{http}/{SAMPLE}");
    heading(out, 5, &what)?;
    let (status, _, body) = get(http, &format!("/{SAMPLE}"))
        .await
        .map_err(|e| wrong(&what, e))?;
    let text = String::from_utf8_lossy(&body);
    expect(&what, status == 200, || format!("status {status}"))?;
    expect(&what, text.contains("<svg class=\"chart"), || {
        "no chart".to_owned()
    })?;
    let title = between(&text, "<title>", "</title>").unwrap_or_default();
    let latest = between(&text, "<span class=\"figure\">", "</span>").unwrap_or_default();
    out.line(format_args!(
        "{title}\n{latest}, with a chart, {} octets of HTML",
        body.len()
    ))
}

async fn prefix(out: &mut Output, native: SocketAddr) -> Result<(), Failed> {
    let what = format!("Prefix: guantong resolve {PREFIX} --at {native}");
    heading(out, 6, &what)?;
    let answer = resolve(native, Transport::Udp, PREFIX)
        .await
        .map_err(|e| wrong(&what, e))?;
    let has_site = answer.values_of("HS_SITE").next().is_some();
    expect(&what, has_site, || "no HS_SITE value".to_owned())?;
    table(out, &answer)
}

async fn link(out: &mut Output, http: SocketAddr) -> Result<(), Failed> {
    let what = format!("Redirect: curl -I http://{http}/{LINK}");
    heading(out, 7, &what)?;
    let (status, location, _) = get(http, &format!("/{LINK}"))
        .await
        .map_err(|e| wrong(&what, e))?;
    let location = location.unwrap_or_default();
    expect(
        &what,
        status == 302 && location.starts_with("https://"),
        || format!("status {status}, location `{location}`"),
    )?;
    out.line(format_args!("{status} {FAINT}→{FAINT:#} {location}"))
}

async fn missing(out: &mut Output, native: SocketAddr, http: SocketAddr) -> Result<(), Failed> {
    let what = format!("Not there: guantong resolve {MISSING} --at {native}");
    heading(out, 8, &what)?;
    match resolve(native, Transport::Udp, MISSING).await {
        Err(error @ Error::NotFound { .. }) => out.line(error)?,
        Err(error) => return Err(wrong(&what, error)),
        Ok(_) => return Err(wrong(&what, "the record exists")),
    }
    let path = format!("/api/handles/{MISSING}");
    let (status, _, body) = get(http, &path).await.map_err(|e| wrong(&what, e))?;
    expect(&what, status == 404, || {
        format!("status {status} over HTTP")
    })?;
    out.line(String::from_utf8_lossy(&body))
}

//----------- Asking ---------------------------------------------------------

async fn resolve(at: SocketAddr, transport: Transport, handle: &str) -> Result<Answer, Error> {
    let endpoint = Endpoint::new(transport, at.ip().to_string(), at.port());
    Client::builder(Server::new([endpoint]))
        .build()
        .resolve(handle)
        .await
}

/// Status, target and body of a page.
async fn get(at: SocketAddr, path: &str) -> Result<(u16, Option<String>, Bytes), String> {
    let response = tokio::time::timeout(HTTP_TIMEOUT, fetch(at, path)).await;
    let (head, body) = match response {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(format!("no answer within {} s", HTTP_TIMEOUT.as_secs())),
    };
    let location = head
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    Ok((head.status.as_u16(), location.map(str::to_owned), body))
}

async fn fetch(at: SocketAddr, path: &str) -> Result<Response<Bytes>, String> {
    let request = Request::get(path)
        .header(HOST, at.to_string())
        .header(ACCEPT, "text/html")
        .header(ACCEPT_LANGUAGE, "en")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    ask(at, request).await
}

/// Sends a request over a connection of its own.
async fn ask<B>(at: SocketAddr, request: Request<B>) -> Result<Response<Bytes>, String>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = TcpStream::connect(at).await.map_err(|e| e.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string())?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, BODY_LEN_MAX)
        .collect()
        .await
        .map_err(|e| e.to_string())?;
    driver.abort();
    Ok(Response::from_parts(head, body.to_bytes()))
}

//----------- Printing -------------------------------------------------------

fn heading(out: &mut Output, number: usize, what: &str) -> Result<(), Failed> {
    out.line(format_args!("\n{STRONG}{number}. {what}{STRONG:#}"))
}

/// Prints an answer after a look at its unit: what it describes as a table, then a line for each
/// figure, the oldest first.
fn show(out: &mut Output, what: &str, answer: &Answer, unit: &str) -> Result<(), Failed> {
    let found = answer.text("UNIT");
    expect(what, found == Some(unit), || {
        format!("the unit is {found:?}, not {unit}")
    })?;
    let is_figure = |value: &Value| value.kind == OBSERVATION_TYPE;
    let (figures, rest): (Vec<_>, Vec<_>) = answer.values().iter().cloned().partition(is_figure);
    for line in render::table(&rest, render::terminal_columns()) {
        out.line(line)?;
    }
    let mut lines = Vec::new();
    for value in &figures {
        let figure: Observation =
            serde_json::from_slice(&value.data).map_err(|e| wrong(what, e))?;
        lines.push((figure.period_end.clone(), figure_line(&figure)));
    }
    expect(what, !lines.is_empty(), || "no figures".to_owned())?;
    lines.sort();
    for (_, line) in lines {
        out.line(line)?;
    }
    Ok(())
}

/// `2024-03-31  > 3647000 station   “…”`
fn figure_line(figure: &Observation) -> String {
    let period = match (&figure.period_start, &figure.period_end) {
        (Some(start), Some(end)) => format!("{start} to {end}"),
        (_, end) => end.clone().unwrap_or_default(),
    };
    let bound = match figure.bound {
        Bound::Exact => " ",
        Bound::Over => ">",
        Bound::Under => "<",
        Bound::About => "~",
    };
    let quote = printable(figure.quote.as_deref().unwrap_or_default());
    let (value, unit) = (&figure.value, printable(&figure.unit));
    format!("  {period:<10}  {bound}{value} {unit}  {FAINT}“{quote}”{FAINT:#}")
}

fn table(out: &mut Output, answer: &Answer) -> Result<(), Failed> {
    for line in render::table(answer.values(), render::terminal_columns()) {
        out.line(line)?;
    }
    Ok(())
}

fn expect(what: &str, is_so: bool, found: impl FnOnce() -> String) -> Result<(), Failed> {
    match is_so {
        true => Ok(()),
        false => Err(wrong(what, found())),
    }
}

fn wrong(what: &str, cause: impl std::fmt::Display) -> Failed {
    Report::new(Exit::Network, format_args!("the tour failed at {what}"))
        .cause(cause)
        .fail()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}
