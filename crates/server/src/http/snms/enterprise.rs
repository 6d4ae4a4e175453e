//! `/snms/api/v3/ent/…` and `/snms/api/ent/config`: enterprises that apply for a prefix, as forms
//! of second-level nodes say it.
//!
//! What our applications have a word for is taken out of the form; the whole of it, without the
//! password, is kept as it came and shown again.

use std::net::IpAddr;

use axum::http::Method;
use axum::response::Response;
use guantong_core::enterprise::{
    Application, Contact, Document, DocumentKind, ENTERPRISE_LEAD, Form, Step, address_site,
};
use guantong_core::template::KEY_TYPE;
use guantong_proto::Handle;
use guantong_proto::data::site::Protocol;
use guantong_proto::message::ResponseCode;
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::v2::enterprise::{
    Means, PAGE_MAX, Password, carry, file, file_of_guest, listed, shown,
};
use super::super::v2::guest;
use super::super::v2::problem::Problem;
use super::super::v2::sender::{Sender, Terms};
use super::super::v2::sought;
use super::{body, done, no_such, refuse};
use crate::node::Node;

/// Prefixes of ours whose applications are looked for.
const PREFIXES_MAX: usize = 64;
/// Applications that a list is made of. Its pages have numbers, so each is made of all of them.
const LISTED_MAX: usize = 1_000;
/// Rows of a page if it is not said how many.
const PAGE_USUAL: usize = 10;
/// Systems that an enterprise must describe: registration, its data, its copy, and resolution.
const SYSTEMS: [i64; 4] = [1, 2, 3, 4];

/// What stands in place of the type of a route if this node is to serve the prefix. Ours: what the
/// clients of SNMS send is for enterprises with a node of their own.
const HOSTED: &str = "HOSTED";

/// What of a form must be there besides what our applications ask for.
const REQUIRED: [&str; 8] = [
    "orgAddr",
    "orgAddrProvince",
    "orgAddrCity",
    "industryCategory",
    "industrySpecific",
    "contactCrtNo",
    "legalName",
    "legalCrtNo",
];

/// Answers a request about enterprises.
pub(super) async fn answer(node: &Node, asked: &Asked, path: &str) -> Result<Response, Problem> {
    match (&asked.method, path) {
        (&Method::POST, "/snms/api/v3/ent/apply") => apply(node, asked, false).await,
        (&Method::POST, "/snms/api/v3/ent/upgrade-apply") => apply(node, asked, true).await,
        (&Method::GET, "/snms/api/v3/ent/page") => page(node, asked).await,
        (&Method::GET, "/snms/api/v3/ent/detail") => detail(node, asked).await,
        (&Method::POST, "/snms/api/ent/config" | "/snms/api/v3/ent/config") => {
            configure(node, asked).await
        }
        _ => Err(no_such(asked)),
    }
}

//----------- Reading forms --------------------------------------------------

/// A text of an object, or a number as text; empty if there is none.
fn text(object: &Json, name: &str) -> String {
    match &object[name] {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn number(object: &Json, name: &str) -> i64 {
    text(object, name).parse().unwrap_or_default()
}

/// What an enterprise says, by the form of second-level nodes.
fn read(mut said: Map<String, Json>, is_upgrade: bool) -> Result<(Form, Option<String>), Problem> {
    let mut password = None;
    let user_name = match is_upgrade {
        true => said
            .get("username")
            .and_then(Json::as_str)
            .map(str::to_owned),
        false => {
            let user = said.get_mut("sysUser").and_then(Json::as_object_mut);
            let user = user.ok_or_else(|| refuse("`sysUser` is missing".to_owned()))?;
            // What is kept of it is kept apart from the form, which reviewers read.
            let digest = user.remove("password");
            password = digest.as_ref().and_then(Json::as_str).map(str::to_owned);
            let name = user.get("userName").and_then(Json::as_str);
            name.map(str::to_owned)
        }
    };
    let missing = |name: &str| refuse(format!("`{name}` is missing"));
    let basic = said.get("entBasicInfo").filter(|basic| basic.is_object());
    let basic = basic.ok_or_else(|| missing("entBasicInfo"))?;
    if let Some(name) = REQUIRED.iter().find(|name| text(basic, name).is_empty()) {
        return Err(missing(&format!("entBasicInfo.{name}")));
    }
    if !(1..=5).contains(&number(basic, "orgNature")) {
        return Err(refuse("`entBasicInfo.orgNature` must be 1 to 5".to_owned()));
    }
    check_systems(said.get("entRegisterManageInfo").unwrap_or(&Json::Null))?;
    let kind = match number(basic, "orgCrtType") {
        1 => DocumentKind::CreditCode,
        2 => DocumentKind::Other,
        _ => {
            return Err(refuse(
                "`entBasicInfo.orgCrtType` must be 1 or 2".to_owned(),
            ));
        }
    };
    let form = Form {
        name: text(basic, "orgName"),
        document: Document {
            kind,
            number: text(basic, "orgCrtCode"),
        },
        prefix: text(basic, "entPrefix"),
        user_name: user_name.unwrap_or_default(),
        contact: Contact {
            name: text(basic, "contactName"),
            phone: text(basic, "contactPhone"),
            email: text(basic, "contactEmail"),
        },
        public_key: String::new(),
        details: said,
    };
    Ok((form, password.filter(|digest| !digest.is_empty())))
}

/// Each system that must be described is, and says where it is.
fn check_systems(info: &Json) -> Result<(), Problem> {
    let place = "entRegisterManageInfo.entInfoSyses";
    let none = Vec::new();
    let systems = info["entInfoSyses"].as_array().unwrap_or(&none);
    for kind in SYSTEMS {
        if !systems
            .iter()
            .any(|system| number(system, "sysType") == kind)
        {
            return Err(refuse(format!("`{place}` has no `sysType` {kind}")));
        }
    }
    for system in systems {
        let wanted: &[&str] = match number(system, "deployMode") {
            1 => &["deployAddrProvince", "deployAddrCity", "deployAddr"],
            2 => &["name"],
            _ => return Err(refuse(format!("`{place}.deployMode` must be 1 or 2"))),
        };
        if let Some(name) = wanted.iter().find(|name| text(system, name).is_empty()) {
            return Err(refuse(format!("`{place}.{name}` is missing")));
        }
    }
    Ok(())
}

async fn apply(node: &Node, asked: &Asked, is_upgrade: bool) -> Result<Response, Problem> {
    let (form, digest) = read(body(asked)?, is_upgrade)?;
    let password = digest.as_deref().map_or(Password::None, Password::Digest);
    if guest::is_one(node, asked) {
        file_of_guest(node, asked, form, password).await?;
        return Ok(done(asked, true));
    }
    let sender = Sender::of(node, asked).await?;
    file(node, asked, &sender, form, password, Terms::default()).await?;
    Ok(done(asked, true))
}

//----------- Showing --------------------------------------------------------

/// The number of an application: that of the digits at the end of its handle.
fn id_of(application: &Application) -> u64 {
    let suffix = application.handle().borrow().suffix();
    let digits = suffix.strip_prefix(ENTERPRISE_LEAD).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

/// A moment as clients of second-level nodes read it.
fn moment(secs: u32) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(secs.into());
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = moment.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}", moment.date())
}

fn row(application: &Application) -> Json {
    let basic = application.form().details.get("entBasicInfo");
    let basic = basic.unwrap_or(&Json::Null);
    let form = application.form();
    let kind = match form.document.kind {
        DocumentKind::CreditCode => "1",
        DocumentKind::Other => "2",
    };
    json!({
        "id": id_of(application),
        "orgName": form.name,
        "orgNature": text(basic, "orgNature"),
        "orgCrtType": kind,
        "orgCrtCode": form.document.number,
        "orgDesc": basic["orgDesc"],
        "website": basic["website"],
        "entPrefix": form.prefix,
        "state": application.state(),
        "reason": application.reason(),
        "createDate": moment(application.filed_secs()),
        "updateDate": moment(application.changed_secs()),
    })
}

async fn page(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let param = |name| asked.params.first(name).unwrap_or_default().trim();
    let counted = |name: &str, usual: usize| match param_number(asked, name)? {
        0 => Ok::<usize, Problem>(usual),
        number => Ok(number),
    };
    let (at, size) = (counted("currentPage", 1)?, counted("pageSize", PAGE_USUAL)?);
    let size = size.min(PAGE_MAX);
    let sender = Sender::of(node, asked).await?;
    let mut all = applications(node, asked, &sender).await?;
    let (name, from, to) = (param("orgName"), param("startDate"), param("endDate"));
    all.retain(|application| {
        let filed = moment(application.filed_secs());
        // Dates are compared as texts: their longest form sorts as it is.
        application.form().name.contains(name)
            && (from.is_empty() || filed.as_str() >= from)
            && (to.is_empty() || filed.as_str() <= to)
    });
    all.sort_by_key(|application| std::cmp::Reverse(application.filed_secs()));
    let pages = all.len().div_ceil(size).max(1);
    let rows: Vec<Json> = all
        .iter()
        .skip((at - 1).saturating_mul(size))
        .take(size)
        .map(row)
        .collect();
    let form = json!({
        "first": at == 1, "last": at >= pages, "totalPages": pages, "totalElements": all.len(),
        "number": at, "size": size, "sort": null, "numberOfElements": rows.len(),
        "content": rows,
    });
    Ok(done(asked, form))
}

fn param_number(asked: &Asked, name: &str) -> Result<usize, Problem> {
    match asked.params.first(name).unwrap_or_default().trim() {
        "" => Ok(0),
        digits => digits
            .parse()
            .map_err(|_| refuse(format!("`{name}` must be a number"))),
    }
}

/// The applications below the prefixes of ours that the sender administers.
async fn applications(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
) -> Result<Vec<Application>, Problem> {
    let mut all = Vec::new();
    let mut refused = None;
    let prefixes = with_applications(node).await?;
    for prefix in prefixes {
        match listed(node, asked, sender, &prefix, None, LISTED_MAX).await {
            Ok((_, Some(_))) => {
                let message = format!(
                    "there are more than {LISTED_MAX} applications; list them at \
                     `/api/v2/enterprises`"
                );
                return Err(refuse(message));
            }
            Ok((applications, None)) => all.extend(applications),
            Err(problem) => refused = Some(problem),
        }
    }
    match (all.is_empty(), refused) {
        (true, Some(problem)) => Err(problem),
        _ => Ok(all),
    }
}

/// The prefixes of ours that somebody has applied below.
async fn with_applications(node: &Node) -> Result<Vec<Handle>, Problem> {
    sought::have_indexes(node).await?;
    let rule = node.site().case_rule();
    let mut prefixes = Vec::new();
    for prefix in node.store.homed().into_iter().take(PREFIXES_MAX) {
        let key = guantong_core::enterprise::list_key(&prefix, rule);
        let (found, _) = sought::find(node, KEY_TYPE, &key, None, 1)?;
        if !found.is_empty() {
            prefixes.push(prefix);
        }
    }
    Ok(prefixes)
}

async fn detail(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let id = param_number(asked, "id")?;
    let missing = || {
        let message = format!("there is no enterprise of the id {id}, or you may not see it");
        Problem::from(Failure::new(ResponseCode::HANDLE_NOT_FOUND, message))
    };
    for prefix in with_applications(node).await? {
        let above = prefix.borrow().suffix();
        let handle = Handle::parse(&format!("{above}/{ENTERPRISE_LEAD}{id:010x}"))?;
        if sought::record(node, &handle)?.is_none() {
            continue;
        }
        let application = match shown(node, asked, &handle).await {
            Ok(application) => application,
            Err(problem) if problem.is_not_found() => return Err(missing()),
            Err(problem) => return Err(problem),
        };
        let mut form = Json::Object(application.form().details.clone());
        form["state"] = json!(application.state());
        form["reason"] = application.reason().into();
        form["entPrefix"] = application.form().prefix.as_str().into();
        return Ok(done(asked, form));
    }
    Err(missing())
}

//----------- Routes ---------------------------------------------------------

/// The route of an enterprise: the address of its node, or this node for one that is hosted.
async fn configure(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let said: Json = body(asked)?;
    let config = &said["entPrefixConfig"];
    let prefix = text(config, "entPrefix");
    if prefix.is_empty() {
        return Err(refuse("`entPrefixConfig.entPrefix` is missing".to_owned()));
    }
    let (step, site) = match text(config, "hdlType").as_str() {
        "HS_SITE" => {
            let (address, ports) = address_of(config)?;
            (Step::Delegate, Some(address_site(address, &ports)))
        }
        HOSTED => (Step::Host, None),
        _ => {
            let message = "`entPrefixConfig.hdlType` must be HS_SITE, or HOSTED if this node is to \
                           serve the prefix";
            return Err(refuse(message.to_owned()));
        }
    };
    let sender = Sender::of(node, asked).await?;
    let applications = applications(node, asked, &sender).await?;
    let mut found = applications.iter();
    let found = found.find(|application| application.form().prefix == prefix);
    let handle = found.map(Application::handle).ok_or_else(|| {
        let message = format!("nobody has applied for {prefix}");
        Problem::from(Failure::new(ResponseCode::HANDLE_NOT_FOUND, message))
    })?;
    let means = Means {
        site,
        ..Means::default()
    };
    carry(node, asked, &sender, handle, step, means, Terms::default()).await?;
    Ok(done(asked, true))
}

/// The address and the ports of a node, at least one.
fn address_of(config: &Json) -> Result<(IpAddr, Vec<(Protocol, u16)>), Problem> {
    let wrong = |name: &str, what: &str| refuse(format!("`entPrefixConfig.{name}` must be {what}"));
    let address: IpAddr = text(config, "ip")
        .parse()
        .map_err(|_| wrong("ip", "an address of IPv4 or IPv6"))?;
    let is_kind = match text(config, "ipType").as_str() {
        "4" => address.is_ipv4(),
        "6" => address.is_ipv6(),
        _ => false,
    };
    if !is_kind {
        return Err(wrong("ipType", "4 or 6, as the address is"));
    }
    let mut ports = Vec::new();
    for (name, protocol) in [
        ("udpPort", Protocol::UDP),
        ("tcpPort", Protocol::TCP),
        ("httpPort", Protocol::HTTP),
    ] {
        match text(config, name).as_str() {
            "" => {}
            digits => match digits.parse() {
                Ok(port) if port > 0 => ports.push((protocol, port)),
                _ => return Err(wrong(name, "a port, 1 to 65535")),
            },
        }
    }
    match ports.is_empty() {
        true => Err(wrong("udpPort, tcpPort or httpPort", "there")),
        false => Ok((address, ports)),
    }
}
