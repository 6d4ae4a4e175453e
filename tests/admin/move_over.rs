//! A node is moved over: one of ours, which speaks as the old product does, is read into a new one.

use std::fs;
use std::net::SocketAddr;

use guantong_core::template::{Extent, State, Template};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::json::{Record, RecordForm, ValueForm};
use guantong_proto::{CaseRule, Handle, Value};
use guantong_server::config::load;
use guantong_server::start;
use serde_json::{Value as Json, json};

use super::Node;

const APP: &str = "88.118.5/App_erp";
/// More than fit into one page of a list.
const THINGS: usize = 130;

fn handle(text: &str) -> Handle {
    Handle::parse(text).unwrap()
}

fn admin(index: i32) -> Value {
    let admin = Admin::new(AdminPermissions::ALL, APP, 300);
    Value::new(index, "HS_ADMIN", admin.encode())
}

fn line(name: &Handle, values: &[Value]) -> String {
    let form = RecordForm {
        response_code: None,
        handle: Some(name.as_str()),
        values: values.iter().map(ValueForm::from).collect(),
    };
    serde_json::to_string(&form).unwrap()
}

fn template(code: &str, fields: &Json) -> Template {
    let definition = json!({"title": code, "fields": fields});
    let definition = serde_json::from_value(definition).unwrap();
    let draft = Template::draft(handle(&format!("88.118.5/META_{code}")), definition).unwrap();
    draft.turn(State::Published).unwrap()
}

fn registered(template: &Template, name: &str, said: &Json) -> String {
    let given = template.check(said.as_object().unwrap(), Extent::Whole);
    let mut values = vec![admin(100)];
    values.extend(template.values(&given.unwrap(), CaseRule::Insensitive));
    line(&handle(name), &values)
}

/// Everything that the old node holds, as JSON Lines.
fn holdings() -> String {
    let material = template(
        "mat",
        &json!([{"index": 2003, "name": "mass", "kind": {"type": "number", "decimals": 2}}]),
    );
    let cell = template(
        "cell",
        &json!([
            {"index": 2000, "name": "serial", "kind": {"type": "text"}, "unique": true,
             "readers": "everybody"},
            {"index": 2005, "name": "of", "kind": {"type": "reference", "countMax": 50,
             "template": "88.118.5/META_mat"}},
        ]),
    );
    let mut lines = Vec::new();
    for template in [&material, &cell] {
        let mut values = vec![admin(100)];
        values.extend(template.to_values(CaseRule::Insensitive));
        lines.push(line(template.handle(), &values));
    }
    lines.push(registered(
        &material,
        "88.118.5/MAT",
        &json!({"mass": 1.25}),
    ));
    for n in 0..THINGS {
        let said = json!({"serial": format!("S{n}"), "of": ["88.118.5/MAT"]});
        lines.push(registered(&cell, &format!("88.118.5/SN{n}:电池"), &said));
    }
    lines.join("\n") + "\n"
}

/// A node that speaks as the old product does, with an application that administers the prefix.
fn old_node() -> (Node, SocketAddr, SocketAddr) {
    let mut old = Node::stopped();
    let file = old.folder().join("guantong.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# doip = false"));
    fs::write(&file, text.replace("# doip = false", "doip = true")).unwrap();
    old.run(&["identity", "add-app", APP, "--out", "app.pem"], 0);
    let values = old.write("admin.json", &format!("[{}]", value_json(&admin(301))));
    old.run(&["record", "add", "0.NA/88.118.5", "--file", &values], 0);
    let holdings = old.write("holdings.jsonl", &holdings());
    old.run(&["import", &holdings], 0);
    old.running = Some(start(load(&old.folder()).unwrap()).unwrap());
    let addresses = old.running.as_ref().unwrap().addresses();
    let (http, native) = (addresses.http[0], addresses.tcp[0]);
    (old, http, native)
}

fn value_json(value: &Value) -> String {
    serde_json::to_string(&ValueForm::from(value)).unwrap()
}

/// Index, type, data and permissions of a value.
type Content = (i32, String, Vec<u8>, u8);

/// What a record says, whoever administers it and whenever it was written. Who reads a field by its
/// definition is not told by the interface; the values keep their permissions.
fn contents(exported: &str) -> Vec<(String, Vec<Content>)> {
    let lines = exported.lines();
    let records = lines.map(|line| Record::parse(line.as_bytes()).unwrap());
    let records = records.map(|record| {
        let values = record.values.into_iter();
        let values = values.filter(|value| value.kind != "HS_ADMIN");
        let said = |data: &[u8]| match std::str::from_utf8(data) {
            Ok(text) => text.replace(r#","readers":"everybody""#, "").into_bytes(),
            Err(_) => data.to_vec(),
        };
        let values = values.map(|v| (v.index, v.kind.to_string(), said(&v.data), v.permissions.0));
        let mut values: Vec<Content> = values.collect();
        values.sort();
        (record.handle.unwrap(), values)
    });
    let own = records.filter(|(handle, _): &(String, _)| {
        !handle.starts_with("0.NA/") && !handle.contains("/Group_")
    });
    own.collect()
}

#[test]
fn records_of_the_old_node_are_the_same_in_the_new_one() {
    let (old, http, native) = old_node();
    let new = Node::running();
    let (url, native) = (format!("http://{http}"), native.to_string());
    let key = old.file("app.pem").into_os_string().into_string().unwrap();
    let base = [
        "move-over",
        &url,
        "--app",
        APP,
        "--key",
        &key,
        "--work",
        "moved",
    ];
    let whole = [&base[..], &["--native", &native]].concat();
    let (out, _) = new.run(&[&whole[..], &["--dry-run"]].concat(), 0);
    let total = THINGS + 4;
    assert!(
        out.contains(&format!("would be written: {total} created")),
        "{out}"
    );
    assert_eq!(contents(&new.export()), []);

    // Somebody pulls the plug while a line is written.
    let records = new.file("moved").join("records.jsonl");
    let text = fs::read_to_string(&records).unwrap();
    fs::write(&records, &text[..text.len() - 40]).unwrap();
    let (out, _) = new.run(&whole, 0);
    assert!(
        out.contains(&format!("{} of them before", total - 1)),
        "{out}"
    );
    assert!(out.contains(&format!("written: {total} created")), "{out}");
    assert_eq!(contents(&new.export()), contents(&old.export()));
    let (out, _) = new.run(&whole, 0);
    assert!(out.contains(&format!("{total} unchanged")), "{out}");

    // Without an address for resolving, the application is told and everything else is moved.
    let other = [&base[..base.len() - 1], &["other"]].concat();
    let (_, err) = new.run(&other, 1);
    assert!(err.contains(APP) && err.contains("--native"), "{err}");
}

#[test]
fn old_node_that_is_none_is_told_with_the_reason() {
    let new = Node::stopped();
    new.run(&["key", "new", "--out", "app.pem"], 0);
    let rest = ["--app", APP, "--key", "app.pem", "--work", "moved"];
    for (url, word) in [
        ("127.0.0.1:9", "http://"),
        ("https://127.0.0.1:9", "--certificate"),
    ] {
        let (_, err) = new.run(&[&["move-over", url], &rest[..]].concat(), 2);
        assert!(err.contains(word), "{err}");
    }
    let (_old, http, _) = old_node();
    // The key is another one than that of the application.
    let url = format!("http://{http}");
    let (_, err) = new.run(&[&["move-over", &url], &rest[..]].concat(), 1);
    assert!(err.contains("refuses"), "{err}");
}
