//! The JSON forms of `/api/v2`: templates and registrations.
//!
//! What a template says has the form in which it is stored, and is a parameter here.

pub mod categories;
pub mod changes;
pub mod graph;
pub mod jobs;
pub mod statistics;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

//----------- Templates ------------------------------------------------------

/// A template that is to be made.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "NewTemplate")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTemplate<D> {
    /// The prefix under which it stands.
    pub prefix: String,
    /// The end of its handle; chosen by the node if it is missing.
    #[serde(default)]
    pub code: Option<String>,
    /// What it says: this, or `schema`.
    #[serde(default = "none::<D>")]
    pub definition: Option<D>,
    /// What it says, as JSON Schema.
    #[serde(default)]
    pub schema: Option<Json>,
}

/// What a template is to say from now on.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ChangedTemplate")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedTemplate<D> {
    /// What it says: this, or `schema`.
    #[serde(default = "none::<D>")]
    pub definition: Option<D>,
    /// What it says, as JSON Schema.
    #[serde(default)]
    pub schema: Option<Json>,
}

/// Lets a field of any type be missing.
fn none<D>() -> Option<D> {
    None
}

/// A file that was taken.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileAnswer {
    /// What values call it.
    pub name: String,
    /// Its octets.
    pub size: u64,
    /// Their digest.
    pub sha256: String,
}

/// What is to be done with a template.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "camelCase", deny_unknown_fields)]
pub enum TemplateAction {
    /// Have it registered by.
    Publish,
    /// Have it not registered by for now.
    Withdraw,
    /// Have it not registered by any more.
    Disable,
    /// Make a draft that says the same.
    Copy {
        /// The prefix under which the draft stands.
        prefix: String,
        /// The end of its handle; chosen by the node if it is missing.
        #[serde(default)]
        code: Option<String>,
    },
}

/// A template.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "TemplateAnswer")
)]
#[serde(rename_all = "camelCase")]
pub struct TemplateAnswer<D, S> {
    /// Its handle.
    pub handle: String,
    /// Where it is in its life.
    pub state: S,
    /// How often it was changed after it had been published, and one.
    pub version: u32,
    /// The template that it was copied from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub based_on: Option<String>,
    /// What it says.
    pub definition: D,
}

/// Handles of templates or registrations.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PageAnswer {
    /// The handles.
    pub handles: Vec<String>,
    /// What `after` is for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

//----------- Registrations --------------------------------------------------

/// A registration that is to be made.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRegistration {
    /// The template.
    pub template: String,
    /// Its handle; made by the rule of the template if it is missing.
    #[serde(default)]
    pub handle: Option<String>,
    /// The values of the fields by their names.
    pub fields: Map<String, Json>,
}

/// What is said of a thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    /// Its handle; made by the rule of the template if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The values of the fields by their names.
    pub fields: Map<String, Json>,
}

/// What is changed of a registration.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedRegistration {
    /// The values of the fields by their names.
    pub fields: Map<String, Json>,
}

/// A registration.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegistrationAnswer<'a> {
    /// Its handle.
    pub handle: &'a str,
    /// The template.
    pub template: String,
    /// The values that the caller may read, by the names of the fields.
    pub fields: Map<String, Json>,
    /// Whether there are values that he may not read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// That a change was made, or would have been.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoneAnswer {
    /// What was changed.
    pub handle: String,
    /// What was done.
    pub outcome: Outcome,
    /// Whether nothing was to be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// References to records of other nodes that could not be checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<UncheckedReference>,
}

/// A reference to a record of another node of which only the form was checked.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UncheckedReference {
    /// The field.
    pub field: String,
    /// The handle that it refers to.
    pub target: String,
    /// Why it was not checked.
    pub why: String,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The record was, or would be, created.
    Created,
    /// It was, or would be, changed.
    Changed,
    /// It was, or would be, deleted.
    Deleted,
    /// The change was refused.
    Refused,
}

//----------- Bulk -----------------------------------------------------------

/// Most registrations of one request.
pub const ROWS_MAX: usize = 2_000;

/// Many registrations by one template.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bulk {
    /// The template.
    pub template: String,
    /// Whether they are checked only, and not made.
    #[serde(default)]
    pub dry_run: bool,
    /// What is done where a record is there.
    #[serde(default)]
    pub mode: Mode,
    /// The things, at most [`ROWS_MAX`].
    pub registrations: Vec<Row>,
}

/// What a registration in bulk does.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Makes it; refused if it is there.
    #[default]
    Create,
    /// Writes it over; refused if it is not there.
    Replace,
    /// Changes the fields that are given; refused if it is not there.
    Merge,
}

/// What came of a registration in bulk.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BulkAnswer {
    /// Whether nothing was to be made.
    pub dry_run: bool,
    /// How many were made or changed.
    pub done: usize,
    /// How many were refused.
    pub refused: usize,
    /// What came of each, in their order.
    pub results: Vec<RowAnswer>,
}

/// What came of one row.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RowAnswer {
    /// The number of the row, counted from 1. In CSV the head is no row.
    pub row: usize,
    /// The handle, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// What was done.
    pub outcome: Outcome,
    /// The status that the row would have got alone.
    pub status: u16,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What was wrong with each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// References to records of other nodes that could not be checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<UncheckedReference>,
}

//----------- Grants ---------------------------------------------------------

/// What is changed of the grants of a template or of a registration. Who is added and taken out has
/// the form of `core::grant`, and is a parameter here.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ChangedGrants")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedGrants<E: Default> {
    /// Which rule holds for a registration.
    #[serde(default)]
    pub rule: Option<RuleOf>,
    /// Who reads the template itself, or the registration by its own rule.
    #[serde(default)]
    pub readers: E,
    /// Who writes the registration by its own rule.
    #[serde(default)]
    pub writers: E,
    /// The class rules of fields of the template.
    #[serde(default = "Vec::<ChangedField<E>>::new")]
    pub fields: Vec<ChangedField<E>>,
    /// Fields of the template that everybody reads from now on.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Fields of the template that are no longer read by everybody.
    #[serde(default)]
    pub unpublish: Vec<String>,
}

/// What is changed of the class rule of a field.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ChangedField")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedField<E: Default> {
    /// Its name.
    pub field: String,
    /// Who reads it.
    #[serde(default)]
    pub readers: E,
    /// Who writes it.
    #[serde(default)]
    pub writers: E,
}

/// Which rule holds for a registration.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RuleOf {
    /// That of its template.
    Class,
    /// Its own.
    Own,
}

/// The grants of a template or of a registration. `S` is whom a grant names.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "GrantsAnswer")
)]
#[serde(rename_all = "camelCase")]
pub struct GrantsAnswer<S> {
    /// The handle.
    pub handle: String,
    /// The template of a registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Which rule holds for a registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleOf>,
    /// Whether everybody reads a template while it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub everybody: Option<bool>,
    /// Who else reads the template itself, or who reads the registration by its own rule.
    pub readers: Vec<S>,
    /// Who writes the registration by its own rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<S>,
    /// The fields, and who reads and writes them by the rule that holds.
    pub fields: Vec<FieldGrants<S>>,
    /// What somebody is let see and write by that.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview<S>>,
}

/// Who reads and writes a field.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "FieldGrants")
)]
#[serde(rename_all = "camelCase")]
pub struct FieldGrants<S> {
    /// Its name.
    pub field: String,
    /// Whether everybody reads it, by the permissions of its values or by a rule.
    pub everybody: bool,
    /// Who reads it by the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<S>,
    /// Who writes it by the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<S>,
}

/// What somebody may who is not an administrator.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "GrantsPreview")
)]
#[serde(rename_all = "camelCase")]
pub struct Preview<S> {
    /// Who.
    pub subject: S,
    /// The names of the fields that he reads.
    pub reads: Vec<String>,
    /// The names of the fields that he writes.
    pub writes: Vec<String>,
}

/// What was granted to somebody, and taken from him, in order.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoticesAnswer {
    /// Each of it.
    pub notices: Vec<NoticeAnswer>,
    /// What `after` is for what comes next.
    pub next: u64,
    /// Whether more was written meanwhile that was not looked at.
    pub more: bool,
}

/// Something that was granted to somebody, or taken from him.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoticeAnswer {
    /// The number of the change.
    pub change: u64,
    /// When it was made, in seconds since 1970.
    pub at: u64,
    /// Whether it was granted or taken.
    pub action: NoticeAction,
    /// What kind of thing.
    pub object: NoticeObject,
    /// The handle of the template or registration.
    pub handle: String,
    /// The field, if it is one of a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// To read or to write it.
    pub access: NoticeAccess,
}

/// Whether something was granted or taken.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NoticeAction {
    /// It was granted.
    Granted,
    /// It was taken.
    Revoked,
}

/// What kind of thing was granted.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NoticeObject {
    /// A template.
    Template,
    /// One registration.
    Registration,
    /// A field of all registrations of a template.
    Class,
}

/// What may be done with it.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NoticeAccess {
    /// It is read.
    Read,
    /// It is written.
    Write,
}

//----------- Problem --------------------------------------------------------

/// Why a request was not answered with what it asked for (RFC 9457).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// The kind of problem; `about:blank`, since the status says it.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// What the status means.
    pub title: &'a str,
    /// The status.
    pub status: u16,
    /// What was wrong, and what to do.
    pub detail: &'a str,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<&'a str>,
    /// The number by which the log of the node knows the request.
    pub request_id: &'a str,
    /// What was wrong with each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// What was wrong with a field, of a registration or of a template.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldProblem {
    /// The field.
    pub field: String,
    /// What was wrong with it.
    pub message: String,
}
