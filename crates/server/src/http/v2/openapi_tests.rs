//! The description of the interface is made here, and compared with the file that is served. With
//! `UPDATE_FILES=1` the file is written anew.

mod bound;
mod described;

use axum::http::{Method, StatusCode};
use guantong_api::{enterprise, identity, login, v2};
use guantong_core::enterprise::{Form, State};
use guantong_core::grant::{Edit, Subject};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator as Generator};
use serde_json::{Map, Value as Json, json};

use super::super::tests::change::send;
use super::describe::OPENAPI;
use super::routes::{Body, Content, ROUTES, Route};

use self::bound::bound;
pub(in crate::http) use self::described::{Described, Exchange};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/v2/openapi.json");
const SCHEMAS: &str = "#/components/schemas/";

fn reference(name: &str) -> Json {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

//----------- Making ---------------------------------------------------------

fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let path = paths
            .entry(format!("/{}", route.path))
            .or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Guantong: templates and registrations",
            "version": "2",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v2"}],
        "security": [{"basic": []}, {"bearer": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic",
                          "description": "User: the percent-encoded `index:handle` of a secret \
              key. Password: the key. Over HTTPS only."},
                "bearer": {"type": "http", "scheme": "bearer",
                           "description": "The token of a login."},
            },
            "parameters": parameters(),
            "schemas": schemas(),
        },
    })
}

const DESCRIPTION: &str = "Errors are problems of RFC 9457; `errors` names the fields. Lists are \
    told by pages: `next` of one is `after` of the next. The version of a record is its `ETag`; \
    with `If-Match` a change happens only if it is still that. A change that is sent again with \
    the same `Idempotency-Key` is made once.";

fn operation(route: &Route) -> Json {
    let mut params: Vec<Json> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"$ref": format!("#/components/parameters/path-{name}")}))
        .collect();
    let named = route.params.iter().map(|name| {
        let name = name.replace('!', "-required");
        json!({"$ref": format!("#/components/parameters/{name}")})
    });
    params.extend(named);
    let (status, content) = route.answer;
    let mut good = json!({"description": StatusCode::from_u16(status).unwrap().canonical_reason()});
    if let Some(content) = answer_content(content) {
        good["content"] = content;
    }
    let mut answers = json!({
        status.to_string(): good,
        "4XX": problem("What was asked for is not right, or not for who asks"),
        "5XX": problem("The node cannot do it now"),
    });
    if route.params.contains(&"dryRun") && status == 201 {
        answers["200"] = json!({"description": "It would be done, or was done by a change",
            "content": answer_content(content)});
    }
    if let Some(also) = route.also {
        answers[also.to_string()] = good.clone();
    }
    if route.params.contains(&"ifNoneMatch") {
        answers["304"] = json!({"description": "It is as the caller knows it"});
    }
    let mut operation = json!({
        "summary": route.summary,
        "tags": [route.area],
        "operationId": operation_id(route),
        "parameters": params,
        "responses": answers,
    });
    if let Some(body) = body_content(route.body) {
        operation["requestBody"] = json!({"required": true, "content": body});
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let parts = route
        .path
        .split(['/', '{', '}', '.'])
        .filter(|part| !part.is_empty());
    let name: Vec<_> = std::iter::once(route.method.to_ascii_lowercase())
        .chain(parts.map(str::to_owned))
        .collect();
    name.join("-")
}

fn problem(description: &str) -> Json {
    json!({"description": description,
           "content": {"application/problem+json": {"schema": reference("Problem")}}})
}

fn text(kind: &str) -> Json {
    json!({kind: {"schema": {"type": "string"}}})
}

/// Octets as they are (OpenAPI 3.1, 4.8.14.2).
fn octets() -> Json {
    json!({"type": "string", "format": "binary"})
}

fn answer_content(content: Content) -> Option<Json> {
    Some(match content {
        Content::None => return None,
        Content::Json(name) => json!({"application/json": {"schema": reference(name)}}),
        Content::Either(one, other) => {
            let forms = json!({"anyOf": [reference(one), reference(other)]});
            json!({"application/json": {"schema": forms}})
        }
        Content::Any(kind) => json!({kind: {"schema": {"type": "object"}}}),
        Content::Octets => json!({"application/octet-stream": {"schema": octets()}}),
        Content::Rows => {
            json!({"application/jsonl": {"schema": {"type": "string"}},
                   "text/csv": {"schema": {"type": "string"}}})
        }
        Content::Events => text("text/event-stream"),
        Content::Page => text("text/html"),
    })
}

fn body_content(body: Body) -> Option<Json> {
    let mut rows = json!({"application/jsonl": {"schema": {"type": "string"}},
                          "text/csv": {"schema": {"type": "string"}}});
    Some(match body {
        Body::None => return None,
        Body::Json(name) => json!({"application/json": {"schema": reference(name)}}),
        Body::File => {
            let parts = json!({"type": "object", "properties": {"file": octets()},
                               "required": ["file"]});
            json!({"multipart/form-data": {"schema": parts}})
        }
        Body::Batch(name) => {
            rows["application/json"] = json!({"schema": reference(name)});
            rows
        }
        Body::Rows => {
            let list = json!({"type": "array", "items": reference("Row")});
            rows["application/json"] = json!({"schema": list});
            rows
        }
    })
}

fn parameters() -> Json {
    let query = |name: &str, schema: Json, what: &str| {
        json!({"name": name, "in": "query",
              "schema": schema, "description": what})
    };
    let required = |name: &str, schema: Json, what: &str| {
        let mut parameter = query(name, schema, what);
        parameter["required"] = true.into();
        parameter
    };
    let path = |name: &str, what: &str| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string",
              "minLength": 1},
               "description": what})
    };
    let header = |name: &str, what: &str| {
        json!({"name": name, "in": "header",
              "schema": {"type": "string"}, "description": what})
    };
    let text = || json!({"type": "string"});
    let name = || json!({"type": "string", "minLength": 1});
    let number = |low: i64, high: i64, usual: i64| {
        json!({"type": "integer", "minimum": low,
              "maximum": high, "default": usual})
    };
    let one_of = |words: &[&str]| json!({"type": "string", "enum": words, "default": words[0]});
    json!({
        "path-handle": path("handle", "A handle, prefix/suffix; a slash may stay as it is"),
        "path-prefix": path("prefix", "A prefix such as 88.118.5"),
        "path-code": path("code", "The code of a category"),
        "path-name": path("name", "The name of a file"),
        "path-id": path("id", "The number of a job"),
        "prefix": query("prefix", text(), "A prefix such as 88.118.5"),
        "prefix-required": required("prefix", name(), "A prefix such as 88.118.5"),
        "template": query("template", text(), "The handle of a template"),
        "template-required": required("template", name(), "The handle of a template"),
        "category": query("category", text(), "The code of a category; those below it count, too"),
        "field": query("field", text(), "A searchable field of the template"),
        "fileField-required": required("field", name(), "A field of the template that holds files"),
        "fileOf": query("handle", text(), "The registration that will name the file"),
        "kind": query("kind", one_of(&["app", "user"]), "Programs or persons"),
        "value": query("value", text(), "The value of that field"),
        "refersTo": query("refersTo", text(), "The handle of what is referred to, in place of \
              `template`"),
        "after": query("after", text(), "`next` of the page before"),
        "limit": query("limit", number(1, 1_000, 100), "Most handles of the page"),
        "nodes": query("limit", number(1, 500, 100), "Most records of the answer"),
        "depth": query("depth", number(0, 6, 1), "Most references between a record and the root"),
        "direction": query("direction", one_of(&["out", "in", "both"]), "Which references are \
              followed"),
        "mode": query("mode", one_of(&["create", "replace", "merge"]), "What is done where a \
              record is there"),
        "format": query("format", one_of(&["jsonl", "csv"]), "JSON Lines or a table"),
        "in": query("prefix", text(), "The prefix of what is registered, if it is another one"),
        "since": query("after", json!({"type": "integer", "minimum": 0}), "The number of the \
              change behind which the events begin"),
        "dryRun": query("dryRun", text(), "`true`, or nothing: everything is decided, and \
              nothing done"),
        "to-required": required("to", name(), "Whose grants: `index:handle`"),
        "of-required": required("handle", name(), "The registration that names the file"),
        "for": query("for", text(), "For whom it is told what he may: `index:handle`"),
        "ifMatch": header("If-Match", "The `ETag` of the record that is changed: it must still \
              have it"),
        "ifNoneMatch": header("If-None-Match", "The `ETag` of what is known: if it still has \
              it, the answer is 304"),
        "idempotencyKey": header("Idempotency-Key", "A text of the client's choice, at most 255 \
              characters: the change is made once for it"),
        "lastEventId": header("Last-Event-ID", "The number of the last event that was received"),
    })
}

fn schemas() -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let generator = settings.clone().into_generator();
    let mut all = taken(generator);
    // What is given has every field that is not left out.
    let gives = given(settings.for_serialize().into_generator());
    let is_other = |(name, form): &(&String, &Json)| all.get(*name).is_some_and(|it| it != *form);
    let others = gives.iter().filter(is_other).map(|(name, _)| name.clone());
    let mut others: Vec<String> = others.collect();
    // What holds one of them is another, too.
    loop {
        let holds_other = |(name, form): &(&String, &Json)| {
            let form = form.to_string();
            let is_in = |other: &String| form.contains(&format!("\"{SCHEMAS}{other}\""));
            all.contains_key(*name) && !others.contains(*name) && others.iter().any(is_in)
        };
        let Some((name, _)) = gives.iter().find(holds_other) else {
            break;
        };
        others.push(name.clone());
    }
    let mut gives = Json::Object(gives);
    others
        .iter()
        .for_each(|name| refer_to_given(&mut gives, name));
    for (name, form) in gives.as_object().unwrap() {
        let is_given = others.contains(name);
        let name = if is_given {
            name_of_given(name)
        } else {
            name.clone()
        };
        all.insert(name, form.clone());
    }
    all.extend(definition_schemas());
    for name in ["NewTemplate", "ChangedTemplate", "TemplateAnswer"] {
        all[name]["properties"]["definition"] = reference("Definition");
    }
    all["TemplateAnswer"]["properties"]["state"] =
        json!({"enum": ["draft", "published", "withdrawn", "disabled"]});
    bound(&mut all);
    Json::Object(all)
}

/// What a form is called as it is given, if it is taken in a laxer one.
fn name_of_given(name: &str) -> String {
    format!("{name}Given")
}

fn refer_to_given(at: &mut Json, name: &str) {
    match at {
        Json::Object(object) => {
            let mut refers = object.get("$ref").and_then(Json::as_str);
            refers = refers.filter(|target| target.strip_prefix(SCHEMAS) == Some(name));
            if refers.is_some() {
                let target = format!("{SCHEMAS}{}", name_of_given(name));
                object.insert("$ref".to_owned(), target.into());
            }
            object
                .values_mut()
                .for_each(|part| refer_to_given(part, name));
        }
        Json::Array(list) => list.iter_mut().for_each(|part| refer_to_given(part, name)),
        _ => {}
    }
}

fn add<T: JsonSchema>(generator: &mut Generator) {
    generator.subschema_for::<T>();
}

fn taken(mut generator: SchemaGenerator) -> Map<String, Json> {
    let g = &mut generator;
    add::<v2::NewTemplate<Json>>(g);
    add::<v2::ChangedTemplate<Json>>(g);
    add::<v2::TemplateAction>(g);
    add::<v2::NewRegistration>(g);
    add::<v2::ChangedRegistration>(g);
    add::<v2::Bulk>(g);
    add::<v2::ChangedGrants<Edit>>(g);
    add::<v2::categories::NewCategory>(g);
    add::<v2::categories::ChangedCategory>(g);
    add::<v2::jobs::JobAction>(g);
    add::<enterprise::Filed<Form>>(g);
    add::<enterprise::EnterpriseAction>(g);
    add::<identity::NewIdentity>(g);
    add::<identity::IdentityAction>(g);
    add::<identity::NewGroup>(g);
    add::<identity::GroupAction>(g);
    add::<login::ChallengeRequest>(g);
    add::<login::SignatureRequest>(g);
    add::<login::PasswordRequest>(g);
    add::<login::OwnPasswordRequest>(g);
    add::<login::SecondFactorRequest>(g);
    add::<login::SetUpRequest>(g);
    generator.take_definitions(true)
}

fn given(mut generator: SchemaGenerator) -> Map<String, Json> {
    let g = &mut generator;
    add::<v2::TemplateAnswer<Json, String>>(g);
    add::<v2::PageAnswer>(g);
    add::<v2::RegistrationAnswer<'_>>(g);
    add::<v2::DoneAnswer>(g);
    add::<v2::BulkAnswer>(g);
    add::<v2::FileAnswer>(g);
    add::<v2::GrantsAnswer<Subject>>(g);
    add::<v2::NoticesAnswer>(g);
    add::<v2::Problem<'_>>(g);
    add::<v2::categories::CategoriesAnswer>(g);
    add::<v2::jobs::JobsAnswer>(g);
    add::<v2::jobs::JobFault>(g);
    add::<v2::graph::GraphAnswer>(g);
    add::<v2::changes::ChangeEvent>(g);
    add::<v2::statistics::StatisticsAnswer>(g);
    add::<enterprise::EnterpriseAnswer<&Form, State>>(g);
    add::<enterprise::EnterprisesAnswer<&Form, State>>(g);
    add::<identity::IdentityAnswer>(g);
    add::<identity::KeyAnswer>(g);
    add::<identity::GroupAnswer>(g);
    add::<identity::GroupsAnswer>(g);
    add::<login::ChallengeAnswer>(g);
    add::<login::TokenAnswer>(g);
    add::<login::WhoAnswer>(g);
    add::<login::SecondFactorAnswer>(g);
    add::<login::SetUpAnswer>(g);
    generator.take_definitions(true)
}

/// What a template says has its types in `core`, which know no schemas; here are their forms.
fn definition_schemas() -> Map<String, Json> {
    let text = |max: u64| json!({"type": "string", "maxLength": max});
    let count = json!({"type": "integer", "minimum": 1, "maximum": 50});
    let kind = |name: &str, more: Json| {
        let mut properties = more;
        properties["type"] = json!({"const": name});
        json!({"type": "object", "properties": properties, "required": ["type"],
               "additionalProperties": false})
    };
    let length = json!({"type": "integer", "minimum": 0, "maximum": 4_000});
    let suffixes = json!({"type": "array", "items": text(10), "maxItems": 32});
    let files = || json!({"suffixes": suffixes, "countMax": count});
    let kinds = [
        kind(
            "text",
            json!({"lengthMin": length, "lengthMax": length, "pattern": text(200)}),
        ),
        kind(
            "number",
            json!({"decimals": {"type": "integer", "minimum": 0, "maximum": 15},
                              "minimum": {"type": "number"}, "maximum": {"type": "number"}}),
        ),
        kind("date", json!({"precision": {"enum": ["day", "moment"]}})),
        kind(
            "reference",
            json!({"template": text(255), "countMax": count}),
        ),
        kind("file", files()),
        kind("audio", files()),
        kind("video", files()),
        kind("image", files()),
    ];
    let all = json!({
        "Definition": {
            "description": "What a template says.",
            "type": "object",
            "properties": {
                "title": text(100), "description": text(1_000), "standard": text(200),
                "industry": {"type": "string", "description": "A class of GB/T 4754, such as \
              C3841"},
                "category": text(64), "suffix": text(200),
                "fields": {"type": "array", "items": reference("Field"), "maxItems": 256},
            },
            "required": ["title", "fields"],
        },
        "Field": {
            "description": "A field of a template.",
            "type": "object",
            "properties": {
                "index": {"type": "integer", "minimum": 0, "maximum": 9_999},
                "name": text(50), "label": text(50), "description": text(200),
                "required": {"type": "boolean"}, "unique": {"type": "boolean"},
                "searchable": {"type": "boolean"}, "disabled": {"type": "boolean"},
                "readers": {"enum": ["administrators", "everybody"]},
                "kind": reference("Kind"),
            },
            "required": ["name", "kind"],
        },
        "Kind": {"description": "What the values of a field are.", "oneOf": kinds},
    });
    all.as_object().cloned().unwrap_or_default()
}

//----------- Tests ----------------------------------------------------------

#[test]
fn description_that_is_served_is_the_one_that_is_made() {
    let made = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_FILES").is_some() {
        std::fs::write(FILE, &made).unwrap();
        return;
    }
    assert!(
        made == OPENAPI,
        "openapi.json is not what the code does: UPDATE_FILES=1 cargo test -p guantong-server \
              --lib \
         openapi"
    );
}

/// Every reference leads somewhere, and every schema is one.
#[test]
fn description_is_whole() {
    let document = document();
    check_references(&document, &document);
    let ids: Vec<_> = ROUTES.iter().map(operation_id).collect();
    let unlike: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(unlike.len(), ids.len(), "{ids:?}");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
    }
}

/// What has no form of ours, and why.
const FREE: &[(&str, &str)] = &[
    (
        "/paths/openapi.json/get",
        "a document of OpenAPI, which has its own schema",
    ),
    (
        "/paths/schemas/{handle}/get",
        "JSON Schema, which has its own schema",
    ),
    (
        "/components/schemas/NewTemplate/properties/schema",
        "JSON Schema",
    ),
    (
        "/components/schemas/ChangedTemplate/properties/schema",
        "JSON Schema",
    ),
    (
        "/components/schemas/NewRegistration/properties/fields",
        "its template says it",
    ),
    (
        "/components/schemas/ChangedRegistration/properties/fields",
        "its template says it",
    ),
    (
        "/components/schemas/Row/properties/fields",
        "its template says it",
    ),
    (
        "/components/schemas/RegistrationAnswer/properties/fields",
        "its template says it",
    ),
    (
        "/components/schemas/EnterpriseForm/properties/details",
        "each reviewer wants other details",
    ),
    (
        "/components/schemas/EnterpriseFormGiven/properties/details",
        "as they were sent",
    ),
    (
        "/components/schemas/EnterpriseAction/oneOf/2/properties/site",
        "what `/api/site` gives",
    ),
];

/// Who writes a client from the description must not have to guess.
#[test]
fn every_form_says_what_it_holds() {
    let document = document();
    let mut bare = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        find_bare(schema, &format!("/components/schemas/{name}"), &mut bare);
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let place = format!("/paths{path}/{method}");
            let answers = operation["responses"].as_object().unwrap().values();
            for part in answers.chain([&operation["requestBody"]]) {
                for content in part["content"]
                    .as_object()
                    .into_iter()
                    .flat_map(Map::values)
                {
                    find_bare(&content["schema"], &place, &mut bare);
                }
            }
        }
    }
    let free: Vec<_> = FREE.iter().map(|(place, _)| (*place).to_owned()).collect();
    for place in &bare {
        assert!(
            free.contains(place),
            "{place} says nothing of what it holds"
        );
    }
    for place in &free {
        assert!(
            bare.contains(place),
            "{place} says what it holds: it needs no exception"
        );
    }
}

/// Finds the schemas that let everything be, or every object.
fn find_bare(schema: &Json, place: &str, bare: &mut Vec<String>) {
    const SAY: [&str; 7] = ["type", "$ref", "const", "enum", "oneOf", "anyOf", "allOf"];
    let is_object = schema["type"] == "object"
        && schema["properties"].is_null()
        && !schema["additionalProperties"].is_object();
    if is_object || SAY.iter().all(|key| schema[*key].is_null()) {
        bare.push(place.to_owned());
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            find_bare(&schema[key], &format!("{place}/{key}"), bare);
        }
    }
    for key in ["properties", "oneOf", "anyOf", "allOf"] {
        match &schema[key] {
            Json::Object(parts) => {
                for (name, part) in parts {
                    find_bare(part, &format!("{place}/{key}/{name}"), bare);
                }
            }
            Json::Array(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    find_bare(part, &format!("{place}/{key}/{at}"), bare);
                }
            }
            _ => {}
        }
    }
}

fn check_references(document: &Json, at: &Json) {
    match at {
        Json::Object(object) => {
            if let Some(target) = object.get("$ref").and_then(Json::as_str) {
                let found = document.pointer(target.strip_prefix('#').unwrap());
                assert!(found.is_some(), "{target} is nowhere");
            }
            object
                .values()
                .for_each(|part| check_references(document, part));
        }
        Json::Array(list) => list
            .iter()
            .for_each(|part| check_references(document, part)),
        _ => {}
    }
}

/// The forms of templates are written by hand: those that the code writes must fit.
#[test]
fn definitions_that_the_code_writes_are_described() {
    let definition = json!({
        "title": "t", "description": "d", "standard": "s", "industry": "C3841", "category": "c",
        "suffix": "{uuid}",
        "fields": [
            {"name": "a", "label": "A", "required": true, "unique": true, "readers": "everybody",
             "kind": {"type": "text", "lengthMin": 1, "lengthMax": 9, "pattern": "[a-z]+"}},
            {"name": "b", "searchable": true,
             "kind": {"type": "number", "decimals": 2, "minimum": 0, "maximum": 1.5}},
            {"name": "c", "kind": {"type": "date", "precision": "moment"}},
            {"name": "d", "disabled": true,
             "kind": {"type": "reference", "template": "88.118.5/META_a", "countMax": 3}},
            {"name": "e", "kind": {"type": "image", "suffixes": ["png"], "countMax": 2}},
        ],
    });
    let read: guantong_core::template::Definition =
        serde_json::from_value(definition.clone()).unwrap();
    let written = serde_json::to_value(read).unwrap();
    for form in [definition, written] {
        Described::get().check(&reference("Definition"), &form);
    }
}

/// Nobody in particular gets an answer of a described form from every path.
#[tokio::test]
async fn everything_that_is_described_answers() {
    let document = document();
    for route in ROUTES.iter().filter(|route| route.path != "changes") {
        let path = route.path.replace("{handle}", "88.118.5/5g-base-stations");
        let path = path
            .replace("{prefix}", "88.118.5")
            .replace("{code}", "x")
            .replace("{id}", "1")
            .replace("{name}", "x");
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        let headers = [("content-type", "application/json")];
        let body = if route.body == Body::None { "" } else { "{}" };
        let answer = send(method, &format!("/api/v2/{path}"), &headers, body).await;
        let place = format!(
            "{} {}: {} {}",
            route.method,
            route.path,
            answer.status,
            answer.text()
        );
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{place}");
        assert!(!answer.text().contains("there is no `/api/v2"), "{place}");
        assert!(answer.status.as_u16() < 500, "{place}");
        let described = &document["paths"][format!("/{}", route.path)]
            [route.method.to_ascii_lowercase()]["responses"];
        if answer.status.is_success() {
            assert!(!described[answer.status.as_str()].is_null(), "{place}");
        } else {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{place}"
            );
            Described::get().check(&reference("Problem"), &answer.json());
        }
    }
    let nowhere = send(Method::GET, "/api/v2/nowhere", &[], "").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let other = send(Method::DELETE, "/api/v2/templates", &[], "").await;
    assert_eq!(other.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(other.header("allow"), "GET, HEAD, POST");
    let keyed = [("idempotency-key", "")];
    let keyed = send(Method::PUT, "/api/v2/registrations", &keyed, "").await;
    assert_eq!(keyed.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn description_is_served_and_known_again() {
    let first = send(Method::GET, "/api/v2/openapi.json", &[], "").await;
    assert_eq!(first.json()["openapi"], "3.1.0");
    let tag = first.header("etag").to_owned();
    let again = [("if-none-match", tag.as_str())];
    let again = send(Method::GET, "/api/v2/openapi.json", &again, "").await;
    assert_eq!(
        (again.status, again.text().len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    let page = send(Method::GET, "/api/v2/", &[], "").await;
    assert!(
        page.text().contains("registrations/batch"),
        "{}",
        page.text()
    );
}
