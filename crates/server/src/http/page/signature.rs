//! How a record is signed, in words.

use guantong_core::trust::Fault;
use guantong_proto::HandleRef;
use maud::{Markup, html};

use super::number;
use super::text::{Lang, Text};
use super::view::View;
use crate::proof::{Seal, SealStanding};

/// The row of the facts about the signature.
pub(crate) fn row(seal: &Seal, view: &View<'_>) -> Markup {
    let text = view.text();
    let (mark, word) = match &seal.standing {
        SealStanding::Valid => ("seal is-valid", text.signature_valid),
        SealStanding::Invalid(_) => ("seal is-invalid", text.signature_invalid),
        SealStanding::Undecided(_) => ("seal", text.signature_undecided),
        SealStanding::Unsigned => ("seal", text.signature_none),
        SealStanding::Unjudged => ("seal", text.signature_unjudged),
    };
    let why = match &seal.standing {
        SealStanding::Invalid(fault) | SealStanding::Undecided(fault) => Some(fault),
        _ => None,
    };
    html! {
        div {
            dt { (text.signature) }
            dd {
                p { span class=(mark) { (word) } }
                @if let Some(fault) = why {
                    @if let Some(reason) = reason(fault, text) { p { (reason) } }
                    p class="hint" lang=[(view.lang == Lang::Zh).then_some(Lang::En.tag())] {
                        (shortened(&fault.to_string()))
                    }
                }
                @if seal.standing == SealStanding::Unjudged {
                    p class="hint" { (text.signature_no_roots) }
                }
                @if let Some(signer) = &seal.signer { (by(signer, seal.until, view)) }
            }
        }
    }
}

/// Who has signed, and until when.
fn by(signer: &str, until: Option<i64>, view: &View<'_>) -> Markup {
    let text = view.text();
    let handle = signer.split_once(':').map(|(_, handle)| handle);
    let handle = handle.and_then(|handle| HandleRef::parse(handle).ok());
    html! {
        p {
            (text.signed_by) " "
            @match handle {
                Some(handle) => {
                    a class="handle" href=(view.record_href(handle.as_str())) { (signer) }
                }
                None => code { (shortened(signer)) },
            }
        }
        @if let Some(until) = until.and_then(number::moment) {
            p class="hint" { (text.until) " " span class="nowrap" { (until) } }
        } @else if until.is_none() {
            p class="hint" { (text.signature_endless) }
        }
    }
}

/// The reason in a word or two; `None` if only the full text says it.
fn reason(fault: &Fault, text: &'static Text) -> Option<&'static str> {
    Some(match fault {
        Fault::Expired { .. } => text.signature_expired,
        Fault::NotYet { .. } => text.signature_not_yet,
        Fault::Changed { .. } | Fault::NotCovered { .. } | Fault::Missing { .. } => {
            text.signature_changed
        }
        Fault::OtherHandle { .. } => text.signature_of_another,
        Fault::Forged { .. } => text.signature_forged,
        Fault::Revoked { .. } => text.signature_revoked,
        Fault::NotPermitted { .. } => text.signature_not_permitted,
        Fault::NoCertificate { .. } => text.signature_no_certificate,
        Fault::UnknownRoot { .. } => text.signature_other_root,
        Fault::Unreachable { .. } => text.signature_unreachable,
        _ => return None,
    })
}

/// Most characters of a text that strangers have written.
const CHARS_MAX: usize = 300;

fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let mut kept: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(standing: SealStanding, lang: Lang) -> String {
        let seal = Seal {
            signer: Some("300:0.NA/88.118.5".to_owned()),
            until: Some(1_800_000_000),
            standing,
        };
        row(&seal, &View::sample(lang)).into_string()
    }

    #[test]
    fn each_standing_says_what_it_is_and_why() {
        let changed = SealStanding::Invalid(Fault::Changed { index: 2 });
        let expired = SealStanding::Invalid(Fault::Expired {
            what: "the signature".to_owned(),
            at: 1,
        });
        let table = [
            (SealStanding::Valid, ">valid<", ">有效<", "is-valid"),
            (changed, "not what was signed", "与签名不符", "is-invalid"),
            (expired, "has expired", "已过期", "is-invalid"),
            (SealStanding::Unjudged, "trust.roots", "trust.roots", "seal"),
        ];
        for (standing, en, zh, class) in table {
            for (lang, word) in [(Lang::En, en), (Lang::Zh, zh)] {
                let html = shown(standing.clone(), lang);
                for part in [word, class, "300:0.NA/88.118.5", "2027-01-15 08:00:00 UTC"] {
                    assert!(html.contains(part), "{part}: {html}");
                }
                assert!(html.contains("href=\"/0.NA/88.118.5"), "{html}");
            }
        }
    }

    #[test]
    fn names_that_strangers_write_are_escaped_and_short() {
        let seal = Seal {
            signer: Some(format!("<script>{}", "x".repeat(10_000))),
            until: Some(i64::MAX),
            standing: SealStanding::Invalid(Fault::OtherHandle {
                sub: format!("<script>{}", "y".repeat(10_000)),
            }),
        };
        let html = row(&seal, &View::sample(Lang::En)).into_string();
        assert!(!html.contains("<script") && html.len() < 2_000, "{html}");
    }
}
