//! How the node is set up: every setting with what it means, for who runs the node.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::meanings::meaning;
use super::visit::{Visit, place};
use crate::config::{self, Shown};
use crate::http::page::Lang;
use crate::reload::{Reloaded, reload};

/// A node that homes more prefixes than this shows its settings to `server_admins` only.
const HOMED_MAX: usize = 16;

super::words::words! {
    title: "Settings", "设置";
    lead: "What the file of the node says, and what each setting means. It is changed on the \
        machine; then the node reads it again, here or by systemctl reload guantong.",
        "节点配置文件的内容及各项含义。请在本机修改文件，再由节点重新读取：\
         在此操作，或执行 systemctl reload guantong。";
    reload: "Read it again", "重新读取";
    reload_text: "All or nothing: if anything in the file is wrong, the old settings stay.",
        "要么全部生效，要么全不生效：文件有任何错误时，保留原有配置。";
    same: "The file was read again. Nothing in it has changed.", "已重新读取，配置没有变化。";
    applied: "In force now:", "已生效：";
    restart: "Needs a restart of the node:", "重启节点后生效：";
    refused: "The old settings stay in force.", "仍使用原有配置。";
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
    page(visit, may_see(visit).await, None)
}

/// Has the node read its file again, as SIGHUP does, and tells what came of it.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let may_see = may_see(visit).await;
    if !may_see || visit.field("do") != Some("reload") {
        return page(visit, may_see, None);
    }
    // Files are read, and a certificate may be made.
    let node = visit.node.clone();
    let reloaded = tokio::task::spawn_blocking(move || reload(&node)).await;
    let told = match reloaded {
        Ok(Ok(reloaded)) => applied(&reloaded, words(visit.lang)),
        Ok(Err(error)) => refused(&error, words(visit.lang)),
        Err(error) => refused(&error, words(visit.lang)),
    };
    page(visit, may_see, Some(&told))
}

fn applied(reloaded: &Reloaded, words: &Words) -> Markup {
    let lists = [
        (words.applied, &reloaded.applied),
        (words.restart, &reloaded.needs_restart),
    ];
    html! {
        div class="notice" role="status" {
            @if lists.iter().all(|(_, names)| names.is_empty()) { (words.same) }
            @for (word, names) in lists {
                @if !names.is_empty() {
                    p { (word) @for name in names { " " code { (name) } } }
                }
            }
        }
    }
}

fn refused(error: &dyn std::error::Error, words: &Words) -> Markup {
    html! {
        div class="notice bad" role="alert" {
            p { (words.refused) }
            p lang="en" { (error) }
        }
    }
}

fn page(visit: &Visit<'_>, may_see: bool, told: Option<&Markup>) -> Response {
    let words = words(visit.lang);
    let file = visit.node.config().file.clone();
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(told) = told { (told) }
        @if !may_see {
            @let href = place("/sign-in", &[("back", "/settings")]);
            @let link = visit.viewer.is_none().then_some((href.as_str(), words.sign_in));
            (frame::empty(words.title, words.who, link))
        } @else if let Some(file) = file {
            form class="card stack" method="post" action="/settings" {
                (frame::token(visit))
                p { (words.file) " " code { (file.display()) } }
                p class="hint" { (words.reload_text) }
                p {
                    button type="submit" class="button" name="do" value="reload" {
                        (words.reload)
                    }
                }
            }
            @match config::settings(&file) {
                Ok(settings) => (sections(&settings, visit.lang)),
                Err(error) => p class="notice bad" lang="en" { (error) },
            }
        } @else { p { (words.no_file) } }
    };
    frame::page(visit, Tab::Settings, words.title, &content)
}

fn sections(settings: &[Shown], lang: Lang) -> Markup {
    let words = words(lang);
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
                    tbody { @for setting in section { (row(setting, lang)) } }
                }
            }
        }
    }
}

fn row(setting: &Shown, lang: Lang) -> Markup {
    let words = words(lang);
    let meaning = match lang {
        Lang::Zh => meaning(setting.section, setting.key),
        Lang::En => None,
    };
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
            @match meaning {
                Some(meaning) => td class="hint" { (meaning) },
                None => td class="hint" lang="en" { (setting.doc) },
            }
        }
    }
}
