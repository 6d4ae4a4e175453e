//! Two enterprises on two nodes of the tree, whose things refer to each other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::ops::ControlFlow;

use guantong_api::control::{Ask, Reply};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{Permissions, Value};
use guantong_server::config::{References, Span};
use guantong_server::files::copy;
use guantong_server::{Running, control};
use guantong_store::Options;
use serde_json::{Value as Json, json};
use support::http::{Answer, ask, send};
use support::tree::Tree;
use support::{Place, put_values, value};

const SECRET: &str = "correct horse";
const PART: &str = "88.118.7";
const CELL: &str = "88.118.8";

/// An enterprise with a node of its own.
struct Enterprise {
    prefix: &'static str,
    place: Place,
    node: Option<Running>,
}

impl Enterprise {
    fn join(tree: &Tree, prefix: &'static str) -> Self {
        let mut place = Place::homing(&[prefix]);
        place.config.recurse = tree.recursive().config.recurse;
        place.config.recurse.timeout = Span::secs(1);
        let node = place.start();
        let site = node.node().site().record().to_vec();
        let values = [
            value(1, "HS_SITE", site.clone()),
            value(2, "HS_SITE.PREFIX", site),
        ];
        put_values(tree.second.node(), &format!("0.NA/{prefix}"), &values);
        let user = format!("{prefix}/admin");
        let key = Value {
            permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
            ..value(300, "HS_SECKEY", SECRET)
        };
        put_values(&node, &user, &[key]);
        let admin = Admin::new(AdminPermissions::ALL, &user, 300).encode();
        let own = [value(100, "HS_ADMIN", admin)];
        put_values(&node, &format!("0.NA/{prefix}"), &own);
        Self {
            prefix,
            place,
            node: Some(node),
        }
    }

    fn node(&self) -> &Running {
        self.node.as_ref().unwrap()
    }

    /// The request of its administrator.
    fn ask(&self, method: &str, path: &str, body: &Json) -> Answer {
        let user = format!("{}/admin", self.prefix);
        let address = self.node().addresses().http[0];
        ask(address, method, path, Some((&user, SECRET)), body)
    }

    #[track_caller]
    fn done(&self, path: &str, body: &Json) -> Json {
        let answer = self.ask("POST", path, body);
        assert!(matches!(answer.status, 200..=202), "{answer:?}");
        answer.json()
    }

    /// Publishes a template with a field `serial`, and a reference to what another template is of.
    fn publish(&self, code: &str, reference: Option<&str>) {
        let mut fields = vec![json!({"name": "serial", "readers": "everybody",
                                     "kind": {"type": "text"}})];
        fields.extend(reference.map(|template| {
            json!({"name": "uses", "readers": "everybody",
                   "kind": {"type": "reference", "template": template, "countMax": 3}})
        }));
        let definition = json!({"title": code, "fields": fields});
        let new = json!({"prefix": self.prefix, "code": code, "definition": definition});
        self.done("/api/v2/templates", &new);
        let path = format!("/api/v2/templates/{}/META_{code}", self.prefix);
        self.done(&path, &json!({"action": "publish"}));
    }

    fn registration(&self, code: &str, name: &str, uses: &[&str]) -> Json {
        let mut fields = json!({"serial": name});
        if !uses.is_empty() {
            fields["uses"] = json!(uses);
        }
        let (template, handle) = (
            format!("{}/META_{code}", self.prefix),
            format!("{}/{name}", self.prefix),
        );
        json!({"template": template, "handle": handle, "fields": fields})
    }

    fn register(&self, code: &str, name: &str, uses: &[&str]) -> Answer {
        let new = self.registration(code, name, uses);
        self.ask("POST", "/api/v2/registrations", &new)
    }

    fn stop(&mut self) {
        self.node.take().unwrap().stop();
    }

    /// Questions to other servers so far.
    fn exchanges(&self) -> u64 {
        let figures = self.node().node().courier().unwrap().snapshot().figures;
        figures.exchanges.iter().map(|each| each.sent).sum()
    }
}

/// Parts of one enterprise are made of cells of the other.
fn parts_and_cells(tree: &Tree) -> (Enterprise, Enterprise) {
    let parts = Enterprise::join(tree, PART);
    let cells = Enterprise::join(tree, CELL);
    cells.publish("cell", None);
    parts.publish("part", Some("88.118.8/META_cell"));
    (parts, cells)
}

#[track_caller]
fn check_made(answer: &Answer, unchecked: &[&str]) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let told = answer.json();
    let targets = told["unchecked"].as_array().cloned().unwrap_or_default();
    let targets: Vec<_> = targets.iter().map(|one| one["target"].as_str()).collect();
    let wanted: Vec<_> = unchecked.iter().copied().map(Some).collect();
    assert_eq!(targets, wanted, "{told}");
}

#[track_caller]
fn check_refused(answer: &Answer, message: &str) {
    assert_eq!(answer.status, 422, "{answer:?}");
    let errors = answer.json()["errors"].clone();
    let wanted = json!([{"field": "uses", "message": message}]);
    assert_eq!(errors, wanted);
}

//----------- References -----------------------------------------------------

#[test]
fn reference_to_a_record_of_another_node_is_refused_on_its_definite_answer_only() {
    let tree = Tree::grow();
    let (parts, mut cells) = parts_and_cells(&tree);
    assert_eq!(cells.register("cell", "C1", &[]).status, 201);
    put_values(cells.node(), "88.118.8/plain", &[value(1, "TEXT", "x")]);
    check_made(&parts.register("part", "P1", &["88.118.8/C1"]), &[]);
    let missing = parts.register("part", "P2", &["88.118.8/C1", "88.118.8/C2"]);
    check_refused(&missing, "refers to 88.118.8/C2, which is not there");
    let plain = parts.register("part", "P2", &["88.118.8/plain"]);
    let message = "refers to 88.118.8/plain, which is not registered by 88.118.8/META_cell";
    check_refused(&plain, message);
    // That it was not there a moment ago is not remembered.
    assert_eq!(cells.register("cell", "C2", &[]).status, 201);
    check_made(&parts.register("part", "P2", &["88.118.8/C2"]), &[]);
    let changed = json!({"fields": {"uses": ["88.118.8/C3"]}});
    let changed = parts.ask("PATCH", "/api/v2/registrations/88.118.7/P2", &changed);
    check_refused(&changed, "refers to 88.118.8/C3, which is not there");
    cells.stop();
    let unheard = parts.register("part", "P3", &["88.118.8/C4"]);
    check_made(&unheard, &["88.118.8/C4"]);
    let why = unheard.json()["unchecked"][0]["why"].clone();
    assert_eq!(why, "the node that answers for it could not be asked");
    // Nobody waits for a silent node again soon.
    let asked = parts.exchanges();
    check_made(
        &parts.register("part", "P4", &["88.118.8/C5"]),
        &["88.118.8/C5"],
    );
    assert_eq!(parts.exchanges(), asked);
}

#[test]
fn rows_of_a_batch_and_of_a_job_tell_each_for_itself_what_other_nodes_say() {
    let tree = Tree::grow();
    let (parts, cells) = parts_and_cells(&tree);
    assert_eq!(cells.register("cell", "C1", &[]).status, 201);
    let row = |name: &str, target: &str| {
        let all = parts.registration("part", name, &[target]);
        json!({"handle": all["handle"], "fields": all["fields"]})
    };
    let rows = json!([
        row("B1", "88.118.8/C1"),
        row("B2", "88.118.8/C2"),
        row("B3", "88.118.99/C1")
    ]);
    let batch = json!({"template": "88.118.7/META_part", "registrations": rows});
    let told = parts.done("/api/v2/registrations/batch", &batch);
    let outcomes: Vec<_> = told["results"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&told["done"], &told["refused"]),
        (&json!(1), &json!(2)),
        "{told}"
    );
    assert_eq!(outcomes[0]["outcome"], "created");
    assert!(outcomes[0].get("unchecked").is_none(), "{told}");
    let rows = json!([row("J1", "88.118.8/C1"), row("J2", "88.118.8/C2")]);
    let started = parts.done("/api/v2/jobs/import?template=88.118.7/META_part", &rows);
    let path = format!("/api/v2/jobs/{}", started["id"].as_str().unwrap());
    let job = support::eventually(|| {
        let job = parts.ask("GET", &path, &Json::Null).json();
        (job["state"] == "done").then_some(job)
    });
    assert_eq!(
        (&job["done"], &job["refused"]),
        (&json!(1), &json!(1)),
        "{job}"
    );
}

#[test]
fn other_nodes_are_asked_for_those_only_who_may_write_and_not_if_the_settings_say_so() {
    let tree = Tree::grow();
    let (parts, _cells) = parts_and_cells(&tree);
    let before = parts.exchanges();
    put_values(
        parts.node(),
        "88.118.7/stranger",
        &[value(300, "HS_SECKEY", SECRET)],
    );
    let new = parts.registration("part", "P1", &["88.118.8/C1"]);
    let address = parts.node().addresses().http[0];
    let stranger = Some(("88.118.7/stranger", SECRET));
    let refused = ask(address, "POST", "/api/v2/registrations", stranger, &new);
    assert!(matches!(refused.status, 401 | 403), "{refused:?}");
    assert_eq!(parts.exchanges(), before);
    let mut config = parts.place.config.clone();
    config.references = References::Form;
    let reloaded = parts.node().reconfigure(config).unwrap();
    assert_eq!(reloaded.applied, ["records.references"]);
    let made = parts.register("part", "P1", &["88.118.8/C1"]);
    check_made(&made, &["88.118.8/C1"]);
    assert_eq!(parts.exchanges(), before);
}

//----------- Graph ----------------------------------------------------------

/// Handle, state and title of the nodes of a graph, sorted, and its edges.
fn graph(answer: &Answer) -> (Vec<String>, Vec<String>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let text = |json: &Json| json.as_str().unwrap_or("-").to_owned();
    let node = |node: &Json| {
        let (handle, state) = (text(&node["handle"]), text(&node["state"]));
        format!("{handle} {state} {}", text(&node["title"]))
    };
    let edge = |edge: &Json| format!("{} {}", text(&edge["from"]), text(&edge["to"]));
    let list = |json: &Json, of: &dyn Fn(&Json) -> String| {
        let mut all: Vec<String> = json.as_array().unwrap().iter().map(of).collect();
        all.sort();
        all
    };
    (list(&told["nodes"], &node), list(&told["edges"], &edge))
}

/// A part is made of a cell of the other enterprise, and a pack of the other one of the part.
fn chain(tree: &Tree) -> (Enterprise, Enterprise) {
    let (parts, cells) = parts_and_cells(tree);
    cells.publish("pack", Some("88.118.7/META_part"));
    assert_eq!(cells.register("cell", "C1", &[]).status, 201);
    check_made(&parts.register("part", "P1", &["88.118.8/C1"]), &[]);
    check_made(&cells.register("pack", "K1", &["88.118.7/P1"]), &[]);
    check_made(&cells.register("pack", "K2", &["88.118.7/P1"]), &[]);
    // The first text of the second pack is for its administrators.
    let hidden = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(2_000, "serial", "K2")
    };
    let shown = [
        value(1_000, "GT_TEMPLATE.HANDLE", "88.118.8/META_pack"),
        value(2_001, "uses", r#"["88.118.7/P1"]"#),
    ];
    put_values(
        cells.node(),
        "88.118.8/K2",
        &[&[hidden], &shown[..]].concat(),
    );
    (parts, cells)
}

#[test]
fn graph_goes_over_to_the_other_node_and_back_and_shows_what_everybody_reads_there() {
    let tree = Tree::grow();
    let (parts, cells) = chain(&tree);
    let path = "/api/v2/graph/88.118.8/K1?depth=8";
    let whole = (
        vec![
            "88.118.7/P1 known P1".to_owned(),
            "88.118.8/C1 known C1".to_owned(),
            "88.118.8/K1 known K1".to_owned(),
        ],
        vec![
            "88.118.7/P1 88.118.8/C1".to_owned(),
            "88.118.8/K1 88.118.7/P1".to_owned(),
        ],
    );
    for enterprise in [&parts, &cells] {
        assert_eq!(graph(&enterprise.ask("GET", path, &Json::Null)), whole);
    }
    // Whoever administers both sees at the other node what everybody sees there.
    let hidden = "/api/v2/graph/88.118.8/K2?depth=1";
    let (nodes, edges) = graph(&parts.ask("GET", hidden, &Json::Null));
    assert_eq!(nodes, ["88.118.7/P1 known P1", "88.118.8/K2 known -"]);
    assert_eq!(edges, ["88.118.8/K2 88.118.7/P1"]);
    // What refers to a record is known of the records of the node that is asked.
    let back = "/api/v2/graph/88.118.8/C1?direction=in&depth=8";
    let (nodes, _) = graph(&parts.ask("GET", back, &Json::Null));
    assert_eq!(nodes, ["88.118.7/P1 known P1", "88.118.8/C1 known C1"]);
    let back = "/api/v2/graph/88.118.7/P1?direction=in&depth=8";
    let (nodes, _) = graph(&cells.ask("GET", back, &Json::Null));
    let named = |nodes: &[String], name: &str| nodes.iter().any(|node| node.starts_with(name));
    assert!(
        named(&nodes, "88.118.8/K1") && !named(&nodes, "88.118.8/C1"),
        "{nodes:?}"
    );
}

#[test]
fn node_that_does_not_answer_is_shown_as_such_in_the_graph() {
    let tree = Tree::grow();
    let (parts, mut cells) = chain(&tree);
    cells.stop();
    check_made(
        &parts.register("part", "P2", &["88.118.8/C9"]),
        &["88.118.8/C9"],
    );
    let path = "/api/v2/graph/88.118.7/P2?depth=8";
    let answer = parts.ask("GET", path, &Json::Null);
    let (nodes, edges) = graph(&answer);
    assert_eq!(nodes, ["88.118.7/P2 known P2", "88.118.8/C9 silent -"]);
    assert_eq!(edges, ["88.118.7/P2 88.118.8/C9"]);
    assert_eq!(answer.json()["truncated"], true);
}

#[test]
fn graph_asks_other_nodes_for_so_many_records_and_no_more() {
    let tree = Tree::grow();
    let (parts, cells) = parts_and_cells(&tree);
    let field = |n: usize| {
        json!({"name": format!("r{n}"), "readers": "everybody",
               "kind": {"type": "reference", "countMax": 20}})
    };
    let definition = json!({"title": "wide", "fields": [field(0), field(1)]});
    let new = json!({"prefix": PART, "code": "wide", "definition": definition});
    parts.done("/api/v2/templates", &new);
    parts.done(
        "/api/v2/templates/88.118.7/META_wide",
        &json!({"action": "publish"}),
    );
    let targets = |from: usize| -> Vec<String> {
        (from..from + 20)
            .map(|n| format!("88.118.8/N{n}"))
            .collect()
    };
    let fields = json!({"r0": targets(0), "r1": targets(20)});
    let new = json!({"template": "88.118.7/META_wide", "handle": "88.118.7/W", "fields": fields});
    check_made(&parts.ask("POST", "/api/v2/registrations", &new), &[]);
    let (nodes, _) = graph(&parts.ask("GET", "/api/v2/graph/88.118.7/W", &Json::Null));
    let count = |state: &str| nodes.iter().filter(|node| node.contains(state)).count();
    assert_eq!(
        (count(" missing "), count(" unvisited ")),
        (32, 8),
        "{nodes:?}"
    );
    drop(cells);
}

//----------- Files ----------------------------------------------------------

/// A scan that is sent for a field of a template; its name.
fn upload(enterprise: &Enterprise, template: &str, octets: &[u8]) -> String {
    let user = format!("{}/admin", enterprise.prefix);
    let address = enterprise.node().addresses().http[0];
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    let body = [head.as_bytes(), octets, b"\r\n--b--\r\n"].concat();
    let path = format!("/api/v2/files?template={template}&field=scan");
    let kind = "multipart/form-data; boundary=b";
    let answer = send(address, "POST", &path, Some((&user, SECRET)), kind, &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["name"].as_str().unwrap().to_owned()
}

#[test]
fn file_that_a_backed_up_record_names_is_given_by_the_restored_node() {
    let tree = Tree::grow();
    let mut parts = Enterprise::join(&tree, PART);
    let definition = json!({"title": "doc", "fields": [
        {"name": "scan", "readers": "everybody", "kind": {"type": "file"}}]});
    let new = json!({"prefix": PART, "code": "doc", "definition": definition});
    parts.done("/api/v2/templates", &new);
    let template = "88.118.7/META_doc";
    parts.done(
        &format!("/api/v2/templates/{template}"),
        &json!({"action": "publish"}),
    );
    let scan = upload(&parts, template, b"%PDF the octets");
    let new = json!({"template": template, "handle": "88.118.7/D", "fields": {"scan": scan}});
    parts.done("/api/v2/registrations", &new);
    let folder = parts.place.dir.path().to_owned();
    let config = parts.place.config.clone();
    let place = control::Place {
        control: config.control.clone(),
        store: config.data.clone(),
        options: Options::default(),
        files: config.files.folder.clone(),
        trust: config.trust.clone(),
    };
    let dir = folder.join("backup").to_str().unwrap().to_owned();
    let mut control = control::open(&place, || 1).unwrap();
    let reply = control
        .ask(Ask::Backup { dir: dir.clone() }, &mut |_| Ok(()))
        .unwrap();
    let Reply::BackedUp(backup) = reply else {
        unreachable!("{reply:?}")
    };
    assert_eq!((backup.files, backup.file_octets), (1, 15));
    drop(control);
    parts.stop();
    let again = &mut parts.place.config;
    again.data = folder.join("store2");
    again.files.folder = folder.join("files2");
    let from = std::path::Path::new(&dir);
    copy::restore(from, &again.files.folder).unwrap();
    guantong_store::restore(from, &again.data, &mut |_| ControlFlow::Continue(())).unwrap();
    parts.node = Some(parts.place.start());
    let path = format!("/api/v2/files/{scan}?handle=88.118.7/D&field=scan");
    let given = parts.ask("GET", &path, &Json::Null);
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!(given.body, b"%PDF the octets");
}
