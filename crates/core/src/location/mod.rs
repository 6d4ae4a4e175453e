//! 10320/loc: many locations of one thing, and which of them a visitor gets (clause 8.7).
//!
//! [`Locations::parse`] reads the XML, [`Locations::choose`] picks one. The choice goes through the
//! methods of `choose_by` in turn. Each method narrows the set of candidates; one that would leave
//! nothing is passed over. `weighted` then takes one by a random number that the caller brings.
//!
//! ```xml
//! <locations choose_by="locatt,country,weighted">
//!   <location id="0" href="https://a.example/" weight="1"/>
//!   <location id="1" href="https://b.example/" weight="0" country="cn"/>
//! </locations>
//! ```
//!
//! Other records may have a say as well: the one of the namespace, and those that are included.
//! [`Shared`] names them, and is shown them.

mod choose;
mod parse;
mod shared;

pub use choose::{Method, Role, Visitor};
pub use parse::{LOCATIONS_LEN_MAX, LOCATIONS_MAX, Location, LocationError, Locations};
pub use shared::{SHARED_MAX, Shared};

/// The type of the values.
pub const TYPE: &str = "10320/loc";
