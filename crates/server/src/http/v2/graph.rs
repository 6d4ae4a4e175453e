//! `GET /api/v2/graph/{handle}`: what a record refers to, and what refers to it, over some steps.
//!
//! Each record is read for the caller as if he had asked for it alone; records of other nodes are
//! resolved, if this node resolves for him, and are what everybody may read there. What he may not
//! read is a name without more. A node that does not answer is told as such: behind it the graph
//! may go on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use guantong_api::v2::graph::{GraphAnswer, GraphEdge, GraphNode, GraphState};
use guantong_core::authority::{Outcome as Resolved, Query, Trouble};
use guantong_core::template::{Kind, LINK_TYPE, Template, link, template_of};
use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use serde_json::Value as Json;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::cors::OwnOrigin;
use super::super::{api, change, path};
use super::foreign::silent_key;
use super::problem::Problem;
use super::sought::find;
use super::{page, sought};
use crate::node::Node;

/// Most records of an answer: as many as people can look at.
const NODES_MAX: usize = 500;
/// Records of an answer if `limit` does not say how many.
const NODES_USUAL: usize = 100;
/// Most references of an answer.
const EDGES_MAX: usize = 2_000;
/// Most steps from the root: those of a supply chain from the raw material to the customer.
const DEPTH_MAX: i64 = 8;
/// Most records of one that refer to it.
const REFERRING_MAX: usize = 100;
/// Records of other nodes that one question has resolved: each may take some seconds.
const FOREIGN_MAX: usize = 32;
/// How long one of these is waited for.
const FOREIGN_TIME: Duration = Duration::from_secs(3);
/// How long a question may take. What is not looked at by then is told to be so.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Most characters of a title.
const TITLE_CHARS_MAX: usize = 100;

/// In which direction references are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direction {
    out: bool,
    back: bool,
}

/// Answers a request for `/api/v2/graph/{handle}`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let root = path::handle(rest)?;
    let refuse = |message: String| Failure::new(ResponseCode::PROTOCOL_ERROR, message);
    let (out, back) = match asked.params.first("direction") {
        None | Some("out") => (true, false),
        Some("in") => (false, true),
        Some("both") => (true, true),
        Some(other) => {
            let message = format!("parameter `direction`: `{other}` is none of out, in, both");
            return Err(refuse(message).into());
        }
    };
    let depth = asked.params.number("depth")?.unwrap_or(1);
    if !(0..=DEPTH_MAX).contains(&depth) {
        return Err(refuse(format!("parameter `depth`: from 0 to {DEPTH_MAX}")).into());
    }
    let limit = asked.params.number("limit")?;
    let limit = limit.map_or(Some(NODES_USUAL), |limit| usize::try_from(limit).ok());
    let Some(limit @ 1..=NODES_MAX) = limit else {
        return Err(refuse(format!("parameter `limit`: from 1 to {NODES_MAX}")).into());
    };
    if back {
        sought::have_indexes(node).await?;
    }
    let mut walk = Walk {
        node,
        asked,
        direction: Direction { out, back },
        depth: u32::try_from(depth).unwrap_or_default(),
        limit,
        nodes: Vec::new(),
        edges: HashSet::new(),
        known: HashSet::new(),
        waiting: VecDeque::new(),
        templates: HashMap::new(),
        listable: HashMap::new(),
        foreign: 0,
        is_truncated: false,
    };
    walk.run(&root).await?;
    let mut edges: Vec<_> = walk.edges.into_iter().collect();
    edges.sort_unstable_by(|a, b| (&a.from, &a.field, &a.to).cmp(&(&b.from, &b.field, &b.to)));
    let form = GraphAnswer {
        root: root.to_string(),
        nodes: walk.nodes,
        edges,
        truncated: walk.is_truncated,
    };
    let mut response = json(asked, StatusCode::OK, &form);
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

//----------- Walk -----------------------------------------------------------

struct Walk<'a> {
    node: &'a Node,
    asked: &'a Asked,
    direction: Direction,
    depth: u32,
    limit: usize,
    nodes: Vec<GraphNode>,
    edges: HashSet<GraphEdge>,
    /// Folded handles that are in the answer, or wait to be.
    known: HashSet<Vec<u8>>,
    waiting: VecDeque<(Handle, u32)>,
    templates: HashMap<String, Option<Template>>,
    /// Whether the caller may list the handles of a prefix.
    listable: HashMap<String, bool>,
    foreign: usize,
    is_truncated: bool,
}

/// What is known of a record.
struct Looked {
    state: GraphState,
    values: Vec<Value>,
}

impl Walk<'_> {
    async fn run(&mut self, root: &Handle) -> Result<(), Problem> {
        let until = Instant::now() + TIME_MAX;
        self.reach(root.clone(), 0);
        while let Some((handle, depth)) = self.waiting.pop_front() {
            let looked = timeout_at(until, self.look(&handle))
                .await
                .unwrap_or_else(|_| {
                    self.is_truncated = true;
                    Looked {
                        state: GraphState::Unvisited,
                        values: Vec::new(),
                    }
                });
            let by = by_which(&looked.values);
            let template = match &by {
                Some(by) if looked.state == GraphState::Known => self.template(by, until).await,
                _ => None,
            };
            let fields = template
                .as_ref()
                .map(|template| template.read(&looked.values));
            self.nodes.push(GraphNode {
                handle: handle.to_string(),
                state: looked.state,
                template: by.map(|by| by.to_string()),
                title: template
                    .as_ref()
                    .and_then(|template| title(template, &looked.values)),
                depth,
            });
            if self.direction.out
                && let (Some(template), Some(fields)) = (&template, &fields)
            {
                for (field, target) in references(template, fields) {
                    self.refer(&handle, &target, &field, depth, target.clone());
                }
            }
            if self.direction.back && looked.state != GraphState::Foreign {
                self.referring(&handle, depth, until).await?;
            }
        }
        Ok(())
    }

    /// Has a record looked at, unless it was, or there is no room.
    fn reach(&mut self, handle: Handle, depth: u32) -> bool {
        let key = handle.key(self.node.site().case_rule()).as_bytes().to_vec();
        if self.known.contains(&key) {
            return true;
        }
        if depth > self.depth || self.known.len() >= self.limit {
            self.is_truncated = true;
            return false;
        }
        self.known.insert(key);
        self.waiting.push_back((handle, depth));
        true
    }

    /// Notes a reference, and what is at the end of it that is not known yet.
    fn refer(&mut self, from: &Handle, to: &Handle, field: &str, depth: u32, next: Handle) {
        if self.edges.len() >= EDGES_MAX {
            self.is_truncated = true;
            return;
        }
        if self.reach(next, depth + 1) {
            self.edges.insert(GraphEdge {
                from: from.to_string(),
                to: to.to_string(),
                field: field.to_owned(),
            });
        }
    }

    async fn look(&mut self, handle: &Handle) -> Looked {
        let is_ours = self
            .node
            .store
            .is_homed(handle.borrow().prefix_handle().borrow());
        let nothing = |state: GraphState| Looked {
            state,
            values: Vec::new(),
        };
        if !is_ours {
            return self.look_elsewhere(handle).await;
        }
        let sourced = api::sourced(self.node, self.asked, handle.as_str(), &[], &[]).await;
        let Ok(sourced) = sourced else {
            return nothing(GraphState::Unvisited);
        };
        let is_asked = self.asked.has_credential();
        match sourced.outcome {
            Resolved::Record(values) => Looked {
                state: GraphState::Known,
                values,
            },
            Resolved::AuthenticationNeeded if is_asked => {
                match change::restricted(self.node, self.asked, handle, &[], &[]).await {
                    Ok(seen) => Looked {
                        state: GraphState::Known,
                        values: seen.values,
                    },
                    Err(failure) if failure.is_not_found() => nothing(GraphState::Missing),
                    Err(_) => nothing(GraphState::Withheld),
                }
            }
            Resolved::NotFound | Resolved::Withdrawn(_) => nothing(GraphState::Missing),
            Resolved::AuthenticationNeeded
            | Resolved::InsufficientPermissions
            | Resolved::ValuesNotFound => nothing(GraphState::Withheld),
            _ => nothing(GraphState::Foreign),
        }
    }

    /// What everybody may read of a record of another node: who the caller is was proven to this
    /// node, and is not handed on.
    async fn look_elsewhere(&mut self, handle: &Handle) -> Looked {
        let nothing = |state: GraphState| Looked {
            state,
            values: Vec::new(),
        };
        let (node, peer) = (self.node, self.asked.peer.address.ip());
        let prefix = silent_key(node, handle);
        self.foreign += 1;
        if self.foreign > FOREIGN_MAX {
            self.is_truncated = true;
            return nothing(GraphState::Unvisited);
        }
        let query = Query::public(handle.as_str());
        // What is in the cache is had without waiting for anybody.
        let is_silent = node.v2.silent.has(&prefix, Instant::now());
        let patience = if is_silent {
            Duration::ZERO
        } else {
            FOREIGN_TIME
        };
        let sourced = timeout(patience, node.resolve(&query, peer)).await;
        let outcome = match sourced {
            Ok(Ok(sourced)) => sourced.outcome,
            Ok(Err(_)) => return nothing(GraphState::Unvisited),
            Err(_) => Resolved::Unresolved(Trouble::TooLate, String::new()),
        };
        match outcome {
            Resolved::Record(values) => Looked {
                state: GraphState::Known,
                values,
            },
            Resolved::NotFound | Resolved::Withdrawn(_) => nothing(GraphState::Missing),
            Resolved::AuthenticationNeeded
            | Resolved::InsufficientPermissions
            | Resolved::Unresolved(Trouble::Restricted, _)
            | Resolved::ValuesNotFound => nothing(GraphState::Withheld),
            Resolved::Unresolved(trouble, _) => {
                let is_of_prefix = matches!(trouble, Trouble::TooLate | Trouble::Unreachable);
                if is_of_prefix && !is_silent {
                    node.v2.silent.note(prefix, Instant::now());
                }
                self.is_truncated = true;
                nothing(GraphState::Silent)
            }
            _ => nothing(GraphState::Foreign),
        }
    }

    /// The template of a record, of whatever node.
    async fn template(&mut self, handle: &Handle, until: Instant) -> Option<Template> {
        if let Some(known) = self.templates.get(handle.as_str()) {
            return known.clone();
        }
        // A draft or a withdrawn template of ours still says what the fields of a record are.
        let template = match sought::template(self.node, handle) {
            Ok((template, _)) => Some(template),
            Err(_) => match timeout_at(until, self.look(handle)).await {
                Ok(looked) => template_in(handle, &looked.values),
                Err(_) => None,
            },
        };
        self.templates.insert(handle.to_string(), template.clone());
        template
    }

    /// What refers to a record, as far as the caller may list it and read the reference.
    async fn referring(
        &mut self,
        handle: &Handle,
        depth: u32,
        until: Instant,
    ) -> Result<(), Problem> {
        let prefix = handle.borrow().prefix_handle();
        let may_list = match self.listable.get(prefix.as_str()) {
            Some(may) => *may,
            None => {
                let may = page::may_list(self.node, self.asked, &prefix).await;
                match (depth, may) {
                    // Of the record that he asks for he is told why.
                    (0, Err(failure)) => return Err(failure.into()),
                    (_, may) => {
                        self.listable.insert(prefix.to_string(), may.is_ok());
                        may.is_ok()
                    }
                }
            }
        };
        if !may_list {
            return Ok(());
        }
        let data = link(handle.as_str(), self.node.site().case_rule());
        let (found, next) = find(self.node, LINK_TYPE, &data, None, REFERRING_MAX)?;
        self.is_truncated |= next.is_some();
        for from in found {
            let Ok(looked) = timeout_at(until, self.look(&from)).await else {
                self.is_truncated = true;
                return Ok(());
            };
            let Some(by) = by_which(&looked.values) else {
                continue;
            };
            let Some(template) = self.template(&by, until).await else {
                continue;
            };
            // A reference that he may not read is not among the fields.
            for (field, target) in references(&template, &template.read(&looked.values)) {
                let rule = self.node.site().case_rule();
                if target.key(rule) == handle.key(rule) {
                    self.refer(&from, handle, &field, depth, from.clone());
                }
            }
        }
        Ok(())
    }
}

//----------- Records --------------------------------------------------------

fn by_which(values: &[Value]) -> Option<Handle> {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    template_of(Values::from_wire(&wire).ok()?)
}

fn template_in(handle: &Handle, values: &[Value]) -> Option<Template> {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    Template::of(handle.clone(), Values::from_wire(&wire).ok()?).ok()
}

/// The references among the fields of a record.
fn references(
    template: &Template,
    fields: &serde_json::Map<String, Json>,
) -> Vec<(String, Handle)> {
    let mut found = Vec::new();
    let own = template.definition().fields.iter();
    for field in own.filter(|field| matches!(field.kind, Kind::Reference(_))) {
        let targets = match fields.get(&field.name) {
            Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
            Some(Json::String(text)) => vec![text.as_str()],
            _ => Vec::new(),
        };
        let handles = targets
            .iter()
            .filter_map(|target| Handle::parse(target).ok());
        found.extend(handles.map(|handle| (field.name.clone(), handle)));
    }
    found
}

/// The first text of a record that is there.
fn title(template: &Template, values: &[Value]) -> Option<String> {
    let fields = template.read(values);
    let own = template.definition().fields.iter();
    let mut texts = own.filter(|field| matches!(field.kind, Kind::Text(_)));
    let text = texts.find_map(|field| fields.get(&field.name)?.as_str())?;
    Some(text.chars().take(TITLE_CHARS_MAX).collect())
}
