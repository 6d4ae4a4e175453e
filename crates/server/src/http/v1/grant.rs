//! Who else reads and writes: templates, fields of all identifiers of one, single identifiers; whom
//! that can be granted to, and what was granted to the caller.

use std::sync::Arc;

use axum::http::Method;
use guantong_api::doip::{ClassGrant, ClassPublic, Code, HandleGrant, Listed, TemplateGrant};
use guantong_api::v2::{NoticeAccess, NoticeAction, NoticeAnswer, NoticeObject};
use guantong_core::grant::{Edit, FieldRevision, Revision, Subject};
use guantong_core::template::State;
use guantong_proto::Handle;
use guantong_store::Scope;
use serde_json::{Value as Json, json};

use super::super::asked::Asked;
use super::super::v2::grant::{Wish, change, look};
use super::super::v2::notice::{CHANGES_MAX, told};
use super::super::v2::sender::Terms;
use super::super::v2::sought;
use super::meta::own_prefix;
use super::object::sender;
use super::page::{LISTED_MAX, Wanted};
use super::refusal::{Deed, Refusal};
use super::{Said, body, handle, moment, unsupported, wanted};
use crate::node::Node;

/// Whom something can be granted to, by how their handles begin, and the index that says who it is.
const GRANTEES: [(&str, i32); 2] = [("App_", 300), ("Group_", 200)];
/// A grant may name whatever key an identity has.
const ANY_INDEX: i32 = 0;
/// Most changes of the node that are looked at for messages, the newest ones.
const MESSAGE_CHANGES_MAX: u64 = 20_000;

const EVERYBODY: i64 = 1;
const LISTED: i64 = 2;

//----------- Grants ---------------------------------------------------------

/// Shares a template.
pub(super) async fn template(node: &Node, asked: &Asked) -> Said {
    posted(asked)?;
    let said: TemplateGrant = body(asked)?;
    let named = handle(wanted(said.meta_handle.as_ref(), "metaHandle")?)?;
    let (added, removed) = added_and_removed(&said.listed);
    let readers = readers(said.scope, added, removed)?;
    let sharing = Revision {
        readers,
        writers: Edit::default(),
    };
    let wish = Wish::Template {
        sharing,
        fields: Vec::new(),
    };
    granted(node, asked, &named, &wish, Deed::Template).await
}

/// Says who reads and writes fields of all identifiers of a template.
pub(super) async fn class(node: &Node, asked: &Asked) -> Said {
    posted(asked)?;
    let said: ClassGrant = body(asked)?;
    let named = handle(wanted(said.meta_handle.as_ref(), "metaHandle")?)?;
    let mut fields = Vec::new();
    for access in said.access_list.unwrap_or_default() {
        let field = wanted(access.item.as_ref(), "accessList.item")?.to_owned();
        let (added, removed) = added_and_removed(&access.listed);
        let revision = match access.auth_type {
            Some(1) => Revision {
                readers: readers(access.scope, added, removed)?,
                writers: Edit::default(),
            },
            Some(2) if access.scope == Some(EVERYBODY) => {
                let message = format!("`{field}`: writing is granted to those listed, not to all");
                return Err(Refusal::new(Code::GrantKind, message));
            }
            Some(2) => Revision {
                readers: Edit::default(),
                writers: edit(added, removed)?,
            },
            _ => {
                return Err(Refusal::parameter(
                    "`authType` is 1, reading, or 2, writing",
                ));
            }
        };
        fields.push(FieldRevision { field, revision });
    }
    of_fields(node, asked, &named, fields).await
}

/// Shows fields of all identifiers of a template to everybody, or not any more.
pub(super) async fn class_public(node: &Node, asked: &Asked) -> Said {
    posted(asked)?;
    let said: ClassPublic = body(asked)?;
    let named = handle(wanted(said.meta_handle.as_ref(), "metaHandle")?)?;
    let revision = match said.scope {
        Some(EVERYBODY) => Revision::publish,
        Some(LISTED) => Revision::unpublish,
        _ => {
            return Err(Refusal::parameter(
                "`scope` is 1, show, or 2, do not show any more",
            ));
        }
    };
    let items = said.items.unwrap_or_default().into_iter();
    let fields = items.map(|field| FieldRevision {
        field,
        revision: revision(),
    });
    of_fields(node, asked, &named, fields.collect()).await
}

async fn of_fields(node: &Node, asked: &Asked, named: &Handle, fields: Vec<FieldRevision>) -> Said {
    if fields.is_empty() {
        return Err(Refusal::missing("accessList, or items"));
    }
    // What the template is, is told to those only who may change its grants.
    let sender = sender(node, asked).await?;
    let looked = look(node, asked, &sender, named).await;
    looked.map_err(|problem| Deed::Template.refused(problem))?;
    let found = sought::template(node, named);
    let (template, _) = found.map_err(|problem| Deed::Template.refused(problem))?;
    if template.state() != State::Published {
        let message = format!("`{named}` is not published");
        return Err(Refusal::new(Code::NotPublished, message));
    }
    let unknown = |one: &&FieldRevision| template.definition().field(&one.field).is_none();
    if let Some(unknown) = fields.iter().find(unknown) {
        let message = format!("`{}` is no field of `{named}`", unknown.field);
        return Err(Refusal::new(Code::ItemUnknown, message));
    }
    let wish = Wish::Template {
        sharing: Revision::default(),
        fields,
    };
    granted(node, asked, named, &wish, Deed::Template).await
}

/// Says who reads and writes one identifier.
pub(super) async fn single(node: &Node, asked: &Asked) -> Said {
    posted(asked)?;
    let said: HandleGrant = body(asked)?;
    let named = handle(wanted(said.handle.as_ref(), "handle")?)?;
    let scope = match said.reader_scope.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let message = format!("`readerScope` is a number, not `{text}`");
            Refusal::new(Code::ReaderScope, message)
        })?),
    };
    let list = |list: Option<Vec<String>>| list.unwrap_or_default();
    let (added, written) = (
        list(said.handle_user_readers),
        list(said.handle_user_writers),
    );
    let removed = list(said.del_handle_user_readers);
    let unwritten = list(said.del_handle_user_writers);
    let lists = [&added, &written, &removed, &unwritten];
    let names_somebody = lists.iter().any(|list| !list.is_empty());
    let clash = |message: &str| Err(Refusal::new(Code::GrantKind, message));
    let wish = match said.grant_type {
        Some(1) if names_somebody => {
            return clash("`grantType` 1 follows the template, and names nobody");
        }
        Some(1) => Wish::FollowClass,
        Some(2) if scope.is_none() => {
            return clash("`readerScope` is missing: 1 everybody, 2 those listed");
        }
        Some(2) | None => Wish::Own(Revision {
            readers: match scope {
                None => edit(&added, Some(&removed))?,
                scope => readers(scope, &added, Some(&removed))?,
            },
            writers: edit(&written, Some(&unwritten))?,
        }),
        Some(other) => {
            let message = format!("`grantType` is 1 or 2, not {other}");
            return Err(Refusal::parameter(message));
        }
    };
    granted(node, asked, &named, &wish, Deed::Grant).await
}

async fn granted(node: &Node, asked: &Asked, named: &Handle, wish: &Wish, deed: Deed) -> Said {
    let refused = |problem| {
        let refusal = deed.refused(problem);
        match refusal.code {
            Code::Input => Refusal::new(Code::NotAnApplication, refusal.message),
            _ => refusal,
        }
    };
    let sender = sender(node, asked).await?;
    let granting = look(node, asked, &sender, named).await.map_err(refused)?;
    let changed = change(node, asked, &sender, &granting, wish, Terms::default()).await;
    changed.map(|()| None).map_err(refused)
}

fn posted(asked: &Asked) -> Result<(), Refusal> {
    match asked.method {
        Method::POST | Method::PUT => Ok(()),
        _ => Err(unsupported(asked, "POST")),
    }
}

//----------- Subjects -------------------------------------------------------

/// What becomes of readers: everybody, or those listed and nobody else but who was before.
fn added_and_removed(listed: &Listed) -> (&[String], Option<&[String]>) {
    let added = listed.handle_users.as_ref().or(listed.handle_list.as_ref());
    (
        added.map_or(&[], Vec::as_slice),
        listed.remove_handle_users.as_deref(),
    )
}

fn readers(
    scope: Option<i64>,
    added: &[String],
    removed: Option<&[String]>,
) -> Result<Edit, Refusal> {
    let mut edit = edit(added, removed)?;
    match scope {
        Some(EVERYBODY) => edit.add.push(Subject::Everybody),
        Some(LISTED) => edit.remove.push(Subject::Everybody),
        _ => {
            return Err(Refusal::parameter(
                "the scope is 1, everybody, or 2, those listed",
            ));
        }
    }
    Ok(edit)
}

fn edit(added: &[String], removed: Option<&[String]>) -> Result<Edit, Refusal> {
    let mut edit = Edit::default();
    for name in added {
        edit.add.push(grantee(name)?);
    }
    for name in removed.unwrap_or_default() {
        let subject = grantee(name)?;
        // Somebody else may have named him by whatever key he has.
        if let Subject::Named { handle, .. } = &subject {
            edit.remove.push(Subject::Named {
                index: ANY_INDEX,
                handle: handle.clone(),
            });
        }
        edit.remove.push(subject);
    }
    Ok(edit)
}

/// An application or a group, named by its handle with or without an index.
fn grantee(text: &str) -> Result<Subject, Refusal> {
    let named = match text.trim().split_once(':') {
        Some((index, name)) if index.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => text.trim(),
    };
    let handle = handle(named)?;
    let suffix = handle.borrow().suffix();
    let leads = |(lead, _): &&(&str, i32)| {
        suffix
            .get(..lead.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(lead))
    };
    match GRANTEES.iter().find(leads) {
        Some((_, index)) => Ok(Subject::Named {
            index: *index,
            handle,
        }),
        None => {
            let message = format!("`{text}` is no application (App_…) and no group (Group_…)");
            Err(Refusal::new(Code::NotAnApplication, message))
        }
    }
}

/// The applications and groups under the caller's prefix.
pub(super) async fn grantees(node: &Node, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Err(unsupported(asked, "GET"));
    }
    let sender = sender(node, asked).await?;
    let prefix = own_prefix(node, &sender)?;
    let refused = |error: guantong_store::StoreError| Deed::Read.refused(error);
    let scope = Scope::of_prefix(&prefix).map_err(|error| Refusal::parameter(error.to_string()))?;
    let rule = node.site().case_rule();
    let mut all = Vec::new();
    for (kind, (lead, _)) in GRANTEES.iter().enumerate() {
        let begin = Handle::parse(&format!("{prefix}/{lead}"))?.key(rule);
        for found in node.store.scan(&scope, Some(begin.as_bytes())) {
            let (key, record) = found.map_err(refused)?;
            if !key.starts_with(begin.as_bytes()) || all.len() >= LISTED_MAX {
                break;
            }
            let handle = record.handle();
            all.push(json!({
                "name": handle.suffix(),
                "userHandle": handle.to_string(),
                "belongCompany": prefix,
                "type": kind + 1,
            }));
        }
    }
    Ok(Some(all.into()))
}

//----------- Messages -------------------------------------------------------

/// What was granted to the caller and taken from him, newest first.
pub(super) async fn messages(node: &Arc<Node>, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Err(unsupported(asked, "GET"));
    }
    let page = Wanted::of(asked, "messageName")?;
    let sender = sender(node, asked).await?;
    let Some(me) = &sender.by.0 else {
        let message = "messages are for who proves who he is";
        return Err(Refusal::new(Code::ClientUnknown, message));
    };
    let mut after = node.store.last_change().saturating_sub(MESSAGE_CHANGES_MAX);
    let mut all = Vec::new();
    let looks = MESSAGE_CHANGES_MAX.div_ceil(u64::try_from(CHANGES_MAX).unwrap_or(1)) + 1;
    for _ in 0..looks {
        let told = told(node, &me.handle, after).await;
        let told = told.map_err(|problem| Deed::Read.refused(problem))?;
        all.extend(told.notices);
        after = told.next;
        if !told.more {
            break;
        }
    }
    let messages = all.iter().enumerate();
    let messages = messages.map(|(at, notice)| {
        let order = format!("{:020}.{at:06}", notice.change);
        (order, message(notice, at))
    });
    Ok(Some(json!(page.of_all(messages.collect()))))
}

fn message(notice: &NoticeAnswer, at: usize) -> Json {
    let is_granted = notice.action == NoticeAction::Granted;
    let kind = match notice.object {
        NoticeObject::Template => 1,
        NoticeObject::Registration => 2,
        NoticeObject::Class => 3,
    };
    let (verb, title, action) = match is_granted {
        true => ("授权", kind, 1),
        false => ("取消授权", kind + 3, 2),
    };
    let access = match notice.access {
        NoticeAccess::Read => "读",
        NoticeAccess::Write => "写",
    };
    let field = notice.field.as_deref().map(|field| format!(" {field}"));
    let field = field.unwrap_or_default();
    json!({
        "id": format!("{}-{at}", notice.change),
        "messageTitleType": title,
        "messageType": action,
        "messageDetail": format!("{verb}（{access}）：{}{field}", notice.handle),
        "createdTime": moment::format(i64::try_from(notice.at).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_and_groups_are_granted_to_and_nobody_else() {
        let name = |text: &str| grantee(text).map(|subject| subject.to_string());
        assert_eq!(name("88.1/App_a").unwrap(), "300:88.1/App_a");
        assert_eq!(name("300:88.1/APP_a").unwrap(), "300:88.1/APP_a");
        assert_eq!(name(" 88.1/Group_a ").unwrap(), "200:88.1/Group_a");
        for (bad, code) in [
            ("88.1/User_a", Code::NotAnApplication),
            ("everybody", Code::MalformedHandle),
            ("", Code::MalformedHandle),
        ] {
            assert_eq!(name(bad).unwrap_err().code, code, "{bad}");
        }
    }

    #[test]
    fn scope_says_whether_everybody_reads() {
        let names = |list: &[Subject]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let app = ["88.1/App_a".to_owned()];
        let all = readers(Some(1), &[], None).unwrap();
        assert_eq!(
            (names(&all.add), names(&all.remove)),
            (vec!["everybody".to_owned()], vec![])
        );
        let some = readers(Some(2), &app, Some(&app)).unwrap();
        assert_eq!(names(&some.add), ["300:88.1/App_a"]);
        assert_eq!(
            names(&some.remove),
            ["0:88.1/App_a", "300:88.1/App_a", "everybody"]
        );
        assert!(readers(None, &app, None).is_err() && readers(Some(3), &app, None).is_err());
    }
}
