//! `/api/v2/grants`: who else reads and writes what (数据授权), shown and changed by increments.
//!
//! What a change makes of the rules is decided in `core::grant`. [`look`] and [`change`] are for
//! every interface that shows or changes grants.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::v2::{ChangedGrants, FieldGrants, GrantsAnswer, Outcome, Preview, RuleOf};
use guantong_core::admin::{FETCHES_MAX, Identity};
use guantong_core::grant::{
    Amendment, Caller, Edit, Fault, FieldRevision, Held, RULE_INDEX, Revision, Rule, Subject,
    class_of, follow_class, is_shared_with_all, own_rule, revise_class, revise_own, revise_sharing,
};
use guantong_core::template::{Readers, Template, template_of};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Key, Value, Values};
use guantong_store::StoredRecord;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::{condition, path};
use super::problem::Problem;
use super::sender::{Sender, Terms};
use super::template::{done, terms};
use super::{body, not_allowed, notice, sought};
use crate::node::Node;

const AREA: &str = "grants";

/// Answers a request for `/api/v2/grants`.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    rest: &str,
) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => notice::answer(node, asked).await,
        (_, "") => Err(not_allowed(
            asked,
            "GET with `to`; name a record to change its grants",
        )),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&(Method::PATCH | Method::POST), rest) => amend(node, asked, rest).await,
        _ => Err(not_allowed(asked, "GET and PATCH")),
    }
}

//----------- Looking --------------------------------------------------------

/// A record whose grants are looked at or changed, by somebody who may.
pub(in crate::http) struct Granting {
    handle: Handle,
    record: StoredRecord,
    /// What it is, or by what it is registered; and the record of that template.
    template: Option<(Template, StoredRecord)>,
    is_template: bool,
}

/// Has a record looked at, if the sender may change its grants.
pub(in crate::http) async fn look(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    handle: &Handle,
) -> Result<Granting, Problem> {
    // Whoever may not is told what he would be told of the change.
    let value = Rule::default().to_value(RULE_INDEX);
    let rehearsal = Terms {
        is_rehearsal: true,
        ..Terms::default()
    };
    sender
        .carry(
            node,
            asked,
            handle,
            write(node, handle, &[value]),
            rehearsal,
        )
        .await?;
    let record = sought::record(node, handle)?.ok_or_else(|| {
        let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, "there is no such record");
        failure.about(handle.as_str())
    })?;
    let own = Template::of(handle.clone(), record.values());
    let by = template_of(record.values());
    let (template, is_template) = match (own, by) {
        (Ok(template), _) => (Some((template, record.clone())), true),
        (Err(_), Some(by)) => (sought::template(node, &by).ok(), false),
        (Err(_), None) => (None, false),
    };
    Ok(Granting {
        handle: handle.clone(),
        record,
        template,
        is_template,
    })
}

impl Granting {
    /// The rules that hold for its values.
    fn held(&self, node: &Node) -> Held {
        let (values, case) = (self.record.values(), node.site().case_rule());
        let class = class_of(self.handle.borrow(), values, case);
        let template = class.and(self.template.as_ref());
        Held::of(values, template.map(|(_, record)| record.values()))
    }

    /// The name of each field, whether its values show it to everybody, and its rule.
    fn fields(&self, node: &Node) -> Vec<(String, bool, Rule)> {
        let held = match self.is_template {
            true => Held::of(Values::EMPTY, Some(self.record.values())),
            false => self.held(node),
        };
        let fields = self
            .template
            .iter()
            .flat_map(|(template, _)| &template.definition().fields);
        let field = |field: &guantong_core::template::Field| {
            let value = match self.is_template {
                true => None,
                false => self
                    .record
                    .values()
                    .iter()
                    .find(|value| value.index == field.index),
            };
            let is_open = field.readers == Readers::Everybody;
            let is_open = value.map_or(is_open, |value| value.is_public());
            let rule = held.of_field(field.index).cloned().unwrap_or_default();
            (field.name.clone(), is_open, rule)
        };
        fields.map(field).collect()
    }

    /// What is shown of it.
    pub(in crate::http) fn form(&self, node: &Node) -> GrantsAnswer<Subject> {
        let values = self.record.values();
        let own = own_rule(values);
        let rule = match own {
            Some(_) => RuleOf::Own,
            None => RuleOf::Class,
        };
        let by = template_of(values).filter(|_| !self.is_template);
        let Rule { readers, writers } = own.unwrap_or_default();
        let fields = self
            .fields(node)
            .into_iter()
            .map(|(field, is_open, rule)| FieldGrants {
                field,
                everybody: is_open || rule.is_public(),
                readers: rule.readers,
                writers: rule.writers,
            });
        GrantsAnswer {
            handle: self.handle.to_string(),
            template: by.map(|by| by.to_string()),
            rule: (!self.is_template).then_some(rule),
            everybody: self.is_template.then(|| is_shared_with_all(values)),
            readers,
            writers,
            fields: fields.collect(),
            preview: None,
        }
    }
}

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let sender = Sender::of(node, asked).await?;
    let granting = look(node, asked, &sender, &handle).await?;
    let mut form = granting.form(node);
    if let Some(subject) = asked.params.first("for") {
        form.preview = Some(preview(node, &granting, subject_of("for", subject)?).await?);
    }
    let version = granting.record.version();
    Ok(condition::tagged(
        json(asked, StatusCode::OK, &form),
        Some(version),
    ))
}

/// Whom a parameter names.
pub(in crate::http) fn subject_of(name: &str, text: &str) -> Result<Subject, Problem> {
    text.parse().map_err(|error| {
        let message = format!("parameter `{name}`: `{text}` {error}");
        Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
    })
}

//----------- Preview --------------------------------------------------------

/// What somebody may, by the rules and the permissions of values, who is no administrator.
async fn preview(
    node: &Node,
    granting: &Granting,
    subject: Subject,
) -> Result<Preview<Subject>, Problem> {
    let fields = granting.fields(node);
    let mut known: HashMap<Key, Option<Vec<u8>>> = HashMap::new();
    loop {
        let missing = match seen_by(node, &fields, &subject, &known) {
            Ok((reads, writes)) => {
                return Ok(Preview {
                    subject,
                    reads,
                    writes,
                });
            }
            Err(missing) => missing,
        };
        if known.len() >= FETCHES_MAX {
            let message = format!("more than {FETCHES_MAX} groups are named; flatten them");
            return Err(Failure::new(ResponseCode::ERROR, message).into());
        }
        let key = missing.key(node.site().case_rule());
        // A group that cannot be had has no members.
        let found = node.record_of(&missing).await.unwrap_or_default();
        known.insert(key, found.map(|record| record.values().wire().to_vec()));
    }
}

type Names = (Vec<String>, Vec<String>);

/// The fields that he reads and writes, or the record of a group that is not known yet.
fn seen_by(
    node: &Node,
    fields: &[(String, bool, Rule)],
    subject: &Subject,
    known: &HashMap<Key, Option<Vec<u8>>>,
) -> Result<Names, Handle> {
    let case = node.site().case_rule();
    let identity = match subject {
        Subject::Named { index, handle } if !subject.is_group() => Some(Identity {
            handle: handle.clone(),
            index: *index,
        }),
        _ => None,
    };
    let mut caller = identity
        .as_ref()
        .map(|identity| Caller::new(identity, case));
    let lookup = |handle: guantong_proto::HandleRef<'_>| match known.get(&handle.key(case)) {
        Some(Some(wire)) => Ok(Values::from_wire(wire).ok()),
        Some(None) => Ok(None),
        None => Err(handle.to_owned()),
    };
    let mut names = |subjects: &[Subject]| match &mut caller {
        Some(caller) => caller
            .named_by(subjects, lookup)
            .map(|named| named.is_some()),
        None => {
            let is = |one: &Subject| *one == Subject::Everybody || one.is(subject, case);
            Ok(subjects.iter().any(is))
        }
    };
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for (name, is_open, rule) in fields {
        if *is_open || names(&rule.readers)? {
            reads.push(name.clone());
        }
        if names(&rule.writers)? {
            writes.push(name.clone());
        }
    }
    Ok((reads, writes))
}

//----------- Changing -------------------------------------------------------

/// What is to be changed.
pub(in crate::http) enum Wish {
    /// Who reads a template, and the class rules of its fields.
    Template {
        sharing: Revision,
        fields: Vec<FieldRevision>,
    },
    /// The own rule of a registration.
    Own(Revision),
    /// The class rule is to hold for a registration.
    FollowClass,
}

async fn amend(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let changed: ChangedGrants<Edit> = body(asked)?;
    let handle = path::handle(rest)?;
    let sender = Sender::of(node, asked).await?;
    let granting = look(node, asked, &sender, &handle).await?;
    let wish = wish(&granting, changed)?;
    change(node, asked, &sender, &granting, &wish, terms(asked)).await?;
    Ok(done(asked, &sender, &handle, Outcome::Changed, AREA))
}

/// What a request means for this record.
fn wish(granting: &Granting, changed: ChangedGrants<Edit>) -> Result<Wish, Problem> {
    let refuse = |place: &str, why: &str| {
        let fault = Fault {
            place: place.to_owned(),
            why: why.to_owned(),
        };
        Err(Problem::from(vec![fault]))
    };
    let ChangedGrants {
        rule,
        readers,
        writers,
        fields,
        publish,
        unpublish,
    } = changed;
    let revision = Revision { readers, writers };
    let has_fields = !(fields.is_empty() && publish.is_empty() && unpublish.is_empty());
    match (granting.is_template, rule) {
        (true, Some(_)) => refuse("rule", "is that of a registration, and this is a template"),
        (true, None) => {
            let named = fields.into_iter().map(|field| FieldRevision {
                field: field.field,
                revision: Revision {
                    readers: field.readers,
                    writers: field.writers,
                },
            });
            let all = |names: Vec<String>, revision: fn() -> Revision| {
                names.into_iter().map(move |field| FieldRevision {
                    field,
                    revision: revision(),
                })
            };
            let fields = named
                .chain(all(publish, Revision::publish))
                .chain(all(unpublish, Revision::unpublish));
            Ok(Wish::Template {
                sharing: revision,
                fields: fields.collect(),
            })
        }
        (false, _) if has_fields => refuse(
            "fields",
            "have class rules in their template: name the template",
        ),
        (false, Some(RuleOf::Class)) if !revision.is_empty() => refuse(
            "rule",
            "`class` takes no readers and writers: change the template",
        ),
        (false, Some(RuleOf::Class)) => Ok(Wish::FollowClass),
        (false, _) => Ok(Wish::Own(revision)),
    }
}

/// Changes the grants of a record, all of the wish or nothing.
pub(in crate::http) async fn change(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    granting: &Granting,
    wish: &Wish,
    terms: Terms,
) -> Result<(), Problem> {
    let (values, case) = (granting.record.values(), node.site().case_rule());
    check_grantees(node, wish)?;
    let handle = &granting.handle;
    let packet = match (wish, &granting.template) {
        (Wish::Own(revision), _) => match revise_own(values, revision, case)? {
            Amendment::Write(values) => write(node, handle, &values),
            _ => return stays(granting, terms),
        },
        (Wish::FollowClass, _) => match follow_class(values) {
            Amendment::RemoveRule => builder(node, OpFlags::DEFAULT).packet(
                OpCode::REMOVE_VALUE,
                &Writer::to_vec(|w| {
                    w.bytes(handle.as_str().as_bytes());
                    w.i32_array(&[RULE_INDEX]);
                }),
            ),
            _ => return stays(granting, terms),
        },
        (Wish::Template { sharing, fields }, Some((template, _))) => {
            let mut written = Vec::new();
            let sharing = revise_sharing(values, sharing, case)?;
            let fields = revise_class(template, values, fields, case)?;
            for amendment in [sharing, fields] {
                if let Amendment::Write(values) = amendment {
                    written.extend(values);
                }
            }
            match written.is_empty() {
                true => return stays(granting, terms),
                false => write(node, handle, &written),
            }
        }
        (Wish::Template { .. }, None) => {
            let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, "it is no template");
            return Err(failure.about(handle.as_str()).into());
        }
    };
    let terms = terms.at(granting.record.version());
    Ok(sender.carry(node, asked, handle, packet, terms).await?)
}

/// Nothing is to be written; a condition holds nevertheless, or does not.
fn stays(granting: &Granting, terms: Terms) -> Result<(), Problem> {
    use guantong_core::admin::{Expected, STALE};
    let version = granting.record.version();
    match terms.condition {
        None => Ok(()),
        Some(Expected::Version(expected)) if expected == version => Ok(()),
        Some(_) => {
            let message = format!("{STALE}: it has version {version}");
            let failure = Failure::new(ResponseCode::HANDLE_ALREADY_EXISTS, message);
            Err(failure
                .with_status(412)
                .about(granting.handle.as_str())
                .into())
        }
    }
}

fn write(node: &Node, handle: &Handle, values: &[Value]) -> Vec<u8> {
    let flags = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    builder(node, flags).write(OpCode::ADD_VALUE, handle.as_str(), values)
}

/// Refuses to grant something to whom we know not to be there. Whether a subject of another node is
/// there is not asked: that node may be out of reach, and he may come later.
fn check_grantees(node: &Node, wish: &Wish) -> Result<(), Problem> {
    let named: Vec<(&str, &Subject)> = match wish {
        Wish::FollowClass => Vec::new(),
        Wish::Own(revision) => revision.added().map(|subject| ("rule", subject)).collect(),
        Wish::Template { sharing, fields } => {
            let of_fields = fields.iter().flat_map(|field| {
                field
                    .revision
                    .added()
                    .map(|subject| (field.field.as_str(), subject))
            });
            let of_template = sharing.added().map(|subject| ("readers", subject));
            of_template.chain(of_fields).collect()
        }
    };
    let mut faults = Vec::new();
    for (place, subject) in named {
        let Subject::Named { index, handle } = subject else {
            continue;
        };
        if !node
            .store
            .is_homed(handle.borrow().prefix_handle().borrow())
        {
            continue;
        }
        let record = sought::record(node, handle)?;
        let has = |types: &[&str]| {
            record.as_ref().is_some_and(|record| {
                record.values().iter().any(|value| {
                    let is = |kind: &&str| value.kind.eq_ignore_ascii_case(kind.as_bytes());
                    (*index == 0 || value.index == *index) && types.iter().any(is)
                })
            })
        };
        let why = match subject.is_group() {
            true if !has(&["HS_VLIST"]) => "is no group: it has no HS_VLIST there",
            false if !has(&["HS_PUBKEY", "HS_SECKEY"]) => "is no identity: it has no key there",
            _ => continue,
        };
        faults.push(Fault {
            place: place.to_owned(),
            why: format!("{subject} {why}"),
        });
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.into()),
    }
}
