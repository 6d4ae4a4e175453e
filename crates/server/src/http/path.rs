//! Handles in URL paths: what a path names, and how to link to a handle.
//!
//! A handle may hold any character, so the path is taken apart here and not by route patterns. A
//! few first segments belong to the node ([`RESERVED`]); a handle that begins like one of them is
//! still reached as `/hdl:` and the handle.

use std::borrow::Cow;

use guantong_proto::{Handle, NameError};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// First segments that the node keeps for itself.
pub(super) const RESERVED: [&str; 7] = [
    "-",
    "api",
    "favicon.ico",
    "live",
    "metrics",
    "ready",
    "robots.txt",
];

/// What people and other resolvers put in front of a handle (8.7).
const LEADS: [&str; 14] = [
    "hdl:",
    "doi:",
    "info:hdl/",
    "info:doi/",
    "urn:hdl:",
    "urn:doi:",
    "urn:eidr:",
    "https://hdl.handle.net/",
    "http://hdl.handle.net/",
    "https://doi.org/",
    "http://doi.org/",
    "https://dx.doi.org/",
    "http://dx.doi.org/",
    "api/handles/",
];

/// Characters of a handle that must be escaped in a path.
///
/// `/` and `:` stay; `?`, `#` and `%` would change the meaning, the rest is not allowed in a URL.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The same, and the slash.
const IN_SEGMENT: &AsciiSet = &IN_PATH.add(b'/');

/// Characters that would end a parameter in a query, besides those of a path.
const IN_QUERY: &AsciiSet = &IN_PATH.add(b'&').add(b'+').add(b'=').add(b';');

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The start page.
    Start,
    /// A file of the pages, or their search form: the path behind `/-/`.
    Own(&'a str),
    /// The HTTP API: the path behind `/api/`.
    Api(&'a str),
    /// An icon that browsers ask for without being told to.
    Icon,
    /// The rules for robots.
    Robots,
    /// A handle, still percent-encoded, with whatever leads it.
    Handle(&'a str),
}

impl<'a> Target<'a> {
    /// Takes the path of a request apart.
    pub(super) fn of(path: &'a str) -> Self {
        let rest = path.strip_prefix('/').unwrap_or(path);
        if let Some(own) = rest.strip_prefix("-/") {
            return Self::Own(own);
        }
        if let Some(api) = rest.strip_prefix("api/") {
            return Self::Api(api);
        }
        match rest {
            "" => Self::Start,
            "api" => Self::Api(""),
            "favicon.ico" => Self::Icon,
            "robots.txt" => Self::Robots,
            handle => Self::Handle(handle),
        }
    }
}

/// The handle that a percent-encoded path names. A percent sign that begins no escape stands for
/// itself.
pub(super) fn handle(encoded: &str) -> Result<Handle, NameError> {
    let octets: Cow<'_, [u8]> = percent_decode_str(encoded).into();
    Handle::from_wire(&octets)
}

/// The handle that a proxy path names: as [`handle()`], without what leads it.
pub(crate) fn proxied(encoded: &str) -> Result<Handle, NameError> {
    let octets: Cow<'_, [u8]> = percent_decode_str(encoded).into();
    let mut rest: &[u8] = &octets;
    // Each round shortens the name, so this ends.
    while let Some(lead) = LEADS.iter().find(|lead| begins_with(rest, lead)) {
        rest = &rest[lead.len()..];
    }
    Handle::from_wire(rest)
}

fn begins_with(octets: &[u8], lead: &str) -> bool {
    octets
        .get(..lead.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(lead.as_bytes()))
}

/// The path under which this node shows `handle`, ready for a link.
pub(crate) fn link(handle: &str) -> String {
    let first = handle.split('/').next().unwrap_or_default();
    // Browsers resolve dot segments and drop nothing else, but only between real slashes.
    let has_dots = handle.split('/').any(|part| matches!(part, "." | ".."));
    let set = if has_dots { IN_SEGMENT } else { IN_PATH };
    let lead = match RESERVED.contains(&first) || first.is_empty() {
        true => "hdl:",
        false => "",
    };
    format!("/{lead}{}", utf8_percent_encode(handle, set))
}

/// The path of the JSON form of `handle`.
pub(super) fn api_link(handle: &str) -> String {
    format!("/api/handles/{}", utf8_percent_encode(handle, IN_PATH))
}

/// A handle as the rest of a path.
pub(crate) fn in_path(handle: &str) -> String {
    utf8_percent_encode(handle, IN_PATH).to_string()
}

/// `text` as the value of a parameter in a query.
pub(crate) fn in_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn names(path: &str, expected: &str) {
        let Target::Handle(encoded) = Target::of(path) else {
            panic!("{path} is no handle");
        };
        assert_eq!(proxied(encoded).unwrap().as_str(), expected, "{path}");
    }

    #[test]
    fn escapes_are_resolved_once() {
        names("/88.118.5/a%2Fb", "88.118.5/a/b");
        names("/88.118.5%2Fa/b", "88.118.5/a/b");
        names("/88.118.5/%E4%B8%AD", "88.118.5/中");
        names("/88.118.5/100%25", "88.118.5/100%");
        names("/88.118.5/%252F", "88.118.5/%2F");
        names("/88.118.5/a+b%20c", "88.118.5/a+b c");
        names("/88.118.5/a%3Fb%23c", "88.118.5/a?b#c");
    }

    #[test]
    fn percent_sign_without_digits_stands_for_itself() {
        names("/88.118.5/100%", "88.118.5/100%");
        names("/88.118.5/%zz", "88.118.5/%zz");
        names("/88.118.5/%2", "88.118.5/%2");
    }

    #[test]
    fn empty_and_doubled_segments_belong_to_the_handle() {
        names("//x", "/x");
        names("/88.118.5//a/", "88.118.5//a/");
        names("/88.118.5/", "88.118.5/");
        names("/88.118.5", "88.118.5");
    }

    #[test]
    fn octets_that_are_no_text_are_refused() {
        assert!(matches!(
            handle("88.118.5/%FF"),
            Err(NameError::NotUtf8 { at: 9 })
        ));
        assert_eq!(proxied("hdl:"), Err(NameError::Empty));
    }

    #[test]
    fn leads_are_taken_off_in_any_case() {
        for lead in LEADS {
            let path = format!("{lead}10.1/x");
            assert_eq!(proxied(&path).unwrap().as_str(), "10.1/x", "{lead}");
            let path = path.to_ascii_uppercase();
            assert_eq!(proxied(&path).unwrap().as_str(), "10.1/X", "{lead}");
        }
        names("/https://doi.org/doi:10.1/x", "10.1/x");
        names("/hdl%3A10.1%2Fx", "10.1/x");
    }

    #[test]
    fn links_lead_back_to_the_handle() {
        let handles = [
            "88.118.5/5g-base-stations",
            "88.118.5/中 文",
            "88.118.5/a?b#c%2F",
            "88.118.5/../x",
            "88.118.5/./",
            "88.118.5/\"><script>",
            "/x",
            "-/style.css",
            "api/x",
            "metrics",
            "favicon.ico",
        ];
        for name in handles {
            let path = link(name);
            match Target::of(&path) {
                Target::Handle(encoded) => {
                    assert_eq!(proxied(encoded).unwrap().as_str(), name, "{path}");
                }
                other => panic!("{path} is {other:?}"),
            }
            assert!(!path.contains(['"', '<', '>', ' ', '?', '#']), "{path}");
        }
    }

    proptest! {
        #[test]
        fn names_survive_the_way_through_links(name in "\\PC{1,40}", path in "/?\\PC{0,60}") {
            let is_led = LEADS.iter().any(|lead| begins_with(name.as_bytes(), lead));
            if let (false, Target::Handle(encoded)) = (is_led, Target::of(&link(&name))) {
                let found = proxied(encoded).unwrap();
                prop_assert_eq!(found.as_str(), name.as_str());
            }
            // Whatever a browser sends is a handle or an error.
            let _ = (handle(&path), proxied(&path), Target::of(&path));
        }
    }

    #[test]
    fn own_paths_are_no_handles() {
        assert_eq!(Target::of("/"), Target::Start);
        assert_eq!(Target::of("/-/style.css"), Target::Own("style.css"));
        assert_eq!(Target::of("/api/site"), Target::Api("site"));
        assert_eq!(Target::of("/api"), Target::Api(""));
        assert_eq!(Target::of("/apix/1"), Target::Handle("apix/1"));
    }
}
