//! The JSON forms of `/api/v1`, which existing enterprise nodes have.
//!
//! Their clients send explicit nulls for what they do not say, numbers as numbers or as texts, and
//! fields that nobody reads. All of that is taken.

mod code;
mod lenient;

pub use code::Code;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use self::lenient::{number, text};

//----------- Answers --------------------------------------------------------

/// What every answer is wrapped in, whatever came of the request.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    /// Whether it worked, and why not.
    pub code: i32,
    /// The same in words.
    pub message: &'a str,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
}

/// One page of something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Entries of a full page.
    pub page_size: usize,
    /// Which page this is, from 1.
    pub page_number: usize,
    /// Entries of all pages.
    pub total_count: usize,
    /// How many pages there are.
    pub total_page: usize,
    /// Whether there are more than were counted. Ours; clients pass over it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The entries.
    pub content: Vec<Json>,
}

//----------- Login ----------------------------------------------------------

/// The answer to a challenge.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VerifyResponse {
    /// Who answers.
    #[serde(deserialize_with = "text")]
    pub handle: Option<String>,
    /// The signature of the nonce, base64.
    #[serde(deserialize_with = "text")]
    pub signature: Option<String>,
}

//----------- Identifiers ----------------------------------------------------

/// The body of an operation on an identifier.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// The identifier, if the query does not name it.
    #[serde(deserialize_with = "text")]
    pub target_id: Option<String>,
    /// The operation, likewise.
    #[serde(deserialize_with = "text")]
    pub operation_id: Option<String>,
    /// The template.
    #[serde(rename = "type", deserialize_with = "text")]
    pub kind: Option<String>,
    /// The values of fields.
    pub attributes: Option<Attributes>,
}

/// What is said of an identifier.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Values by the names of fields.
    pub content: Option<Map<String, Json>>,
}

/// One field of a registration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Element {
    /// The index of its value.
    pub index: i32,
    /// The name of the field.
    #[serde(rename = "type")]
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// The value: a text, a number, or a list.
    pub data: Json,
    /// What values of the field are, 1 to 8.
    pub data_type: i64,
}

//----------- Templates ------------------------------------------------------

/// What is said of a template besides its items.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Basics {
    /// The code of its category.
    #[serde(deserialize_with = "text")]
    pub classify_code: Option<String>,
    /// Its handle.
    #[serde(deserialize_with = "text")]
    pub meta_handle: Option<String>,
    /// What people call it.
    #[serde(deserialize_with = "text")]
    pub meta_name: Option<String>,
    /// Its code in other software.
    #[serde(deserialize_with = "text")]
    pub meta_code: Option<String>,
    /// Section of industry.
    #[serde(deserialize_with = "text")]
    pub industry_category: Option<String>,
    /// Division of industry.
    #[serde(deserialize_with = "text")]
    pub industry_specific: Option<String>,
    /// Group of industry.
    #[serde(deserialize_with = "text")]
    pub industry_trade: Option<String>,
    /// Class of industry.
    #[serde(deserialize_with = "text")]
    pub industry_subclass: Option<String>,
    /// The standard that it follows.
    #[serde(deserialize_with = "text")]
    pub standard: Option<String>,
    /// What it is for.
    #[serde(deserialize_with = "text")]
    pub meta_desc: Option<String>,
}

/// A template that is to be made.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewTemplate {
    /// What is said of it.
    #[serde(flatten)]
    pub basics: Basics,
    /// Its items.
    #[serde(rename = "metaItemCreateDTOS")]
    pub items: Option<Vec<Item>>,
}

/// Items that are to be changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangedItems {
    /// The template.
    #[serde(deserialize_with = "text")]
    pub meta_handle: Option<String>,
    /// The same, as documents of existing products spell it.
    #[serde(rename = "metaHanlde", deserialize_with = "text")]
    pub meta_handle_misspelt: Option<String>,
    /// The items.
    #[serde(rename = "metaItemDTOS")]
    pub items: Option<Vec<Item>>,
}

/// An item of a template.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Item {
    /// The index of its values.
    #[serde(deserialize_with = "number")]
    pub item_index: Option<i64>,
    /// Its code in other software.
    #[serde(deserialize_with = "text")]
    pub item_code: Option<String>,
    /// Its name in programs.
    #[serde(deserialize_with = "text")]
    pub english_name: Option<String>,
    /// What people call it.
    #[serde(deserialize_with = "text")]
    pub chinese_name: Option<String>,
    /// 0 on, 1 off, 2 not yet.
    #[serde(deserialize_with = "number")]
    pub item_state: Option<i64>,
    /// What it means.
    #[serde(deserialize_with = "text")]
    pub definition: Option<String>,
    /// A remark.
    #[serde(deserialize_with = "text")]
    pub comment: Option<String>,
    /// Whether forms ask for it, 0 or 1.
    #[serde(deserialize_with = "number")]
    pub input_necessary: Option<i64>,
    /// Whether lists show it, 0 or 1.
    #[serde(deserialize_with = "number")]
    pub list_item_necessary: Option<i64>,
    /// Whether every registration has a value, 0 or 1.
    #[serde(deserialize_with = "number")]
    pub required: Option<i64>,
    /// Whether no two registrations have the same value, 0 or 1.
    #[serde(deserialize_with = "number")]
    pub unique_field: Option<i64>,
    /// What its values are.
    #[serde(
        rename(serialize = "itemSchemaVO", deserialize = "itemSchemaCreateDTO"),
        alias = "itemSchemaVO"
    )]
    pub schema: Option<ItemSchema>,
    /// The template that references lead to.
    #[serde(
        rename(serialize = "itemReferenceVO", deserialize = "itemReferenceDTO"),
        alias = "itemReferenceVO"
    )]
    pub reference: Option<ItemReference>,
}

/// What the values of an item are.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemSchema {
    /// 1 text, 2 number, 3 date, 4 file, 5 reference, 6 audio, 7 video, 8 image.
    #[serde(deserialize_with = "number")]
    pub data_type: Option<i64>,
    /// Fewest characters.
    #[serde(deserialize_with = "number")]
    pub min_length: Option<i64>,
    /// Most characters, or digits.
    #[serde(deserialize_with = "number")]
    pub max_length: Option<i64>,
    /// Kept as it is said.
    #[serde(deserialize_with = "text")]
    pub char_range: Option<String>,
    /// Digits behind the point.
    #[serde(deserialize_with = "number")]
    pub accuracy: Option<i64>,
    /// Smallest and largest number.
    #[serde(deserialize_with = "text")]
    pub number_range: Option<String>,
    /// How dates are written.
    #[serde(deserialize_with = "text")]
    pub date_format: Option<String>,
    /// Most files.
    #[serde(deserialize_with = "number")]
    pub max_file_count: Option<i64>,
    /// 1 any file, 2 those listed.
    #[serde(deserialize_with = "number")]
    pub file_range: Option<i64>,
    /// Kinds of files.
    #[serde(deserialize_with = "text")]
    pub file_type: Option<String>,
    /// Ends of file names.
    #[serde(deserialize_with = "text")]
    pub self_def_file_suffix: Option<String>,
    /// 1 one target, 2 several.
    #[serde(deserialize_with = "number")]
    pub reference_type: Option<i64>,
}

/// The template that references lead to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemReference {
    /// Its handle.
    #[serde(deserialize_with = "text")]
    pub reference_meta_handle: Option<String>,
}

/// Templates that are to be published or withdrawn.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Turn {
    /// Their handles.
    pub meta_handle_list: Option<Vec<String>>,
    /// `publish` or `withdraw`.
    #[serde(deserialize_with = "text")]
    pub op_type: Option<String>,
}

/// A copy that is to be made of a template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Copy {
    /// The template.
    #[serde(deserialize_with = "text")]
    pub baseon_handle: Option<String>,
    /// What is said of the copy.
    pub base_info: Option<Basics>,
}

//----------- Grants ---------------------------------------------------------

/// Who is added to those listed, and who is taken away.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listed {
    /// Who is added.
    pub handle_users: Option<Vec<String>>,
    /// The same in another spelling.
    pub handle_list: Option<Vec<String>>,
    /// Who is taken away.
    pub remove_handle_users: Option<Vec<String>>,
}

/// With whom a template is shared.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateGrant {
    /// The template.
    #[serde(deserialize_with = "text")]
    pub meta_handle: Option<String>,
    /// 1 everybody, 2 those listed.
    #[serde(deserialize_with = "number")]
    pub scope: Option<i64>,
    /// Who is added and taken away.
    #[serde(flatten)]
    pub listed: Listed,
}

/// Who may read and write one identifier.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HandleGrant {
    /// The identifier.
    #[serde(deserialize_with = "text")]
    pub handle: Option<String>,
    /// 1 as its template says, 2 as said here.
    #[serde(deserialize_with = "number")]
    pub grant_type: Option<i64>,
    /// 1 everybody, 2 those listed.
    #[serde(deserialize_with = "text")]
    pub reader_scope: Option<String>,
    /// Readers that are added.
    pub handle_user_readers: Option<Vec<String>>,
    /// Writers that are added.
    pub handle_user_writers: Option<Vec<String>>,
    /// Readers that are taken away.
    pub del_handle_user_readers: Option<Vec<String>>,
    /// Writers that are taken away.
    pub del_handle_user_writers: Option<Vec<String>>,
}

/// Who may read and write fields of all identifiers of a template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassGrant {
    /// The template.
    #[serde(deserialize_with = "text")]
    pub meta_handle: Option<String>,
    /// The fields.
    pub access_list: Option<Vec<ItemAccess>>,
}

/// Who may read or write one field.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemAccess {
    /// The name of the field.
    #[serde(deserialize_with = "text")]
    pub item: Option<String>,
    /// 1 reading, 2 writing.
    #[serde(deserialize_with = "number")]
    pub auth_type: Option<i64>,
    /// 1 everybody, 2 those listed.
    #[serde(deserialize_with = "number")]
    pub scope: Option<i64>,
    /// Who is added and taken away.
    #[serde(flatten)]
    pub listed: Listed,
}

/// Fields that are shown to everybody, or not any more.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassPublic {
    /// The template.
    #[serde(deserialize_with = "text")]
    pub meta_handle: Option<String>,
    /// Names of the fields.
    pub items: Option<Vec<String>>,
    /// 1 show, 2 do not show any more.
    #[serde(deserialize_with = "number")]
    pub scope: Option<i64>,
}
