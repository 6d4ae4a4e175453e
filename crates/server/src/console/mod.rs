//! The console (控制台): pages for the people who run a node and register things, at the console
//! address.
//!
//! ```text
//!  visit   who looks, in which language and theme, and what he may ask of the API
//!  frame   the document around every page, and the parts that pages share
//!  words   catalogues: each page has one, in both languages
//!  sign    signing in and out, preferences        home     what the node is and does now
//!  numbers what is registered: totals, growth, the largest templates
//!  resolve what an identifier stands for, and the way to it
//!  scan    codes in frames of the camera, for browsers that read none by themselves
//!  record  one record, and all about it: history, links (its graph, laid out in layout), code
//!  grants, identities, identity, account   who may what, who proves it how, one's own password
//!  prefixes, audit, settings   what the node answers for, who changed what, how it is set up
//!  sites   the primary and the mirrors that hold them, and how far each has come
//!  delegate a prefix that another node serves
//!  notices what others granted to the viewer
//!  enterprises, enterprise   applications for a prefix below ours, and their review
//!  import  many registrations from a file, in the background
//!  labels  a sheet of codes for the printer       setup   from a fresh node to the first record
//!  templates, designer   templates, and the form that makes them; examples to begin with
//!  registrations, registration   what is registered by a template, and the form of one
//! ```
//!
//! Pages are made on the server and work without script; the script in `console.js` only adds what
//! moves. What a page shows or changes goes through `http::inside`, the node's own JSON API, with
//! the credential of whoever looks. So the console can do nothing that the API refuses, and there
//! is no second set of rules.

mod account;
mod audit;
mod chart;
mod code;
mod delegate;
mod designer;
mod enterprise;
mod enterprises;
mod examples;
mod frame;
mod grants;
mod history;
mod home;
mod identities;
mod identity;
mod import;
mod labels;
mod layout;
mod links;
mod meanings;
mod notices;
mod numbers;
mod prefixes;
mod record;
mod registration;
mod registrations;
mod resolve;
mod scan;
mod settings;
mod setup;
mod sign;
mod sites;
mod templates;
mod visit;
mod words;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

pub(crate) use self::scan::Scanner;
use self::visit::Visit;
use crate::http::page::ICON_SVG;
use crate::listen::host;
use crate::node::Node;

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");

/// What a page may load and do: this node's own style sheet, script, pictures and forms.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Answers everything at the console address but figures and health.
pub(crate) async fn answer(State(node): State<Arc<Node>>, request: Request<Body>) -> Response {
    let mut response = answer_bare(node, request).await;
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static(SECURITY_POLICY);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    let camera = HeaderValue::from_static("camera=(self), microphone=(), geolocation=()");
    headers.insert(PERMISSIONS_POLICY, camera);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    let fresh = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(fresh);
    response
}

async fn answer_bare(node: Arc<Node>, request: Request<Body>) -> Response {
    if let Some(file) = file(request.uri()) {
        return file;
    }
    let called = host::host_of(request.uri(), request.headers());
    if !host::is_trustworthy(called, node.config().site.domain.as_deref()) {
        let text =
            "the console answers under an address of this node, or the name in site.domain\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let visit = match Visit::of(&node, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    page(&visit).await
}

/// The page of a path. A form is sent to the page that has it.
async fn page(visit: &Visit<'_>) -> Response {
    let is_post = visit.method == Method::POST;
    match (visit.path.as_str(), is_post) {
        ("/", false) => home::show(visit).await,
        ("/figures", false) => home::figures(visit),
        ("/resolve", false) => resolve::show(visit).await,
        ("/scan", true) => scan::read(visit).await,
        ("/prefixes", false) => prefixes::show(visit).await,
        ("/prefixes", true) => prefixes::act(visit).await,
        ("/audit", false) => audit::show(visit).await,
        ("/settings", false) => settings::show(visit).await,
        ("/settings", true) => settings::act(visit).await,
        ("/enterprises", false) => enterprises::list(visit).await,
        ("/enterprise", false) => enterprise::show(visit).await,
        ("/enterprise", true) => enterprise::act(visit).await,
        ("/enterprise/edit", false) => enterprises::edit(visit).await,
        ("/enterprise/edit", true) => enterprises::save(visit).await,
        ("/import", false) => import::show(visit).await,
        ("/import", true) => import::act(visit).await,
        ("/import/errors", false) => import::errors(visit).await,
        ("/account", false) => account::show(visit),
        ("/account", true) => account::act(visit).await,
        ("/grants", false) => grants::show(visit).await,
        ("/grants", true) => grants::act(visit).await,
        ("/identities", false) => identities::show(visit).await,
        ("/identities", true) => identities::make(visit).await,
        ("/identity", false) => identity::show(visit).await,
        ("/identity", true) => identity::act(visit).await,
        ("/group", false) => identity::show_group(visit).await,
        ("/group", true) => identity::act_on_group(visit).await,
        ("/labels", false) => labels::show(visit).await,
        ("/setup", false) => setup::show(visit).await,
        ("/setup", true) => setup::choose(visit).await,
        ("/templates", false) => templates::list(visit).await,
        ("/template", false) => templates::show(visit).await,
        ("/template", true) => templates::act(visit).await,
        ("/template/edit", false) => designer::show(visit).await,
        ("/template/edit", true) => designer::save(visit).await,
        ("/registrations", false) => registrations::show(visit).await,
        ("/registration/edit", false) => registration::show(visit).await,
        ("/registration/edit", true) => registration::save(visit).await,
        ("/record", false) => record::show(visit).await,
        ("/sign-in", false) => sign::show(visit),
        ("/sign-in", true) => sign::sign_in(visit).await,
        ("/sign-out", true) => sign::sign_out(visit),
        ("/preferences", true) => sign::preferences(visit),
        _ => frame::not_found(visit),
    }
}

/// The files of the pages. The version in their addresses makes browsers fetch those of this
/// release.
fn file(uri: &Uri) -> Option<Response> {
    let (kind, text) = match uri.path() {
        "/-/console.css" => ("text/css;charset=UTF-8", STYLE),
        "/-/console.js" => ("text/javascript;charset=UTF-8", SCRIPT),
        "/-/icon.svg" | "/favicon.ico" => ("image/svg+xml", ICON_SVG),
        _ => return None,
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=3600")];
    Some((headers, text).into_response())
}

#[cfg(test)]
mod tests;
