//! A stop of the tour: from a bottle through references of two enterprises to all stages of its
//! trace, and what the application sees that the public does not.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_client::{Transport, printable};
use guantong_proto::crypto::Hash;
use guantong_server::demo::plan::{DISTILLERY, DISTRIBUTOR};
use guantong_server::demo::{Network, trace};
use guantong_server::key::form::{self, Key};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use ring::rand::SystemRandom;
use serde_json::{Value as Json, json};

use super::super::super::block_on;
use super::{ask, expect, heading, resolve, wrong};
use crate::failed::Failed;
use crate::output::Output;
use crate::output::style::{FAINT, STRONG};

/// Indexes of fields.
const FIELDS: std::ops::Range<i32> = 2_000..10_000;
/// Fields that refer to other stages.
const LINKS: [&str; 2] = ["onward", "source"];
/// A field of each enterprise that the public does not read: who answers for it, which stage, its
/// name, and a part of what it says.
const WITHHELD: [(&str, &str, &str, &str); 2] = [
    (DISTILLERY, "BLEND0001", "recipe", "基酒"),
    (DISTRIBUTOR, "SHIP0001", "price", "418"),
];

/// Walks the trace and shows what is withheld.
pub(super) fn run(
    out: &mut Output,
    network: &Network,
    folder: &Path,
    native: SocketAddr,
) -> Result<(), Failed> {
    let what = format!("Trace: guantong resolve {} --at {native}", trace::BOTTLE);
    heading(out, 10, &what)?;
    block_on(async {
        walk(out, &what, native).await?;
        let what = format!("what {} reads, and the public does not", trace::APPLICATION);
        out.line(format_args!("\n{what}"))?;
        for (name, own, field, part) in WITHHELD {
            let failed = |error: String| wrong(&what, error);
            let member = network.member(name).map_err(|e| wrong(&what, e))?;
            let http = member.running().and_then(|r| r.addresses().http.first());
            let http = *http.ok_or_else(|| wrong(&what, "the node does not listen"))?;
            let handle = stage(own).map_err(failed)?;
            let path = format!("/api/v2/registrations/{handle}");
            let public = call(http, &path, None, None).await.map_err(failed)?;
            expect(&what, public["fields"].get(field).is_none(), || {
                public.to_string()
            })?;
            let token = log_in(http, folder).await.map_err(failed)?;
            let own = call(http, &path, Some(&token), None)
                .await
                .map_err(failed)?;
            let text = own["fields"][field].as_str().unwrap_or_default();
            expect(&what, text.contains(part), || own.to_string())?;
            out.line(format_args!("  {handle} {field}: {}", printable(text)))?;
        }
        Ok(())
    })?
}

/// The handle of the stage with this end.
fn stage(own: &str) -> Result<String, String> {
    let titles = trace::titles().map_err(|error| error.to_string())?;
    let mut handles = titles.iter().map(|(handle, _)| handle.to_string());
    let found = handles.find(|handle| handle.ends_with(own));
    found.ok_or_else(|| format!("there is no stage {own}"))
}

/// Resolves the bottle, what it refers to, and so on: whoever is asked refers, and the recursive
/// node finds each.
async fn walk(out: &mut Output, what: &str, native: SocketAddr) -> Result<(), Failed> {
    let titles = trace::titles().map_err(|error| wrong(what, error))?;
    let (mut seen, mut next) = (HashSet::new(), vec![trace::BOTTLE.to_owned()]);
    while let Some(handle) = next.pop() {
        if !seen.insert(handle.clone()) {
            continue;
        }
        let answer = resolve(native, Transport::Tcp, &handle)
            .await
            .map_err(|error| wrong(what, error))?;
        let number = titles
            .iter()
            .position(|(known, _)| known.as_str() == handle);
        let number = number.ok_or_else(|| wrong(what, format_args!("{handle} is no stage")))?;
        let fields = answer
            .values()
            .iter()
            .filter(|value| FIELDS.contains(&value.index));
        let fields = fields.filter(|value| !LINKS.contains(&value.kind.as_str()));
        let said: Vec<_> = fields.filter_map(|value| value.text()).collect();
        out.line(format_args!(
            "  {:>2}  {STRONG}{}{STRONG:#}  {FAINT}{handle}{FAINT:#}\n      {}",
            number + 1,
            titles[number].1,
            printable(&said.join("，"))
        ))?;
        let links = LINKS.iter().filter_map(|kind| answer.text(kind));
        next.extend(links.map(str::to_owned));
    }
    expect(what, seen.len() == trace::STAGES_COUNT, || {
        format!("{} stages", seen.len())
    })
}

/// Logs the application in at a node, by a signature over a nonce; gives the token.
async fn log_in(http: SocketAddr, folder: &Path) -> Result<String, String> {
    let file = folder.join(DISTILLERY).join(trace::APPLICATION_KEY);
    let octets = std::fs::read(&file).map_err(|error| error.to_string())?;
    let key = form::read(&octets, &mut || Err("is encrypted".to_owned()));
    let Key::Private(key) = key.map_err(|error| error.to_string())? else {
        return Err(format!("{} is no private key", file.display()));
    };
    let asked = json!({"identity": trace::APPLICATION});
    let answer = call(http, "/api/v2/login/challenge", None, Some(&asked)).await?;
    let nonce = answer["nonce"].as_str().unwrap_or_default();
    let signature = key
        .signing()
        .sign(Hash::Sha256, nonce.as_bytes(), &SystemRandom::new())
        .map_err(|error| error.to_string())?;
    let signed = json!({
        "identity": trace::APPLICATION, "signature": STANDARD.encode(signature),
    });
    let answer = call(http, "/api/v2/login/answer", None, Some(&signed)).await?;
    let token = answer["token"].as_str();
    token.map(str::to_owned).ok_or_else(|| answer.to_string())
}

/// GET, or POST with a body; the answer is JSON.
async fn call(
    http: SocketAddr,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> Result<Json, String> {
    let request = match body {
        None => Request::get(path),
        Some(_) => Request::post(path).header(CONTENT_TYPE, "application/json"),
    };
    let request = request.header(HOST, http.to_string());
    let request = match token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    let body = body.map(Json::to_string).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| error.to_string())?;
    let response = ask(http, request).await?;
    let octets = response.into_body();
    serde_json::from_slice(&octets).map_err(|error| error.to_string())
}
