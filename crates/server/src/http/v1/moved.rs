//! What another node of this interface says, as records of ours that mean the same.
//!
//! Nothing here asks anybody, and nobody is believed: an answer may hold anything. Indexes, names
//! and identifiers stay what they are. A value that its field does not take stays as it is, and
//! that is told.

use guantong_api::doip::{Basics, Item};
use guantong_core::identity::Kind as IdentityKind;
use guantong_core::template::limit::{FIELD_INDEX_FIRST, FIELD_INDEX_LAST, NAME_CHARS_MAX};
use guantong_core::template::{
    Categories, Category, Definition, Extent, Field, State, Template, UNCLASSIFIED, field_found_by,
};
use guantong_proto::data::{Admin, AdminPermissions, List, PublicKey};
use guantong_proto::{CaseRule, Handle, Permissions, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{item, meta, object};
use crate::login::KEY_INDEX;

/// Index of the first administrator.
const ADMIN_INDEX: i32 = 100;
/// What is taken of the record of an identity.
const IDENTITY_TYPES: [&str; 3] = ["HS_PUBKEY", "HS_VLIST", "DESC"];

/// The values of a record, and what somebody should know of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Moved {
    pub(crate) values: Vec<Value>,
    pub(crate) notes: Vec<String>,
}

impl Moved {
    /// Whether there is nothing but administrators, and nothing to tell.
    pub(crate) fn is_bare(&self) -> bool {
        let is_admin = |value: &Value| value.kind == "HS_ADMIN";
        self.values.iter().all(is_admin) && self.notes.is_empty()
    }
}

//----------- Administrators -------------------------------------------------

/// Who may change a record: its creator, if it is an application of the prefix, so that its key
/// goes on working, and whoever holds the key of the prefix.
fn administrators(handle: &Handle, creator: Option<&str>) -> Vec<Value> {
    let owner = handle.borrow().prefix_handle();
    let creator = creator.map(|text| text.strip_prefix("300:").unwrap_or(text));
    let creator = creator.and_then(|name| Handle::parse(name).ok());
    let creator = creator.filter(|creator| {
        let creator = creator.borrow();
        let prefix = handle.borrow().prefix();
        IdentityKind::of(creator) == Some(IdentityKind::App)
            && creator.prefix().eq_ignore_ascii_case(prefix)
    });
    let names = creator.into_iter().chain([owner]);
    let values = (ADMIN_INDEX..).zip(names).map(|(index, name)| {
        let admin = Admin::new(AdminPermissions::ALL, name.as_str(), KEY_INDEX);
        Value::new(index, "HS_ADMIN", admin.encode())
    });
    values.collect()
}

//----------- Categories -----------------------------------------------------

/// A tree of categories, and what cannot be taken of it.
pub(crate) fn categories(handle: &Handle, said: &Json) -> Result<Moved, String> {
    let trees = said.as_array().ok_or("the answer is no list")?;
    let (mut all, mut notes) = (Categories::default(), Vec::new());
    for tree in trees {
        all = with_tree(all, tree, None, &mut notes);
    }
    let mut values = administrators(handle, None);
    values.extend(all.to_values());
    Ok(Moved { values, notes })
}

/// The depth of JSON is bounded by its parser, and so is this.
fn with_tree(
    mut all: Categories,
    tree: &Json,
    parent: Option<&str>,
    notes: &mut Vec<String>,
) -> Categories {
    let Some(code) = text(tree, "classifyCode") else {
        notes.push("a category without `classifyCode` is left out".to_owned());
        return all;
    };
    if code != UNCLASSIFIED {
        let sort = tree["sort"]
            .as_u64()
            .and_then(|sort| u32::try_from(sort).ok());
        let new = Category {
            id: 0,
            code: code.clone(),
            name: text(tree, "classifyName").unwrap_or_else(|| code.clone()),
            parent: parent.map(str::to_owned),
            sort: sort.unwrap_or_default(),
        };
        match all.clone().add(new) {
            Ok(more) => all = more,
            Err(fault) => {
                notes.push(format!("category `{code}`, and those below it: {fault}"));
                return all;
            }
        }
    }
    for child in tree["children"].as_array().into_iter().flatten() {
        let parent = Some(code.as_str()).filter(|code| *code != UNCLASSIFIED);
        all = with_tree(all, child, parent, notes);
    }
    all
}

/// The codes of all categories of a tree, from the top.
pub(crate) fn codes(said: &Json) -> Vec<String> {
    let mut codes = Vec::new();
    for tree in said.as_array().into_iter().flatten() {
        codes.extend(text(tree, "classifyCode"));
        codes.extend(self::codes(&tree["children"]));
    }
    codes
}

//----------- Templates ------------------------------------------------------

/// A template as `meta/info` tells it. One that is not published, and has identifiers, has been
/// withdrawn.
pub(crate) fn template(
    handle: Handle,
    said: &Json,
    has_identifiers: bool,
) -> Result<Template, String> {
    let basics = Basics::deserialize(said).map_err(|error| error.to_string())?;
    let items = said["itemVOS"].as_array().ok_or("it has no `itemVOS`")?;
    let field = |json: &Json| {
        let name = text(json, "englishName").unwrap_or_default();
        let item = Item::deserialize(json).map_err(|error| format!("item `{name}`: {error}"))?;
        if item.item_index.is_none() {
            return Err(format!("item `{name}` has no `itemIndex`"));
        }
        item::field(&item).map_err(|refusal| refusal.message)
    };
    let fields = items.iter().map(field).collect::<Result<_, _>>()?;
    let definition =
        meta::with_basics(Definition::default(), &basics).map_err(|refusal| refusal.message)?;
    // What is in no category is told as unclassified.
    let category = Some(definition.category).filter(|code| code != UNCLASSIFIED);
    let definition = Definition {
        fields,
        category: category.unwrap_or_default(),
        ..definition
    };
    let draft = Template::draft(handle, definition).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })?;
    let is_published = number(said, "metaState") == Some(1);
    let steps: &[State] = match (is_published, has_identifiers) {
        (true, _) => &[State::Published],
        (false, true) => &[State::Published, State::Withdrawn],
        (false, false) => &[],
    };
    let turned = steps
        .iter()
        .try_fold(draft, |template, to| template.turn(*to));
    turned.map_err(|error| error.to_string())
}

/// The record of a template.
pub(crate) fn template_values(template: &Template, said: &Json, rule: CaseRule) -> Vec<Value> {
    let creator = text(said, "createdBy");
    let mut values = administrators(template.handle(), creator.as_deref());
    values.extend(template.to_values(rule));
    values
}

//----------- Registrations --------------------------------------------------

/// An identifier as `Op.Retrieve` tells it to the application, and as it tells it to everybody.
pub(crate) fn registration(
    template: &Template,
    handle: &Handle,
    (own, public): (&Json, Option<&Json>),
    rule: CaseRule,
) -> Result<Moved, String> {
    let by = text(own, "type").unwrap_or_default();
    if !by.eq_ignore_ascii_case(template.handle().as_str()) {
        let listed = template.handle();
        return Err(format!(
            "it is of the type `{by}`, and was listed under {listed}"
        ));
    }
    let elements = own["attributes"]["elements"].as_array();
    let elements = elements.ok_or("the answer has no `attributes.elements`")?;
    let (mut given, mut kept, mut notes) = (Vec::new(), Vec::<Value>::new(), Vec::new());
    for element in elements {
        let name = text(element, "type").unwrap_or_default();
        let field = template.definition().field(&name);
        let taken = field.map(|field| field_value(template, field, &element["data"]));
        let why = match taken {
            Some(Ok(value)) => {
                given.extend(value);
                continue;
            }
            Some(Err(why)) => why,
            None => format!("{name}: the template has no such field any more"),
        };
        let index = field.map(|field| field.index);
        let index = index.or_else(|| i32::try_from(number(element, "index")?).ok());
        let is_index = |index: &i32| (FIELD_INDEX_FIRST..=FIELD_INDEX_LAST).contains(index);
        let is_named = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX;
        match index.filter(is_index).filter(|_| is_named) {
            Some(index) => {
                notes.push(format!("{why}; the value stays as it is"));
                let kind = field.map_or(name.as_str(), |field| &field.name);
                kept.push(hidden(index, kind, &element["data"]));
            }
            None => notes.push(format!("{why}; the value is left out")),
        }
    }
    let creator = text(&own["attributes"]["attributes"]["metaData"], "creator");
    let mut values = administrators(handle, creator.as_deref());
    values.extend(template.values(&given, rule));
    values.extend(kept);
    notes.extend(missing(template, &values));
    show(&mut values, template, public);
    values.sort_by_key(|value| value.index);
    let twice = values
        .windows(2)
        .find(|pair| pair[0].index == pair[1].index);
    match twice {
        Some(pair) => Err(format!("it has two values at index {}", pair[0].index)),
        None => Ok(Moved { values, notes }),
    }
}

/// The value of a field, checked; none if nothing is said.
fn field_value(
    template: &Template,
    field: &Field,
    data: &Json,
) -> Result<Option<guantong_core::template::FieldValue>, String> {
    let Some(said) = object::value(template, field, data).filter(|said| !said.is_null()) else {
        return Ok(None);
    };
    let mut alone = Map::new();
    alone.insert(field.name.clone(), said);
    match template.check(&alone, Extent::Part) {
        Ok(values) => Ok(values.into_iter().next()),
        Err(faults) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            Err(faults.join("; "))
        }
    }
}

/// A value that its field does not take, as it was said.
fn hidden(index: i32, kind: &str, data: &Json) -> Value {
    let text = match data {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(index, kind, text)
    }
}

/// What every identifier must have, and this one has not as far as the application sees.
fn missing(template: &Template, values: &[Value]) -> Vec<String> {
    let fields = template.definition().fields.iter();
    let required = fields.filter(|field| field.required && field.takes_values());
    let absent = required.filter(|field| values.iter().all(|value| value.index != field.index));
    absent
        .map(|field| {
            format!(
                "{}: required, and not shown to the application: grant it reading, then read anew",
                field.name
            )
        })
        .collect()
}

/// Lets everybody read what the other node lets everybody read.
fn show(values: &mut [Value], template: &Template, public: Option<&Json>) {
    let elements = public.and_then(|public| public["attributes"]["elements"].as_array());
    for element in elements.into_iter().flatten() {
        let name = text(element, "type").unwrap_or_default();
        let Some(field) = template.definition().field(&name) else {
            continue;
        };
        let is_its = |value: &Value| {
            value.index == field.index || field_found_by(value.index) == Some(field.index)
        };
        for value in values.iter_mut().filter(|value| is_its(value)) {
            value.permissions = Permissions::default();
        }
    }
}

//----------- Identities -----------------------------------------------------

/// An application or a group, by what everybody sees of its record.
pub(crate) fn identity(handle: &Handle, found: &[Value]) -> Result<Moved, String> {
    let (wanted, what) = match IdentityKind::of(handle.borrow()) {
        Some(IdentityKind::App) => ("HS_PUBKEY", "public key"),
        Some(IdentityKind::Group) => ("HS_VLIST", "list of members"),
        _ => {
            let why = "it is no application and no group; people get a login of their own with \
                       `guantong identity add-user`";
            return Err(why.to_owned());
        }
    };
    let is_sound = |value: &&Value| match value.kind.as_str() {
        "HS_PUBKEY" => PublicKey::decode(&value.data).is_ok(),
        "HS_VLIST" => List::decode(&value.data).is_ok(),
        _ => true,
    };
    let kept = found
        .iter()
        .filter(|value| IDENTITY_TYPES.contains(&value.kind.as_str()))
        .filter(is_sound);
    let kept: Vec<Value> = kept.cloned().collect();
    if kept.iter().all(|value| value.kind != wanted) {
        return Err(format!(
            "its record shows no {what} ({wanted}) that is sound"
        ));
    }
    let mut values = administrators(handle, None);
    let taken = |index: i32| kept.iter().any(|value| value.index == index);
    let free = (ADMIN_INDEX..).find(|index| !taken(*index));
    for value in &mut values {
        value.index = free.unwrap_or(ADMIN_INDEX);
    }
    values.extend(kept);
    values.sort_by_key(|value| value.index);
    Ok(Moved {
        values,
        notes: Vec::new(),
    })
}

//----------- JSON -----------------------------------------------------------

/// A text that is not empty, or a number as one.
pub(crate) fn text(json: &Json, name: &str) -> Option<String> {
    let text = match &json[name] {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A whole number, or a text that is one.
pub(crate) fn number(json: &Json, name: &str) -> Option<i64> {
    match &json[name] {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const RULE: CaseRule = CaseRule::Insensitive;

    fn handle(text: &str) -> Handle {
        Handle::parse(text).unwrap()
    }

    fn info() -> Json {
        let item = |index: i32, name: &str, kind: i32, required: i32| {
            json!({"itemIndex": index, "englishName": name, "chineseName": "名", "itemState": 0,
                   "required": required, "itemSchemaVO": {"dataType": kind},
                   "itemReferenceVO": {"referenceMetaHandle": "88.1/META_b"}})
        };
        json!({"metaName": "电池", "metaCode": "a", "metaState": 1, "createdBy": "88.1/App_x",
               "itemVOS": [item(2_000, "name", 1, 1), item(2_003, "mass", 2, 0),
                           item(2_007, "of", 5, 0)]})
    }

    fn template() -> Template {
        super::template(handle("88.1/META_a"), &info(), true).unwrap()
    }

    fn told(elements: &Json) -> Json {
        json!({"type": "88.1/META_a", "attributes": {"elements": elements, "attributes":
            {"metaData": {"creator": "300:88.1/App_x"}}}})
    }

    fn moved(own: &Json, public: Option<&Json>) -> Result<Moved, String> {
        registration(&template(), &handle("88.1/a"), (own, public), RULE)
    }

    #[test]
    fn indexes_names_and_states_of_a_template_stay() {
        let template = template();
        let fields = template.definition().fields.iter();
        let fields: Vec<_> = fields
            .map(|field| (field.index, field.name.as_str()))
            .collect();
        assert_eq!(fields, [(2_000, "name"), (2_003, "mass"), (2_007, "of")]);
        assert_eq!(template.state(), State::Published);
        let state = |has_identifiers| {
            let mut draft = info();
            draft["metaState"] = "0".into();
            super::super::moved::template(handle("88.1/META_a"), &draft, has_identifiers)
                .unwrap()
                .state()
        };
        assert_eq!(
            (state(false), state(true)),
            (State::Draft, State::Withdrawn)
        );
        let values = template_values(&template, &info(), RULE);
        let admin = Admin::decode(&values[0].data).unwrap();
        assert_eq!(admin.identity.handle.to_string(), "88.1/App_x");
    }

    #[test]
    fn item_that_maps_to_nothing_is_told_by_name() {
        let mut strange = info();
        strange["itemVOS"][1]["itemSchemaVO"]["dataType"] = 9.into();
        let why = super::template(handle("88.1/META_a"), &strange, false).unwrap_err();
        assert!(why.contains("mass") && why.contains("dataType"), "{why}");
    }

    #[test]
    fn values_keep_their_indexes_and_are_public_if_they_were() {
        let own = told(&json!([
            {"index": 2000, "type": "name", "data": "x"},
            {"index": 2003, "type": "mass", "data": "1.50"},
            {"index": 2007, "type": "of", "data": ["88.1/b"]},
        ]));
        let public = told(&json!([{"index": 2000, "type": "name", "data": "x"}]));
        let moved = moved(&own, Some(&public)).unwrap();
        assert_eq!(moved.notes, Vec::<String>::new());
        let of = |index: i32| {
            moved
                .values
                .iter()
                .find(|value| value.index == index)
                .unwrap()
        };
        assert_eq!(
            (of(2_000).kind.as_str(), of(2_000).text()),
            ("name", Some("x"))
        );
        assert_eq!(of(2_003).text(), Some("1.5"));
        assert_eq!(of(2_000).permissions, Permissions::default());
        assert_ne!(of(2_003).permissions, Permissions::default());
    }

    #[test]
    fn what_is_withheld_or_unfit_is_told() {
        let own = told(&json!([
            {"index": 2003, "type": "mass", "data": "heavy"},
            {"index": 2040, "type": "gone", "data": 7},
            {"index": 7, "type": "low", "data": 7},
        ]));
        let moved = moved(&own, None).unwrap();
        let notes = moved.notes.join("\n");
        for word in ["mass", "gone", "low", "name: required"] {
            assert!(notes.contains(word), "{word}: {notes}");
        }
        let text = |index: i32| {
            let value = moved.values.iter().find(|value| value.index == index);
            value.and_then(Value::text)
        };
        assert_eq!(
            (text(2_003), text(2_040), text(7)),
            (Some("heavy"), Some("7"), None)
        );
    }

    #[test]
    fn identifier_of_another_template_and_two_values_at_one_index_are_refused() {
        let mut other = told(&json!([]));
        other["type"] = "88.1/META_b".into();
        assert!(moved(&other, None).unwrap_err().contains("META_b"));
        let twice = json!([{"index": 2040, "type": "a", "data": 1},
                           {"index": 2040, "type": "b", "data": 2}]);
        assert!(moved(&told(&twice), None).unwrap_err().contains("2040"));
    }

    #[test]
    fn application_needs_a_sound_key_and_a_user_is_not_moved() {
        let app = handle("88.1/App_x");
        let broken = [Value::new(300, "HS_PUBKEY", "x")];
        assert!(identity(&app, &broken).unwrap_err().contains("HS_PUBKEY"));
        assert!(identity(&app, &[]).is_err());
        let secret = Value::new(301, "HS_SECKEY", "x");
        assert!(identity(&handle("88.1/User_x"), &[secret]).is_err());
    }

    #[test]
    fn categories_keep_their_place_and_strange_ones_are_told() {
        let tree = json!([
            {"classifyCode": "unclassified", "children": []},
            {"classifyCode": "a", "classifyName": "甲", "sort": 2, "children":
                [{"classifyCode": "b", "classifyName": "乙", "children": null}]},
            {"classifyCode": "a"}, 7,
        ]);
        assert_eq!(codes(&tree), ["unclassified", "a", "b", "a"]);
        let moved = categories(&handle("88.1/CATEGORIES"), &tree).unwrap();
        assert_eq!((moved.values.len(), moved.notes.len()), (3, 2), "{moved:?}");
    }

    fn garbage() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<i64>().prop_map(Json::from),
            "[a-z0-9./_]{0,8}".prop_map(Json::from),
            Just(json!("name")),
            Just(json!("88.1/META_a")),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let name = prop::sample::select(vec![
                "type",
                "attributes",
                "elements",
                "index",
                "data",
                "itemVOS",
                "itemSchemaVO",
                "dataType",
                "classifyCode",
                "children",
                "sort",
                "englishName",
                "itemIndex",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((name, inner), 0..6).prop_map(|pairs| {
                    let pairs = pairs
                        .into_iter()
                        .map(|(name, json)| (name.to_owned(), json));
                    Json::Object(pairs.collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_answer_makes_a_panic(json in garbage()) {
            drop(super::template(handle("88.1/META_a"), &json, true));
            drop(categories(&handle("88.1/CATEGORIES"), &json));
            drop(moved(&json, Some(&json)));
            drop(moved(&told(&json), Some(&told(&json))));
            drop(codes(&json));
        }
    }
}
