//! `/api/v2/enterprises`: enterprises that apply for a prefix below one of ours (企业注册).
//!
//! Who may make records below the prefix may file applications; who administers the prefix sees,
//! lists and reviews them, and says who serves what was applied for. Every step is the native
//! request that means the same, so nothing is done here that could not be done without.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::enterprise::{EnterpriseAction, EnterpriseAnswer, EnterprisesAnswer, Filed};
use guantong_api::v2::Outcome;
use guantong_core::admin::{Delegation, Identity};
use guantong_core::enterprise::{
    APPLICANT_INDEX, Application, ENTERPRISE_INDEX, ENTERPRISE_LEAD, Form, NotDone, State, Step,
    applicant_login, applicant_value, copied_administrators, list_key, route_administrators,
};
use guantong_core::identity::{Chosen, Login, role_values};
use guantong_core::template::KEY_TYPE;
use guantong_proto::data::{Admin, AdminPermissions, Site};
use guantong_proto::json::site_from_json;
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Origin, Right, Trail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::{builder, via};
use super::super::{condition, path};
use super::foreign::Foreign;
use super::page::{self, LIMIT_MAX};
use super::problem::Problem;
use super::registration::seen;
use super::sender::{Sender, Terms};
use super::sought::Absent;
use super::template::{done, terms};
use super::{body, guest, not_allowed, sought};
use crate::errand::source_of;
use crate::key::form;
use crate::login::LoginError;
use crate::node::Node;

const AREA: &str = "enterprises";
/// Index of the key of a prefix.
const KEY_INDEX: i32 = 300;
/// Index of the first administrator of a record.
const ADMIN_INDEX: i32 = 100;
/// Most applications of a page: each is a record with a form of up to 64 KiB.
pub(in crate::http) const PAGE_MAX: usize = 100;

/// Answers a request for `/api/v2/enterprises`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => list(node, asked).await,
        (&Method::POST, "") => {
            let filed: Filed<Form> = body(asked)?;
            let password = Password::of(filed.password.as_deref());
            if guest::is_one(node, asked) {
                let handle = file_of_guest(node, asked, filed.form, password).await?;
                let sender = Sender::nobody();
                return Ok(done(asked, &sender, &handle, Outcome::Created, AREA));
            }
            let sender = Sender::of(node, asked).await?;
            let terms = terms(asked);
            let handle = file(node, asked, &sender, filed.form, password, terms).await?;
            Ok(done(asked, &sender, &handle, Outcome::Created, AREA))
        }
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&Method::PUT, rest) => {
            let filed: Filed<Form> = body(asked)?;
            let means = Means {
                password: Password::of(filed.password.as_deref()),
                site: None,
            };
            take(node, asked, rest, Step::Amend(Box::new(filed.form)), means).await
        }
        (&Method::POST, rest) => act(node, asked, rest).await,
        _ => Err(not_allowed(
            asked,
            "GET, PUT and POST; applications are rejected, not deleted",
        )),
    }
}

//----------- Reading --------------------------------------------------------

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let version = condition::version(node, handle.as_str());
    let application = shown(node, asked, &handle).await?;
    let form = form_of(&application);
    let answer = json(asked, StatusCode::OK, &form);
    Ok(condition::tagged(answer, version))
}

/// An application that the sender may see.
pub(in crate::http) async fn shown(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
) -> Result<Application, Problem> {
    let values = seen(node, asked, handle).await?;
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    let values = Values::from_wire(&wire).ok();
    let application = values.and_then(|values| Application::of(handle.clone(), values));
    application.ok_or_else(|| no_application(handle))
}

fn form_of(application: &Application) -> EnterpriseAnswer<&Form, State> {
    EnterpriseAnswer {
        handle: application.handle().to_string(),
        state: application.state(),
        reason: application.reason().to_owned(),
        filed: moment(application.filed_secs()),
        changed: moment(application.changed_secs()),
        form: application.form(),
    }
}

fn moment(secs: u32) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(secs.into()).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

fn no_application(handle: &Handle) -> Problem {
    let message = "the record is no application of an enterprise";
    let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, message);
    failure.about(handle.as_str()).into()
}

async fn list(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "below which prefix? ask for `/api/v2/enterprises?prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    let prefix = Handle::of_prefix(prefix)?;
    let sender = Sender::of(node, asked).await?;
    let limit = page::limit(asked)?.min(PAGE_MAX);
    let after = asked.params.first("after");
    let (applications, next) = listed(node, asked, &sender, &prefix, after, limit).await?;
    let enterprises = applications.iter().map(form_of).collect();
    let form = EnterprisesAnswer { enterprises, next };
    Ok(json(asked, StatusCode::OK, &form))
}

/// One page of the applications below a prefix, for who administers it.
pub(in crate::http) async fn listed(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    prefix: &Handle,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Application>, Option<String>), Problem> {
    // Whoever may write the prefix record is who its applications are copied to.
    sender
        .may_change(node, asked, prefix, ENTERPRISE_INDEX)
        .await?;
    sought::have_indexes(node).await?;
    let key = list_key(prefix, node.site().case_rule());
    let (handles, next) = sought::find(node, KEY_TYPE, &key, after, limit.min(LIMIT_MAX))?;
    let mut applications = Vec::with_capacity(handles.len());
    for handle in handles {
        let record = sought::record(node, &handle)?;
        let application = record.and_then(|record| Application::of(handle, record.values()));
        applications.extend(application);
    }
    Ok((applications, next))
}

//----------- Passwords ------------------------------------------------------

/// By what the first user of an enterprise is to log in.
#[derive(Clone, Copy, Default)]
pub(in crate::http) enum Password<'a> {
    /// It is not said.
    #[default]
    None,
    /// By this password.
    Plain(&'a str),
    /// By one of which this is the digest.
    Digest(&'a str),
}

impl<'a> Password<'a> {
    fn of(said: Option<&'a str>) -> Self {
        said.map_or(Self::None, Self::Plain)
    }

    /// How he logs in, if it is said.
    async fn login(
        self,
        node: &Node,
        application: &Application,
        chosen: Chosen,
    ) -> Result<Option<Login>, Problem> {
        let made = match self {
            Self::None => return Ok(None),
            Self::Plain(text) => {
                application.user().map_err(|fault| vec![fault])?;
                node.login_of_password(text, chosen).await
            }
            Self::Digest(digest) => {
                application.user().map_err(|fault| vec![fault])?;
                node.login_of_digest(digest).await
            }
        };
        match made {
            Ok(login) => Ok(Some(login)),
            Err(LoginError::Unfit(fault)) => {
                let failure = Failure::new(ResponseCode::INVALID_VALUE, fault.to_string());
                Err(Problem::of_field(failure.with_status(422), "password"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

//----------- Filing ---------------------------------------------------------

/// Files an application, and gives its handle.
pub(in crate::http) async fn file(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    form: Form,
    password: Password<'_>,
    terms: Terms,
) -> Result<Handle, Problem> {
    let application = new_application(node, form)?;
    let handle = application.handle().clone();
    sought::have_indexes(node).await?;
    let above = prefix_values(node, &handle.borrow().prefix_handle())?;
    let mut values = reviewers(&above, sender);
    values.extend(application.to_values(node.site().case_rule()));
    let login = password.login(node, &application, Chosen::ByOwner).await?;
    values.extend(login.as_ref().map(applicant_value));
    let packet = builder(node, OpFlags::DEFAULT).write(OpCode::CREATE, handle.as_str(), &values);
    write(node, asked, sender, &application, packet, terms).await?;
    Ok(handle)
}

/// The same for somebody who does not say who he is.
pub(in crate::http) async fn file_of_guest(
    node: &Node,
    asked: &Asked,
    form: Form,
    password: Password<'_>,
) -> Result<Handle, Problem> {
    guest::admit(node, asked)?;
    let application = new_application(node, form)?.by_guest();
    let handle = application.handle().clone();
    let above = handle.borrow().prefix_handle();
    guest::check_open(node, &above).await?;
    let mut values = reviewers(&prefix_values(node, &above)?, &Sender::nobody());
    values.extend(application.to_values(node.site().case_rule()));
    let login = password.login(node, &application, Chosen::ByOwner).await?;
    values.extend(login.as_ref().map(applicant_value));
    if !terms(asked).is_rehearsal {
        guest::write(node, asked, &application, values).await?;
    }
    Ok(handle)
}

/// An application under a handle that is yet to be written.
fn new_application(node: &Node, form: Form) -> Result<Application, Problem> {
    let parent = form.prefix.rsplit_once('.').map(|(parent, _)| parent);
    let parent = parent.filter(|parent| !parent.contains('/')).unwrap_or("-");
    let digits: [u8; 5] = node.random();
    let digits: String = digits.iter().map(|octet| format!("{octet:02x}")).collect();
    let handle = Handle::parse(&format!("{parent}/{ENTERPRISE_LEAD}{digits}"))?;
    let application = Application::file(handle, form, node.now_secs())?;
    check_key(application.form())?;
    Ok(application)
}

/// The administrators of the prefix, and the sender as one who may look.
fn reviewers(above: &[Value], sender: &Sender) -> Vec<Value> {
    let mut values: Vec<Value> = copied_administrators(above);
    let indexes = (ADMIN_INDEX..).zip(&mut values);
    for (index, value) in indexes {
        value.index = index;
    }
    if let Some(identity) = &sender.by.0 {
        let free = ADMIN_INDEX + i32::try_from(values.len()).unwrap_or_default();
        let (name, index) = (identity.handle.to_string(), identity.index);
        let admin = Admin::new(AdminPermissions::READ_VALUE, name, index);
        values.push(Value::new(free, "HS_ADMIN", admin.encode()));
    }
    values
}

fn check_key(form: &Form) -> Result<Option<Vec<u8>>, Problem> {
    if form.public_key.is_empty() {
        return Ok(None);
    }
    let refuse = |why: &str| {
        let message = format!("`publicKey`: {why}");
        Problem::from(Failure::new(ResponseCode::INVALID_VALUE, message).with_status(422))
    };
    match form::read(form.public_key.as_bytes(), &mut || {
        Err("is encrypted".to_owned())
    }) {
        Ok(form::Key::Public(key)) => Ok(Some(key.encode())),
        Ok(_) => Err(refuse(
            "is a private key: keep it, and send its public half",
        )),
        Err(error) => Err(refuse(&error.to_string())),
    }
}

/// Has an application written, if no other has the same document, user or prefix. What others have
/// is told to those only who may write it.
async fn write(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    application: &Application,
    packet: Vec<u8>,
    terms: Terms,
) -> Result<(), Problem> {
    let handle = application.handle();
    let lookups = application.lookups(node.site().case_rule());
    match sought::look_up(node, handle, &lookups, &Foreign::new(), Absent::Wrong)? {
        Ok(_clear) => Ok(sender.carry(node, asked, handle, packet, terms).await?),
        Err(faults) => {
            let rehearsal = Terms {
                is_rehearsal: true,
                ..terms
            };
            sender.carry(node, asked, handle, packet, rehearsal).await?;
            Err(faults.into())
        }
    }
}

//----------- Steps ----------------------------------------------------------

/// What a step is done with.
#[derive(Default)]
pub(in crate::http) struct Means<'a> {
    /// Who is to serve the prefix, if it is not we.
    pub(in crate::http) site: Option<Site>,
    /// By what its first user is to log in.
    pub(in crate::http) password: Password<'a>,
}

async fn act(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let mut first = None;
    let (step, site) = match body(asked)? {
        EnterpriseAction::Approve { prefix } => (Step::Approve(prefix), None),
        EnterpriseAction::Reject { reason } => (Step::Reject(reason), None),
        EnterpriseAction::Delegate { site } => {
            let site = site_from_json(&site).map_err(|error| {
                let message = format!("`site`: {error}");
                Failure::new(ResponseCode::INVALID_VALUE, message).with_status(422)
            })?;
            (Step::Delegate, Some(site))
        }
        EnterpriseAction::Host { password } => {
            first = password;
            (Step::Host, None)
        }
    };
    let password = Password::of(first.as_deref());
    take(node, asked, rest, step, Means { site, password }).await
}

async fn take(
    node: &Node,
    asked: &Asked,
    rest: &str,
    step: Step,
    means: Means<'_>,
) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let sender = Sender::of(node, asked).await?;
    carry(node, asked, &sender, &handle, step, means, terms(asked)).await?;
    Ok(done(asked, &sender, &handle, Outcome::Changed, AREA))
}

/// Carries a step out: what it means for the prefix first, so that an application never says more
/// than there is. A step that was cut off in between is taken again.
pub(in crate::http) async fn carry(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    handle: &Handle,
    step: Step,
    means: Means<'_>,
    terms: Terms,
) -> Result<(), Problem> {
    sender
        .may_change(node, asked, handle, ENTERPRISE_INDEX)
        .await?;
    sought::have_indexes(node).await?;
    let record = sought::record(node, handle)?.ok_or_else(|| no_application(handle))?;
    let application = Application::of(handle.clone(), record.values());
    let application = application.ok_or_else(|| no_application(handle))?;
    let is_host = step == Step::Host;
    let is_approval = matches!(step, Step::Approve(_));
    let next = application.take(step, node.now_secs())?;
    check_key(next.form())?;
    let prefix = Handle::of_prefix(&next.form().prefix)?;
    if is_approval && is_taken(node, &prefix)? {
        let message = format!("{} is delegated or homed already", next.form().prefix);
        return Err(Failure::new(ResponseCode::HANDLE_ALREADY_EXISTS, message).into());
    }
    let serving = Serving {
        node,
        asked,
        sender,
        prefix: &prefix,
        terms: Terms {
            condition: None,
            is_rehearsal: terms.is_rehearsal,
        },
    };
    let chosen = match is_host {
        true => Chosen::ByOther,
        false => Chosen::ByOwner,
    };
    let given = means.password.login(node, &next, chosen).await?;
    match (is_host, means.site) {
        (true, _) => {
            let kept = applicant_login(record.values());
            serving
                .host(&next, given.as_ref().or(kept.as_ref()))
                .await?;
        }
        (false, Some(site)) => serving.delegate(&next, site, &[]).await?,
        (false, None) => {}
    }
    let current = record.values().to_vec();
    let current = current.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
    let mut values = others(current, given.is_some() || is_host);
    values.extend(next.to_values(node.site().case_rule()));
    // Once there is a user, he has it.
    values.extend(given.as_ref().filter(|_| !is_host).map(applicant_value));
    let flags = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    let packet = builder(node, flags).write(OpCode::CREATE, handle.as_str(), &values);
    write(
        node,
        asked,
        sender,
        &next,
        packet,
        terms.at(record.version()),
    )
    .await
}

/// What else the record of an application has; without how its first user is to log in, if that is
/// said anew.
fn others(mut values: Vec<Value>, is_said: bool) -> Vec<Value> {
    values.retain(|value| !Application::owns(value));
    values.retain(|value| !(is_said && value.index == APPLICANT_INDEX));
    values
}

impl From<NotDone> for Problem {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::State(error) => {
                Failure::new(ResponseCode::HANDLE_ALREADY_EXISTS, error.to_string()).into()
            }
            NotDone::Faults(faults) => faults.into(),
        }
    }
}

//----------- Serving --------------------------------------------------------

/// Whether somebody has the prefix already.
fn is_taken(node: &Node, prefix: &Handle) -> Result<bool, Problem> {
    Ok(node.store.is_homed(prefix.borrow()) || sought::record(node, prefix)?.is_some())
}

/// The values of a prefix record of ours; none if there is no such record.
fn prefix_values(node: &Node, prefix: &Handle) -> Result<Vec<Value>, Problem> {
    let Some(record) = sought::record(node, prefix)? else {
        return Ok(Vec::new());
    };
    let values = record.values().to_vec();
    Ok(values.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?)
}

/// Who is to serve the prefix of an enterprise.
struct Serving<'a> {
    node: &'a Node,
    asked: &'a Asked,
    sender: &'a Sender,
    prefix: &'a Handle,
    terms: Terms,
}

impl Serving<'_> {
    /// Homes the prefix, and makes its first user if it is known how he logs in.
    async fn host(&self, application: &Application, login: Option<&Login>) -> Result<(), Problem> {
        let (node, prefix) = (self.node, self.prefix);
        let packet = builder(node, OpFlags::DEFAULT).named(OpCode::HOME_PREFIX, prefix.as_str());
        let sender = self.sender;
        // Who hosts administers the server, which is asked if there is nothing to home, too.
        let is_homed = node.store.is_homed(prefix.borrow());
        let terms = Terms {
            is_rehearsal: self.terms.is_rehearsal || is_homed,
            ..self.terms
        };
        sender
            .carry(node, self.asked, prefix, packet, terms)
            .await?;
        let site = Site::decode(node.site().record());
        let site = site.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
        let roles = role_values(prefix.borrow());
        self.delegate(application, site, &roles).await?;
        match login {
            Some(login) if !self.terms.is_rehearsal => self.make_user(application, login).await,
            _ => Ok(()),
        }
    }

    /// Makes the first user. The records of the prefix are none of the reviewer's, so the node does
    /// it by the right by which he has it homed.
    async fn make_user(&self, application: &Application, login: &Login) -> Result<(), Problem> {
        let user = application.user().map_err(|fault| vec![fault])?;
        let by = self.sender.by.0.clone();
        let (origin, right) = match by {
            Some(Identity { handle, index }) => {
                (Origin::Administrator { handle, index }, Right::ServerAdmin)
            }
            None => (Origin::Anybody, Right::OpenNode),
        };
        let from = source_of(via(self.asked));
        let made = self
            .node
            .login_first_of(&user, login, (origin, Trail { from, right }));
        Ok(made.await?)
    }

    /// Writes into the prefix record who serves the prefix, and these values where there is nothing
    /// else.
    async fn delegate(
        &self,
        application: &Application,
        site: Site,
        more: &[Value],
    ) -> Result<(), Problem> {
        let (node, prefix) = (self.node, self.prefix);
        let above = application.handle().borrow().prefix_handle();
        let mut administrators = route_administrators(&prefix_values(node, &above)?);
        let mut current = prefix_values(node, prefix)?;
        let is_new = current.is_empty();
        let has_key = current.iter().any(|value| value.index == KEY_INDEX);
        if let (false, Some(key)) = (has_key, check_key(application.form())?) {
            current.push(Value::new(KEY_INDEX, "HS_PUBKEY", key));
            let own = guantong_core::admin::Administrator {
                handle: prefix.clone(),
                index: KEY_INDEX,
                permissions: AdminPermissions::ALL,
            };
            administrators.insert(0, own);
        }
        let delegation = Delegation {
            sites: vec![site],
            administrators,
            ..Delegation::default()
        };
        let mut values = delegation.apply(&current);
        for value in more {
            if values.iter().all(|old| old.index != value.index) {
                values.push(value.clone());
            }
        }
        let flags = match is_new {
            true => OpFlags::DEFAULT,
            false => OpFlags::DEFAULT.with(OpFlags::OVERWRITE),
        };
        let packet = builder(node, flags).write(OpCode::CREATE, prefix.as_str(), &values);
        let (sender, terms) = (self.sender, self.terms);
        Ok(sender
            .carry(node, self.asked, prefix, packet, terms)
            .await?)
    }
}
