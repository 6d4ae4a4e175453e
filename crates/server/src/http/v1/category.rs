//! `/api/v1/open/meta/classify-query`: the tree of categories under the caller's prefix.

use guantong_api::doip::Code;
use guantong_core::template::{Categories, Placed, categories_handle};
use serde_json::{Value as Json, json};

use super::super::asked::Asked;
use super::super::v2::category::shown;
use super::Said;
use super::meta::own_prefix;
use super::object::sender;
use super::refusal::{Deed, Refusal};
use crate::node::Node;

pub(super) async fn tree(node: &Node, asked: &Asked) -> Said {
    let sender = sender(node, asked).await?;
    let categories = of_prefix(node, asked, &own_prefix(node, &sender)?).await?;
    Ok(Some(forest(&categories.placed()).into()))
}

/// The categories of a prefix, as the caller may see them.
pub(super) async fn of_prefix(
    node: &Node,
    asked: &Asked,
    prefix: &str,
) -> Result<Categories, Refusal> {
    let shown = shown(node, asked, &categories_handle(prefix)?).await;
    shown.map_err(|problem| Deed::Read.refused(problem))
}

/// Refuses a category that there is not.
pub(super) fn check(categories: &Categories, code: Option<&String>) -> Result<(), Refusal> {
    let code = code.map(|code| code.trim()).unwrap_or_default();
    match code.is_empty() || categories.get(code).is_some() {
        true => Ok(()),
        false => {
            let message = format!("there is no category `{code}`; see classify-query");
            Err(Refusal::new(Code::CategoryNotFound, message))
        }
    }
}

/// Categories, each with those below it. They come with each behind the one that it is a part of.
fn forest(placed: &[Placed<'_>]) -> Vec<Json> {
    let depth = placed.first().map_or(0, |first| first.above.len());
    let mut trees = Vec::new();
    let mut rest = placed;
    while let Some((top, behind)) = rest.split_first() {
        let below = behind
            .iter()
            .take_while(|one| one.above.len() > depth)
            .count();
        let (children, next) = behind.split_at(below);
        let above = top.above.iter().map(ToString::to_string);
        let ancestors: Vec<String> = std::iter::once("0".to_owned()).chain(above).collect();
        trees.push(json!({
            "id": top.category.id,
            "parentId": top.above.last().copied().unwrap_or(0),
            "sort": top.category.sort,
            "classifyName": top.category.name,
            "classifyCode": top.category.code,
            "ancestors": ancestors.join(","),
            "level": top.above.len() + 1,
            "children": forest(children),
        }));
        rest = next;
    }
    trees
}

#[cfg(test)]
mod tests {
    use guantong_core::template::Category;

    use super::*;

    fn category(code: &str, parent: Option<&str>) -> Category {
        Category {
            id: 0,
            code: code.to_owned(),
            name: code.to_owned(),
            parent: parent.map(str::to_owned),
            sort: 1,
        }
    }

    #[test]
    fn categories_hang_below_those_that_they_are_parts_of() {
        let mut categories = Categories::default();
        for (code, parent) in [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", None)] {
            categories = categories.add(category(code, parent)).unwrap();
        }
        let forest = forest(&categories.placed());
        let codes: Vec<_> = forest.iter().map(|tree| &tree["classifyCode"]).collect();
        assert_eq!(codes, ["unclassified", "a", "d"]);
        let c = &forest[1]["children"][0]["children"][0];
        assert_eq!((&c["classifyCode"], &c["level"]), (&json!("c"), &json!(3)));
        let (a, b) = (&forest[1]["id"], &forest[1]["children"][0]["id"]);
        assert_eq!(c["parentId"], *b);
        assert_eq!(c["ancestors"], format!("0,{a},{b}"));
        assert!(check(&categories, Some(&"c".to_owned())).is_ok());
        assert!(check(&categories, Some(&"e".to_owned())).is_err());
        assert!(check(&categories, None).is_ok());
    }
}
