//! `/snms/api/file/…`: papers of enterprises that apply, such as a licence or an identity card.
//!
//! They are sent before the application that names them. So whoever may file one may send them, and
//! whoever administers a prefix of ours reads them, and who has sent them.

use axum::body::Body;
use axum::response::Response;
use guantong_core::enterprise::{ENTERPRISE_INDEX, ENTERPRISE_LEAD};
use guantong_proto::Handle;
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use serde_json::json;

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::files::{stream_of, take};
use super::super::v2::guest;
use super::super::v2::problem::Problem;
use super::super::v2::sender::{Sender, Terms};
use super::done;
use crate::files::{FileName, Purpose};
use crate::node::Node;

/// Where files are sent.
pub(in crate::http) const UPLOAD: &str = "/snms/api/file/upload";
/// Where they are asked for.
pub(super) const DOWNLOAD: &str = "/snms/api/file/download";
/// What they are for, in place of the field of a template.
const PURPOSE: &str = "enterprise";
/// Most octets of a picture: that of a whole page in print has fewer.
const PICTURE_OCTETS_MAX: u64 = 8 * 1024 * 1024;
/// Most octets of a paper, which may have many pages.
const PAPER_OCTETS_MAX: u64 = 32 * 1024 * 1024;
/// Ends of their names, and how large each may be.
const SUFFIXES: [(&str, u64); 7] = [
    ("jpg", PICTURE_OCTETS_MAX),
    ("jpeg", PICTURE_OCTETS_MAX),
    ("png", PICTURE_OCTETS_MAX),
    ("gif", PICTURE_OCTETS_MAX),
    ("bmp", PICTURE_OCTETS_MAX),
    ("tif", PAPER_OCTETS_MAX),
    ("pdf", PAPER_OCTETS_MAX),
];
/// Prefixes of ours that rights are looked for in.
const PREFIXES_MAX: usize = 64;

/// Takes a file from somebody who may file applications.
pub(super) async fn upload(node: &Node, asked: &Asked, body: Body) -> Result<Response, Problem> {
    let by = match guest::is_one(node, asked) {
        true => {
            guest::admit(node, asked)?;
            None
        }
        false => {
            let sender = Sender::of(node, asked).await?;
            may_file(node, asked, &sender).await?;
            sender.by.0
        }
    };
    let purpose = Purpose {
        template: String::new(),
        field: PURPOSE.to_owned(),
        by: by.as_ref().map(ToString::to_string),
        at: node.now_secs(),
        since: node.store.last_change(),
    };
    let (name, _) = take(node, asked, body, &SUFFIXES, purpose).await?;
    // Clients keep the number in 63 bits.
    let id = u64::from_str_radix(&name.id()[..16], 16).unwrap_or_default() >> 1;
    Ok(done(asked, json!({"id": id, "path": name.to_string()})))
}

/// Whether the sender may file an application below a prefix of ours.
async fn may_file(node: &Node, asked: &Asked, sender: &Sender) -> Result<(), Problem> {
    let rehearsal = Terms {
        is_rehearsal: true,
        ..Terms::default()
    };
    let mut refused = None;
    for prefix in node.store.homed().into_iter().take(PREFIXES_MAX) {
        let above = prefix.borrow().suffix();
        let number = u128::from_be_bytes(node.random());
        let handle = Handle::parse(&format!("{above}/{ENTERPRISE_LEAD}{number:032x}"))?;
        let values = [sender.administrator(&handle)];
        let packet = builder(node, OpFlags::DEFAULT);
        let packet = packet.write(OpCode::CREATE, handle.as_str(), &values);
        match sender.carry(node, asked, &handle, packet, rehearsal).await {
            Ok(()) => return Ok(()),
            Err(failure) => refused = Some(failure),
        }
    }
    let none = || {
        Failure::new(
            ResponseCode::INSUFFICIENT_PERMISSIONS,
            "this node homes no prefix",
        )
    };
    Err(refused.unwrap_or_else(none).into())
}

/// The octets of a file that was sent.
pub(super) async fn download(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let sender = Sender::of(node, asked).await?;
    let missing = || {
        let message = "there is no such file, or you may not have it";
        Problem::from(Failure::new(ResponseCode::HANDLE_NOT_FOUND, message))
    };
    let path = asked.params.first("path").unwrap_or_default();
    let name: FileName = path.parse().map_err(|_| missing())?;
    let upload = node.files.find(&name).await?;
    let upload = upload.filter(|upload| upload.template.is_empty() && upload.field == PURPOSE);
    let upload = upload.ok_or_else(missing)?;
    let by = sender.by.0.as_ref().map(ToString::to_string);
    let is_own = by.is_some() && upload.by == by;
    match is_own || administers(node, asked, &sender).await {
        true => stream_of(node, &name, &upload).await,
        false => Err(missing()),
    }
}

/// Whether the sender administers a prefix of ours.
async fn administers(node: &Node, asked: &Asked, sender: &Sender) -> bool {
    for prefix in node.store.homed().into_iter().take(PREFIXES_MAX) {
        let may = sender.may_change(node, asked, &prefix, ENTERPRISE_INDEX);
        if may.await.is_ok() {
            return true;
        }
    }
    false
}
