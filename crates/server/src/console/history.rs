//! What happened to a record, for who may read all of it: the log keeps the values that were
//! replaced.

use guantong_api::control::ChangeEntry;
use guantong_proto::{Handle, HandleRef, Value, Values};
use guantong_store::{Entry, StoreError};
use maud::{Markup, html};

use super::visit::Visit;
use crate::control::change_entry;
use crate::http::page::{Lang, number};
use crate::node::Node;

/// Changes that are shown.
const SHOWN: usize = 20;

super::words::words! {
    none: "No change of it is in the log.", "日志中没有它的变更。";
    failed: "The log cannot be read now.", "暂时无法读取日志。";
    number: "Change", "变更";
    at: "When", "时间";
    what: "What", "操作";
    who: "Who", "操作者";
    values: "Values", "涉及的值";
    older: "Older changes: guantong record history", "更早的变更：guantong record history";
    create: "created", "新建";
    update: "changed", "修改";
    delete: "deleted", "删除";
    home: "homed", "托管";
    unhome: "unhomed", "取消托管";
    node: "the node", "节点自身";
    operator: "operator on the machine", "本机操作员";
    import: "import", "批量导入";
    replication: "replication", "复制";
    anybody: "anybody", "任何人";
}

/// What was done, in a word.
pub(super) fn action(name: &str, lang: Lang) -> &'static str {
    let words = words(lang);
    match name {
        "create" => words.create,
        "delete" => words.delete,
        "home" => words.home,
        "unhome" => words.unhome,
        _ => words.update,
    }
}

/// Who made a change.
pub(super) fn who(change: &ChangeEntry, lang: Lang) -> Markup {
    let words = words(lang);
    let word = match change.origin.as_str() {
        "node" => words.node,
        "operator" => words.operator,
        "import" => words.import,
        "replication" => words.replication,
        "anybody" => words.anybody,
        identity => return html! { code { (identity) } },
    };
    html! { (word) }
}

/// The changes of a record, newest first, with the values that each of them touched.
fn changes(node: &Node, handle: HandleRef<'_>) -> Result<(Vec<Entry>, bool), StoreError> {
    let mut entries = Vec::new();
    let mut next = node.store.last_change_of(handle)?;
    while let Some(number) = next {
        if entries.len() == SHOWN {
            return Ok((entries, true));
        }
        let Some(entry) = node.store.change(number)? else {
            break;
        };
        next = entry.previous();
        entries.push(entry);
    }
    Ok((entries, false))
}

/// The indexes of values that differ.
fn touched(before: &[Value], after: &[Value]) -> Vec<i32> {
    let differs = |value: &&Value, others: &[Value]| {
        let other = others.iter().find(|other| other.index == value.index);
        other.is_none_or(|other| !other.is_same_but_for_time(value))
    };
    let mut indexes: Vec<i32> = after
        .iter()
        .filter(|value| differs(value, before))
        .chain(
            before
                .iter()
                .filter(|value| after.iter().all(|other| other.index != value.index)),
        )
        .map(|value| value.index)
        .collect();
    indexes.sort_unstable();
    indexes
}

fn values_of(wire: Option<&[u8]>) -> Vec<Value> {
    let values = wire.and_then(|wire| Values::from_wire(wire).ok());
    values
        .and_then(|values| values.to_vec().ok())
        .unwrap_or_default()
}

/// The table.
pub(super) fn table(visit: &Visit<'_>, handle: &Handle) -> Markup {
    let words = words(visit.lang);
    let Ok((entries, has_more)) = changes(visit.node, handle.borrow()) else {
        return html! { p { (words.failed) } };
    };
    let key = handle.borrow().key(visit.node.site().case_rule());
    let stored = visit.node.store.get(key.as_bytes()).ok().flatten();
    let mut after = values_of(
        stored
            .as_ref()
            .map(guantong_store::StoredRecord::values_wire),
    );
    let mut rows = Vec::new();
    for entry in &entries {
        let before = values_of(entry.before.as_ref().map(|before| before.values.as_slice()));
        rows.push((change_entry(entry), touched(&before, &after)));
        after = before;
    }
    html! {
        @if rows.is_empty() { p { (words.none) } }
        @else {
            table class="cards" {
                thead {
                    tr {
                        th class="number" scope="col" { (words.number) }
                        th scope="col" { (words.at) }
                        th scope="col" { (words.what) }
                        th scope="col" { (words.who) }
                        th scope="col" { (words.values) }
                    }
                }
                tbody {
                    @for (change, indexes) in &rows {
                        @let at = number::moment((change.at_ms / 1_000).cast_signed());
                        tr {
                            th class="number" scope="row" { (change.number) }
                            td { (at.unwrap_or_default()) }
                            td { (action(&change.action, visit.lang)) }
                            td data-label=(words.who) { (who(change, visit.lang)) }
                            td data-label=(words.values) { (list(indexes)) }
                        }
                    }
                }
            }
            @if has_more { p class="hint" { (words.older) " " (handle) } }
        }
    }
}

/// Indexes with commas, and not more than a line of them.
fn list(indexes: &[i32]) -> String {
    const MOST: usize = 12;
    let shown = indexes.iter().take(MOST).map(ToString::to_string);
    let more = if indexes.len() > MOST { ", …" } else { "" };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_change_touched_are_named_by_their_index() {
        let value = |index, text: &str| Value::new(index, "TEXT", text);
        let before = [value(1, "a"), value(2, "b"), value(3, "c")];
        let after = [value(1, "a"), value(2, "x"), value(4, "d")];
        assert_eq!(touched(&before, &after), [2, 3, 4]);
        assert_eq!(touched(&[], &after), [1, 2, 4]);
        assert_eq!(touched(&before, &before), [] as [i32; 0]);
        assert_eq!(
            list(&(1..=13).collect::<Vec<_>>()),
            "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …"
        );
    }
}
