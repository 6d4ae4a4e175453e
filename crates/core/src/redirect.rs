//! Where a browser that asks for a handle is sent (clause 8.7).
//!
//! With a 10320/loc value its locations compete, and the plain URL counts as one more of weight 0;
//! so do the locations that the record has from others ([`Shared`]), which stand behind its own.
//! Without any the first URL wins, else the first value of a subtype of URL. HS_ALIAS goes before
//! both. What is none of these has no target, and the visitor sees the values instead.
//!
//! Only the schemes of [`SCHEMES`] are redirected to. `javascript:`, `data:` and the like would run
//! what a record says in the visitor's browser under this node's name; such a value is shown, not
//! followed.

use guantong_proto::data::service::Target as AliasTarget;
use guantong_proto::{CaseRule, Handle, HandleRef, Key, Value, is_of_type};

use crate::location::{LOCATIONS_MAX, Location, Locations, Shared, Visitor};

/// Schemes that are redirected to.
pub const SCHEMES: [&str; 7] = ["http", "https", "ftp", "mailto", "urn", "magnet", "ipfs"];
/// Most octets of a target. Browsers and proxies refuse longer header fields.
pub const TARGET_LEN_MAX: usize = 8_192;
/// Most aliases that are followed from one name.
pub const ALIASES_MAX: usize = 20;
/// Status of a redirect that does not say.
const STATUS_DEFAULT: u16 = 302;

//----------- Redirect -------------------------------------------------------

/// What the proxy does with a record.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Redirect {
    /// Send the visitor there.
    To(Target),
    /// The record stands for another handle.
    Alias(Handle),
    /// There is nothing to be sent to: show the values.
    Nowhere,
}

/// Where a visitor is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The URL: printable ASCII, at most [`TARGET_LEN_MAX`] octets, of an allowed scheme.
    pub url: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Seconds that caches may keep the redirect.
    pub max_age_secs: u32,
    /// Whether the target depends on the header field Accept.
    pub varies_by_accept: bool,
}

/// What was asked, besides the handle.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// Do not follow HS_ALIAS (`ignore_aliases`).
    pub ignore_aliases: bool,
    /// Appended to the target (`urlappend`).
    pub append: &'a str,
    /// What is known of the visitor.
    pub visitor: Visitor<'a>,
    /// Seconds since 1970.
    pub now_secs: u32,
}

/// Decides where the visitor of `handle` is sent, given its values as they may be read, and what
/// it shares with others.
///
/// If the request selected types, `values` are the selected ones and nothing is shared:
/// `type=URL` thereby bypasses 10320/loc.
pub fn redirect(
    handle: HandleRef<'_>,
    values: &[Value],
    shared: &Shared,
    wish: &Wish<'_>,
) -> Redirect {
    let of_type = |kind: &str| {
        values
            .iter()
            .find(|value| value.kind.eq_ignore_ascii_case(kind))
    };
    if let (false, Some(alias)) = (wish.ignore_aliases, of_type("HS_ALIAS"))
        && let Ok(alias) = AliasTarget::decode(&alias.data)
    {
        return Redirect::Alias(alias.handle().clone());
    }
    let (locations, max_age_secs) = match locations(handle, values, shared, wish.now_secs) {
        Some(found) => found,
        None => match plain_url(values).and_then(|url| Some((url, url.text()?))) {
            Some((value, url)) => {
                let mut locations = Locations::none();
                locations.list.push(Location::plain(url, 1.0));
                (locations, value.ttl.seconds_left(wish.now_secs))
            }
            None => return Redirect::Nowhere,
        },
    };
    let chosen = locations.choose(&wish.visitor);
    let target =
        chosen.and_then(|location| Some((location, target_url(&location.href, wish.append)?)));
    match target {
        Some((location, url)) => Redirect::To(Target {
            url,
            status: location.http_status.unwrap_or(STATUS_DEFAULT),
            max_age_secs,
            varies_by_accept: locations.varies_by_accept(),
        }),
        None => Redirect::Nowhere,
    }
}

/// Every place that a visitor may be sent to, for the page that lists them.
pub fn places(handle: HandleRef<'_>, values: &[Value], shared: &Shared) -> Vec<Location> {
    match locations(handle, values, shared, 0) {
        Some((locations, _)) => locations.list,
        None => {
            let urls = values.iter().filter(|value| url_rank(value).is_some());
            let hrefs = urls.filter_map(|value| value.text());
            hrefs
                .filter(|href| is_allowed(href))
                .map(|href| Location::plain(href, 1.0))
                .collect()
        }
    }
}

/// The locations of the record, then the plain URL, then what the record has from others; and how
/// long all of that may be kept. `None` without any readable 10320/loc value.
///
/// What stands first is taken where no weight decides, so the nearer to the record the sooner.
fn locations(
    handle: HandleRef<'_>,
    values: &[Value],
    shared: &Shared,
    now_secs: u32,
) -> Option<(Locations, u32)> {
    let own = Locations::of(values, handle);
    let mut max_age_secs = shared.seconds_left(now_secs).unwrap_or(u32::MAX);
    let mut keep = |value: &Value| {
        max_age_secs = max_age_secs.min(value.ttl.seconds_left(now_secs));
    };
    let mut locations = match (own, shared.found()) {
        (Some((own, value)), _) => {
            keep(value);
            own
        }
        (None, Some(found)) => Locations {
            list: Vec::new(),
            ..found.clone()
        },
        (None, None) => return None,
    };
    if let (false, Some(url)) = (locations.without_urls, plain_url(values)) {
        let weight = match url_rank(url) {
            Some(Rank::Exact) => locations.url_weight,
            _ => locations.url_subtype_weight,
        };
        keep(url);
        locations
            .list
            .extend(url.text().map(|url| Location::plain(url, weight)));
    }
    let others = shared.found().map_or(&[][..], |found| &found.list);
    locations.list.extend_from_slice(others);
    locations.list.retain(|location| is_allowed(&location.href));
    locations.list.truncate(LOCATIONS_MAX);
    Some((locations, max_age_secs))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Exact,
    Subtype,
}

fn url_rank(value: &Value) -> Option<Rank> {
    let kind = value.kind.as_str();
    let exact = kind.eq_ignore_ascii_case("URL") || kind.eq_ignore_ascii_case("0.TYPE/URL");
    match exact {
        true => Some(Rank::Exact),
        false => is_of_type(kind.as_bytes(), b"URL").then_some(Rank::Subtype),
    }
}

/// The first URL that may be redirected to, else the first of a subtype.
fn plain_url(values: &[Value]) -> Option<&Value> {
    let urls = values
        .iter()
        .filter(|value| value.text().is_some_and(is_allowed));
    // The first of the lowest rank: `min_by_key` keeps the first of equals.
    urls.filter_map(|value| Some((url_rank(value)?, value)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, value)| value)
}

fn is_allowed(url: &str) -> bool {
    let scheme = url.trim().split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        SCHEMES
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

/// The URL as a header field carries it: octets outside of printable ASCII are escaped, so that
/// none of them can end the field.
fn target_url(href: &str, append: &str) -> Option<String> {
    use std::fmt::Write as _;
    let href = href.trim();
    let (between, append) = seam(href, append);
    let mut url = String::with_capacity(href.len() + between.len() + append.len());
    for octet in [href, between, append].into_iter().flat_map(str::bytes) {
        match octet {
            0x21..=0x7e
                if !matches!(
                    octet,
                    b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
                ) =>
            {
                url.push(char::from(octet));
            }
            // Writing to a string does not fail.
            _ => drop(write!(url, "%{octet:02X}")),
        }
    }
    (url.len() <= TARGET_LEN_MAX && is_allowed(&url)).then_some(url)
}

/// What stands between a URL and what is appended to it, and what may be appended.
///
/// The request must not choose the host: `.example` behind `https://host`, or `@example`, would lead
/// to somebody else under this node's name. A URL that ends in its host therefore gets a slash, and
/// nothing is appended to one without a host.
fn seam<'a>(href: &str, append: &'a str) -> (&'static str, &'a str) {
    let (scheme, rest) = href.split_once(':').unwrap_or_default();
    let has_host = ["http", "https", "ftp"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    // Browsers take any number of slashes in front of a host, none included.
    let rest = rest.trim_start_matches('/');
    let begins_anew = append.starts_with(['/', '?', '#']);
    match has_host && !append.is_empty() && !rest.contains(['/', '?', '#']) {
        true if rest.is_empty() => ("", ""),
        true if !begins_anew => ("/", append),
        _ => ("", append),
    }
}

//----------- Aliases --------------------------------------------------------

/// The names on the way from one alias to the next; finds circles and ways without end.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    seen: Vec<Key>,
}

impl Aliases {
    /// A way that starts at `handle`.
    pub fn from(handle: HandleRef<'_>) -> Self {
        Self {
            seen: vec![handle.key(CaseRule::Insensitive)],
        }
    }

    /// Takes one more step.
    pub fn follow(&mut self, alias: HandleRef<'_>) -> Result<(), AliasError> {
        let key = alias.key(CaseRule::Insensitive);
        if self.seen.contains(&key) {
            return Err(AliasError::Circle {
                handle: alias.to_owned(),
            });
        }
        if self.seen.len() > ALIASES_MAX {
            return Err(AliasError::TooMany);
        }
        self.seen.push(key);
        Ok(())
    }
}

/// Why aliases lead nowhere. The authors of the records are at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasError {
    /// They lead back to where they were.
    #[error("the aliases go in a circle: they lead back to {handle}")]
    Circle {
        /// The handle that was met twice.
        handle: Handle,
    },
    /// They do not come to an end.
    #[error("more than {ALIASES_MAX} aliases lead on from that handle")]
    TooMany,
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
