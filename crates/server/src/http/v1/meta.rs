//! `/api/v1/open/meta/…`: templates.

use axum::http::Method;
use guantong_api::doip::{Basics, ChangedItems, Code, Copy, Item, NewTemplate, Turn};
use guantong_core::template::{Definition, Field, HANDLE_TYPE, State, Template};
use guantong_proto::Handle;
use guantong_proto::message::{OpCode, OpFlags};
use serde_json::{Map, json};

use super::super::asked::Asked;
use super::super::change::builder;
use super::super::v2::sender::{Sender, Terms};
use super::super::v2::sought;
use super::super::v2::template::{Change, handle_of, make};
use super::object::sender;
use super::refusal::{Deed, Refusal};
use super::retrieve::{self, Times};
use super::{
    Said, body, category, handle, industry, item, page, param, unknown, unsupported, wanted,
};
use crate::node::Node;

/// Templates of one request. Each takes a few reads and a write.
const TEMPLATES_MAX: usize = 100;
const TEMPLATE: Deed = Deed::Template;

pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Said {
    match (rest, &asked.method) {
        ("create", &Method::POST) => create(node, asked).await,
        ("info", &(Method::GET | Method::HEAD)) => info(node, asked).await,
        ("update-basic-info", &(Method::PUT | Method::POST)) => change_basics(node, asked).await,
        ("update-item", &(Method::PUT | Method::POST)) => change_items(node, asked).await,
        ("delete", &(Method::DELETE | Method::POST)) => delete(node, asked).await,
        ("publish-or-withdraw", &(Method::PUT | Method::POST)) => turn(node, asked).await,
        ("baseon-create", &Method::POST) => copy(node, asked).await,
        ("classify-query", &(Method::GET | Method::HEAD)) => category::tree(node, asked).await,
        ("page", &(Method::GET | Method::HEAD)) => page::templates(node, asked).await,
        ("create" | "baseon-create", _) => Err(unsupported(asked, "POST")),
        ("info" | "page" | "classify-query", _) => Err(unsupported(asked, "GET")),
        ("update-basic-info" | "update-item" | "publish-or-withdraw", _) => {
            Err(unsupported(asked, "PUT"))
        }
        ("delete", _) => Err(unsupported(asked, "DELETE")),
        _ => Err(unknown(&format!("open/meta/{rest}"))),
    }
}

//----------- Making ---------------------------------------------------------

async fn create(node: &Node, asked: &Asked) -> Said {
    let new: NewTemplate = body(asked)?;
    let sender = sender(node, asked).await?;
    let handle = new_handle(node, &sender, &new.basics)?;
    wanted(new.basics.meta_name.as_ref(), "metaName")?;
    wanted(new.basics.meta_code.as_ref(), "metaCode")?;
    let definition = Definition {
        fields: new
            .items
            .iter()
            .flatten()
            .map(item::field)
            .collect::<Result<_, _>>()?,
        ..with_basics(Definition::default(), &new.basics)?
    };
    in_tree(node, asked, &handle, &new.basics).await?;
    let template = Template::draft(handle, definition);
    let template = template.map_err(|faults| TEMPLATE.refused(faults))?;
    made(node, asked, &template).await
}

/// Refuses a category that is not in the tree of the prefix.
async fn in_tree(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
    said: &Basics,
) -> Result<(), Refusal> {
    let categories = category::of_prefix(node, asked, handle.borrow().prefix()).await?;
    category::check(&categories, said.classify_code.as_ref())
}

async fn made(node: &Node, asked: &Asked, template: &Template) -> Said {
    let made = make(node, asked, template, Terms::default()).await;
    made.map_err(|problem| TEMPLATE.refused(problem))?;
    Ok(Some(json!({"metaHandle": template.handle().as_str()})))
}

/// The handle of a new template: as it is asked for, or chosen under the prefix of the sender.
fn new_handle(node: &Node, sender: &Sender, basics: &Basics) -> Result<Handle, Refusal> {
    let named = basics.meta_handle.as_deref().map(str::trim);
    let (prefix, code) = match named.filter(|named| !named.is_empty()) {
        None => (own_prefix(node, sender)?, None),
        Some(named) => {
            let (prefix, suffix) = named.split_once('/').unwrap_or((named, ""));
            let code = suffix
                .get(..5)
                .filter(|lead| lead.eq_ignore_ascii_case("META_"));
            let code = code.and_then(|_| suffix.get(5..)).ok_or_else(|| {
                let message = format!("`metaHandle` is <prefix>/META_<code>, not `{named}`");
                Refusal::new(Code::MalformedHandle, message)
            })?;
            (prefix.to_owned(), Some(code.to_owned()))
        }
    };
    handle_of(node, &prefix, code).map_err(|problem| TEMPLATE.refused(problem))
}

/// The prefix under which the sender makes things: that of his own handle.
pub(super) fn own_prefix(node: &Node, sender: &Sender) -> Result<String, Refusal> {
    let of = |handle: &Handle| match handle.borrow().prefix() {
        // Whoever has the key of a prefix makes things under it.
        "0.NA" => handle.borrow().suffix().to_owned(),
        prefix => prefix.to_owned(),
    };
    match (&sender.by.0, node.store.homed().as_slice()) {
        (Some(identity), _) => Ok(of(&identity.handle)),
        (None, [only]) => Ok(only.borrow().suffix().to_owned()),
        (None, _) => {
            let message = "`metaHandle` is missing: the node has more than one prefix";
            Err(Refusal::parameter(message))
        }
    }
}

/// A definition with what is said of it besides its items; nulls leave what there is.
pub(super) fn with_basics(old: Definition, said: &Basics) -> Result<Definition, Refusal> {
    let text = |new: &Option<String>, old: String| match new {
        Some(new) => new.trim().to_owned(),
        None => old,
    };
    Ok(Definition {
        title: text(&said.meta_name, old.title),
        code: text(&said.meta_code, old.code),
        description: text(&said.meta_desc, old.description),
        standard: text(&said.standard, old.standard),
        category: text(&said.classify_code, old.category),
        industry: industry::of(said)?.or(old.industry),
        ..old
    })
}

async fn copy(node: &Node, asked: &Asked) -> Said {
    let said: Copy = body(asked)?;
    let sender = sender(node, asked).await?;
    let base = handle(wanted(said.baseon_handle.as_ref(), "baseonHandle")?)?;
    let info = said.base_info.unwrap_or_default();
    wanted(info.meta_code.as_ref(), "baseInfo.metaCode")?;
    let (values, _) =
        retrieve::readable(node, asked, &base)
            .await
            .map_err(|refusal| match refusal.code {
                Code::NotFound => Refusal::new(Code::TemplateNotFound, refusal.message),
                _ => refusal,
            })?;
    let template = retrieve::as_template(&base, &values)
        .ok_or_else(|| Refusal::new(Code::TemplateNotCopied, format!("`{base}` is no template")))?;
    let quote = template.quote(new_handle(node, &sender, &info)?);
    in_tree(node, asked, quote.handle(), &info).await?;
    // What is said of a draft may change; its fields stay those that are quoted.
    let definition = with_basics(quote.definition().clone(), &info)?;
    let quote = quote
        .amend(definition)
        .map_err(|error| TEMPLATE.refused(error))?;
    made(node, asked, &quote).await
}

//----------- Reading --------------------------------------------------------

async fn info(node: &Node, asked: &Asked) -> Said {
    let named = handle(param(asked, "metaHandle")?)?;
    let (values, _) = retrieve::readable(node, asked, &named)
        .await
        .map_err(of_template)?;
    let template = retrieve::as_template(&named, &values)
        .ok_or_else(|| Refusal::new(Code::TemplateNotFound, format!("`{named}` is no template")))?;
    let definition = template.definition();
    let categories = category::of_prefix(node, asked, named.borrow().prefix()).await?;
    let category = categories.of_code(&definition.category);
    let times = Times::of(node, &named, &values, true);
    let mut form = Map::new();
    industry::write(definition.industry.as_ref(), &mut form);
    let items: Vec<Item> = definition.fields.iter().map(item::item).collect();
    for (name, value) in [
        ("classifyCode", json!(category.code)),
        ("classifyName", json!(category.name)),
        ("metaHandle", json!(named.as_str())),
        ("metaName", json!(definition.title)),
        ("metaCode", json!(definition.code)),
        ("metaState", json!(retrieve::state(&template))),
        ("metaContributor", json!(named.borrow().prefix())),
        ("standard", json!(definition.standard)),
        ("metaDesc", json!(definition.description)),
        ("isQuote", json!(i32::from(template.is_quoted()))),
        ("createdBy", json!(times.creator)),
        ("createdTime", json!(times.created)),
        ("updatedTime", json!(times.updated)),
        ("itemVOS", json!(items)),
    ] {
        form.insert(name.to_owned(), value);
    }
    Ok(Some(form.into()))
}

/// The same refusal of a template.
fn of_template(refusal: Refusal) -> Refusal {
    match refusal.code {
        Code::NotFound => Refusal::new(Code::TemplateNotFound, refusal.message),
        Code::MayNotRead => Refusal::new(Code::MayNotManageTemplate, refusal.message),
        _ => refusal,
    }
}

//----------- Changing -------------------------------------------------------

async fn change_basics(node: &Node, asked: &Asked) -> Said {
    let said: Basics = body(asked)?;
    let named = handle(wanted(said.meta_handle.as_ref(), "metaHandle")?)?;
    in_tree(node, asked, &named, &said).await?;
    amend(node, asked, &named, |definition| {
        with_basics(definition, &said)
    })
    .await
}

async fn change_items(node: &Node, asked: &Asked) -> Said {
    let said: ChangedItems = body(asked)?;
    let named = said.meta_handle.or(said.meta_handle_misspelt);
    let named = handle(wanted(named.as_ref(), "metaHandle")?)?;
    let items = said.items.unwrap_or_default();
    amend(node, asked, &named, |definition| {
        with_items(definition, items)
    })
    .await
}

async fn amend(
    node: &Node,
    asked: &Asked,
    named: &Handle,
    next: impl FnOnce(Definition) -> Result<Definition, Refusal>,
) -> Said {
    let change = Change::of(node, asked, named).await;
    let change = change.map_err(|problem| TEMPLATE.refused(problem))?;
    let next = next(change.template.definition().clone())?;
    let next = change.template.clone().amend(next);
    let next = next.map_err(|error| TEMPLATE.refused(error))?;
    let written = change.write(node, asked, &next, Terms::default()).await;
    written.map_err(|problem| TEMPLATE.refused(problem))?;
    Ok(None)
}

/// A definition with items changed, which are known by their index or their name, and others added.
/// What no item is about stays.
fn with_items(old: Definition, items: Vec<Item>) -> Result<Definition, Refusal> {
    let mut fields = old.fields.clone();
    for new in items {
        let is_it = |field: &Field| match new.item_index {
            Some(index) if index != 0 => i64::from(field.index) == index,
            _ => new.english_name.as_deref() == Some(&field.name),
        };
        match fields.iter_mut().find(|field| is_it(field)) {
            Some(field) => *field = item::over(field, new)?,
            None => fields.push(item::field(&new)?),
        }
    }
    Ok(Definition { fields, ..old })
}

async fn turn(node: &Node, asked: &Asked) -> Said {
    let said: Turn = body(asked)?;
    let state = match wanted(said.op_type.as_ref(), "opType")? {
        "publish" => State::Published,
        "withdraw" => State::Withdrawn,
        other => {
            let message = format!("`opType` is `publish` or `withdraw`, not `{other}`");
            return Err(Refusal::parameter(message));
        }
    };
    // Who asks is proven once before results are told for each.
    sender(node, asked).await?;
    let mut results = Vec::new();
    for named in bounded(said.meta_handle_list.unwrap_or_default())? {
        let turned = turn_one(node, asked, &named, state).await;
        results.push(match turned {
            Ok(()) => json!({"metaHandle": named, "state": "success", "reason": ""}),
            Err(refusal) => {
                json!({"metaHandle": named, "state": "failed", "reason": refusal.message})
            }
        });
    }
    Ok(Some(results.into()))
}

async fn turn_one(node: &Node, asked: &Asked, named: &str, to: State) -> Result<(), Refusal> {
    let change = Change::of(node, asked, &handle(named)?).await;
    let change = change.map_err(|problem| TEMPLATE.refused(problem))?;
    let next = change.template.clone().turn(to);
    let next = next.map_err(|error| TEMPLATE.refused(error))?;
    let written = change.write(node, asked, &next, Terms::default()).await;
    written
        .map(drop)
        .map_err(|problem| TEMPLATE.refused(problem))
}

fn bounded(named: Vec<String>) -> Result<Vec<String>, Refusal> {
    match named.len() {
        0 => Err(Refusal::missing("metaHandleList")),
        1..=TEMPLATES_MAX => Ok(named),
        count => {
            let message = format!("{count} templates are more than {TEMPLATES_MAX}");
            Err(Refusal::parameter(message))
        }
    }
}

//----------- Deleting -------------------------------------------------------

async fn delete(node: &Node, asked: &Asked) -> Said {
    // Lists are repeated parameters; some clients join them by commas.
    let named = asked
        .params
        .all("metaHandleList")
        .flat_map(|list| list.split(','));
    let named = named.map(str::trim).filter(|named| !named.is_empty());
    let named = bounded(named.map(str::to_owned).collect())?;
    let sender = sender(node, asked).await?;
    let mut doomed = Vec::new();
    for named in &named {
        let handle = handle(named)?;
        check_deletion(node, asked, &sender, &handle).await?;
        doomed.push(handle);
    }
    for handle in doomed {
        let builder = builder(node, OpFlags::DEFAULT);
        let packet = builder.named(OpCode::DELETE, handle.as_str());
        let deleted = sender
            .carry(node, asked, &handle, packet, Terms::default())
            .await;
        deleted.map_err(|failure| TEMPLATE.refused(failure))?;
    }
    Ok(None)
}

/// Whether a template may be deleted: by whom it may, if nothing would be left without it.
async fn check_deletion(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    named: &Handle,
) -> Result<(), Refusal> {
    let rehearsal = Terms {
        is_rehearsal: true,
        ..Terms::default()
    };
    let packet = builder(node, OpFlags::DEFAULT).named(OpCode::DELETE, named.as_str());
    let may = sender.carry(node, asked, named, packet, rehearsal).await;
    may.map_err(|failure| TEMPLATE.refused(failure))?;
    let (template, _) =
        sought::template(node, named).map_err(|problem| TEMPLATE.refused(problem))?;
    let refuse = |why: &str| {
        let message = format!("`{named}` is not deleted, nor are the others: {why}");
        Err(Refusal::new(Code::TemplateNotDeleted, message))
    };
    if !matches!(template.state(), State::Draft | State::Withdrawn) {
        return refuse("withdraw it first");
    }
    sought::have_indexes(node)
        .await
        .map_err(|failure| TEMPLATE.refused(failure))?;
    let data = template.handle().as_str().as_bytes();
    let found = sought::find(node, HANDLE_TYPE, data, None, 1);
    let (registered, _) = found.map_err(|problem| TEMPLATE.refused(problem))?;
    match registered.first() {
        None => Ok(()),
        Some(one) => refuse(&format!("{one} is registered by it")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    #[test]
    fn items_are_changed_by_index_or_name_and_others_added() {
        let item = |json: Json| serde_json::from_value::<Item>(json).unwrap();
        let old = Definition {
            fields: vec![
                Field {
                    searchable: true,
                    ..item::field(&item(json!({"itemIndex": 2000, "englishName": "a",
                        "chineseName": "甲", "required": 1})))
                    .unwrap()
                },
                item::field(&item(json!({"itemIndex": 2001, "englishName": "b"}))).unwrap(),
            ],
            ..Definition::default()
        };
        let next = with_items(
            old,
            vec![
                item(json!({"itemIndex": "2000", "chineseName": "乙", "required": null})),
                item(json!({"englishName": "b", "itemState": 1})),
                item(json!({"englishName": "c"})),
            ],
        )
        .unwrap();
        let [a, b, c] = next.fields.as_slice() else {
            panic!("{next:?}")
        };
        assert_eq!(
            (&*a.name, &*a.label, a.required, a.searchable),
            ("a", "乙", true, true)
        );
        assert!(b.disabled);
        assert_eq!((&*c.name, c.index), ("c", 0));
    }

    #[test]
    fn nulls_leave_what_is_said_of_a_template() {
        let old = Definition {
            title: "a".to_owned(),
            industry: Some("C38".parse().unwrap()),
            ..Definition::default()
        };
        let said: Basics =
            serde_json::from_value(json!({"metaName": null, "metaDesc": "d"})).unwrap();
        let next = with_basics(old, &said).unwrap();
        assert_eq!((&*next.title, &*next.description), ("a", "d"));
        assert_eq!(next.industry.unwrap().to_string(), "C38");
    }
}
