//! The records that the node of these tests holds besides its prefix record.

use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{Permissions, Ttl, Value};

/// A choice by country, by attribute and by weight.
const LOC: &str = r#"<locations>
    <location id="0" href="https://a.example/x" weight="1" role="main"/>
    <location id="1" href="https://cn.example/x" weight="0" country="cn" http_sc="307"/>
    <location id="2" href="https://m.example/x" weight="0" role="metadata"/></locations>"#;

/// A choice by what the visitor accepts.
const NEGOTIATED: &str = r#"<locations>
    <location href="https://html.example/" http_role="no_conneg"/>
    <location href="https://data.example/" http_role="conneg"/></locations>"#;

const INACTIVE: &str = "<namespace><status>inactive</status>\
    <statusmsg>moved &lt;b&gt;away&lt;/b&gt;</statusmsg></namespace>";

const SHARING: &str = "<namespace><locs>88.118.7/all</locs></namespace>";
const SHARED: &str = r#"<locations include="20.500.1/elsewhere">
    <location href_template="https://all.example/{hdl:path}"/></locations>"#;

const FIRST: &str = r#"{"period_start":null,"period_end":"2022-12-31","value":2310000,
    "unit":"station","bound":"over","quote":"超过231万个"}"#;
const LAST: &str = r#"{"period_start":null,"period_end":"2024-03-31","value":3647000,
    "unit":"station"}"#;

fn value(index: i32, kind: &str, data: &str) -> Value {
    Value {
        timestamp: 1_700_000_000,
        ..Value::new(index, kind, data)
    }
}

/// All records: name and values.
pub(super) fn records() -> Vec<(&'static str, Vec<Value>)> {
    let mut all = shown();
    all.extend(leading());
    all
}

/// Records that are looked at.
fn shown() -> Vec<(&'static str, Vec<Value>)> {
    let admin = Admin::new(AdminPermissions::ALL, "0.NA/88.118.5", 300);
    let hidden = |index, bits| Value {
        permissions: Permissions(bits),
        ..value(index, "EMAIL", "secret@example.org")
    };
    let web = vec![
        value(1, "URL", "https://example.org/a"),
        Value::new(100, "HS_ADMIN", admin.encode()),
        hidden(200, 0x0c),
    ];
    let script = "<script>alert(1)</script>";
    let evil = vec![
        value(1, "URL", "javascript:alert(1)"),
        value(2, "<script>", script),
    ];
    let stations = vec![
        value(1, "NAME.EN", "Stations"),
        value(1000, "OBSERVATION", FIRST),
        value(1001, "OBSERVATION", LAST),
    ];
    let names = vec![value(1, "NAME.ZH", "名称"), value(2, "NAME.EN", "Name")];
    vec![
        ("88.118.5/web", web),
        ("88.118.5/a/b c%#?", vec![value(1, "DESC", "odd name")]),
        ("88.118.5/中文", names),
        ("88.118.5/hidden", vec![hidden(1, 0x0c), hidden(2, 0x04)]),
        ("88.118.5/never", vec![hidden(1, 0x04)]),
        ("88.118.5/evil", evil),
        ("88.118.5/stations", stations),
    ]
}

/// Records that lead somewhere else.
fn leading() -> Vec<(&'static str, Vec<Value>)> {
    let one = |kind: &str, data: &str| vec![value(1, kind, data)];
    let mut loc = one("10320/loc", LOC);
    loc.push(value(2, "URL", "https://plain.example/"));
    let brief = Value {
        ttl: Ttl::Relative(60),
        ..value(1, "URL", "https://brief.example/")
    };
    let split = "https://example.org/\r\nSet-Cookie: a=b";
    vec![
        ("88.118.5/split", one("URL", split)),
        ("88.118.5/loc", loc),
        ("88.118.5/negotiated", one("10320/loc", NEGOTIATED)),
        ("88.118.5/alias", one("HS_ALIAS", "88.118.5/web")),
        ("88.118.5/circle", one("HS_ALIAS", "88.118.5/round")),
        ("88.118.5/round", one("HS_ALIAS", "88.118.5/circle")),
        ("88.118.5/brief", vec![brief]),
        ("0.NA/88.118.6", one("HS_NAMESPACE", INACTIVE)),
        ("88.118.6/x", one("URL", "https://example.org/")),
        ("0.NA/88.118.7", one("HS_NAMESPACE", SHARING)),
        ("88.118.7/all", one("10320/loc", SHARED)),
        ("88.118.7/x", one("DESC", "a thing without a place")),
        ("0.NA/88.118.5.1", one("HS_SERV.PREFIX", "88.118.5/service")),
    ]
}
