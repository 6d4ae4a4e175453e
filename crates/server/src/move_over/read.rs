//! Reading an old node: identities, categories, templates, identifiers, in that order.

use std::collections::HashSet;
use std::path::Path;

use futures_util::future::join_all;
use guantong_client::Client;
use guantong_core::identity::{Kind, Role};
use guantong_core::template::{Template, categories_handle};
use guantong_proto::{CaseRule, Handle};
use serde_json::Value as Json;

use super::spool::{Outcome, Row, Spool, Tally};
use super::{MoveError, Old, PeerError};
use crate::http::v1::moved::{self, Moved};

/// Entries of a page that are asked for.
const PAGE_SIZE: &str = "100";
/// Most templates, and pages of one list: an old node that goes on for ever is not followed.
const TEMPLATES_MAX: usize = 100_000;
const PAGES_MAX: usize = 100_000;
/// Identifiers that are asked for side by side: old nodes serve people meanwhile.
const SIDE_BY_SIDE: usize = 8;
/// The operation that reads an identifier.
const RETRIEVE: &str = "0.DOIP/Op.Retrieve";

/// What is read, and whereto.
pub struct Reading<'a> {
    /// The old node.
    pub old: &'a Old,
    /// Where the records of identities are resolved; `None`: they are not moved.
    pub native: Option<&'a Client>,
    /// How handles are compared at the new node.
    pub rule: CaseRule,
    /// Only templates of these categories; empty for all.
    pub categories: &'a [String],
    /// Identities besides those that the old node lists.
    pub identities: &'a [Handle],
    /// The folder.
    pub folder: &'a Path,
}

/// What is told while it is read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Something is told of something.
    Told(&'a Row),
    /// So many records are in the folder.
    Read(Tally),
}

/// Reads everything that is not in the folder yet.
pub async fn read(
    reading: &Reading<'_>,
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Tally, MoveError> {
    reading.old.log_in().await?;
    let spool = Spool::open(reading.folder, reading.rule)?;
    let mut reader = Reader {
        reading,
        spool,
        tell,
    };
    reader.identities().await?;
    let codes = reader.categories().await?;
    let mut templates = Vec::new();
    for handle in reader.template_handles(&codes).await? {
        templates.extend(reader.template(handle).await?);
    }
    for row in reader.spool.count(&templates)? {
        reader.told(&row)?;
    }
    reader.spool.flush()?;
    Ok(reader.spool.tally)
}

struct Reader<'a, 'b> {
    reading: &'a Reading<'a>,
    spool: Spool,
    tell: &'b mut dyn FnMut(Step<'_>),
}

impl Reader<'_, '_> {
    fn told(&mut self, row: &Row) -> Result<(), MoveError> {
        self.spool.tell(row)?;
        (self.tell)(Step::Told(row));
        Ok(())
    }

    fn not_moved(&mut self, what: &str, why: &dyn std::fmt::Display) -> Result<(), MoveError> {
        self.told(&Row {
            handle: what.to_owned(),
            outcome: Outcome::NotMoved,
            why: why.to_string(),
        })
    }

    /// Puts a record into the folder, or tells why there is none.
    fn add(&mut self, handle: &Handle, moved: Result<Moved, String>) -> Result<(), MoveError> {
        match moved {
            Ok(moved) => self.spool.add(handle, &moved.values, &moved.notes)?,
            Err(why) => self.not_moved(handle.as_str(), &why)?,
        }
        (self.tell)(Step::Read(self.spool.tally));
        Ok(())
    }

    /// The prefix of the enterprise: that of the application.
    fn prefix(&self) -> String {
        self.reading.old.app().borrow().prefix().to_owned()
    }

    fn is_own(&self, handle: &Handle) -> bool {
        let prefix = handle.borrow().prefix().to_ascii_lowercase();
        prefix == self.prefix().to_ascii_lowercase()
    }

    /// Handles that the old node names in `name` of each entry; others are told.
    fn named(&mut self, entries: &[Json], name: &str) -> Result<Vec<Handle>, MoveError> {
        let mut handles = Vec::new();
        for entry in entries {
            let text = moved::text(entry, name).unwrap_or_default();
            match Handle::parse(&text) {
                Ok(handle) if self.is_own(&handle) => handles.push(handle),
                Ok(_) => {}
                Err(error) => {
                    let text: String = text.chars().take(80).collect();
                    self.not_moved(&text, &format!("`{name}` is no identifier: {error}"))?;
                }
            }
        }
        Ok(handles)
    }

    //----------- Identities and categories

    async fn identities(&mut self) -> Result<(), MoveError> {
        let old = self.reading.old;
        let mut handles = vec![old.app().clone()];
        handles.extend(self.reading.identities.iter().cloned());
        match old.get("open/handle-user-group/list", &[]).await {
            Ok(list) => {
                let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
                handles.extend(self.named(list, "userHandle")?);
            }
            Err(PeerError::Refused { code, message }) => {
                let why = format!("applications and groups are not listed: {message} ({code})");
                self.not_moved("identities", &why)?;
            }
            Err(silent) => return Err(silent.into()),
        }
        let mut seen = HashSet::new();
        for handle in handles {
            // Roles are the new node's own.
            let is_role = Role::of_group(handle.borrow()).is_some();
            let is_new = seen.insert(handle.key(self.reading.rule).as_bytes().to_vec());
            if !is_new || is_role || self.spool.has(&handle) {
                continue;
            }
            let moved = match self.reading.native {
                None => Err("no address for resolving it was given (--native)".to_owned()),
                Some(native) if Kind::of(handle.borrow()) != Some(Kind::User) => {
                    let found = native.resolve(handle.as_str()).await;
                    found
                        .map_err(|error| error.to_string())
                        .and_then(|found| moved::identity(&handle, found.values()))
                }
                Some(_) => moved::identity(&handle, &[]),
            };
            self.add(&handle, moved)?;
        }
        self.spool.flush()
    }

    /// Moves the tree; gives the codes of the categories of which templates are read.
    async fn categories(&mut self) -> Result<Vec<String>, MoveError> {
        let tree = self
            .reading
            .old
            .get("open/meta/classify-query", &[])
            .await?;
        let handle = categories_handle(&self.prefix());
        if let Ok(handle) = handle
            && !self.spool.has(&handle)
        {
            match moved::categories(&handle, &tree) {
                // A tree with nothing but what every tree has is no record.
                Ok(moved) if moved.is_bare() => {}
                moved => self.add(&handle, moved)?,
            }
        }
        Ok(match self.reading.categories {
            [] => moved::codes(&tree),
            chosen => chosen.to_vec(),
        })
    }

    //----------- Templates

    async fn template_handles(&mut self, codes: &[String]) -> Result<Vec<Handle>, MoveError> {
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for code in codes {
            let query = [("classifyCode", code.as_str())];
            match self.list("open/meta/page", &query, "metaHandle").await {
                Ok(handles) => {
                    let rule = self.reading.rule;
                    let new = |handle: &Handle| seen.insert(handle.key(rule).as_bytes().to_vec());
                    all.extend(handles.into_iter().filter(new));
                }
                Err(MoveError::Peer(PeerError::Refused { code: n, message })) => {
                    self.not_moved(&format!("category {code}"), &format!("{message} ({n})"))?;
                }
                Err(error) => return Err(error),
            }
            if all.len() > TEMPLATES_MAX {
                let limit = TEMPLATES_MAX;
                return Err(MoveError::TooMany { limit });
            }
        }
        Ok(all)
    }

    /// A list, page by page, until nothing new comes.
    async fn list(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        name: &str,
    ) -> Result<Vec<Handle>, MoveError> {
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for page in 0..PAGES_MAX {
            let number = page.to_string();
            let paging = [("page", number.as_str()), ("size", PAGE_SIZE)];
            let query = [query, &paging].concat();
            let answer = self.reading.old.get(path, &query).await?;
            let content = answer["content"].as_array();
            let content = content.map(Vec::as_slice).unwrap_or_default();
            let rule = self.reading.rule;
            let new = |handle: &Handle| seen.insert(handle.key(rule).as_bytes().to_vec());
            let found = self.named(content, name)?;
            let before = all.len();
            all.extend(found.into_iter().filter(new));
            if all.len() > super::spool::RECORDS_MAX {
                let limit = super::spool::RECORDS_MAX;
                return Err(MoveError::TooMany { limit });
            }
            let total = moved::number(&answer, "totalCount").and_then(|n| usize::try_from(n).ok());
            if all.len() == before || total.is_some_and(|total| all.len() >= total) {
                if let Some(total) = total.filter(|total| *total > all.len()) {
                    let what = query.first().map_or(path, |(_, value)| *value).to_owned();
                    let why = format!("{} of {total} that it counts were listed", all.len());
                    self.not_moved(&what, &why)?;
                }
                break;
            }
        }
        Ok(all)
    }

    /// A template and everything that is registered by it.
    async fn template(&mut self, handle: Handle) -> Result<Option<Template>, MoveError> {
        let query = [("metaHandle", handle.as_str())];
        let said = match self.reading.old.get("open/meta/info", &query).await {
            Ok(said) => said,
            Err(refused @ PeerError::Refused { .. }) => {
                self.not_moved(handle.as_str(), &refused)?;
                return Ok(None);
            }
            Err(silent) => return Err(silent.into()),
        };
        let listed = match self.list("open/handle/page", &query, "handleName").await {
            Ok(listed) => listed,
            Err(MoveError::Peer(refused @ PeerError::Refused { .. })) => {
                let why = format!("its identifiers are not listed: {refused}");
                self.not_moved(handle.as_str(), &why)?;
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let template = match moved::template(handle.clone(), &said, !listed.is_empty()) {
            Ok(template) => template,
            Err(why) => {
                let count = listed.len();
                let why = format!("{why}; nor are the {count} identifiers registered by it");
                self.not_moved(handle.as_str(), &why)?;
                return Ok(None);
            }
        };
        if !self.spool.has(&handle) {
            let values = moved::template_values(&template, &said, self.reading.rule);
            let notes = Vec::new();
            self.add(&handle, Ok(Moved { values, notes }))?;
        }
        for some in listed.chunks(SIDE_BY_SIDE) {
            let new = some.iter().filter(|handle| !self.spool.has(handle));
            let old = self.reading.old;
            let asked = new.map(async |handle| (handle, retrieve(old, handle).await));
            for (handle, answer) in join_all(asked).await {
                let moved = match answer {
                    Ok((own, public)) => {
                        let both = (&own, public.as_ref());
                        moved::registration(&template, handle, both, self.reading.rule)
                    }
                    Err(refused @ PeerError::Refused { .. }) => Err(refused.to_string()),
                    Err(silent) => {
                        self.spool.flush()?;
                        return Err(silent.into());
                    }
                };
                self.add(handle, moved)?;
            }
            self.spool.flush()?;
        }
        Ok(Some(template))
    }
}

/// What the application sees of an identifier, and what everybody sees.
async fn retrieve(old: &Old, handle: &Handle) -> Result<(Json, Option<Json>), PeerError> {
    let query = [("targetId", handle.as_str()), ("operationId", RETRIEVE)];
    let own = old.get("doip", &query).await?;
    let public = match old.get_public("doip", &query).await {
        Ok(public) => Some(public),
        // Nothing of it is public, or the old node tells nobody anything without a token.
        Err(PeerError::Refused { .. }) => None,
        Err(silent) => return Err(silent),
    };
    Ok((own, public))
}
