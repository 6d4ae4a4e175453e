//! Templates (元数据模板) and registration (注册) against them.
//!
//! ```text
//! cell                texts in tables, of which none is a formula
//! category            a tree in which templates are put
//! definition, field   what a template says, checked all at once
//! notes               what existing products keep of a field beside its rules
//! life                draft, published, withdrawn, disabled; versions
//! record              a template as a record, since a template has a handle
//! schema              a template as JSON Schema, and a template from one
//! registration        what is said of a thing, checked, and its values in a record
//! rows                what is said of many things: CSV, JSON Lines, JSON
//! indexed             templates by version, values by index and type
//! rule                whether one value is what its field wants
//! mint, counter       suffixes by rule, and the numbers in them
//! ```
//!
//! The JSON of templates and schemas is made here, since it is what is stored and what is checked.
//! What a check must know of other records it asks for ([`Lookup`]); who may register is none of
//! its business: a registration is a change like others. Values carry their readers as permissions,
//! so whoever resolves sees what he may, by whatever protocol.

mod category;
mod cell;
mod counter;
mod decimal;
mod definition;
mod field;
mod indexed;
mod life;
pub mod limit;
mod mint;
mod notes;
mod pattern;
mod record;
mod registration;
mod rows;
mod rule;
mod schema;

pub use category::{
    CATEGORIES_SUFFIX, CATEGORY_TYPE, Categories, Category, CategoryFault, Placed, UNCLASSIFIED,
    UNCLASSIFIED_ID, UNCLASSIFIED_NAME, categories_handle,
};
pub use cell::{plain_cell, safe_cell};
pub use counter::{Block, COUNTER_TYPE, counter_handle, counter_of, counter_value};
pub use decimal::{Decimal, DecimalError};
pub use definition::{Definition, Fault, Industry, NoIndustry};
pub use field::{
    Date, Field, Files, HANDLE_COLUMN, Kind, Number, Precision, Readers, Reference, Text,
};
pub use indexed::{Indexed, TEMPLATE_LEAD, handle_of_version, version_of_handle};
pub use life::{NotAmended, State, Template, WrongState};
pub use mint::{Rule, RuleError, Seed, UsedUp};
pub use notes::Notes;
pub use pattern::{Pattern, PatternError};
pub use record::{KEY_TYPE, NotATemplate, TEMPLATE_INDEX, TEMPLATE_TYPE, field_name, prefix_key};
pub use registration::{
    Extent, FieldFault, FieldValue, HANDLE_TYPE, LINK_TYPE, Lookup, Target, VERSION_INDEX,
    field_found_by, is_key_of, is_registered, link, template_of,
};
pub use rows::{NoRow, ROW_OCTETS_MAX, Row, RowForm};
pub use rule::Why;
pub use schema::DIALECT;
