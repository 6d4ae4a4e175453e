//! A bounded table in memory, for whoever keeps things under names that strangers choose.
//!
//! It promises three things that a general cache does not: a find costs two waits for memory, the
//! finds of many keys can wait together ([`Table::touch`]), and a find writes to no memory but a
//! bit that is seldom written. The store keeps its hot records in one, the resolver the answers of
//! others.
//!
//! It knows nothing of what it keeps ([`Item`]), and has no lock: who shares one chooses it.

mod table;

pub use table::{Item, LINE, Place, Table, Tally, lines};
