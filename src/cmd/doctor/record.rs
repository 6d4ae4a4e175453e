//! What the store says: is the prefix homed, is the record there, can it be read, is it sane.

use guantong_api::control::{Ask, Prefix, Reply};
use guantong_core::authority::{self, Homed, Misdirected};
use guantong_proto::crypto::jws::Jws;
use guantong_proto::data::{Data, Site, StateData};
use guantong_proto::json::Record;
use guantong_proto::limits::TTL_MAX_SECS;
use guantong_proto::{Handle, Ttl, Value, is_of_type};
use guantong_server::config::Config;
use guantong_server::control::{Control, Fault};
use time::OffsetDateTime;

use super::answers::Known;
use super::visit::Visit;
use crate::failed::{Exit, Failed};

/// Looks at the prefixes and, if there is a handle, at its record; returns what is
/// known of the record now.
pub(super) fn look(
    visit: &mut Visit,
    config: &Config,
    control: &mut dyn Control,
    site: Option<&Site>,
    handle: Option<&Handle>,
) -> Result<Known, Failed> {
    let prefixes = match prefixes(control) {
        Ok(prefixes) => prefixes,
        Err(fault) => {
            visit.bad(Exit::Usage, "store", fault, "try `guantong store check`")?;
            return Ok(Known::Nothing);
        }
    };
    match handle {
        None => {
            for prefix in &prefixes {
                let text = format!("{} is homed, {} records", prefix.prefix, prefix.records);
                visit.good("prefix", text)?;
                prefix_record(visit, control, site, &prefix.prefix)?;
            }
            if prefixes.is_empty() {
                visit.doubtful("prefix", "none is homed; see `guantong prefix home`")?;
            }
            Ok(Known::Nothing)
        }
        Some(handle) => {
            homed(visit, config, site, &prefixes, handle)?;
            let stored = record(visit, control, handle)?;
            let prefix = handle.borrow().prefix().to_owned();
            if !handle.borrow().is_prefix_handle() {
                prefix_record(visit, control, site, &prefix)?;
            }
            Ok(stored)
        }
    }
}

/// Whether the node answers for the handle itself, as far as its store tells.
pub(super) fn homes(control: &mut dyn Control, handle: &Handle) -> bool {
    let name = handle.borrow();
    let is_its_prefix = |homed: &Prefix| {
        let homed = &homed.prefix;
        homed.eq_ignore_ascii_case(name.prefix())
            || name.is_prefix_handle() && homed.eq_ignore_ascii_case(name.suffix())
    };
    prefixes(control).is_ok_and(|prefixes| prefixes.iter().any(is_its_prefix))
}

fn prefixes(control: &mut dyn Control) -> Result<Vec<Prefix>, Fault> {
    match control.ask(Ask::Prefixes, &mut |_| Ok(()))? {
        Reply::Prefixes(prefixes) => Ok(prefixes),
        _ => Ok(Vec::new()),
    }
}

/// The values stored under `handle`.
fn get(control: &mut dyn Control, handle: &str) -> Result<Option<Vec<Value>>, String> {
    let ask = Ask::Get {
        handle: handle.to_owned(),
    };
    match control.ask(ask, &mut |_| Ok(())) {
        Ok(Reply::Record(Some(stored))) => {
            let record = Record::parse(stored.record.get().as_bytes());
            record
                .map(|record| Some(record.values))
                .map_err(|error| error.to_string())
        }
        Ok(_) => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

//----------- The handle -----------------------------------------------------

/// Whether the node would answer for the handle at all.
fn homed(
    visit: &mut Visit,
    config: &Config,
    site: Option<&Site>,
    prefixes: &[Prefix],
    handle: &Handle,
) -> Result<(), Failed> {
    let handles: Vec<Handle> = prefixes
        .iter()
        .filter_map(|prefix| Handle::of_prefix(&prefix.prefix).ok())
        .collect();
    let record = site.map(Site::encode).unwrap_or_default();
    let homed = Homed::new(&handles);
    let server_id = config.site.server_id;
    let Ok(site) = authority::Site::new(record, server_id, config.case_rule, homed) else {
        // Without its key the node has no site; that has been reported above.
        return Ok(());
    };
    let prefix = handle.borrow().prefix();
    match site.is_responsible(handle.borrow()) {
        Ok(()) => visit.good("prefix", "homed: the node answers for this name"),
        Err(Misdirected::NotHomed) => visit.bad(
            Exit::Refused,
            "prefix",
            format_args!("{prefix} is not homed here, so the node does not answer for it"),
            format_args!("if this node is to serve it: guantong prefix home {prefix}"),
        ),
        Err(_) => visit.bad(
            Exit::Refused,
            "server",
            "another server of this site holds the handle",
            "ask that one; which it is follows from the site record",
        ),
    }
}

/// Whether the record is there and can be read and cached.
fn record(visit: &mut Visit, control: &mut dyn Control, handle: &Handle) -> Result<Known, Failed> {
    let values = match get(control, handle.as_str()) {
        Ok(Some(values)) => values,
        Ok(None) => {
            visit.bad(
                Exit::Refused,
                "record",
                "there is none under this handle",
                "check the spelling, or register it with `guantong record put`",
            )?;
            return Ok(Known::Absent);
        }
        Err(text) => {
            visit.bad(Exit::Usage, "record", text, "try `guantong store check`")?;
            return Ok(Known::Nothing);
        }
    };
    if let Some(text) = in_state(&values) {
        let name = handle.as_str();
        let what_to_do = format_args!("to show it to the public: guantong record publish {name}");
        visit.bad(Exit::Refused, "record", text, what_to_do)?;
        return Ok(Known::Absent);
    }
    let public = values
        .iter()
        .filter(|value| value.permissions.public_read())
        .count();
    match public {
        0 => visit.doubtful(
            "record",
            format_args!("{} values, none of which everybody may read", values.len()),
        )?,
        _ => visit.good(
            "record",
            format_args!("{} values, {public} public", values.len()),
        )?,
    }
    sane(visit, &values)?;
    Ok(Known::Values(values))
}

/// Why the public is not shown the record, if so.
fn in_state(values: &[Value]) -> Option<String> {
    let state = values.iter().find(|value| value.is_state())?;
    Some(match StateData::decode(&state.data) {
        Ok(data) => data.to_string(),
        Err(_) => "its state cannot be read, so it is not shown to the public".to_owned(),
    })
}

/// Whether values can be cached, and are what their types say.
pub(super) fn sane(visit: &mut Visit, values: &[Value]) -> Result<(), Failed> {
    for value in values {
        if let Some(text) = odd_ttl(value) {
            visit.doubtful("TTL", text)?;
        }
        if let Some(term) = term(value) {
            tell_term(visit, value, term)?;
        }
        if let Err(error) = Data::decode_strict(&value.kind, &value.data) {
            visit.doubtful("value", format_args!("index {}: {error}", value.index))?;
        }
    }
    Ok(())
}

/// Days before the end of a signature at which it is time to make it anew.
const RENEW_DAYS: i64 = 30;
/// Seconds of a day.
const DAY_SECS: i64 = 86_400;

/// When a signature begins and ends to be good, in seconds since 1970; `None` for no limit.
type Term = (Option<i64>, Option<i64>);

/// The term of a signature or certificate, or why it has none; `None` for other values.
fn term(value: &Value) -> Option<Result<Term, String>> {
    let is_signed = ["HS_SIGNATURE", "HS_CERT"]
        .iter()
        .any(|kind| is_of_type(value.kind.as_bytes(), kind.as_bytes()));
    let claims = || Jws::parse(&value.data)?.claims();
    is_signed.then(|| {
        let claims = claims().map_err(|error| error.to_string())?;
        Ok((claims.nbf, claims.exp))
    })
}

/// Whether a signature or certificate is good now, and for long enough.
fn tell_term(visit: &mut Visit, value: &Value, term: Result<Term, String>) -> Result<(), Failed> {
    let (index, now) = (value.index, OffsetDateTime::now_utc().unix_timestamp());
    let advice = "sign it anew with `guantong trust sign`, certify the key anew with \
                  `guantong trust certify`";
    match term {
        Err(error) => visit.doubtful("signature", format_args!("index {index}: {error}")),
        Ok((_, Some(until))) if until <= now => {
            let days = (now - until) / DAY_SECS;
            let text = format!("index {index} has expired {days} days ago: nobody believes it");
            visit.bad(Exit::Refused, "signature", text, advice)
        }
        Ok((Some(from), _)) if from > now => {
            let secs = from - now;
            let text = format!("index {index} is not good for another {secs} s");
            let advice = "one of the two clocks is wrong: this one, or that of the signer";
            visit.bad(Exit::Refused, "signature", text, advice)
        }
        Ok((_, Some(until))) if until - now < RENEW_DAYS * DAY_SECS => {
            let days = (until - now) / DAY_SECS;
            let text = format!("index {index} expires in {days} days\n{advice}");
            visit.doubtful("signature", text)
        }
        Ok((_, Some(until))) => {
            let days = (until - now) / DAY_SECS;
            visit.good(
                "signature",
                format_args!("index {index} is good for {days} days"),
            )
        }
        Ok((_, None)) => visit.good("signature", format_args!("index {index} does not expire")),
    }
}

/// What is odd about the time that a value may be cached.
fn odd_ttl(value: &Value) -> Option<String> {
    let index = value.index;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    match value.ttl {
        Ttl::Relative(..=0) => Some(format!("index {index} may not be cached at all")),
        Ttl::Relative(ttl) if ttl > TTL_MAX_SECS => Some(format!(
            "index {index} may be cached for {ttl} s, but nobody keeps it longer than {TTL_MAX_SECS} s"
        )),
        Ttl::Absolute(at) if i64::from(at) <= now => Some(format!(
            "index {index} may not be cached any more since {at} s after 1970"
        )),
        Ttl::Other { kind, .. } => Some(format!("index {index} has the unknown TTL type {kind}")),
        _ => None,
    }
}

//----------- The prefix record ----------------------------------------------

/// Whether the prefix record leads clients to this node.
fn prefix_record(
    visit: &mut Visit,
    control: &mut dyn Control,
    site: Option<&Site>,
    prefix: &str,
) -> Result<(), Failed> {
    let name = format!("0.NA/{prefix}");
    let values = match get(control, &name) {
        Ok(Some(values)) => values,
        Ok(None) => {
            return visit.doubtful(
                "prefix record",
                format_args!("{name} is not stored here; the node above must have delegated it"),
            );
        }
        Err(text) => return visit.doubtful("prefix record", format_args!("{name}: {text}")),
    };
    let has = |kind: &[u8]| values.iter().any(|v| is_of_type(v.kind.as_bytes(), kind));
    if !has(b"HS_ADMIN") {
        visit.doubtful(
            "prefix record",
            format_args!("{name} names no administrator (HS_ADMIN)"),
        )?;
    }
    let sites: Vec<Site> = values
        .iter()
        .filter_map(|value| match Data::decode(&value.kind, &value.data) {
            Data::Site(site) => Some(site),
            _ => None,
        })
        .collect();
    let Some(own) = site else {
        return Ok(());
    };
    let same_key = |site: &&Site| {
        site.servers
            .iter()
            .any(|s| own.servers.iter().any(|o| s.public_key == o.public_key))
    };
    match sites.iter().find(same_key) {
        Some(found) if found == own => visit.good(
            "prefix record",
            format_args!("{name} leads here, serial {}", own.serial),
        ),
        Some(found) => visit.doubtful(
            "prefix record",
            format_args!(
                "{name} describes this node otherwise (serial {} there, {} here): clients may go \
                 to a wrong address\nwrite it again with `guantong prefix delegate {prefix}`",
                found.serial, own.serial
            ),
        ),
        None if sites.is_empty() && !has(b"HS_SERV") => visit.doubtful(
            "prefix record",
            format_args!(
                "{name} has no site (HS_SITE, HS_SERV): nobody finds the way here\n\
                 write it with `guantong prefix delegate {prefix}`"
            ),
        ),
        None => visit.good(
            "prefix record",
            format_args!("{name} leads to another site"),
        ),
    }
}
