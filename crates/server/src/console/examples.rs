//! Templates to begin with: what three kinds of industry register.

use serde_json::{Value as Json, json};

use crate::http::page::Lang;

/// In English and in Chinese.
type Text = (&'static str, &'static str);

/// An example: its name in addresses, how people call it, what it is for.
pub(super) const EXAMPLES: [(&str, Text, Text); 3] = [
    (
        "battery",
        ("Traction battery", "动力电池"),
        (
            "One battery pack with its maker and capacity.",
            "每个电池包一个标识，含厂家与容量。",
        ),
    ),
    (
        "equipment",
        ("Equipment", "生产设备"),
        (
            "A machine on the shop floor with its upkeep.",
            "车间内的每台设备，含维护信息。",
        ),
    ),
    (
        "batch",
        ("Batch", "生产批次"),
        (
            "A batch of goods, traced to its raw material.",
            "一批产品，可追溯到原料批次。",
        ),
    ),
];

/// What the template of an example says.
pub(super) fn definition(name: &str, lang: Lang) -> Option<Json> {
    let (_, (en, zh), (text_en, text_zh)) = EXAMPLES.iter().find(|(known, ..)| *known == name)?;
    let fields = match name {
        "battery" => battery(lang),
        "equipment" => equipment(lang),
        _ => batch(lang),
    };
    Some(json!({
        "title": lang.pick(en, zh),
        "description": lang.pick(text_en, text_zh),
        "suffix": "SN{date:yyyyMMdd}-{uuid}",
        "fields": fields,
    }))
}

fn battery(lang: Lang) -> Json {
    json!([
        {"name": "serial", "label": lang.pick("Serial number", "序列号"), "required": true,
         "unique": true, "readers": "everybody",
         "kind": {"type": "text", "lengthMin": 4, "lengthMax": 40, "pattern": "[A-Za-z0-9\\-]+"}},
        {"name": "maker", "label": lang.pick("Maker", "生产厂家"), "required": true,
         "searchable": true, "readers": "everybody", "kind": {"type": "text", "lengthMax": 100}},
        {"name": "capacity", "label": lang.pick("Capacity in kWh", "容量（kWh）"),
         "readers": "everybody", "kind": {"type": "number", "decimals": 1, "minimum": 0}},
        {"name": "made", "label": lang.pick("Day of production", "生产日期"), "searchable": true,
         "readers": "everybody", "kind": {"type": "date"}},
    ])
}

fn equipment(lang: Lang) -> Json {
    json!([
        {"name": "number", "label": lang.pick("Equipment number", "设备编号"), "required": true,
         "unique": true, "readers": "everybody", "kind": {"type": "text", "lengthMax": 40}},
        {"name": "model", "label": lang.pick("Model", "型号"), "searchable": true,
         "readers": "everybody", "kind": {"type": "text", "lengthMax": 100}},
        {"name": "place", "label": lang.pick("Place", "安装位置"),
         "kind": {"type": "text", "lengthMax": 100}},
        {"name": "upkeep", "label": lang.pick("Next upkeep", "下次维护日期"), "searchable": true,
         "kind": {"type": "date"}},
    ])
}

fn batch(lang: Lang) -> Json {
    json!([
        {"name": "batch", "label": lang.pick("Batch number", "批号"), "required": true,
         "unique": true, "readers": "everybody", "kind": {"type": "text", "lengthMax": 40}},
        {"name": "product", "label": lang.pick("Product", "产品名称"), "required": true,
         "searchable": true, "readers": "everybody", "kind": {"type": "text", "lengthMax": 100}},
        {"name": "quantity", "label": lang.pick("Quantity", "数量"), "readers": "everybody",
         "kind": {"type": "number", "minimum": 0}},
        {"name": "material", "label": lang.pick("Made of batches", "原料批次"),
         "readers": "everybody", "kind": {"type": "reference", "countMax": 20}},
    ])
}

#[cfg(test)]
mod tests {
    use guantong_core::template::Definition;
    use guantong_core::template::Template;
    use guantong_proto::Handle;

    use super::*;

    #[test]
    fn every_example_is_a_template() {
        for (name, ..) in EXAMPLES {
            for lang in [Lang::En, Lang::Zh] {
                let json = definition(name, lang).unwrap();
                let definition: Definition = serde_json::from_value(json).unwrap();
                let handle = Handle::parse("88.118.5/META_x").unwrap();
                assert!(Template::draft(handle, definition).is_ok(), "{name}");
            }
        }
        assert_eq!(definition("nothing", Lang::En), None);
    }
}
