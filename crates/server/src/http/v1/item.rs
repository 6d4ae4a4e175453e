//! What an item of a template says, as a field, and back.

use guantong_api::doip::{Item, ItemReference, ItemSchema};
use guantong_core::template::limit::{COUNT_MAX, DIGITS_MAX, TEXT_CHARS_MAX};
use guantong_core::template::{
    Date, Decimal, Field, Files, Kind, Notes, Number, Precision, Readers, Reference, Text,
};

use super::refusal::Refusal;

/// Digits behind the point of a number whose item does not say how many.
const DECIMALS_USUAL: u8 = 6;
/// Kinds of documents by their numbers. Others, 1 and 6 among them, say nothing that is known.
const DOCUMENTS: [(&str, &[&str]); 4] = [
    ("2", &["doc", "docx", "dot", "xps"]),
    ("3", &["xls", "xlsx", "xlsb", "xlsm", "csv"]),
    ("4", &["pdf"]),
    ("5", &["zip", "rar"]),
];
/// How dates are written, and what that is here; letters are compared without case.
const DATE_FORMATS: [(&str, Precision); 3] = [
    ("yyyy-mm-dd", Precision::Day),
    ("yyyy-mm-dd hh:mm:ss", Precision::Second),
    ("yyyy-mm-dd't'hh:mm:ssxxx", Precision::Moment),
];

// Words of items that a field has no meaning for; they are kept as they were said.
const CHAR_RANGE: &str = "charRange";
const NUMBER_RANGE: &str = "numberRange";
const DIGITS: &str = "maxLength";
const DATE_FORMAT: &str = "dateFormat";
const FILE_TYPE: &str = "fileType";
const FILE_SUFFIX: &str = "selfDefFileSuffix";
const FILE_RANGE: &str = "fileRange";

//----------- Item to field --------------------------------------------------

/// The field that an item describes.
pub(super) fn field(item: &Item) -> Result<Field, Refusal> {
    let name = item.english_name.as_deref().unwrap_or_default().trim();
    let wrong = |what: String| Refusal::parameter(format!("item `{name}`: {what}"));
    let schema = item.schema.clone().unwrap_or_default();
    let is_set = |flag: Option<i64>| flag == Some(1);
    let state = item.item_state.unwrap_or_default();
    if !(0..=2).contains(&state) {
        return Err(wrong("`itemState` is 0, 1 or 2".to_owned()));
    }
    let index = item.item_index.unwrap_or_default();
    let index = i32::try_from(index).map_err(|_| wrong("`itemIndex` is no index".to_owned()))?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(Field {
        index,
        name: name.to_owned(),
        label: text(&item.chinese_name),
        description: text(&item.definition),
        kind: kind(&schema, item.reference.as_ref()).map_err(wrong)?,
        required: is_set(item.required),
        unique: is_set(item.unique_field),
        searchable: false,
        readers: Readers::Administrators,
        disabled: state == 1,
        pending: state == 2,
        notes: Notes {
            code: text(&item.item_code),
            comment: text(&item.comment),
            not_in_forms: item.input_necessary == Some(0),
            not_in_lists: item.list_item_necessary == Some(0),
            said: said(&schema),
        },
    })
}

/// The same item with what an item that changes it does not say.
pub(super) fn over(old: &Field, new: Item) -> Result<Field, Refusal> {
    let old_item = item(old);
    let merged = Item {
        item_index: Some(old.index.into()),
        item_code: new.item_code.or(old_item.item_code),
        english_name: new.english_name.or(old_item.english_name),
        chinese_name: new.chinese_name.or(old_item.chinese_name),
        item_state: new.item_state.or(old_item.item_state),
        definition: new.definition.or(old_item.definition),
        comment: new.comment.or(old_item.comment),
        input_necessary: new.input_necessary.or(old_item.input_necessary),
        list_item_necessary: new.list_item_necessary.or(old_item.list_item_necessary),
        required: new.required.or(old_item.required),
        unique_field: new.unique_field.or(old_item.unique_field),
        schema: new.schema.or(old_item.schema),
        reference: new.reference.or(old_item.reference),
    };
    // What items have no word for stays.
    Ok(Field {
        searchable: old.searchable,
        readers: old.readers,
        ..field(&merged)?
    })
}

fn said(schema: &ItemSchema) -> std::collections::BTreeMap<String, String> {
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    let digits = number(schema.max_length.filter(|_| schema.data_type == Some(2)));
    let words = [
        (CHAR_RANGE, schema.char_range.clone()),
        (NUMBER_RANGE, schema.number_range.clone()),
        (DIGITS, digits),
        (DATE_FORMAT, schema.date_format.clone()),
        (FILE_TYPE, schema.file_type.clone()),
        (FILE_SUFFIX, schema.self_def_file_suffix.clone()),
        (FILE_RANGE, number(schema.file_range)),
    ];
    let words = words.into_iter().filter_map(|(name, text)| {
        let text = text.filter(|text| !text.is_empty())?;
        Some((name.to_owned(), text))
    });
    words.collect()
}

fn kind(schema: &ItemSchema, reference: Option<&ItemReference>) -> Result<Kind, String> {
    Ok(match schema.data_type {
        None | Some(1) => Kind::Text(text(schema)?),
        Some(2) => Kind::Number(number(schema)?),
        Some(3) => Kind::Date(Date {
            precision: precision(schema.date_format.as_deref().unwrap_or_default())?,
        }),
        Some(4) => Kind::File(files(schema)?),
        Some(5) => Kind::Reference(Reference {
            template: reference
                .and_then(|to| to.reference_meta_handle.clone())
                .ok_or("`referenceMetaHandle` is missing: which template do they refer to?")?,
            count_max: match schema.reference_type {
                Some(2) => COUNT_MAX,
                _ => 1,
            },
        }),
        Some(6) => Kind::Audio(files(schema)?),
        Some(7) => Kind::Video(files(schema)?),
        Some(8) => Kind::Image(files(schema)?),
        Some(other) => return Err(format!("`dataType` {other} is none of 1 to 8")),
    })
}

fn text(schema: &ItemSchema) -> Result<Text, String> {
    let length = |number: Option<i64>, usual: u32, name: &str| match number {
        None => Ok(usual),
        Some(number) => u32::try_from(number).map_err(|_| format!("`{name}` is no length")),
    };
    Ok(Text {
        length_min: length(schema.min_length, 0, "minLength")?,
        length_max: match length(schema.max_length, TEXT_CHARS_MAX, "maxLength")? {
            0 => TEXT_CHARS_MAX,
            length => length,
        },
        pattern: None,
    })
}

/// A number of so many digits. There are never more than [`DIGITS_MAX`], whatever an item says.
fn number(schema: &ItemSchema) -> Result<Number, String> {
    let decimals = match schema.accuracy {
        None => DECIMALS_USUAL,
        Some(accuracy) => u8::try_from(accuracy)
            .ok()
            .filter(|decimals| u32::from(*decimals) <= DIGITS_MAX)
            .ok_or(format!("`accuracy` is from 0 to {DIGITS_MAX}"))?,
    };
    let digits = schema
        .max_length
        .and_then(|digits| u32::try_from(digits).ok());
    let digits = digits.filter(|digits| (1..DIGITS_MAX).contains(digits));
    let largest = digits.and_then(|digits| {
        let whole = usize::try_from(digits)
            .ok()?
            .saturating_sub(decimals.into());
        let nines = |count: usize| "9".repeat(count);
        let whole = if whole == 0 {
            "0".to_owned()
        } else {
            nines(whole)
        };
        let behind = nines(usize::from(decimals).min(usize::try_from(digits).ok()?));
        let text = match behind.is_empty() {
            true => whole,
            false => format!("{whole}.{behind}"),
        };
        Some((format!("-{text}"), text))
    });
    let bound = |text: &str| text.trim().parse::<Decimal>().ok();
    let (least, most) = match schema.number_range.as_deref().and_then(range) {
        Some(pair) => pair,
        None => largest.unwrap_or_default(),
    };
    Ok(Number {
        decimals,
        minimum: bound(&least),
        maximum: bound(&most),
    })
}

/// Two numbers, however they are parted and enclosed: `0,100`, `[0,100]`, `0~100`.
fn range(text: &str) -> Option<(String, String)> {
    let inner = text.trim().trim_matches(['[', ']', '(', ')']);
    let (least, most) = inner.split_once([',', '，', '~', '～'])?;
    let (least, most) = (least.trim(), most.trim());
    let is_number = |text: &str| text.is_empty() || text.parse::<Decimal>().is_ok();
    (is_number(least) && is_number(most)).then(|| (least.to_owned(), most.to_owned()))
}

fn precision(format: &str) -> Result<Precision, String> {
    if format.trim().is_empty() {
        return Ok(Precision::Day);
    }
    let known = DATE_FORMATS.iter();
    let mut known = known.filter(|(name, _)| name.eq_ignore_ascii_case(format.trim()));
    let found = known.next().map(|(_, precision)| *precision);
    found.ok_or_else(|| {
        format!("`dateFormat` is yyyy-MM-dd or yyyy-MM-dd HH:mm:ss; `{format}` is not taken")
    })
}

fn files(schema: &ItemSchema) -> Result<Files, String> {
    let count = schema.max_file_count.unwrap_or(1);
    let count_max = u16::try_from(count).map_err(|_| "`maxFileCount` is no number".to_owned())?;
    let list = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        let parts = text.split([',', '，', ';', ' ']).map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        parts
            .map(|part| part.trim_start_matches(['.', '*']).to_ascii_lowercase())
            .collect()
    };
    let mut suffixes = Vec::new();
    if schema.file_range == Some(2) {
        for kind in list(&schema.file_type) {
            let known = DOCUMENTS.iter().filter(|(number, _)| *number == kind);
            suffixes.extend(known.flat_map(|(_, ends)| ends.iter().map(|end| (*end).to_owned())));
        }
        suffixes.extend(list(&schema.self_def_file_suffix));
    }
    Ok(Files {
        count_max,
        suffixes,
    })
}

//----------- Field to item --------------------------------------------------

/// The item that describes a field.
pub(super) fn item(field: &Field) -> Item {
    let text = |text: &str| Some(text.to_owned());
    Item {
        item_index: Some(field.index.into()),
        item_code: text(&field.notes.code),
        english_name: text(&field.name),
        chinese_name: text(&field.label),
        item_state: Some(match (field.disabled, field.pending) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }),
        definition: text(&field.description),
        comment: text(&field.notes.comment),
        input_necessary: Some((!field.notes.not_in_forms).into()),
        list_item_necessary: Some((!field.notes.not_in_lists).into()),
        required: Some(field.required.into()),
        unique_field: Some(field.unique.into()),
        schema: Some(schema(field)),
        reference: match &field.kind {
            Kind::Reference(reference) => Some(ItemReference {
                reference_meta_handle: text(&reference.template),
            }),
            _ => None,
        },
    }
}

fn schema(field: &Field) -> ItemSchema {
    let said = |name: &str| field.notes.said.get(name).cloned();
    let number = |name: &str| said(name).and_then(|text| text.parse().ok());
    let form = ItemSchema {
        data_type: Some(data_type(&field.kind)),
        char_range: said(CHAR_RANGE),
        ..ItemSchema::default()
    };
    match &field.kind {
        Kind::Text(text) => ItemSchema {
            min_length: Some(text.length_min.into()),
            max_length: Some(text.length_max.into()),
            ..form
        },
        Kind::Number(kind) => ItemSchema {
            max_length: number(DIGITS),
            accuracy: Some(kind.decimals.into()),
            number_range: said(NUMBER_RANGE),
            ..form
        },
        Kind::Date(date) => ItemSchema {
            date_format: said(DATE_FORMAT).or_else(|| {
                let name = match date.precision {
                    Precision::Day => "yyyy-MM-dd",
                    Precision::Second => "yyyy-MM-dd HH:mm:ss",
                    Precision::Moment => "yyyy-MM-dd'T'HH:mm:ssXXX",
                };
                Some(name.to_owned())
            }),
            ..form
        },
        Kind::Reference(reference) => ItemSchema {
            reference_type: Some(if reference.count_max > 1 { 2 } else { 1 }),
            ..form
        },
        Kind::File(files) | Kind::Audio(files) | Kind::Video(files) | Kind::Image(files) => {
            let suffixes = files.suffixes.join(",");
            ItemSchema {
                max_file_count: Some(files.count_max.into()),
                file_range: number(FILE_RANGE).or(Some(if suffixes.is_empty() { 1 } else { 2 })),
                file_type: said(FILE_TYPE),
                self_def_file_suffix: said(FILE_SUFFIX)
                    .or((!suffixes.is_empty() && said(FILE_TYPE).is_none()).then_some(suffixes)),
                ..form
            }
        }
    }
}

/// What values are, as a number.
pub(super) fn data_type(kind: &Kind) -> i64 {
    match kind {
        Kind::Text(_) => 1,
        Kind::Number(_) => 2,
        Kind::Date(_) => 3,
        Kind::File(_) => 4,
        Kind::Reference(_) => 5,
        Kind::Audio(_) => 6,
        Kind::Video(_) => 7,
        Kind::Image(_) => 8,
    }
}

/// The same in a word.
pub(super) fn data_type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(_) => "text",
        Kind::Number(_) => "number",
        Kind::Date(_) => "date",
        Kind::File(_) => "file",
        Kind::Reference(_) => "reference",
        Kind::Audio(_) => "audio",
        Kind::Video(_) => "video",
        Kind::Image(_) => "image",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn of(json: Json) -> Result<Field, Refusal> {
        field(&serde_json::from_value(json).unwrap())
    }

    fn of_schema(schema: Json) -> Result<Kind, Refusal> {
        let mut item = json!({"englishName": "a",
                              "itemReferenceDTO": {"referenceMetaHandle": "88.1/META_b"}});
        item["itemSchemaCreateDTO"] = schema;
        of(item).map(|field| field.kind)
    }

    #[test]
    fn items_of_every_type_become_fields_and_come_back() {
        for schema in [
            json!({"dataType": 1, "minLength": 2, "maxLength": 40, "charRange": "2"}),
            json!({"dataType": "2", "maxLength": 38, "accuracy": 2, "numberRange": "0,100"}),
            json!({"dataType": 3, "dateFormat": "YYYY-MM-DD"}),
            json!({"dataType": 3, "dateFormat": "yyyy-MM-dd HH:mm:ss"}),
            json!({"dataType": 4, "maxFileCount": 5, "fileRange": 2, "fileType": "2,4"}),
            json!({"dataType": 5, "referenceType": 2}),
            json!({"dataType": 6}),
            json!({"dataType": 7, "fileRange": 2, "selfDefFileSuffix": ".MP4,avi"}),
            json!({"dataType": 8, "fileRange": 1}),
        ] {
            let said = json!({"englishName": "a", "chineseName": "名", "itemIndex": 2007,
                "itemState": 2, "inputNecessary": 0, "listItemNecessary": 1, "required": 1,
                "itemCode": "c", "definition": "d", "comment": "e",
                "itemSchemaCreateDTO": schema,
                "itemReferenceDTO": {"referenceMetaHandle": "88.1/META_b"}});
            let made = of(said).unwrap();
            assert!(
                made.pending && made.notes.not_in_forms && made.required,
                "{made:?}"
            );
            let back = serde_json::to_value(item(&made)).unwrap();
            assert_eq!(
                (&back["itemState"], &back["itemIndex"]),
                (&json!(2), &json!(2007))
            );
            let back_schema = &back["itemSchemaVO"];
            for (name, value) in schema.as_object().unwrap() {
                let wanted = match name.as_str() {
                    "dataType" => json!(data_type(&made.kind)),
                    _ => value.clone(),
                };
                assert_eq!(back_schema[name], wanted, "{name} of {back}");
            }
            // What has come back is taken again.
            let again = field(&serde_json::from_value(back).unwrap()).unwrap();
            assert_eq!((again.kind, again.pending), (made.kind, made.pending));
        }
    }

    #[test]
    fn numbers_have_as_many_digits_as_fit_and_their_range() {
        let bounds = |schema: Json| match of_schema(schema).unwrap() {
            Kind::Number(number) => [number.minimum, number.maximum]
                .map(|bound| bound.map(|bound| bound.to_string()).unwrap_or_default()),
            _ => unreachable!(),
        };
        assert_eq!(bounds(json!({"dataType": 2, "maxLength": 38})), ["", ""]);
        let digits = json!({"dataType": 2, "maxLength": 5, "accuracy": 2});
        assert_eq!(bounds(digits), ["-999.99", "999.99"]);
        for range in ["1,10", "[1, 10]", "1~10", "(1，10)"] {
            assert_eq!(
                bounds(json!({"dataType": 2, "numberRange": range})),
                ["1", "10"]
            );
        }
        assert_eq!(bounds(json!({"dataType": 2, "numberRange": "3"})), ["", ""]);
    }

    #[test]
    fn items_that_make_no_sense_are_refused_by_name() {
        for (schema, word) in [
            (json!({"dataType": 9}), "dataType"),
            (json!({"dataType": 2, "accuracy": 16}), "accuracy"),
            (json!({"dataType": 3, "dateFormat": "dd/MM"}), "dateFormat"),
            (json!({"dataType": 1, "minLength": -1}), "minLength"),
            (json!({"dataType": 4, "maxFileCount": -1}), "maxFileCount"),
        ] {
            let refusal = of_schema(schema).unwrap_err();
            assert!(refusal.message.contains(word), "{refusal:?}");
        }
        let alone = json!({"englishName": "a", "itemSchemaCreateDTO": {"dataType": 5}});
        assert!(
            of(alone)
                .unwrap_err()
                .message
                .contains("referenceMetaHandle")
        );
        assert!(of(json!({"englishName": "a", "itemState": 3})).is_err());
        assert!(of(json!({"englishName": "a", "itemIndex": i64::MAX})).is_err());
    }
}
