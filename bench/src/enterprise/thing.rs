//! What is registered: templates and things, made from their number alone, so that every answer
//! can be checked without keeping them.

use serde_json::{Value, json};

use crate::corpus::PREFIX;

/// Things of a template that have the same value in the searchable field.
pub const BATCH: u32 = 10;
/// The group that reads the field `mass` of everything.
pub const GROUP: &str = "partners";

/// A thing: the template that it is registered by, and which of its things it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thing {
    pub template: u32,
    pub number: u32,
}

impl Thing {
    pub fn handle(self) -> String {
        format!("{PREFIX}/T{:02}-{:07}", self.template, self.number)
    }

    /// Unique, and read by everybody.
    pub fn serial(self) -> String {
        format!("SN{:02}{:07}", self.template, self.number)
    }

    /// Searched by, and read by everybody.
    pub fn batch(self) -> String {
        format!("B{:02}{:06}", self.template, self.number / BATCH)
    }

    /// Read by the group alone.
    pub fn mass(self) -> f64 {
        f64::from(self.number % 10_000) / 10.0
    }

    /// One row of an import.
    pub fn row(self) -> Value {
        json!({"handle": self.handle(), "fields": self.fields()})
    }

    pub fn fields(self) -> Value {
        let mut fields = json!({
            "serial": self.serial(),
            "batch": self.batch(),
            "name": format!("零部件 {} of line {}", self.number, self.template),
            "made": format!("2026-{:02}-{:02}", self.number % 12 + 1, self.number % 28 + 1),
            "mass": self.mass(),
            "cost": self.number % 1_000,
        });
        if self.number > 0 {
            let parent = Self {
                number: self.number / 2,
                ..self
            };
            fields["parent"] = json!(parent.handle());
        }
        if has_more(self.template) {
            fields["checked"] = json!(format!("2026-03-01T08:{:02}:00Z", self.number % 60));
        }
        if has_more(self.template) && self.number > 0 {
            let parts = [3, 5].map(|divisor| Self {
                number: self.number / divisor,
                ..self
            });
            let mut parts = parts.map(Self::handle).to_vec();
            parts.dedup();
            fields["parts"] = json!(parts);
        }
        fields
    }
}

/// Every second template has two fields more.
fn has_more(template: u32) -> bool {
    template % 2 == 1
}

pub fn template_code(template: u32) -> String {
    format!("part{template:02}")
}

pub fn template_handle(template: u32) -> String {
    format!("{PREFIX}/META_{}", template_code(template))
}

/// What makes a template: public, unique, searchable, restricted and referring fields.
pub fn template(template: u32) -> Value {
    let text = |len: u32| json!({"type": "text", "lengthMax": len});
    let mut fields = vec![
        json!({"name": "serial", "required": true, "unique": true, "readers": "everybody",
            "kind": {"type": "text", "lengthMax": 30, "pattern": "[A-Z0-9-]+"}}),
        json!({"name": "batch", "searchable": true, "readers": "everybody", "kind": text(20)}),
        json!({"name": "name", "readers": "everybody", "kind": text(50)}),
        json!({"name": "made", "readers": "everybody", "kind": {"type": "date"}}),
        json!({"name": "mass", "kind": {"type": "number", "decimals": 1, "minimum": 0}}),
        json!({"name": "cost", "kind": {"type": "number", "minimum": 0}}),
        json!({"name": "parent", "readers": "everybody",
            "kind": {"type": "reference", "template": template_handle(template)}}),
    ];
    if has_more(template) {
        let moment = json!({"type": "date", "precision": "moment"});
        fields.push(json!({"name": "checked", "kind": moment}));
        fields.push(json!({"name": "parts", "kind": {"type": "reference", "countMax": 5}}));
    }
    let title = format!("Part {template}");
    json!({"prefix": PREFIX, "code": template_code(template),
        "definition": {"title": title, "industry": "C3841", "fields": fields}})
}

#[cfg(test)]
mod tests {
    use super::{BATCH, Thing};

    #[test]
    fn things_of_a_batch_share_its_name_and_nothing_else() {
        let [one, two, other] = [0, BATCH - 1, BATCH].map(|number| Thing {
            template: 3,
            number,
        });
        assert_eq!(one.batch(), two.batch());
        assert_ne!(one.batch(), other.batch());
        assert_ne!(one.serial(), two.serial());
        assert_ne!(one.handle(), two.handle());
    }
}
