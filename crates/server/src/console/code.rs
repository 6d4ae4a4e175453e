//! Codes for things: the address or the name of a record as QR code and as Data Matrix.

use std::fmt::Write;

use datamatrix::{DataMatrix, SymbolList};
use maud::{Markup, html};

use super::visit::Visit;
use crate::http::page::qr;
use crate::http::path;

/// Longest text of a code; longer ones make modules too fine for a label.
const TEXT_LEN_MAX: usize = 250;
/// Light modules around a Data Matrix; the standard asks for one, printers for two.
const QUIET_ZONE: usize = 2;

/// What kind of code is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Qr,
    DataMatrix,
}

impl Code {
    pub(super) fn of(name: Option<&str>) -> Self {
        match name {
            Some("datamatrix") => Self::DataMatrix,
            _ => Self::Qr,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Qr => "qr",
            Self::DataMatrix => "datamatrix",
        }
    }

    /// The code of a text; none if the text is too long.
    pub(super) fn draw(self, text: &str, label: &str) -> Option<Markup> {
        match self {
            Self::Qr => qr::code(text, label),
            Self::DataMatrix => matrix(text, label),
        }
    }
}

/// The address under which anybody opens the record at this node; none if it has no HTTP.
pub(super) fn address(visit: &Visit<'_>, handle: &str) -> Option<String> {
    let config = visit.node.config();
    let port = visit.node.addresses().http.first()?.port();
    let (scheme, host) = match &config.site.domain {
        Some(domain) => ("https", domain.clone()),
        None if config.site.address.is_ipv6() => ("http", format!("[{}]", config.site.address)),
        None => ("http", config.site.address.to_string()),
    };
    let port = match (scheme, port) {
        ("https", 443) | ("http", 80) => String::new(),
        (_, port) => format!(":{port}"),
    };
    Some(format!("{scheme}://{host}{port}{}", path::link(handle)))
}

fn matrix(text: &str, label: &str) -> Option<Markup> {
    if text.is_empty() || text.len() > TEXT_LEN_MAX {
        return None;
    }
    let code = DataMatrix::encode(text.as_bytes(), SymbolList::default().enforce_square()).ok()?;
    let bitmap = code.bitmap();
    let (width, height) = (
        bitmap.width() + 2 * QUIET_ZONE,
        bitmap.height() + 2 * QUIET_ZONE,
    );
    let mut dark = String::new();
    for (x, y) in bitmap.pixels() {
        let _ = write!(dark, "M{} {}h1v1h-1z", x + QUIET_ZONE, y + QUIET_ZONE);
    }
    Some(html! {
        svg class="qr" viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(label)
            shape-rendering="crispEdges" {
            rect class="qr-light" width=(width) height=(height) {}
            path class="qr-dark" d=(dark) {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_matrix_has_its_solid_border() {
        let svg = matrix("88.118.5/SN1", "code").unwrap().into_string();
        // The left column is dark in every row.
        let rows = svg.matches(&format!("M{QUIET_ZONE} ")).count();
        assert!(rows >= 10, "{svg}");
        assert!(svg.contains(&format!("viewBox=\"0 0 {0} {0}\"", rows + 2 * QUIET_ZONE)));
    }

    #[test]
    fn a_text_that_fits_no_label_has_no_code() {
        let long = "a".repeat(TEXT_LEN_MAX + 1);
        for code in [Code::Qr, Code::DataMatrix] {
            assert!(code.draw(&long, "x").is_none());
            assert!(code.draw("中文/标识", "x").is_some());
            assert_eq!(Code::of(Some(code.name())), code);
        }
    }
}
