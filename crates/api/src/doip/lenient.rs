//! Numbers and texts however clients write them.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;

/// A whole number, or a text that is one. An empty text says nothing.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let wrong = |found: &dyn std::fmt::Display| {
        Err(de::Error::custom(format!(
            "`{found}` is not a whole number"
        )))
    };
    match Json::deserialize(deserializer)? {
        Json::Null => Ok(None),
        Json::Bool(is) => Ok(Some(is.into())),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| wrong(&number), |n| Ok(Some(n))),
        Json::String(text) if text.trim().is_empty() => Ok(None),
        Json::String(text) => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => wrong(&text.chars().take(40).collect::<String>()),
        },
        _ => wrong(&"a list or an object"),
    }
}

/// A text, or a number.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text)),
        Json::Number(number) => Ok(Some(number.to_string())),
        Json::Bool(is) => Ok(Some(is.to_string())),
        _ => Err(de::Error::custom("a list or an object is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChangedItems, Item, Operation};

    #[test]
    fn nulls_say_nothing_and_numbers_come_as_texts_too() {
        let item: Item = serde_json::from_str(
            r#"{"itemIndex":"2003","itemCode":7,"englishName":null,"acl":null,"required":true,
                "itemSchemaCreateDTO":{"dataType":"5","maxLength":"","charRange":null},
                "itemReferenceDTO":null}"#,
        )
        .unwrap();
        assert_eq!((item.item_index, item.required), (Some(2_003), Some(1)));
        assert_eq!(
            (item.item_code.as_deref(), item.english_name),
            (Some("7"), None)
        );
        let schema = item.schema.unwrap();
        assert_eq!((schema.data_type, schema.max_length), (Some(5), None));
        let nothing: Operation =
            serde_json::from_str(r#"{"requestId":null,"type":null,"attributes":null}"#).unwrap();
        assert!(nothing.kind.is_none() && nothing.attributes.is_none());
        let misspelt: ChangedItems = serde_json::from_str(r#"{"metaHanlde":"a/b"}"#).unwrap();
        assert_eq!(misspelt.meta_handle_misspelt.as_deref(), Some("a/b"));
    }

    #[test]
    fn what_is_no_number_and_no_text_is_refused() {
        for bad in [
            r#"{"itemIndex":"x"}"#,
            r#"{"itemIndex":1.5}"#,
            r#"{"itemIndex":[]}"#,
            r#"{"itemCode":{}}"#,
            r#"{"itemSchemaCreateDTO":7}"#,
        ] {
            assert!(serde_json::from_str::<Item>(bad).is_err(), "{bad}");
        }
    }
}
