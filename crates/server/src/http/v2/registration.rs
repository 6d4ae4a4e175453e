//! `/api/v2/registrations`: one thing at a time.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::v2::{
    ChangedRegistration, Mode, NewRegistration, Outcome, RegistrationAnswer, UncheckedReference,
};
use guantong_core::admin::{Change, Deed, Wish};
use guantong_core::authority::{Outcome as Resolved, Query};
use guantong_core::grant::{field_of, is_shared_with_all};
use guantong_core::template::{
    Extent, Lookup, Seed, State, TEMPLATE_TYPE, Template, VERSION_INDEX, field_found_by,
    is_registered, template_of,
};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use serde_json::{Map, Value as Json};
use tokio::sync::OnceCell;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::{self, builder};
use super::super::{api, condition, path};
use super::foreign::Foreign;
use super::problem::Problem;
use super::sender::{Sender, Terms};
use super::sought::Absent;
use super::template::{done, done_unchecked, shown, terms};
use super::{body, counter, not_allowed, page, sought};
use crate::node::Node;
use crate::recurse::Source;

const AREA: &str = "registrations";
/// How often a handle is made by a rule if others have chosen the one that it made.
const MINTS_MAX: usize = 8;

/// Answers a request for `/api/v2/registrations`.
pub(in crate::http) async fn answer(
    node: &Node,
    asked: &Asked,
    rest: &str,
) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => page::registrations(node, asked).await,
        (&Method::POST, "") => create(node, asked).await,
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&Method::PUT, rest) => change(node, asked, rest, Mode::Replace).await,
        (&Method::PATCH, rest) => change(node, asked, rest, Mode::Merge).await,
        (&Method::DELETE, rest) => delete(node, asked, rest).await,
        _ => Err(not_allowed(asked, "GET, PUT, PATCH and DELETE")),
    }
}

//----------- Reading --------------------------------------------------------

/// The values of a record of ours that the caller may see, by whatever he proves.
pub(in crate::http) async fn seen(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
) -> Result<Vec<Value>, Problem> {
    let sourced = api::sourced(node, asked, handle.as_str(), &[], &[]).await?;
    if sourced.source != Source::Ours {
        let message = "another node answers for it; ask there";
        let failure = Failure::new(ResponseCode::SERVER_NOT_RESPONSIBLE, message);
        return Err(failure.about(handle.as_str()).into());
    }
    own(node, asked, handle, sourced.outcome).await
}

/// The same of any record: of one that another node holds, what everybody may see.
pub(in crate::http) async fn seen_anywhere(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
) -> Result<Vec<Value>, Problem> {
    let name = handle.as_str();
    let sourced = api::sourced(node, asked, name, &[], &[]).await?;
    match sourced.outcome {
        Resolved::AuthenticationNeeded if sourced.source != Source::Ours => {
            let query = Query::public(name);
            let sourced = node.resolve(&query, asked.peer.address.ip()).await;
            own(node, asked, handle, sourced.map_err(Failure::from)?.outcome).await
        }
        outcome => own(node, asked, handle, outcome).await,
    }
}

async fn own(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
    outcome: Resolved<Vec<Value>>,
) -> Result<Vec<Value>, Problem> {
    match outcome {
        Resolved::Record(values) => Ok(values),
        Resolved::AuthenticationNeeded if asked.has_credential() => {
            let seen = change::restricted(node, asked, handle, &[], &[]).await?;
            Ok(seen.values)
        }
        // The code of the protocol is no error to HTTP; here it is one.
        outcome @ Resolved::ValuesNotFound => {
            let failure = Failure::of_outcome(&outcome, handle.as_str());
            Err(failure.with_status(403).into())
        }
        outcome => Err(Failure::of_outcome(&outcome, handle.as_str()).into()),
    }
}

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let version = condition::version(node, handle.as_str());
    let values = seen(node, asked, &handle).await?;
    let by = by_which(&values).ok_or_else(|| no_registration(&handle))?;
    let (template, _) = sought::template(node, &by)?;
    let fields = template.read(&values);
    let all = sought::record(node, &handle)?.and_then(|record| record.values().to_vec().ok());
    let form = RegistrationAnswer {
        handle: handle.as_str(),
        template: by.to_string(),
        withheld: all.is_some_and(|all| template.read(&all).len() > fields.len()),
        fields,
    };
    Ok(condition::tagged(
        json(asked, StatusCode::OK, &form),
        version,
    ))
}

/// The template that a record was registered by.
pub(in crate::http) fn by_which(values: &[Value]) -> Option<Handle> {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    template_of(Values::from_wire(&wire).ok()?)
}

fn no_registration(handle: &Handle) -> Problem {
    let message = "the record was not registered by a template; see `/api/handles/`";
    let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, message);
    failure.about(handle.as_str()).into()
}

//----------- Writing --------------------------------------------------------

async fn create(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let new: NewRegistration = body(asked)?;
    let sender = Sender::of(node, asked).await?;
    let template = published_for(node, asked, &new.template).await?;
    sought::have_indexes(node).await?;
    let named = new.handle.as_deref();
    let writing = Writing::new(node, asked, &sender, terms(asked));
    let written = writing.create(&template, named, &new.fields).await?;
    Ok(registered(asked, &sender, written, Outcome::Created))
}

/// The template of that handle, if the sender may register by it. One that is not shown to him is
/// not there.
pub(in crate::http) async fn published_for(
    node: &Node,
    asked: &Asked,
    handle: &str,
) -> Result<Template, Problem> {
    let name = Handle::parse(handle)?;
    // Those with whom it is shared see it as well.
    let is_restricted =
        sought::template(node, &name).is_ok_and(|(_, record)| !is_shared_with_all(record.values()));
    if !is_restricted {
        return published(node, handle);
    }
    admitted(&name, shown(node, asked, &name).await.ok())
}

/// The template of that handle, if everybody may register by it who may make the record.
pub(in crate::http) fn published(node: &Node, handle: &str) -> Result<Template, Problem> {
    let handle = Handle::parse(handle)?;
    let template = match sought::template(node, &handle) {
        Ok((template, record)) => is_shared_with_all(record.values()).then_some(template),
        Err(problem) if problem.is_not_found() => None,
        Err(problem) => return Err(problem),
    };
    admitted(&handle, template)
}

fn admitted(handle: &Handle, template: Option<Template>) -> Result<Template, Problem> {
    let is_shown =
        |template: &Template| matches!(template.state(), State::Published | State::Disabled);
    let template = template.filter(is_shown).ok_or_else(|| {
        let message = "no such template is published at this node";
        let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, message);
        failure.about(handle.as_str())
    })?;
    template.admits()?;
    Ok(template)
}

async fn change(node: &Node, asked: &Asked, rest: &str, mode: Mode) -> Result<Response, Problem> {
    let changed: ChangedRegistration = body(asked)?;
    let handle = path::handle(rest)?;
    let sender = Sender::of(node, asked).await?;
    let writing = Writing::new(node, asked, &sender, terms(asked));
    let written = writing.change(&handle, &changed.fields, mode).await?;
    Ok(registered(asked, &sender, written, Outcome::Changed))
}

fn registered(asked: &Asked, sender: &Sender, written: Written, outcome: Outcome) -> Response {
    let Written { handle, unchecked } = written;
    done_unchecked(asked, sender, &handle, outcome, AREA, unchecked)
}

async fn delete(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let sender = Sender::of(node, asked).await?;
    remove(node, asked, &sender, &handle, terms(asked)).await?;
    Ok(done(asked, &sender, &handle, Outcome::Deleted, AREA))
}

/// Removes a registration, and nothing that is none.
pub(in crate::http) async fn remove(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    handle: &Handle,
    terms: Terms,
) -> Result<(), Problem> {
    let packet = || builder(node, OpFlags::DEFAULT).named(OpCode::DELETE, handle.as_str());
    // Whether it is a registration is told to those only who may delete it.
    let rehearsal = Terms {
        is_rehearsal: true,
        ..terms
    };
    sender
        .carry(node, asked, handle, packet(), rehearsal)
        .await?;
    let record = sought::record(node, handle)?;
    if record
        .and_then(|record| template_of(record.values()))
        .is_none()
    {
        return Err(no_registration(handle));
    }
    Ok(sender.carry(node, asked, handle, packet(), terms).await?)
}

//----------- Writing --------------------------------------------------------

/// The values of fields as somebody writes them who may write these fields and nothing else: those
/// by which a longer list was found repeat the last part.
fn as_granted(new: Vec<Value>, left_over: &[i32], current: &[Value]) -> Vec<Value> {
    let is_of_field = |value: &Value| field_of(value.index, value.kind.as_bytes()).is_some();
    let mut new: Vec<Value> = new.into_iter().filter(is_of_field).collect();
    for index in left_over {
        let field = field_found_by(*index);
        let same = new.iter().filter(|value| {
            value.kind.starts_with(TEMPLATE_TYPE) && field_found_by(value.index) == field
        });
        let last = same.max_by_key(|value| value.index).cloned();
        new.extend(last.map(|last| Value {
            index: *index,
            ..last
        }));
    }
    with_permissions(new, current)
}

/// The same with the permissions that the values have already.
fn with_permissions(new: Vec<Value>, current: &[Value]) -> Vec<Value> {
    let kept = |value: Value| {
        let old = current.iter().find(|old| old.index == value.index);
        Value {
            permissions: old.map_or(value.permissions, |old| old.permissions),
            ..value
        }
    };
    new.into_iter().map(kept).collect()
}

/// What registrations of one request share.
pub(in crate::http) struct Writing<'a> {
    pub(in crate::http) node: &'a Node,
    pub(in crate::http) asked: &'a Asked,
    pub(in crate::http) sender: &'a Sender,
    pub(in crate::http) terms: Terms,
    /// What other nodes have said.
    pub(in crate::http) foreign: Foreign,
    /// Whether he was found to be somebody who may register under the prefix.
    may_mint: OnceCell<()>,
}

/// A registration that is right by itself, on its way to be written.
pub(in crate::http) struct Ready {
    pub(in crate::http) wish: Wish,
    pub(in crate::http) lookups: Vec<Lookup>,
    /// What it means that something is not there which it refers to.
    pub(in crate::http) absent: Absent,
}

/// A registration that was written.
pub(in crate::http) struct Written {
    pub(in crate::http) handle: Handle,
    /// References that could not be checked.
    pub(in crate::http) unchecked: Vec<UncheckedReference>,
}

impl Ready {
    /// The values of a registration that is to be made, without that of its administrator.
    pub(in crate::http) fn said(&self) -> &[Value] {
        match &self.wish.deed {
            Deed::Change(Change::Create(values)) => values.get(1..).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The same, and what it refers to may be registered later: one of two things that refer to
    /// each other is registered first. What there is already must be of the right template as ever.
    pub(in crate::http) fn referring_ahead(self) -> Self {
        Self {
            absent: Absent::ToCome,
            ..self
        }
    }
}

impl<'a> Writing<'a> {
    pub(in crate::http) fn new(
        node: &'a Node,
        asked: &'a Asked,
        sender: &'a Sender,
        terms: Terms,
    ) -> Self {
        Self {
            node,
            asked,
            sender,
            terms,
            foreign: Foreign::new(),
            may_mint: OnceCell::new(),
        }
    }

    /// Makes a registration.
    pub(in crate::http) async fn create(
        &self,
        template: &Template,
        named: Option<&str>,
        said: &Map<String, Json>,
    ) -> Result<Written, Problem> {
        for _ in 1..MINTS_MAX {
            let ready = self.creation(template, named, said).await?;
            match self.write(ready).await {
                // Somebody has chosen himself what the counter gives.
                Err(problem) if named.is_none() && problem.is_taken() => {}
                written => return written,
            }
        }
        let ready = self.creation(template, named, said).await?;
        self.write(ready).await
    }

    /// A registration that is to be made, if it is right by itself.
    pub(in crate::http) async fn creation(
        &self,
        template: &Template,
        named: Option<&str>,
        said: &Map<String, Json>,
    ) -> Result<Ready, Problem> {
        let given = template.check(said, Extent::Whole)?;
        let handle = match named {
            Some(name) => Handle::parse(name)?,
            None => self.mint(template).await?,
        };
        let rule = self.node.site().case_rule();
        let mut values = vec![self.sender.administrator(&handle)];
        values.extend(template.values(&given, rule));
        Ok(Ready {
            wish: Wish {
                handle,
                deed: Deed::Change(Change::Create(values)),
                condition: self.terms.condition,
            },
            lookups: template.lookups(&given, rule),
            absent: Absent::Wrong,
        })
    }

    /// Writes a registration over, or changes fields of it.
    pub(in crate::http) async fn change(
        &self,
        handle: &Handle,
        said: &Map<String, Json>,
        mode: Mode,
    ) -> Result<Written, Problem> {
        let ready = self.alteration(handle, said, mode).await?;
        self.write(ready).await
    }

    /// A change of a registration, if it is right by itself.
    pub(in crate::http) async fn alteration(
        &self,
        handle: &Handle,
        said: &Map<String, Json>,
        mode: Mode,
    ) -> Result<Ready, Problem> {
        let (node, rule) = (self.node, self.node.site().case_rule());
        let sender = self.sender;
        let may_all = sender
            .may_change(node, self.asked, handle, VERSION_INDEX)
            .await;
        let is_granted = match (may_all, mode) {
            (Ok(()), _) => false,
            (Err(refused), Mode::Merge) => {
                let may = self.may_merge(handle, said).await?;
                may.then_some(true).ok_or(refused)?
            }
            (Err(refused), _) => return Err(refused.into()),
        };
        sought::have_indexes(node).await?;
        let record = sought::record(node, handle)?.ok_or_else(|| no_registration(handle))?;
        let by = template_of(record.values()).ok_or_else(|| no_registration(handle))?;
        let (template, _) = sought::template(node, &by)?;
        if template.state() == State::Disabled {
            template.admits()?;
        }
        let extent = match mode {
            Mode::Merge => Extent::Part,
            Mode::Create | Mode::Replace => Extent::Whole,
        };
        let given = template.check(said, extent)?;
        let current = record.values().to_vec();
        let current =
            current.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
        let mut new = template.values(&given, rule);
        let mut left_over = template.left_over(&given, &current);
        if is_granted {
            new = as_granted(new, &std::mem::take(&mut left_over), &current);
        }
        let change = match (extent, left_over.is_empty()) {
            (Extent::Part, true) => Change::Write(new),
            (extent, _) => {
                let stays = |value: &Value| match extent {
                    Extent::Whole => !is_registered(value),
                    Extent::Part => {
                        !left_over.contains(&value.index)
                            && new.iter().all(|new| new.index != value.index)
                    }
                };
                let mut values: Vec<Value> = current.iter().filter(|v| stays(v)).cloned().collect();
                values.extend(new);
                Change::Put(values)
            }
        };
        Ok(Ready {
            wish: Wish {
                handle: handle.clone(),
                deed: Deed::Change(change),
                condition: self.terms.at(record.version()).condition,
            },
            lookups: template.lookups(&given, rule),
            absent: Absent::Wrong,
        })
    }

    /// Whether the sender is no administrator and may nevertheless write every field that he names
    /// and that there is.
    async fn may_merge(&self, handle: &Handle, said: &Map<String, Json>) -> Result<bool, Problem> {
        let Some(record) = sought::record(self.node, handle)? else {
            return Ok(false);
        };
        let by = template_of(record.values());
        let Some((template, _)) = by.and_then(|by| sought::template(self.node, &by).ok()) else {
            return Ok(false);
        };
        let current = record.values().to_vec().unwrap_or_default();
        let fields = said
            .keys()
            .filter_map(|name| template.definition().field(name));
        // Whatever he wants to write, it is about these values.
        let trial = fields.map(|field| Value::new(field.index, field.name.as_str(), [0]));
        let trial = with_permissions(trial.collect(), &current);
        let builder = builder(self.node, OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
        let packet = builder.write(OpCode::ADD_VALUE, handle.as_str(), &trial);
        let terms = Terms {
            condition: None,
            is_rehearsal: true,
        };
        let tried = self
            .sender
            .carry(self.node, self.asked, handle, packet, terms);
        Ok(tried.await.is_ok())
    }

    /// Has a registration written that is right by itself, if other records have nothing against
    /// it. What they have is told to those only who may write it.
    pub(in crate::http) async fn write(&self, ready: Ready) -> Result<Written, Problem> {
        let (node, asked) = (self.node, self.asked);
        let Ready {
            wish,
            lookups,
            absent,
        } = ready;
        let (foreign, sender) = (&self.foreign, self.sender);
        if foreign.wants(node, &lookups) {
            // Other nodes are asked for those only who may write it.
            sender.change(node, asked, wish.clone(), true).await?;
            foreign.ask(node, &lookups).await;
        }
        match sought::look_up(node, &wish.handle, &lookups, foreign, absent)? {
            Ok(clear) => {
                let (handle, unchecked) = (wish.handle.clone(), clear.unchecked);
                let is_rehearsal = self.terms.is_rehearsal;
                sender.change(node, asked, wish, is_rehearsal).await?;
                drop(clear.claimed);
                Ok(Written { handle, unchecked })
            }
            Err(faults) => {
                sender.change(node, asked, wish, true).await?;
                Err(faults.into())
            }
        }
    }

    /// A handle under the prefix of the template, by its rule.
    async fn mint(&self, template: &Template) -> Result<Handle, Problem> {
        let node = self.node;
        let prefix = template.handle().borrow().prefix();
        let Some(rule) = &template.definition().suffix else {
            let message = "`handle` is missing, and the template has no rule to make one";
            return Err(Failure::new(ResponseCode::INVALID_HANDLE, message).into());
        };
        let counter = match rule.counter_digits() {
            None => 0,
            Some(digits) if self.terms.is_rehearsal => counter::preview(node, template, digits)?,
            Some(digits) => {
                // Numbers are for those only who may register: others could use them up.
                self.may_mint
                    .get_or_try_init(|| self.may_create(prefix))
                    .await?;
                node.v2.counters.next(node, template, digits).await?
            }
        };
        let seed = Seed {
            counter,
            now_secs: node.now_secs(),
            random: node.random(),
        };
        let suffix = rule.mint(&seed);
        let suffix =
            suffix.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
        Ok(Handle::parse(&format!("{prefix}/{suffix}"))?)
    }

    /// Whether the sender may make records under a prefix.
    pub(in crate::http) async fn may_create(&self, prefix: &str) -> Result<(), Problem> {
        // A name that nobody has.
        let octets: [u8; 16] = self.node.random();
        let suffix: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let handle = Handle::parse(&format!("{prefix}/{suffix}"))?;
        let values = [self.sender.administrator(&handle)];
        let builder = builder(self.node, OpFlags::DEFAULT);
        let packet = builder.write(OpCode::CREATE, handle.as_str(), &values);
        let rehearsal = Terms {
            condition: None,
            is_rehearsal: true,
        };
        let (node, asked) = (self.node, self.asked);
        let carried = self.sender.carry(node, asked, &handle, packet, rehearsal);
        Ok(carried.await?)
    }
}
