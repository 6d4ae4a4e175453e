//! `/api/v2/categories`: the tree in which the templates of a prefix are put.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::v2::Outcome;
use guantong_api::v2::categories::{
    CategoriesAnswer, CategoryAnswer, ChangedCategory, NewCategory,
};
use guantong_core::template::{
    CATEGORY_TYPE, Categories, Category, CategoryFault, categories_handle,
};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values, is_of_type};

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::{condition, path};
use super::problem::Problem;
use super::registration::seen;
use super::sender::Sender;
use super::template::{done, terms};
use super::{body, not_allowed, sought};
use crate::node::Node;

const AREA: &str = "categories";
/// Index that a category may have; who may write it may write all of them.
const SOME_INDEX: i32 = 2_000;

/// Answers a request for `/api/v2/categories`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => show(node, asked).await,
        (&Method::POST, "") => add(node, asked).await,
        (&Method::PATCH, rest) if !rest.is_empty() => change(node, asked, rest).await,
        (&Method::DELETE, rest) if !rest.is_empty() => remove(node, asked, rest).await,
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        _ => Err(not_allowed(asked, "PATCH and DELETE")),
    }
}

//----------- Reading --------------------------------------------------------

async fn show(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "of which prefix? ask for `/api/v2/categories?prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    let handle = categories_handle(prefix)?;
    let version = condition::version(node, handle.as_str());
    let categories = shown(node, asked, &handle).await?;
    let form = CategoriesAnswer {
        prefix: prefix.to_owned(),
        categories: forms(&categories),
    };
    let answer = json(asked, StatusCode::OK, &form);
    Ok(condition::known(asked, answer, version))
}

/// The categories that the caller may see.
pub(in crate::http) async fn shown(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
) -> Result<Categories, Problem> {
    match seen(node, asked, handle).await {
        Ok(values) => {
            let wire = Writer::to_vec(|w| Values::encode(&values, w));
            let values = Values::from_wire(&wire);
            let values =
                values.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
            Ok(Categories::of(values)?)
        }
        Err(problem) if problem.is_not_found() => Ok(Categories::default()),
        Err(problem) => Err(problem),
    }
}

fn forms(categories: &Categories) -> Vec<CategoryAnswer> {
    let placed = categories.placed().into_iter();
    let form = placed.map(|placed| CategoryAnswer {
        id: placed.category.id,
        code: placed.category.code.clone(),
        name: placed.category.name.clone(),
        parent: placed.category.parent.clone(),
        sort: placed.category.sort,
        level: placed.above.len() + 1,
    });
    form.collect()
}

//----------- Writing --------------------------------------------------------

async fn add(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let new: NewCategory = body(asked)?;
    let changing = Changing::of(node, asked, &categories_handle(&new.prefix)?).await?;
    let category = Category {
        id: 0,
        code: new.code,
        name: new.name,
        parent: new.parent.filter(|parent| !parent.is_empty()),
        sort: new.sort,
    };
    let next = changing.categories.clone().add(category)?;
    changing.write(node, asked, &next, Outcome::Created).await
}

async fn change(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let changed: ChangedCategory = body(asked)?;
    let (handle, code) = named(rest)?;
    let changing = Changing::of(node, asked, &handle).await?;
    let next = changing.categories.clone().change(&code, |category| {
        if let Some(name) = changed.name {
            category.name = name;
        }
        if let Some(parent) = changed.parent {
            category.parent = Some(parent).filter(|parent| !parent.is_empty());
        }
        category.sort = changed.sort.unwrap_or(category.sort);
    })?;
    changing.write(node, asked, &next, Outcome::Changed).await
}

async fn remove(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let (handle, code) = named(rest)?;
    let changing = Changing::of(node, asked, &handle).await?;
    let next = changing.categories.clone().remove(&code)?;
    changing.write(node, asked, &next, Outcome::Deleted).await
}

/// `<prefix>/<code>` as the record of the prefix and the code.
fn named(rest: &str) -> Result<(Handle, String), Problem> {
    let named = path::handle(rest)?;
    let (prefix, code) = named
        .as_str()
        .split_once('/')
        .unwrap_or((named.as_str(), ""));
    Ok((categories_handle(prefix)?, code.to_owned()))
}

/// Categories that somebody changes who may.
struct Changing {
    sender: Sender,
    handle: Handle,
    categories: Categories,
    /// What the record holds besides, and its version; `None` if there is no record.
    record: Option<(Vec<Value>, u64)>,
}

impl Changing {
    async fn of(node: &Node, asked: &Asked, handle: &Handle) -> Result<Self, Problem> {
        let sender = Sender::of(node, asked).await?;
        let (categories, record) = match sought::record(node, handle)? {
            None => (Categories::default(), None),
            Some(record) => {
                sender.may_change(node, asked, handle, SOME_INDEX).await?;
                let categories = Categories::of(record.values())?;
                let values = record.values().to_vec();
                let values =
                    values.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
                let values = values.into_iter();
                let is_other =
                    |value: &Value| !is_of_type(value.kind.as_bytes(), CATEGORY_TYPE.as_bytes());
                let others = values.filter(is_other).collect();
                (categories, Some((others, record.version())))
            }
        };
        Ok(Self {
            sender,
            handle: handle.clone(),
            categories,
            record,
        })
    }

    async fn write(
        self,
        node: &Node,
        asked: &Asked,
        next: &Categories,
        outcome: Outcome,
    ) -> Result<Response, Problem> {
        let handle = &self.handle;
        let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
        let (mut values, flags, terms) = match self.record {
            Some((others, version)) => (others, insisting, terms(asked).at(version)),
            None => {
                let administrator = self.sender.administrator(handle);
                (vec![administrator], OpFlags::DEFAULT, terms(asked))
            }
        };
        values.extend(next.to_values());
        let packet = builder(node, flags).write(OpCode::CREATE, handle.as_str(), &values);
        let carried = self.sender.carry(node, asked, handle, packet, terms);
        carried.await?;
        Ok(done(asked, &self.sender, handle, outcome, AREA))
    }
}

impl From<CategoryFault> for Problem {
    fn from(fault: CategoryFault) -> Self {
        let (code, status) = match fault {
            CategoryFault::Twice { .. } | CategoryFault::HasChildren { .. } => {
                (ResponseCode::HANDLE_ALREADY_EXISTS, 409)
            }
            CategoryFault::Missing { .. } => (ResponseCode::HANDLE_NOT_FOUND, 404),
            CategoryFault::Damaged { .. } => (ResponseCode::ERROR, 500),
            _ => (ResponseCode::INVALID_VALUE, 422),
        };
        Failure::new(code, fault.to_string())
            .with_status(status)
            .into()
    }
}
