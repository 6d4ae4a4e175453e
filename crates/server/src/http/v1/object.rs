//! `/api/v1/doip`: one path, and the operation in a parameter.

use axum::http::Method;
use guantong_api::doip::{Code, Operation};
use guantong_api::v2::Mode;
use guantong_core::template::{Field, Kind, Template};
use guantong_proto::Handle;
use serde_json::{Map, Value as Json, json};

use super::super::asked::Asked;
use super::super::v2::problem::Problem;
use super::super::v2::registration::{Ready, Writing, by_which, published_for, remove};
use super::super::v2::sender::{Sender, Terms};
use super::super::v2::sought;
use super::refusal::{Deed, Refusal};
use super::{Said, body, handle, retrieve, unsupported};
use crate::node::Node;

/// The suffix under which a node describes itself.
const SERVICE_INFO: &str = "DOIPServiceInfo";
/// What can be done, as clients name it.
const OPERATIONS: [&str; 7] = [
    "0.DOIP/Op.Hello",
    "0.DOIP/Op.ListOperations",
    "0.DOIP/Op.Create",
    "0.DOIP/Op.Retrieve",
    "0.DOIP/Op.Update",
    "0.DOIP.EXTEND/Op.Update.Non.Overlay",
    "0.DOIP/Op.Delete",
];

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Hello,
    List,
    Create,
    Retrieve,
    /// Everything is said anew.
    Overwrite,
    /// Only what is said changes.
    Merge,
    Delete,
}

impl Op {
    fn of(name: &str) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::List,
            Self::Create,
            Self::Retrieve,
            Self::Overwrite,
            Self::Merge,
            Self::Delete,
        ];
        let mut known = OPERATIONS.iter().zip(all);
        let found = known.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, op)| op)
    }

    fn is_change(self) -> bool {
        !matches!(self, Self::Hello | Self::List | Self::Retrieve)
    }
}

pub(super) async fn answer(node: &Node, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::HEAD | Method::POST) {
        return Err(unsupported(asked, "GET and POST"));
    }
    let said: Operation = body(asked)?;
    let named = |name: &str, of_body: &Option<String>| {
        let of_query = asked.params.first(name).map(str::to_owned);
        let named = of_query
            .or(of_body.clone())
            .map(|text| text.trim().to_owned());
        named
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Refusal::missing(name))
    };
    let target = handle(&named("targetId", &said.target_id)?)?;
    let name = named("operationId", &said.operation_id)?;
    let op = Op::of(&name).ok_or_else(|| {
        let message = format!(
            "there is no operation `{name}`; there are {}",
            OPERATIONS.join(", ")
        );
        Refusal::new(Code::UnknownOperation, message)
    })?;
    if op.is_change() && asked.method != Method::POST {
        return Err(unsupported(asked, "POST for what changes something"));
    }
    match op {
        Op::Hello => hello(node, &target),
        Op::List => Ok(Some(json!(OPERATIONS))),
        Op::Retrieve => retrieve::answer(node, asked, &target).await,
        Op::Create => create(node, asked, &target, &said).await,
        Op::Overwrite => change(node, asked, &target, &said, Mode::Replace).await,
        Op::Merge => change(node, asked, &target, &said, Mode::Merge).await,
        Op::Delete => delete(node, asked, &target).await,
    }
}

/// What the node is. Anybody may ask.
fn hello(node: &Node, target: &Handle) -> Said {
    let prefix = target.borrow().prefix_handle();
    let suffix = target.borrow().suffix().to_owned();
    if !suffix.eq_ignore_ascii_case(SERVICE_INFO) || !node.store.is_homed(prefix.borrow()) {
        let message = format!("`{target}` is no <prefix>/{SERVICE_INFO} of this node");
        return Err(Refusal::new(Code::NotFound, message));
    }
    Ok(Some(json!({
        "id": target.as_str(),
        "type": "0.TYPE/DOIPServiceInfo",
        "attributes": {
            "protocol": "HTTP",
            "protocolVersion": "2.0",
            "serviceName": node.config().name,
            "serviceDescription": "Guantong",
            "operations": OPERATIONS,
        },
    })))
}

//----------- Changes --------------------------------------------------------

async fn create(node: &Node, asked: &Asked, target: &Handle, said: &Operation) -> Said {
    let deed = Deed::Register;
    let (kind, content) = parts(said)?;
    let sender = sender(node, asked).await?;
    let of_template = |problem| match deed.refused(problem) {
        Refusal {
            code: Code::NotFound,
            message,
        } => Refusal::new(Code::TemplateNotFound, message),
        other => other,
    };
    let template = published_for(node, asked, &kind)
        .await
        .map_err(of_template)?;
    sought::have_indexes(node)
        .await
        .map_err(|failure| deed.refused(failure))?;
    let writing = Writing::new(node, asked, &sender, Terms::default());
    let values = lenient(&template, content);
    let ready = writing
        .creation(&template, Some(target.as_str()), &values)
        .await;
    written(&writing, ready, deed).await?;
    Ok(Some(echo(&kind, said)))
}

async fn change(node: &Node, asked: &Asked, target: &Handle, said: &Operation, mode: Mode) -> Said {
    let deed = Deed::Edit;
    let (kind, content) = parts(said)?;
    let sender = sender(node, asked).await?;
    let template = of_registration(node, asked, target, &kind).await?;
    let writing = Writing::new(node, asked, &sender, Terms::default());
    let values = match &template {
        Some(template) => lenient(template, content),
        None => content.clone(),
    };
    let ready = writing.alteration(target, &values, mode).await;
    written(&writing, ready, deed).await?;
    Ok(Some(echo(&kind, said)))
}

/// Clients register what refers to each other one by one, in whatever order.
async fn written(
    writing: &Writing<'_>,
    ready: Result<Ready, Problem>,
    deed: Deed,
) -> Result<(), Refusal> {
    let written = match ready {
        Ok(ready) => writing.write(ready.referring_ahead()).await,
        Err(problem) => Err(problem),
    };
    written.map(drop).map_err(|problem| deed.refused(problem))
}

/// The template by which an identifier is registered, which must be the one that is named. What the
/// caller does not see is left to the change itself: what it is, is told to those only who may make
/// it.
async fn of_registration(
    node: &Node,
    asked: &Asked,
    target: &Handle,
    kind: &str,
) -> Result<Option<Template>, Refusal> {
    let Ok((values, _)) = retrieve::readable(node, asked, target).await else {
        return Ok(None);
    };
    let Some(by) = by_which(&values) else {
        return Ok(None);
    };
    let (named, rule) = (handle(kind)?, node.site().case_rule());
    if by.key(rule) != named.key(rule) {
        let message = format!("`type` is `{kind}`, and `{target}` is registered by `{by}`");
        return Err(Refusal::parameter(message));
    }
    let found = sought::template(node, &by);
    let (template, _) = found.map_err(|problem| Deed::Template.refused(problem))?;
    Ok(Some(template))
}

async fn delete(node: &Node, asked: &Asked, target: &Handle) -> Said {
    let sender = sender(node, asked).await?;
    let removed = remove(node, asked, &sender, target, Terms::default()).await;
    removed.map_err(|problem| Deed::Delete.refused(problem))?;
    Ok(None)
}

pub(super) async fn sender(node: &Node, asked: &Asked) -> Result<Sender, Refusal> {
    Ok(Sender::of(node, asked).await?)
}

/// The template and the values that a body names.
fn parts(said: &Operation) -> Result<(String, &Map<String, Json>), Refusal> {
    let kind = said
        .kind
        .as_deref()
        .map(str::trim)
        .filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| Refusal::missing("type"))?;
    let content = said
        .attributes
        .as_ref()
        .and_then(|said| said.content.as_ref());
    let content = content.ok_or_else(|| Refusal::missing("attributes.content"))?;
    Ok((kind.to_owned(), content))
}

fn echo(kind: &str, said: &Operation) -> Json {
    let content = said
        .attributes
        .as_ref()
        .and_then(|said| said.content.clone());
    json!({"type": kind, "attributes": {"content": content}})
}

//----------- Values ---------------------------------------------------------

/// The values as the fields have them: clients send numbers as texts and texts as numbers, a single
/// part for a list, a list for a single value, and nulls and empty texts for nothing.
fn lenient(template: &Template, content: &Map<String, Json>) -> Map<String, Json> {
    let mut values = Map::new();
    for (name, json) in content {
        let said = match template.definition().field(name) {
            // What is wrong with it is said by those who check it.
            None => Some(json.clone()),
            Some(field) => value(template, field, json),
        };
        if let Some(said) = said.filter(|said| !said.is_null()) {
            values.insert(name.clone(), said);
        }
    }
    values
}

pub(super) fn value(template: &Template, field: &Field, json: &Json) -> Option<Json> {
    if field.kind.is_list() {
        return match json {
            Json::Array(parts) if parts.is_empty() => None,
            Json::Array(parts) => Some(parts.clone().into()),
            Json::String(text) => match serde_json::from_str::<Vec<String>>(text) {
                Ok(parts) => Some(parts.into()),
                Err(_) => Some(vec![text.as_str()].into()).filter(|_| !text.is_empty()),
            },
            other => Some(other.clone()),
        };
    }
    let single = match json {
        Json::Array(parts) if parts.len() <= 1 => parts.first()?,
        other => other,
    };
    match (&field.kind, single) {
        (Kind::Text(_), Json::Number(_) | Json::Bool(_)) => Some(single.to_string().into()),
        (Kind::Text(_), _) => Some(single.clone()),
        (_, Json::String(text)) if text.trim().is_empty() => None,
        (Kind::Number(_), Json::String(text)) => template.read_cell(&field.name, text.trim()),
        _ => Some(single.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_known_in_any_case() {
        assert_eq!(Op::of("0.DOIP/Op.Retrieve"), Some(Op::Retrieve));
        assert_eq!(
            Op::of("0.doip.extend/op.update.non.overlay"),
            Some(Op::Merge)
        );
        assert_eq!(Op::of("0.DOIP/Op.Search"), None);
        assert_eq!(Op::of(""), None);
    }

    #[test]
    fn values_are_taken_as_clients_send_them() {
        let definition = json!({"title": "a", "fields": [
            {"name": "text", "kind": {"type": "text"}},
            {"name": "number", "kind": {"type": "number", "decimals": 1}},
            {"name": "one", "kind": {"type": "reference"}},
            {"name": "many", "kind": {"type": "reference", "countMax": 3}},
        ]});
        let definition = serde_json::from_value(definition).unwrap();
        let template = Template::draft(Handle::parse("88.1/META_a").unwrap(), definition).unwrap();
        let said = json!({"text": 7, "number": "1.5", "one": ["88.1/b"], "many": "88.1/c",
                          "other": "x"});
        let taken = lenient(&template, said.as_object().unwrap());
        let wanted = json!({"text": "7", "number": 1.5, "one": "88.1/b", "many": ["88.1/c"],
                            "other": "x"});
        assert_eq!(Json::from(taken), wanted);
        let said = json!({"text": "", "number": "", "one": null, "many": "[\"a\",\"b\"]"});
        let taken = lenient(&template, said.as_object().unwrap());
        assert_eq!(Json::from(taken), json!({"text": "", "many": ["a", "b"]}));
        let said = json!({"number": "x", "one": ["a", "b"], "many": []});
        let taken = lenient(&template, said.as_object().unwrap());
        assert_eq!(Json::from(taken), json!({"number": "x", "one": ["a", "b"]}));
    }
}
