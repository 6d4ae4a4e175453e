//! Delegating a prefix below one that is homed here: who serves it and who administers it, written
//! into its prefix record as `guantong prefix delegate` writes it, with the rights of the viewer.

use std::str::FromStr;

use guantong_core::admin::{Administrator, Delegation, Identity};
use guantong_proto::data::AdminPermissions;
use guantong_proto::json::parse_site;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};
use maud::{Markup, html};

use super::frame;
use super::record;
use super::visit::{Trouble, Visit, of_record};
use crate::control::to_json;

super::words::words! {
    title: "Delegate a prefix", "委派前缀";
    lead: "Another node serves a prefix below one of yours. Its administrator tells you its site: \
        what /api/site of that node gives.",
        "将下级前缀交由另一节点应答。站点信息由其管理员提供，即该节点 /api/site 的内容。";
    prefix: "Prefix", "前缀";
    site: "Site", "站点信息";
    admin: "Who administers it", "前缀管理员";
    admin_hint: "Index and handle of a key, for example 300:0.NA/88.118.5.1",
        "密钥所在的索引与标识，例如 300:0.NA/88.118.5.1";
    derived: "Also the prefixes below it", "同时委派其下的所有前缀";
    again: "A prefix that is delegated already gets this site in the place of its old ones.",
        "若该前缀已委派，则以此站点替换原有站点。";
    submit: "Delegate", "委派";
    hidden: "the prefix record has values that you may not see, so you cannot write it anew",
        "前缀记录含有您无权查看的值，因此不能重写";
}

/// The form, with what was typed if something was wrong with it.
pub(super) fn form(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let own = visit.viewer.as_ref().map(|viewer| viewer.identity.as_str());
    let is_again = visit.field("do") == Some("delegate");
    let typed = |name: &str| visit.field(name).filter(|_| is_again).unwrap_or_default();
    html! {
        details class="card" open[is_again] {
            summary { (words.title) }
            form class="fields" method="post" action="/prefixes" {
                (frame::token(visit))
                p class="hint" { (words.lead) }
                label {
                    span { (words.prefix) }
                    input name="prefix" required spellcheck="false" placeholder="88.118.5.1"
                        value=(typed("prefix"));
                }
                label {
                    span { (words.site) }
                    textarea class="code" name="site" rows="6" required spellcheck="false"
                        placeholder="{\"servers\": […]}" { (typed("site")) }
                }
                label {
                    span { (words.admin) }
                    input name="admin" required spellcheck="false"
                        value=(visit.field("admin").or(own).unwrap_or_default());
                    span class="hint" { (words.admin_hint) }
                }
                label class="check" {
                    input type="checkbox" name="derived" value="true"
                        checked[visit.form.is_set("derived")];
                    span { (words.derived) }
                }
                p class="hint" { (words.again) }
                p {
                    button type="submit" class="button strong" name="do" value="delegate" {
                        (words.submit)
                    }
                }
            }
        }
    }
}

/// What the form says.
fn said(visit: &Visit<'_>) -> Result<(Handle, Delegation), Trouble> {
    let of = |name: &str| visit.field(name).unwrap_or_default();
    let wrong =
        |what: &str, error: &dyn std::fmt::Display| Trouble::new(format!("{what}: {error}"));
    let words = words(visit.lang);
    let prefix = Handle::of_prefix(of("prefix")).map_err(|e| wrong(words.prefix, &e))?;
    let site = parse_site(of("site").as_bytes()).map_err(|e| wrong(words.site, &e))?;
    let admin = Identity::from_str(of("admin")).map_err(|e| wrong(words.admin, &e))?;
    let administrator = Administrator {
        handle: admin.handle,
        index: admin.index,
        permissions: AdminPermissions::ALL,
    };
    let delegation = Delegation {
        sites: vec![site],
        derived: visit.form.is_set("derived"),
        administrators: vec![administrator],
        ..Delegation::default()
    };
    Ok((prefix, delegation))
}

/// Writes the prefix record, and says where it is.
pub(super) async fn act(visit: &Visit<'_>) -> Result<Handle, Trouble> {
    let (prefix, delegation) = said(visit)?;
    let (current, is_new) = match record::fetch(visit, prefix.as_str()).await {
        Ok(shown) if shown.is_withheld => return Err(Trouble::new(words(visit.lang).hidden)),
        Ok(shown) if shown.is_ours => (shown.values, false),
        // Copies of the records of others are not ours to change.
        Ok(_) => (Vec::new(), true),
        Err(trouble) if trouble.status == 404 => (Vec::new(), true),
        Err(trouble) => return Err(trouble),
    };
    let values = delegation.apply(&current);
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    let values = Values::from_wire(&wire).map_err(|error| Trouble::new(error.to_string()))?;
    let body = to_json(prefix.as_str(), values).get().as_bytes().to_vec();
    let target = format!("{}?overwrite={}", of_record(prefix.as_str()), !is_new);
    visit.put_octets(&target, body).await?;
    Ok(prefix)
}
