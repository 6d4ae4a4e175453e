//! How the node is set up: every setting with what it means, for who runs the node.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::visit::{Visit, place};
use crate::config::{self, Shown};

/// A node that homes more prefixes than this shows its settings to `server_admins` only.
const HOMED_MAX: usize = 16;

super::words::words! {
    title: "Settings", "设置";
    lead: "What the file of the node says, and what each setting means. It is changed on the \
        machine; then the node is told to read it again: systemctl reload guantong, or SIGHUP.",
        "节点配置文件的内容及各项含义。请在本机修改文件，再让节点重新读取：\
         systemctl reload guantong 或发送 SIGHUP。";
    who: "Settings are shown to those who administer the node: administrators of every prefix \
        that it homes, and administration.server_admins.",
        "仅节点管理员可见：所有托管前缀的管理员，以及 administration.server_admins。";
    sign_in: "Sign in", "登录";
    no_file: "The node runs without a file.", "节点未使用配置文件。";
    setting: "Setting", "配置项";
    value: "Value", "值";
    meaning: "Meaning", "含义";
    default: "default", "默认值";
    is_default: "as by default", "默认";
    file: "File", "文件";
}

/// Whether the viewer administers the node.
async fn may_see(visit: &Visit<'_>) -> bool {
    let Some(viewer) = &visit.viewer else {
        return false;
    };
    let config = visit.node.config();
    let admins = &config.administration.rules.server_admins;
    if admins
        .iter()
        .any(|admin| admin.to_string() == viewer.identity)
    {
        return true;
    }
    drop(config);
    let homed = visit.node.store.homed();
    if homed.is_empty() || homed.len() > HOMED_MAX {
        return false;
    }
    for prefix in homed {
        if !visit.administers(prefix.borrow().suffix()).await {
            return false;
        }
    }
    true
}

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let may_see = may_see(visit).await;
    let file = visit.node.config().file.clone();
    let content = html! {
        (head(words.title, words.lead, None))
        @if !may_see {
            @let href = place("/sign-in", &[("back", "/settings")]);
            @let link = visit.viewer.is_none().then_some((href.as_str(), words.sign_in));
            (frame::empty(words.title, words.who, link))
        } @else if let Some(file) = file {
            p class="hint" { (words.file) " " code { (file.display()) } }
            @match config::settings(&file) {
                Ok(settings) => (sections(&settings, words)),
                Err(error) => p class="notice bad" lang="en" { (error) },
            }
        } @else { p { (words.no_file) } }
    };
    frame::page(visit, Tab::Settings, words.title, &content)
}

fn sections(settings: &[Shown], words: &Words) -> Markup {
    let sections = settings.chunk_by(|one, other| one.section == other.section);
    html! {
        @for section in sections {
            @let name = section.first().map_or("", |first| first.section);
            section class="card" aria-labelledby=(name) {
                h2 id=(name) { "[" (name) "]" }
                table class="cards settings" {
                    thead {
                        tr {
                            th scope="col" { (words.setting) }
                            th scope="col" { (words.value) }
                            th scope="col" { (words.meaning) }
                        }
                    }
                    tbody { @for setting in section { (row(setting, words)) } }
                }
            }
        }
    }
}

fn row(setting: &Shown, words: &Words) -> Markup {
    html! {
        tr {
            th scope="row" { code { (setting.key) } }
            td {
                code { (setting.value) } " "
                @if setting.value == setting.default {
                    span class="hint" { (words.is_default) }
                } @else {
                    span class="hint" { (words.default) " " code { (setting.default) } }
                }
            }
            td class="hint" lang="en" { (setting.doc) }
        }
    }
}
