//! The JSON forms of the interface of second-level nodes (SNMS, versions 3 and 5), as its clients
//! send and expect them.
//!
//! A null is as good as nothing, and fields that are not known are passed over: clients send both.

use serde::{Deserialize, Deserializer, Serialize};

/// Most rows of a batch.
pub const ROWS_MAX: usize = 2_000;

//----------- Envelope -------------------------------------------------------

/// Every answer.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    /// What came of the request: [`DONE`] or one of the others.
    pub status: i32,
    /// What it means, for people.
    pub message: String,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
}

/// It was done.
pub const DONE: i32 = 1;
/// The sender is not logged in.
pub const NOT_LOGGED_IN: i32 = -1;
/// It was not done; the message says why.
pub const REFUSED: i32 = -2;
/// The sender may not.
pub const NOT_ALLOWED: i32 = -3;
/// The node could not.
pub const FAILED: i32 = -4;

/// A null as if it were not there.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// A text, or a number as text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Either::Text(text)) => text,
        Some(Either::Number(number)) => number.to_string(),
        None => String::new(),
    })
}

/// A number, or its digits as text; 0 for none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let digits = text(deserializer)?;
    match digits.trim() {
        "" => Ok(0),
        digits => digits.parse().map_err(serde::de::Error::custom),
    }
}

//----------- Login ----------------------------------------------------------

/// Who logs in, and by what.
#[derive(Deserialize)]
pub struct Login {
    /// The name.
    #[serde(default, deserialize_with = "lenient")]
    pub username: String,
    /// The password, or its digest of the day.
    #[serde(default, deserialize_with = "lenient")]
    pub password: String,
}

/// By what the sender is known from now on.
#[derive(Serialize)]
pub struct TokenAnswer {
    /// The token.
    pub token: String,
}

//----------- Identifiers ----------------------------------------------------

/// A registration that is to be made, or changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registration {
    /// Its handle.
    #[serde(deserialize_with = "lenient")]
    pub handle: String,
    /// The version of its template, which is that of the prefix of the handle.
    #[serde(deserialize_with = "text")]
    pub template_version: String,
    /// The values.
    #[serde(deserialize_with = "lenient")]
    pub value: Vec<RegistrationValue>,
}

/// A value of a registration.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegistrationValue {
    /// The index of the field.
    #[serde(deserialize_with = "number")]
    pub index: i64,
    /// The type: the `idType` of the field.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// The data.
    #[serde(deserialize_with = "lenient")]
    pub data: RegistrationData,
}

/// The data of a value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegistrationData {
    /// The text.
    #[serde(deserialize_with = "text")]
    pub value: String,
}

/// A handle in a body.
#[derive(Debug, Deserialize)]
pub struct Named {
    /// The handle.
    #[serde(default, deserialize_with = "lenient")]
    pub handle: String,
}

/// The handles that are deleted together: a list, or an object with a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Handles {
    /// The list alone, as clients send it.
    List(Vec<String>),
    /// As the documents of the interface say.
    Object {
        /// The list.
        handles: Vec<String>,
    },
}

impl Handles {
    /// The list.
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::List(handles) | Self::Object { handles } => handles,
        }
    }
}

/// A registration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationAnswer {
    /// The prefix.
    pub prefix: String,
    /// The handle.
    pub handle: String,
    /// The version of the template.
    pub template_version: String,
    /// The values that the sender may read.
    pub value: Vec<ValueAnswer>,
}

/// A value of a registration.
#[derive(Debug, Serialize)]
pub struct ValueAnswer {
    /// The index.
    pub index: i32,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who may: read and write of administrators, then of everybody, each 1 or 0.
    pub auth: String,
    /// The data.
    pub data: DataAnswer,
}

/// The data of a value.
#[derive(Debug, Serialize)]
pub struct DataAnswer {
    /// What follows; always `string`.
    pub format: &'static str,
    /// The text.
    pub value: String,
}

/// What came of a row.
#[derive(Debug, Serialize)]
pub struct RowAnswer {
    /// The handle.
    pub handle: String,
    /// [`DONE`] or [`REFUSED`].
    pub code: i32,
    /// What it means.
    pub msg: String,
}

//----------- Users ----------------------------------------------------------

/// A user who is to be made.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NewUser {
    /// His name.
    #[serde(deserialize_with = "lenient")]
    pub user_name: String,
    /// SHA-256 of his password, in hexadecimal digits.
    #[serde(deserialize_with = "lenient")]
    pub password: String,
    /// His address of electronic mail.
    #[serde(deserialize_with = "lenient")]
    pub email: String,
    /// The number of his mobile telephone.
    #[serde(deserialize_with = "text")]
    pub mobile: String,
    /// What another system knows him by.
    #[serde(deserialize_with = "text")]
    pub open_id: String,
    /// What another system calls him.
    #[serde(deserialize_with = "lenient")]
    pub open_user_name: String,
    /// What else there is to say.
    #[serde(deserialize_with = "lenient")]
    pub remarks: String,
}

//----------- Templates ------------------------------------------------------

/// Which template.
#[derive(Debug, Deserialize)]
pub struct TemplateName {
    /// The prefix.
    #[serde(default, deserialize_with = "lenient")]
    pub prefix: String,
    /// The version.
    #[serde(default, deserialize_with = "text")]
    pub version: String,
}

/// A template that is to be made, or changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateForm {
    /// The prefix.
    #[serde(deserialize_with = "lenient")]
    pub prefix: String,
    /// The version.
    #[serde(deserialize_with = "text")]
    pub version: String,
    /// How people call it.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// The section of the industry.
    #[serde(deserialize_with = "text")]
    pub industry_category: String,
    /// Its division.
    #[serde(deserialize_with = "text")]
    pub industry_specific: String,
    /// Its group.
    #[serde(deserialize_with = "text")]
    pub industry_trade: String,
    /// Its class.
    #[serde(deserialize_with = "text")]
    pub industry_subclass: String,
    /// 1 for carriers that tell their identifiers themselves, 2 for others.
    #[serde(rename = "type", deserialize_with = "number")]
    pub kind: i64,
    /// What it is for.
    #[serde(deserialize_with = "lenient")]
    pub description: String,
    /// The fields.
    #[serde(deserialize_with = "lenient")]
    pub items: Vec<Item>,
}

/// A field of a template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Item {
    /// How people call it.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// The type of its values.
    #[serde(deserialize_with = "lenient")]
    pub id_type: String,
    /// The index of its values; 0 if it is to be chosen.
    #[serde(deserialize_with = "number")]
    pub id_index: i64,
    /// Whether every registration has a value.
    #[serde(deserialize_with = "flag")]
    pub required: bool,
    /// 0 if it takes no values any more, 1 if it does; as before if it is not said.
    #[serde(rename = "state", deserialize_with = "state")]
    pub is_off: Option<bool>,
    /// What its values are.
    #[serde(deserialize_with = "lenient")]
    pub metadata: Metadata,
}

/// A yes in any of its spellings.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Flag(bool),
        Number(i64),
        Text(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Either::Flag(flag)) => flag,
        Some(Either::Number(number)) => number != 0,
        Some(Either::Text(text)) => matches!(text.trim(), "1" | "true"),
        None => false,
    })
}

/// Whether a field is switched off: it is by 0.
fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let state = text(deserializer)?;
    Ok((!state.is_empty()).then(|| state.trim() == "0"))
}

/// What the values of a field are.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// `string`, whatever the case; nothing else is known here.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Fewest characters.
    #[serde(deserialize_with = "number")]
    pub min_length: i64,
    /// Most characters; 0 for the most that there are.
    #[serde(deserialize_with = "number")]
    pub max_length: i64,
}

/// A template.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateAnswer {
    /// A number that stays the same.
    pub id: u64,
    /// The prefix.
    pub prefix: String,
    /// How people call it.
    pub name: String,
    /// The version.
    pub version: String,
    /// The section of the industry.
    pub industry_category: String,
    /// Its division.
    pub industry_specific: String,
    /// Its group.
    pub industry_trade: String,
    /// Its class.
    pub industry_subclass: String,
    /// 1 for carriers that tell their identifiers themselves, 2 for others.
    #[serde(rename = "type")]
    pub kind: i32,
    /// What it is for.
    pub description: String,
    /// The handle; in version 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The fields.
    pub items: Vec<ItemAnswer>,
}

/// A field of a template.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemAnswer {
    /// How people call it.
    pub name: String,
    /// The type of its values.
    pub id_type: String,
    /// The index of its values; in version 5, as the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_index: Option<i32>,
    /// 0 if it takes no values any more, or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<i32>,
    /// A number that stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_id: Option<u64>,
    /// Whether every registration has a value.
    pub required: bool,
    /// What its values are.
    pub metadata: MetadataAnswer,
}

/// What the values of a field are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataAnswer {
    /// Always `string`: values are texts here.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Fewest characters.
    pub min_length: u32,
    /// Most characters.
    pub max_length: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_nothing_and_numbers_may_be_texts() {
        let json = r#"{"handle":"88.1/a","templateVersion":3,"more":{},"value":[
            {"index":"2000","type":"a","auth":null,"data":{"format":"string","value":7}},
            {"index":null,"type":null,"data":null}]}"#;
        let form: Registration = serde_json::from_str(json).unwrap();
        assert_eq!(form.template_version, "3");
        assert_eq!((form.value[0].index, form.value[1].index), (2000, 0));
        assert_eq!(form.value[0].data.value, "7");
        let form: TemplateForm = serde_json::from_str(
            r#"{"type":"1","items":[{"required":1,"state":0},{"required":"true","state":"1"},{}]}"#,
        )
        .unwrap();
        let flags = form.items.iter().map(|item| (item.required, item.is_off));
        assert_eq!(
            flags.collect::<Vec<_>>(),
            [(true, Some(true)), (true, Some(false)), (false, None)]
        );
        assert!(serde_json::from_str::<Registration>(r#"{"value":[{"index":"x"}]}"#).is_err());
    }

    #[test]
    fn handles_come_as_a_list_or_in_an_object() {
        for json in [r#"["88.1/a"]"#, r#"{"handles":["88.1/a"]}"#] {
            let handles: Handles = serde_json::from_str(json).unwrap();
            assert_eq!(handles.into_list(), ["88.1/a"]);
        }
    }
}
