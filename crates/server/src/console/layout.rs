//! Where the records of a graph stand: what refers to the one in the middle on its left, what it
//! refers to on its right, a column for each step.

use std::collections::HashMap;

use serde_json::Value as Json;

/// Records above each other; more make no picture.
const ROWS_MAX: usize = 24;

/// A record in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) handle: String,
    pub(super) title: String,
    pub(super) state: String,
    /// Steps from the middle; below zero on the left.
    pub(super) column: i64,
    pub(super) row: usize,
}

/// A reference, by the numbers of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) field: String,
}

/// The picture. The first spot is the record in the middle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) spots: Vec<Spot>,
    pub(super) lines: Vec<Line>,
    /// Whether there is more than is shown.
    pub(super) is_part: bool,
}

impl Picture {
    /// The picture of two answers of `/api/v2/graph`: along references, and against them.
    pub(super) fn of(out: &Json, back: &Json) -> Self {
        let mut picture = Self::default();
        let mut numbers = HashMap::new();
        let mut rows = HashMap::<i64, usize>::new();
        for (answer, sign) in [(out, 1), (back, -1)] {
            picture.is_part |= answer["truncated"] == true;
            for node in list(answer, "nodes") {
                let handle = text(node, "handle");
                let column = sign * node["depth"].as_i64().unwrap_or(0);
                let row = rows.entry(column).or_default();
                if numbers.contains_key(handle) {
                    continue;
                }
                if *row >= ROWS_MAX {
                    picture.is_part = true;
                    continue;
                }
                numbers.insert(handle, picture.spots.len());
                picture.spots.push(Spot {
                    handle: handle.to_owned(),
                    title: text(node, "title").to_owned(),
                    state: text(node, "state").to_owned(),
                    column,
                    row: *row,
                });
                *row += 1;
            }
        }
        for edge in list(out, "edges").chain(list(back, "edges")) {
            let end = |name: &str| numbers.get(text(edge, name)).copied();
            let (Some(from), Some(to)) = (end("from"), end("to")) else {
                continue;
            };
            let field = text(edge, "field").to_owned();
            let line = Line { from, to, field };
            if !picture.lines.contains(&line) {
                picture.lines.push(line);
            }
        }
        picture
    }

    /// The columns from the left to the right.
    pub(super) fn columns(&self) -> (i64, i64) {
        let columns = self.spots.iter().map(|spot| spot.column);
        columns.fold((0, 0), |(least, most), column| {
            (least.min(column), most.max(column))
        })
    }

    /// Records in a column.
    pub(super) fn rows(&self, column: i64) -> usize {
        let spots = self.spots.iter();
        spots.filter(|spot| spot.column == column).count()
    }

    /// Records in the highest column.
    pub(super) fn height(&self) -> usize {
        let (least, most) = self.columns();
        (least..=most)
            .map(|column| self.rows(column))
            .max()
            .unwrap_or(0)
    }
}

fn list<'j>(answer: &'j Json, name: &str) -> impl Iterator<Item = &'j Json> {
    answer[name].as_array().into_iter().flatten()
}

fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    json[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(handle: &str, depth: u32) -> Json {
        json!({"handle": handle, "state": "known", "depth": depth})
    }

    fn edge(from: &str, to: &str) -> Json {
        json!({"from": from, "to": to, "field": "parts"})
    }

    #[test]
    fn what_refers_to_a_record_is_left_of_it_and_what_it_refers_to_right() {
        let out = json!({"nodes": [node("1/a", 0), node("1/b", 1), node("1/c", 2)],
            "edges": [edge("1/a", "1/b"), edge("1/b", "1/c")]});
        let back = json!({"nodes": [node("1/a", 0), node("1/z", 1)],
            "edges": [edge("1/z", "1/a")], "truncated": true});
        let picture = Picture::of(&out, &back);
        let columns: Vec<_> = picture.spots.iter().map(|spot| spot.column).collect();
        assert_eq!(columns, [0, 1, 2, -1]);
        assert_eq!((picture.columns(), picture.height()), ((-1, 2), 1));
        assert_eq!(picture.lines.len(), 3);
        assert!(picture.is_part);
    }

    #[test]
    fn a_ring_is_drawn_once() {
        let ring = json!({"nodes": [node("1/a", 0), node("1/b", 1)],
            "edges": [edge("1/a", "1/b"), edge("1/b", "1/a")]});
        let picture = Picture::of(&ring, &ring);
        assert_eq!((picture.spots.len(), picture.lines.len()), (2, 2));
    }

    #[test]
    fn a_column_has_an_end_and_no_line_leads_beyond_it() {
        let name = |n: usize| format!("1/{n}");
        let mut nodes = vec![node("1/a", 0)];
        nodes.extend((0..ROWS_MAX + 3).map(|n| node(&name(n), 1)));
        let edges: Vec<_> = (0..ROWS_MAX + 3).map(|n| edge("1/a", &name(n))).collect();
        let picture = Picture::of(&json!({"nodes": nodes, "edges": edges}), &json!(null));
        assert_eq!(picture.height(), ROWS_MAX);
        assert_eq!(picture.lines.len(), ROWS_MAX);
        assert!(picture.is_part);
    }

    #[test]
    fn garbage_is_an_empty_picture() {
        for garbage in [json!(null), json!([1]), json!({"nodes": 7, "edges": [{}]})] {
            let picture = Picture::of(&garbage, &garbage);
            assert_eq!((picture.lines.len(), picture.height()), (0, 0));
        }
    }
}
