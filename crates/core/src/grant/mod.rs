//! Grants (数据授权): who else may read and write the values of a registration.
//!
//! ```text
//! subject   whom a grant names: everybody, an identity, a group
//! rule      readers and writers, as they are stored
//! revise    what an increment makes of a rule
//! held      which rule holds for a value of a record
//! member    whether somebody is named, directly or by a group
//! change    the values that a change of grants writes
//! notice    what a change granted to somebody, or took from him
//! ```
//!
//! A rule is a value of type [`GRANT_TYPE`], so mirrors, backups and the change log carry it like
//! any other. In the record of a template stand the rules of its fields, which hold for all that is
//! registered by it (the class rule, 同类授权), and who reads the template itself. In the record of
//! a registration may stand its own rule (单个授权), which then takes the place of the class rule.
//!
//! Grants add to the permissions of values and never take away from them. They are asked wherever
//! a value is not public: by [`authority`](crate::authority) for everybody, by
//! [`admin`](crate::admin) for who has proven who he is. So all protocols show the same.

mod change;
mod held;
mod member;
mod notice;
mod revise;
mod rule;
mod subject;

pub use change::{
    Amendment, Fault, FieldRevision, follow_class, is_shared_with_all, keep_sharing, own_rule,
    revise_class, revise_own, revise_sharing,
};
pub use held::{
    Access, CLASS_INDEX_FIRST, Held, Origin, RULE_INDEX, class_index, class_of, field_of,
    is_rule_index,
};
pub use member::{Caller, GROUPS_MAX};
pub use notice::{Notice, Object, notices};
pub use revise::{Edit, Revision};
pub use rule::{GRANT_TYPE, Rule, RuleError, SUBJECTS_MAX};
pub use subject::{GROUP_INDEX, KEY_INDEX, Subject, SubjectError};
