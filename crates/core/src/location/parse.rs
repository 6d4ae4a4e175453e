//! Reading the XML of a 10320/loc value.

use std::net::IpAddr;

use guantong_proto::{Handle, HandleRef, Value};
use roxmltree::{Document, Node, ParsingOptions};

use super::choose::{Method, Role};

/// Most octets of the XML. Far above what people write; parsing time grows with it.
pub const LOCATIONS_LEN_MAX: usize = 65_536;
/// Most locations that are read; the rest is ignored.
pub const LOCATIONS_MAX: usize = 512;
/// Most XML nodes that are read; an element, a text and a comment are one each.
const NODES_MAX: u32 = 8_192;
/// Weight of a location that does not say.
const WEIGHT_DEFAULT: f64 = 1.0;

//----------- Locations ------------------------------------------------------

/// The locations of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Locations {
    /// The methods of choice, in their order.
    pub choose_by: Vec<Method>,
    /// The locations, in their order.
    pub list: Vec<Location>,
    /// Whether plain URL values do not count as locations (`no_legacy`).
    pub without_urls: bool,
    /// Weight of a plain URL value (`urlWeight`).
    pub url_weight: f64,
    /// Weight of a value of a subtype of URL (`urlSubtypeWeight`).
    pub url_subtype_weight: f64,
    /// A record whose locations count as well (`include`).
    pub include: Option<Handle>,
    /// The record of the namespace, in place of what the prefix record says (`nshdl`).
    pub namespace: Option<Handle>,
    /// Whether the locations of the namespace do not count (`no_nslocs`).
    pub without_namespace: bool,
}

/// One place where the thing is.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// Where it is: `href`, or `href_template` with the handle filled in.
    pub href: String,
    /// How likely it is taken by chance; 0: only if something else selects it.
    pub weight: f64,
    /// Addresses of visitors that it is meant for.
    pub addresses: Vec<IpAddr>,
    /// The status to redirect with: 301, 302, 303, 307 or 308.
    pub http_status: Option<u16>,
    /// Which kind of visitor it is meant for.
    pub role: Option<Role>,
    /// All attributes as they stand, those above included.
    pub attributes: Vec<(String, String)>,
}

impl Locations {
    /// Locations without any, chosen in the usual order.
    pub fn none() -> Self {
        Self {
            choose_by: Method::DEFAULT.to_vec(),
            list: Vec::new(),
            without_urls: false,
            url_weight: 0.0,
            url_subtype_weight: 0.0,
            include: None,
            namespace: None,
            without_namespace: false,
        }
    }

    /// The first readable 10320/loc value of `values`, and the value itself.
    pub(crate) fn of<'v>(values: &'v [Value], handle: HandleRef<'_>) -> Option<(Self, &'v Value)> {
        let of_type = values
            .iter()
            .filter(|value| value.kind.eq_ignore_ascii_case(super::TYPE));
        let mut readable =
            of_type.filter_map(|value| Some((Self::parse(&value.data, handle).ok()?, value)));
        readable.next()
    }

    /// Reads the data of a 10320/loc value of `handle`.
    ///
    /// Document types are refused, and entities with them. Locations without an address are left
    /// out, attributes with nonsense count as absent: one slip must not hide all other locations.
    pub fn parse(data: &[u8], handle: HandleRef<'_>) -> Result<Self, LocationError> {
        if data.len() > LOCATIONS_LEN_MAX {
            return Err(LocationError::TooLong { len: data.len() });
        }
        let text = std::str::from_utf8(data).map_err(|_| LocationError::NotUtf8)?;
        let options = ParsingOptions {
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text.trim_start(), options)
            .map_err(|error| LocationError::Xml(error.to_string()))?;
        let root = document.root_element();
        if !root.has_tag_name("locations") {
            return Err(LocationError::Root(root.tag_name().name().to_owned()));
        }
        let choose_by = root
            .attribute("choose_by")
            .or_else(|| root.attribute("chooseby"));
        let elements = root.children().filter(|node| node.has_tag_name("location"));
        Ok(Self {
            choose_by: choose_by.map_or_else(|| Method::DEFAULT.to_vec(), Method::list),
            list: elements
                .filter_map(|node| Location::read(node, handle))
                .take(LOCATIONS_MAX)
                .collect(),
            without_urls: root.attribute("no_legacy").is_some_and(is_yes),
            url_weight: weight(root.attribute("urlWeight"), 0.0),
            url_subtype_weight: weight(root.attribute("urlSubtypeWeight"), 0.0),
            include: root.attribute("include").and_then(handle_of),
            namespace: root.attribute("nshdl").and_then(handle_of),
            without_namespace: root.attribute("no_nslocs").is_some_and(is_yes),
        })
    }
}

impl Location {
    /// A location that is nothing but an address.
    pub fn plain(href: &str, weight: f64) -> Self {
        Self {
            href: href.to_owned(),
            weight,
            addresses: Vec::new(),
            http_status: None,
            role: None,
            attributes: Vec::new(),
        }
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn read(node: Node<'_, '_>, handle: HandleRef<'_>) -> Option<Self> {
        let template = || {
            node.attribute("href_template")
                .or_else(|| node.attribute("loc_template"))
        };
        let href = match node.attribute("href") {
            Some(href) => href.trim().to_owned(),
            None => fill(template()?.trim(), handle),
        };
        let status = node
            .attribute("http_sc")
            .and_then(|status| status.trim().parse().ok());
        let addresses = node.attribute("addresses").unwrap_or_default();
        let attributes = node.attributes();
        (!href.is_empty()).then(|| Self {
            href,
            weight: weight(node.attribute("weight"), WEIGHT_DEFAULT),
            addresses: addresses
                .split([',', ' ', ';'])
                .filter_map(|address| address.trim().parse().ok())
                .collect(),
            http_status: status.filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308)),
            role: node.attribute("http_role").and_then(Role::parse),
            attributes: attributes
                .map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned()))
                .collect(),
        })
    }
}

fn weight(text: Option<&str>, default: f64) -> f64 {
    let number = text.and_then(|text| text.trim().parse::<f64>().ok());
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .unwrap_or(default)
}

/// A name that is none counts as absent, like any other nonsense.
fn handle_of(text: &str) -> Option<Handle> {
    Handle::parse(text.trim()).ok()
}

fn is_yes(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "" | "1" | "yes" | "true"
    )
}

/// Fills the handle into a template: `{hdl}` with every reserved character escaped, `{hdl:path}`
/// with its slashes as they are.
fn fill(template: &str, handle: HandleRef<'_>) -> String {
    let path = percent_encoded(handle.as_str(), b"-._~/:@!$&'()*+,;=");
    let component = percent_encoded(handle.as_str(), b"-._~");
    template
        .replace("{hdl:path}", &path)
        .replace("{hdl}", &component)
}

/// `text` with everything but ASCII letters, digits and the octets of `plain` escaped.
fn percent_encoded(text: &str, plain: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || plain.contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

//----------- LocationError --------------------------------------------------

/// Why the data of a 10320/loc value is not a list of locations. Its author is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// It is longer than [`LOCATIONS_LEN_MAX`].
    #[error("the XML has {len} octets, the limit is {LOCATIONS_LEN_MAX}")]
    TooLong {
        /// Its length in octets.
        len: usize,
    },
    /// It is not text.
    #[error("the XML is not valid UTF-8")]
    NotUtf8,
    /// It is not XML, or has a document type.
    #[error("the XML cannot be read: {0}")]
    Xml(String),
    /// The outermost element is another.
    #[error("the outermost element is `{0}`, `locations` is expected")]
    Root(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(xml: &str) -> Result<Locations, LocationError> {
        Locations::parse(xml.as_bytes(), HandleRef::parse("88.118.5/a b/ü").unwrap())
    }

    #[test]
    fn attributes_are_read_and_nonsense_counts_as_absent() {
        let locations = parse(
            r#"<?xml version="1.0"?>
            <locations chooseby="weighted, bogus ,locatt" no_legacy="" urlWeight="0.5">
              <location id="1" href=" https://a/ " weight="x" http_sc="303" country="cn"/>
              <location href="https://b/" weight="-1" http_sc="200" http_role="conneg"
                addresses="192.0.2.1, nonsense ::1"/>
              <location weight="3"/>
            </locations>"#,
        )
        .unwrap();
        assert_eq!(locations.choose_by, [Method::Weighted, Method::Attribute]);
        assert!(locations.without_urls);
        assert_eq!(locations.url_weight, 0.5);
        let [a, b] = &locations.list[..] else {
            panic!("{locations:?}")
        };
        assert_eq!(
            (a.href.as_str(), a.weight, a.http_status),
            ("https://a/", 1.0, Some(303))
        );
        assert_eq!(
            (a.attribute("id"), a.attribute("country")),
            (Some("1"), Some("cn"))
        );
        assert_eq!(
            (b.weight, b.http_status, b.role),
            (1.0, None, Some(Role::Negotiating))
        );
        assert_eq!(b.addresses.len(), 2);
    }

    #[test]
    fn template_takes_the_handle() {
        let href = |xml: &str| parse(xml).unwrap().list[0].href.clone();
        let xml = r#"<locations><location href_template="https://a/?id={hdl}"/></locations>"#;
        assert_eq!(href(xml), "https://a/?id=88.118.5%2Fa%20b%2F%C3%BC");
        let xml = r#"<locations><location loc_template="https://a/{hdl:path}"/></locations>"#;
        assert_eq!(href(xml), "https://a/88.118.5/a%20b/%C3%BC");
    }

    #[test]
    fn entities_are_not_expanded() {
        let bomb = r#"<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>
            <locations><location href="&b;"/></locations>"#;
        assert!(matches!(parse(bomb), Err(LocationError::Xml(_))));
    }

    #[test]
    fn every_limit_holds() {
        let long = format!("<locations>{}</locations>", " ".repeat(LOCATIONS_LEN_MAX));
        assert!(matches!(parse(&long), Err(LocationError::TooLong { .. })));
        let many = format!(
            "<locations>{}</locations>",
            "<location href='h:'/>".repeat(600)
        );
        assert_eq!(parse(&many).unwrap().list.len(), LOCATIONS_MAX);
        let nodes = format!("<locations>{}</locations>", "<a/>".repeat(10_000));
        assert!(matches!(parse(&nodes), Err(LocationError::Xml(_))));
        let deep = format!(
            "{}{}",
            "<locations>".repeat(2_000),
            "</locations>".repeat(2_000)
        );
        assert!(
            parse(&deep).is_ok_and(|locations| locations.list.is_empty()) || parse(&deep).is_err()
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |xml: &str| parse(xml).unwrap_err().to_string();
        assert_eq!(
            says("<x/>"),
            "the outermost element is `x`, `locations` is expected"
        );
        assert!(says("<locations>").starts_with("the XML cannot be read: "));
    }
}
