//! A QR code as SVG, so that a record on a screen or a label can be opened with a telephone.

use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};

/// Longest address in octets. Longer ones make a code too fine for a telephone at this size.
const ADDRESS_LEN_MAX: usize = 250;
/// Light modules around the code, as the standard asks.
const QUIET_ZONE: i32 = 4;

/// The code of `address`; `None` if the address is too long.
pub(crate) fn code(address: &str, label: &str) -> Option<Markup> {
    if address.len() > ADDRESS_LEN_MAX {
        return None;
    }
    let code = QrCode::encode_text(address, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * QUIET_ZONE;
    Some(html! {
        svg class="qr" viewBox={ "0 0 " (size) " " (size) } role="img" aria-label=(label)
            shape-rendering="crispEdges" {
            rect class="qr-light" width=(size) height=(size) {}
            path class="qr-dark" d=(dark_runs(&code)) {}
        }
    })
}

/// The dark modules, one rectangle for each run in a row.
fn dark_runs(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size())
                .take_while(|x| code.get_module(*x, y))
                .count();
            let run = i32::try_from(run).unwrap_or(0);
            if run > 0 {
                let (left, top) = (x + QUIET_ZONE, y + QUIET_ZONE);
                path.push_str(&format!("M{left} {top}h{run}v1h-{run}z"));
            }
            x += run + 1;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_its_three_finder_patterns() {
        let svg = code("http://127.0.0.1:8000/88.118.5/x", "address")
            .unwrap()
            .into_string();
        // The upper left and upper right patterns begin with a run of seven in the first row.
        assert!(svg.contains("d=\"M4 4h7v1h-7z"));
        assert!(svg.matches("h7v1h-7z").count() >= 6);
    }

    #[test]
    fn long_addresses_have_no_code() {
        assert!(code(&"a".repeat(ADDRESS_LEN_MAX + 1), "address").is_none());
    }
}
