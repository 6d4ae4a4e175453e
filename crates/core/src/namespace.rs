//! HS_NAMESPACE: what a prefix says of all names under it (clause 4.5.7).
//!
//! Read are the status, the message shown while a namespace is inactive, whom to ask, and the
//! handle whose 10320/loc value counts for the whole namespace. Templates compute records that
//! nobody stored; they are not carried out here, and such a name is one without a record.

use guantong_proto::data::namespace::NAMESPACE_LEN_MAX;
use guantong_proto::{Handle, Value};
use roxmltree::{Document, ParsingOptions};

/// Most XML nodes that are read.
const NODES_MAX: u32 = 8_192;

//----------- Namespace ------------------------------------------------------

/// What a prefix says of all names under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Whether names under the prefix are out of use; the proxy answers 404 then.
    pub inactive: bool,
    /// Text shown while the namespace is inactive.
    pub status_message: Option<String>,
    /// Whom to ask.
    pub contact: Option<String>,
    /// Handle with a 10320/loc value for every name under the prefix.
    pub locations: Option<Handle>,
    /// Whether there is a template, which this node does not carry out.
    pub has_template: bool,
}

impl Namespace {
    /// The namespace of a prefix record: its HS_NAMESPACE value with the lowest index.
    pub fn of(values: &[Value]) -> Result<Option<Self>, NamespaceError> {
        let named = values
            .iter()
            .filter(|value| value.kind.eq_ignore_ascii_case("HS_NAMESPACE"));
        let value = named.min_by_key(|value| value.index);
        value.map(|value| Self::parse(&value.data)).transpose()
    }

    /// Reads the data of a value. Elements without a meaning are passed over.
    pub fn parse(data: &[u8]) -> Result<Self, NamespaceError> {
        if data.len() > NAMESPACE_LEN_MAX {
            return Err(NamespaceError::TooLong { len: data.len() });
        }
        let text = std::str::from_utf8(data).map_err(|_| NamespaceError::NotUtf8)?;
        let options = ParsingOptions {
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text.trim_start(), options)
            .map_err(|error| NamespaceError::Xml(error.to_string()))?;
        let root = document.root_element();
        if !root.has_tag_name("namespace") {
            return Err(NamespaceError::Root(root.tag_name().name().to_owned()));
        }
        let child = |name: &str| root.children().find(|node| node.has_tag_name(name));
        let text = |name: &str| {
            let text = child(name)?.text()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Ok(Self {
            inactive: text("status").is_some_and(|status| status.eq_ignore_ascii_case("inactive")),
            status_message: text("statusmsg"),
            contact: text("contact"),
            locations: text("locs").and_then(|name| Handle::parse(&name).ok()),
            has_template: child("template").is_some(),
        })
    }
}

//----------- NamespaceError -------------------------------------------------

/// Why the data of an HS_NAMESPACE value cannot be read. Its author is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// It is longer than [`NAMESPACE_LEN_MAX`].
    #[error("the XML has {len} octets, the limit is {NAMESPACE_LEN_MAX}")]
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
    #[error("the outermost element is `{0}`, `namespace` is expected")]
    Root(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read() {
        let xml = "<namespace><contact> ops@example.org </contact><status>Inactive</status>\
            <statusmsg>moved</statusmsg><locs>88.118.5/locs</locs>\
            <template delimiter=\"@\"><foreach/></template><new/></namespace>";
        let namespace = Namespace::parse(xml.as_bytes()).unwrap();
        assert!(namespace.inactive && namespace.has_template);
        assert_eq!(namespace.status_message.as_deref(), Some("moved"));
        assert_eq!(namespace.contact.as_deref(), Some("ops@example.org"));
        assert_eq!(namespace.locations.unwrap().as_str(), "88.118.5/locs");
    }

    #[test]
    fn namespace_is_active_unless_it_says_otherwise() {
        assert_eq!(
            Namespace::parse(b"<namespace/>").unwrap(),
            Namespace::default()
        );
    }

    #[test]
    fn lowest_index_wins() {
        let inactive = "<namespace><status>inactive</status></namespace>";
        let values = [
            Value::new(9, "HS_NAMESPACE", "<namespace/>"),
            Value::new(3, "hs_namespace", inactive),
        ];
        assert!(Namespace::of(&values).unwrap().unwrap().inactive);
        assert_eq!(Namespace::of(&values[..0]), Ok(None));
    }

    #[test]
    fn entities_and_other_documents_are_refused() {
        let bomb = b"<!DOCTYPE n [<!ENTITY a \"b\">]><namespace><contact>&a;</contact></namespace>";
        assert!(matches!(
            Namespace::parse(bomb),
            Err(NamespaceError::Xml(_))
        ));
        assert!(matches!(
            Namespace::parse(b"<x/>"),
            Err(NamespaceError::Root(_))
        ));
        let nodes = "<a/>".repeat(usize::try_from(NODES_MAX).unwrap());
        let many = format!("<namespace>{nodes}</namespace>");
        assert!(many.len() <= NAMESPACE_LEN_MAX);
        assert!(matches!(
            Namespace::parse(many.as_bytes()),
            Err(NamespaceError::Xml(_))
        ));
        let long = vec![b' '; NAMESPACE_LEN_MAX + 1];
        assert!(matches!(
            Namespace::parse(&long),
            Err(NamespaceError::TooLong { .. })
        ));
    }
}
