//! The difference between two states of a record, value by value.

use std::collections::BTreeMap;

use guantong_proto::Value;
use guantong_proto::json::ValueForm;

/// Lines that start with `-` for values of `before` that are gone or changed, and with `+` for
/// those of `after` that are new or changed. Times of change are left out of account, since the
/// node sets them.
pub(super) fn diff(before: &[Value], after: &[Value]) -> Vec<String> {
    let mut indexes: BTreeMap<i32, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    for value in before {
        indexes.entry(value.index).or_default().0 = Some(value);
    }
    for value in after {
        indexes.entry(value.index).or_default().1 = Some(value);
    }
    let mut lines = Vec::new();
    for (old, new) in indexes.into_values() {
        if let (Some(old), Some(new)) = (old, new)
            && is_same(old, new)
        {
            continue;
        }
        lines.extend(old.map(|value| format!("- {}", line(value))));
        lines.extend(new.map(|value| format!("+ {}", line(value))));
    }
    lines
}

fn is_same(old: &Value, new: &Value) -> bool {
    let timestamp = new.timestamp;
    let old = Value {
        timestamp,
        ..old.clone()
    };
    old == *new
}

/// A value in the Handle JSON form, without its time of change.
fn line(value: &Value) -> String {
    let value = Value {
        timestamp: 0,
        ..value.clone()
    };
    serde_json::to_string(&ValueForm::from(&value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_and_times_do_not_count() {
        let kept = |timestamp| Value {
            timestamp,
            ..Value::new(1, "URL", "x")
        };
        let before = [
            kept(5),
            Value::new(2, "A", "old"),
            Value::new(3, "B", "gone"),
        ];
        let after = [
            Value::new(4, "C", "new"),
            kept(9),
            Value::new(2, "A", "new"),
        ];
        let lines = diff(&before, &after);
        let starts: Vec<_> = lines.iter().map(|line| &line[..11]).collect();
        assert_eq!(
            starts,
            [
                "- {\"index\":2",
                "+ {\"index\":2",
                "- {\"index\":3",
                "+ {\"index\":4"
            ]
            .map(|line| &line[..11])
        );
        assert!(diff(&before, &before).is_empty());
    }
}
