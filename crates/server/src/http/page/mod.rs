//! The pages: plain HTML made on the server, readable without script, style sheet or colours.
//!
//! ```text
//! view    language, links, frame of the document
//! record  a record: title, series, values, facts      start   the start page     error  failures
//! signature  who has signed, and whether that holds
//! tombstone  what is left of a record that was withdrawn or removed
//! value   one value in words   series  figures        chart   SVG of a series    qr     SVG code
//! text    the catalogues       vocabulary  units, topics       number  numbers, dates
//! ```
//!
//! Markup is written with a template macro that escapes everything that is put in, so a value
//! cannot become markup. Pages load nothing but this node's own style sheet and icon, and the
//! policy in [`SECURITY_POLICY`] makes browsers refuse anything else.

mod chart;
mod error;
pub(crate) mod number;
pub(crate) mod qr;
mod record;
mod series;
pub(crate) mod signature;
mod start;
mod text;
mod tombstone;
pub(crate) mod value;
mod view;
mod vocabulary;

pub(super) use error::{ErrorPage, error};
pub(super) use record::{RecordPage, record};
pub(super) use start::{Sample, StartPage, start};
pub(crate) use text::Lang;
pub(super) use tombstone::{Tombstone, removed, tombstone};
pub(crate) use view::View;

/// What a page may load and do: its own style sheet and images, its own forms, no script.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
    img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The style sheet.
pub(super) const STYLE: &str = include_str!("style.css");
/// The icon.
pub(crate) const ICON_SVG: &str = include_str!("icon.svg");
