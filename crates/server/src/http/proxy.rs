//! A handle in a browser (8.7): sent on to what it names, or shown as a page.
//!
//! ```text
//!  resolve ──► alias? ──► 301 to the other handle        (unless `ignore_aliases`)
//!          ──► target? ──► 302, or what the location says
//!          └─► the page of the record                    (`noredirect`, or nothing to go to)
//! ```
//!
//! Which target wins is decided in `core::redirect`. Nothing here takes a target from the request,
//! so nobody can borrow this node's name for a link of their own.

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, EXPIRES, HeaderValue, LOCATION, REFERRER_POLICY, VARY,
};
use axum::response::Response;
use guantong_core::authority::{Outcome, Query, Selection, was_known};
use guantong_core::location::{Shared, Visitor};
use guantong_core::namespace::Namespace;
use guantong_core::redirect::{Aliases, Redirect, Target, Wish, places, redirect};
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, HandleRef, Value, Values};
use guantong_store::Before;
use maud::{Markup, PreEscaped, html};

use super::answer::{self, Failure, with_source};
use super::asked::Asked;
use super::page::{self, RecordPage};
use super::{api, path};
use crate::node::Node;
use crate::recurse::Source;

/// Most `locatt` wishes of one request that are looked at.
pub(super) const WISHES_MAX: usize = 16;
/// Longest `urlappend`, in octets.
pub(super) const APPEND_LEN_MAX: usize = 2_048;

/// Answers `GET /{handle}`.
pub(super) async fn answer(node: &Node, asked: &Asked, encoded: &str) -> Result<Response, Failure> {
    let handle = path::proxied(encoded)?;
    let name = handle.as_str();
    if !node.config().http.proxy {
        return Ok(moved(StatusCode::FOUND, &path::api_link(name)));
    }
    let (params, peer) = (&asked.params, asked.peer.address.ip());
    let action = params.first("action").unwrap_or_default();
    if action == "api" {
        params.callback()?;
        let answered = api::resolve(node, asked, name).await;
        return Ok(answered.unwrap_or_else(|f| f.into_json(asked)));
    }
    let shows = params.is_set("noredirect") || action == "showvalues";
    let types: Vec<String> = params.types().into_iter().map(str::to_owned).collect();
    let indexes = params.indexes()?;
    let query = Query {
        selection: Selection::Listed {
            indexes: &indexes,
            types: &types,
        },
        do_not_refer: params.is_set("doNotRefer"),
        authoritative: params.is_set("auth"),
        certified: params.is_set("cert"),
        ..Query::public(name)
    };
    let sourced = node.resolve(&query, peer).await?;
    let (outcome, source) = (sourced.outcome, sourced.source);
    let values = match &outcome {
        Outcome::Record(values) => values.as_slice(),
        Outcome::ValuesNotFound => &[],
        Outcome::NotFound if source == Source::Ours => return Err(absent(node, &handle)?),
        other => return Err(Failure::of_outcome(other, name)),
    };
    let namespace = namespace(node, handle.borrow(), peer).await?;
    if let (false, Some(namespace)) = (shows, &namespace)
        && namespace.inactive
    {
        let message = namespace.status_message.clone().unwrap_or_default();
        return Err(Failure::inactive(name, message));
    }
    let is_selection = !types.is_empty() || !indexes.is_empty();
    let shared = match is_selection {
        true => Shared::default(),
        false => shared(node, peer, handle.borrow(), values, namespace.as_ref()).await?,
    };
    if action == "showurls" {
        return Ok(urls(handle.borrow(), values, &shared));
    }
    let target = redirect(handle.borrow(), values, &shared, &wish(node, asked, action));
    if !shows {
        match &target {
            Redirect::To(target) => {
                return Ok(with_source(sent_on(node, asked, target), source));
            }
            Redirect::Alias(_) => return alias(node, asked, handle.borrow(), &target).await,
            _ => {}
        }
    }
    let record = RecordPage {
        handle: name,
        values,
        is_selection,
        has_target: !matches!(target, Redirect::Nowhere),
        source,
        seal: None,
        address: asked.address_of(&path::link(name)),
    };
    Ok(shown(node, asked, &handle, record).await)
}

/// The page of a record. Of a part of it its signature says nothing.
async fn shown(node: &Node, asked: &Asked, handle: &Handle, record: RecordPage<'_>) -> Response {
    let seal = match record.is_selection {
        true => None,
        false => node.seal(handle, record.values).await,
    };
    let record = &RecordPage { seal, ..record };
    let config = node.config();
    let markup = page::record(record, &asked.view(&config.name));
    with_source(answer::page(StatusCode::OK, markup), record.source)
}

/// Says that a name that we answer for has no record, and when it had one last. The public may know
/// that, but not who removed it. The log is not searched for it: two reads at most.
fn absent(node: &Node, handle: &Handle) -> Result<Failure, Failure> {
    let read = |error| {
        node.on_store_error(&error);
        Failure::from(error)
    };
    let name = handle.as_str();
    let removal = node.store.removal(handle.borrow()).map_err(read)?;
    let entry = match removal {
        Some(number) => node.store.change(number).map_err(read)?,
        None => None,
    };
    let was_known = |before: &Before| Values::from_wire(&before.values).is_ok_and(was_known);
    Ok(match entry {
        Some(entry) if entry.before.as_ref().is_some_and(was_known) => {
            let secs = i64::try_from(entry.at_ms / 1_000).unwrap_or(i64::MAX);
            Failure::removed(name, secs)
        }
        _ => Failure::of_outcome(&Outcome::<()>::NotFound, name),
    })
}

/// What the prefix record says of all names under the prefix, if it can be had.
async fn namespace(
    node: &Node,
    handle: HandleRef<'_>,
    peer: IpAddr,
) -> Result<Option<Namespace>, Failure> {
    let prefix = handle.prefix_handle();
    let types = ["HS_NAMESPACE".to_owned()];
    let query = Query {
        selection: Selection::Listed {
            indexes: &[],
            types: &types,
        },
        ..Query::public(prefix.as_str())
    };
    Ok(match node.resolve(&query, peer).await?.outcome {
        // A namespace that cannot be read says nothing and switches nothing off.
        Outcome::Record(values) => Namespace::of(&values).ok().flatten(),
        _ => None,
    })
}

/// The locations that the record has from others, as far as they can be had.
async fn shared(
    node: &Node,
    peer: IpAddr,
    handle: HandleRef<'_>,
    values: &[Value],
    namespace: Option<&Namespace>,
) -> Result<Shared, Failure> {
    let mut shared = Shared::of(handle, values, namespace);
    // Each round takes one of the few records that `Shared` wants at all.
    while let Some(wanted) = shared.wanted() {
        let query = Query::public(wanted.as_str());
        match node.resolve(&query, peer).await?.outcome {
            Outcome::Record(values) => shared.show(handle, &values),
            _ => shared.show(handle, &[]),
        }
    }
    Ok(shared)
}

/// What the request says about the visitor.
fn wish<'a>(node: &Node, asked: &'a Asked, action: &str) -> Wish<'a> {
    let params = &asked.params;
    let mut wishes: Vec<(&str, &str)> = params
        .all("locatt")
        .filter_map(|wish| wish.split_once(':'))
        .take(WISHES_MAX)
        .collect();
    if action == "metadata" {
        wishes.push(("role", "metadata"));
    }
    let stated = params
        .first("ip")
        .and_then(|text| text.parse::<IpAddr>().ok());
    let append = params.first("urlappend").unwrap_or_default();
    Wish {
        ignore_aliases: params.is_set("ignore_aliases"),
        append: if append.len() <= APPEND_LEN_MAX {
            append
        } else {
            ""
        },
        visitor: Visitor {
            wishes,
            address: Some(stated.unwrap_or(asked.peer.address.ip())),
            country: params.first("country"),
            accept: asked.header(ACCEPT),
            random: u64::from_be_bytes(node.random()),
        },
        now_secs: node.now_secs(),
    }
}

/// Sends the visitor to another handle of this node, or says why the way does not end.
async fn alias(
    node: &Node,
    asked: &Asked,
    handle: HandleRef<'_>,
    first: &Redirect,
) -> Result<Response, Failure> {
    let mut way = Aliases::from(handle);
    let mut next = first.clone();
    // Each step is counted by `Aliases`, which refuses circles and ways without end.
    while let Redirect::Alias(alias) = &next {
        way.follow(alias.borrow()).map_err(|error| {
            Failure::new(ResponseCode::ERROR, error.to_string()).about(handle.as_str())
        })?;
        let query = Query::public(alias.as_str());
        let found = node.resolve(&query, asked.peer.address.ip()).await?;
        let values = match found.outcome {
            Outcome::Record(values) => values,
            // It leads away from this node, or nowhere: the visitor will be told there.
            _ => break,
        };
        next = redirect(
            alias.borrow(),
            &values,
            &Shared::default(),
            &Wish::default(),
        );
    }
    let Redirect::Alias(alias) = first else {
        return Err(Failure::new(ResponseCode::ERROR, "the record is no alias"));
    };
    let query = asked.params.query();
    let question = if query.is_empty() { "" } else { "?" };
    let location = format!("{}{question}{query}", path::link(alias.as_str()));
    Ok(moved(StatusCode::MOVED_PERMANENTLY, &location))
}

fn sent_on(node: &Node, asked: &Asked, target: &Target) -> Response {
    let status = StatusCode::from_u16(target.status).unwrap_or(StatusCode::FOUND);
    let mut response = moved(status, &target.url);
    let headers = response.headers_mut();
    if let Some(expires) = http_date(i64::from(node.now_secs()) + i64::from(target.max_age_secs))
        && let Ok(expires) = HeaderValue::from_str(&expires)
    {
        headers.insert(EXPIRES, expires);
    }
    headers.remove(CACHE_CONTROL);
    headers.remove(VARY);
    // Where a visitor came from is between the two sites.
    headers.remove(REFERRER_POLICY);
    if target.varies_by_accept {
        headers.insert(VARY, HeaderValue::from_static("Accept"));
    }
    tracing::debug!(request_id = %asked.id, status = target.status, "sent on");
    response
}

/// A redirect with a small page for programs that do not follow it.
fn moved(status: StatusCode, location: &str) -> Response {
    let body = html! {
        (maud::DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Handle redirect" } }
            body { p { "See " a href=(location) { (location) } } }
        }
    };
    let mut response = answer::page(status, body);
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        // `core` and `path` write printable ASCII only.
        Err(_) => answer::page(StatusCode::INTERNAL_SERVER_ERROR, Markup::default()),
    }
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`.
fn http_date(seconds: i64) -> Option<String> {
    use time::macros::format_description;
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    moment.format(form).ok()
}

/// All places that a visitor could be sent to, as XML.
fn urls(handle: HandleRef<'_>, values: &[Value], shared: &Shared) -> Response {
    let list = html! {
        locations hdl=(handle) {
            @for place in places(handle, values, shared) {
                location href=(place.href) weight=(place.weight) id=[place.attribute("id")]
                    country=[place.attribute("country")] role=[place.attribute("role")] {}
            }
        }
    };
    let text = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        (list)
    };
    answer::typed(
        StatusCode::OK,
        "application/xml;charset=UTF-8",
        text.into_string(),
    )
}
