//! Retrieving an identifier: what the caller may read of it, in every form that clients read.

use guantong_api::doip::{Code, Element};
use guantong_core::authority::Outcome;
use guantong_core::template::{State, Template};
use guantong_proto::data::Admin;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values, is_of_type};
use serde_json::{Map, Value as Json, json};

use super::super::answer::Failure;
use super::super::api;
use super::super::asked::Asked;
use super::super::v2::registration::{by_which, seen};
use super::super::v2::sought;
use super::refusal::{Deed, Refusal};
use super::{Said, industry, item, moment};
use crate::node::Node;

/// The type of templates, as clients know it.
const TEMPLATE_TYPE: &str = "0.TYPE/DO.DOIPMETA";
/// Types of values that belong to the node and to the protocol, and are no fields.
const OWN_TYPES: [&str; 2] = ["GT_", "HS_"];

pub(super) async fn answer(node: &Node, asked: &Asked, target: &Handle) -> Said {
    let (values, is_ours) = readable(node, asked, target).await?;
    if let Some(template) = as_template(target, &values) {
        return Ok(Some(of_template(node, &template, &values)));
    }
    let by = by_which(&values);
    let template = match &by {
        Some(by) => template(node, asked, by).await,
        None => None,
    };
    let elements = match &template {
        Some(template) => elements(template, &values),
        None => plain(&values),
    };
    if elements.is_empty() {
        let message = "the caller may read nothing of the identifier";
        return Err(Refusal::new(Code::MayNotRead, message));
    }
    let texts: Vec<Json> = elements
        .iter()
        .map(|element| {
            let label = match element.name.is_empty() {
                true => &element.kind,
                false => &element.name,
            };
            json!({"type": label, "value": as_text(&element.data)})
        })
        .collect();
    let kind = by.map_or_else(String::new, |by| by.to_string());
    let times = Times::of(node, target, &values, is_ours);
    Ok(Some(json!({
        "id": target.as_str(),
        "handle": target.as_str(),
        "type": kind,
        "values": texts,
        "attributes": {
            "id": target.as_str(),
            "type": kind,
            "elements": elements,
            "attributes": {"metaData": times.as_json()},
        },
    })))
}

//----------- Values ---------------------------------------------------------

/// The values of a record that the caller may read, and whether the record is ours. Of one of
/// others he sees what everybody sees: nobody proves to us who he is for another node.
pub(super) async fn readable(
    node: &Node,
    asked: &Asked,
    target: &Handle,
) -> Result<(Vec<Value>, bool), Refusal> {
    if node
        .store
        .is_homed(target.borrow().prefix_handle().borrow())
    {
        match seen(node, asked, target).await {
            Ok(values) => return Ok((values, true)),
            Err(problem) => {
                let refusal = Deed::Read.refused(problem);
                let is_for_others = matches!(
                    refusal.code,
                    Code::MayNotRead | Code::NotAuthorized | Code::ClientUnknown
                );
                if !is_for_others || !asked.has_credential() {
                    return Err(match refusal.code {
                        Code::ClientUnknown => Refusal::new(
                            Code::MayNotRead,
                            "the caller may read nothing of the identifier",
                        ),
                        _ => refusal,
                    });
                }
            }
        }
    }
    let public = asked.without_credential();
    let sourced = api::sourced(node, &public, target.as_str(), &[], &[]).await?;
    let is_ours = sourced.source == crate::recurse::Source::Ours;
    match sourced.outcome {
        Outcome::Record(values) => Ok((values, is_ours)),
        outcome => {
            let failure = Failure::of_outcome(&outcome, target.as_str());
            Err(Deed::Read.refused(failure))
        }
    }
}

/// The template of that handle: one of ours, or what another node shows of it.
pub(super) async fn template(node: &Node, asked: &Asked, by: &Handle) -> Option<Template> {
    if let Ok((template, _)) = sought::template(node, by) {
        return Some(template);
    }
    let (values, _) = readable(node, asked, by).await.ok()?;
    as_template(by, &values)
}

pub(super) fn as_template(handle: &Handle, values: &[Value]) -> Option<Template> {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    Template::of(handle.clone(), Values::from_wire(&wire).ok()?).ok()
}

//----------- Instances ------------------------------------------------------

fn elements(template: &Template, values: &[Value]) -> Vec<Element> {
    let mut said = template.read(values);
    let fields = template.definition().fields.iter();
    let elements = fields.filter_map(|field| {
        Some(Element {
            index: field.index,
            kind: field.name.clone(),
            name: field.label.clone(),
            data: said.remove(&field.name)?,
            data_type: item::data_type(&field.kind),
        })
    });
    elements.collect()
}

/// A record that no template says the meaning of: its texts.
fn plain(values: &[Value]) -> Vec<Element> {
    let is_own = |value: &&Value| {
        let lead = value.kind.get(..3).unwrap_or_default();
        OWN_TYPES.iter().any(|own| lead.eq_ignore_ascii_case(own))
    };
    let texts = values.iter().filter(|value| !is_own(value));
    let texts = texts.filter_map(|value| {
        Some(Element {
            index: value.index,
            kind: value.kind.clone(),
            name: String::new(),
            data: value.text()?.into(),
            data_type: 1,
        })
    });
    texts.collect()
}

/// A value as one text, never null: of a list with one part, that part.
fn as_text(data: &Json) -> String {
    match data {
        Json::String(text) => text.clone(),
        Json::Array(parts) => match parts.as_slice() {
            [Json::String(only)] => only.clone(),
            _ => data.to_string(),
        },
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

//----------- Templates ------------------------------------------------------

/// 0 not published, 1 published, as clients know it.
pub(super) fn state(template: &Template) -> i64 {
    (template.state() == State::Published).into()
}

fn of_template(node: &Node, template: &Template, values: &[Value]) -> Json {
    let handle = template.handle();
    let definition = template.definition();
    let times = Times::of(node, handle, values, true);
    let mut basics = Map::new();
    industry::write(definition.industry.as_ref(), &mut basics);
    for (name, value) in [
        ("metaHandle", json!(handle.as_str())),
        ("metaName", json!(definition.title)),
        ("metaCode", json!(definition.code)),
        ("metaDesc", json!(definition.description)),
        ("standard", json!(definition.standard)),
        ("classifyCode", json!(definition.category)),
        ("metaState", json!(state(template))),
        ("metaVersion", json!(template.version())),
        ("isQuote", json!(i32::from(template.is_quoted()))),
        ("metaContributor", json!(handle.borrow().prefix())),
        ("publishedTime", json!(times.updated)),
        ("effectiveTime", json!(times.updated)),
        ("latestUpdateTime", json!(times.updated)),
    ] {
        basics.insert(name.to_owned(), value);
    }
    let fields = definition.fields.iter();
    let items: Vec<Json> = fields.clone().map(of_item).collect();
    let names = |is: &dyn Fn(&guantong_core::template::Field) -> bool| -> Vec<&str> {
        let fields = definition.fields.iter().filter(|field| is(field));
        fields.map(|field| field.name.as_str()).collect()
    };
    json!({
        "id": handle.as_str(),
        "handle": handle.as_str(),
        "type": TEMPLATE_TYPE,
        "attributes": {
            "content": {
                "basicInfo": basics,
                "itemInfos": items,
                "required": names(&|field| field.required),
                "uniqueness": names(&|field| field.unique),
                "inputItem": names(&|field| !field.notes.not_in_forms),
                "listItem": names(&|field| !field.notes.not_in_lists),
            },
            "metaData": times.as_json(),
        },
        "values": [
            {"type": "metaName", "value": definition.title},
            {"type": "metaCode", "value": definition.code},
        ],
    })
}

fn of_item(field: &guantong_core::template::Field) -> Json {
    let item = item::item(field);
    let mut schema = json!(item.schema);
    schema["dataTypeString"] = item::data_type_name(&field.kind).into();
    json!({
        "itemIndex": item.item_index,
        "itemBasicInfo": {
            "itemCode": item.item_code,
            "enName": item.english_name,
            "cnName": item.chinese_name,
            "state": item.item_state,
            "definition": item.definition,
            "comment": item.comment,
        },
        "itemSchemaInfo": schema,
        "itemReferenceInfo": item.reference,
    })
}

//----------- Times ----------------------------------------------------------

/// Who made a record and who changed it last, and when.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) created: String,
    pub(super) updated: String,
    pub(super) creator: String,
    pub(super) updater: String,
}

impl Times {
    /// From the record and the change log. Of a record of others, only what its values say.
    pub(super) fn of(node: &Node, handle: &Handle, values: &[Value], is_ours: bool) -> Self {
        let own;
        let mut values = values;
        if is_ours
            && let Ok(Some(record)) = node.store.record(handle.borrow())
            && let Ok(all) = record.values().to_vec()
        {
            own = all;
            values = &own;
        }
        let admin = values
            .iter()
            .find(|value| is_of_type(value.kind.as_bytes(), b"HS_ADMIN"));
        let creator = admin.and_then(|value| Admin::decode(&value.data).ok());
        let times = values.iter().map(|value| value.timestamp);
        let created = admin.map(|value| value.timestamp).or(times.clone().min());
        let text = |secs: Option<u32>| secs.map_or_else(String::new, |s| moment::format(s.into()));
        let creator = creator.map_or_else(String::new, |admin| admin.identity.handle.to_string());
        let mut found = Self {
            created: text(created),
            updated: text(times.max()),
            updater: creator.clone(),
            creator,
        };
        let last = node.store.last_change_of(handle.borrow()).ok().flatten();
        let entry = last
            .filter(|_| is_ours)
            .and_then(|last| node.store.change(last).ok()?);
        if let Some(entry) = entry {
            found.updated = moment::format(i64::try_from(entry.at_ms / 1_000).unwrap_or(0));
            if let guantong_store::Origin::Administrator { handle, .. } = &entry.origin {
                found.updater = handle.to_string();
            }
        }
        found
    }

    pub(super) fn as_json(&self) -> Json {
        json!({
            "createTime": self.created,
            "updateTime": self.updated,
            "creator": self.creator,
            "updater": self.updater,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_that_a_walk_can_follow() {
        assert_eq!(as_text(&json!("88.1/a")), "88.1/a");
        assert_eq!(as_text(&json!(["88.1/a"])), "88.1/a");
        assert_eq!(as_text(&json!(["a", "b"])), r#"["a","b"]"#);
        assert_eq!(as_text(&json!(7.5)), "7.5");
        assert_eq!(as_text(&Json::Null), "");
    }
}
