//! How records look to people.

use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::data::{Admin, AdminPermissions, Site};
use guantong_proto::{Reference, Value};

use super::*;

#[track_caller]
fn check(values: &[Value], columns: Option<usize>, expected: &str) {
    let text = table(values, columns).join("\n");
    let plain = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(plain, expected);
}

#[test]
fn values_stand_in_aligned_columns() {
    let mut restricted = Value::new(100, "HS_ADMIN", Vec::new());
    restricted.data = Admin::new(AdminPermissions::ALL, "0.NA/88.118.5", 300).encode();
    restricted.permissions = Permissions(0b1100);
    restricted.references = vec![Reference {
        handle: "0.NA/x".into(),
        index: 1,
    }];
    check(
        &[Value::new(1, "NAME.ZH", "5G基站"), restricted],
        None,
        "\
index  type        ttl  data
    1  NAME.ZH   86400  5G基站
  100  HS_ADMIN  86400  300:0.NA/88.118.5 may do everything
                        (permissions 1100: administrators may read, administrators may write; \
                        refers to 1:0.NA/x)",
    );
}

#[test]
fn long_text_wraps_at_spaces_and_wide_characters_count_twice() {
    assert_eq!(wrap("one two three", Some(8)), ["one two", "three"]);
    assert_eq!(wrap("通信基站总数", Some(5)), ["通信", "基站", "总数"]);
    assert_eq!(wrap("  abcdef", Some(5)), ["  abc", "  def"]);
    assert_eq!(wrap("short", Some(5)), ["short"]);
    assert_eq!(wrap("as long as it is", None), ["as long as it is"]);
}

#[test]
fn terminal_is_never_given_control_characters() {
    let value = Value::new(1, "X\x1b[2J", "first\x07\nsecond");
    let text = table(&[value], None).join("\n");
    let plain = anstream::adapter::strip_str(&text).to_string();
    assert!(plain.contains("X\\u{1b}[2J"), "{plain}");
    assert!(plain.contains("13 octets"), "{plain}");
}

#[test]
fn long_json_is_spread_over_lines_in_its_own_order() {
    let json = r#"{"period":"2024","bound":null,"value":425.1,"list":[1,true]}"#;
    let short = typed::lines(&Value::new(1, "OBSERVATION", json), Some(200));
    assert_eq!(short, [json]);
    let long = typed::lines(&Value::new(1, "OBSERVATION", json), Some(30)).join("\n");
    let expected = "{\n  \"period\": \"2024\",\n  \"bound\": null,\n  \"value\": 425.1,\n  \
                    \"list\": [\n    1,\n    true\n  ]\n}";
    assert_eq!(long, expected);
}

#[test]
fn octets_are_dumped_and_the_dump_is_short() {
    let lines = typed::lines(&Value::new(1, "X", vec![0xff; 100]), None);
    assert_eq!(lines[0], "100 octets");
    assert!(lines[1].starts_with("  ff ff"), "{}", lines[1]);
    assert_eq!(lines.last().unwrap(), "  … 36 more");
}

#[test]
fn site_record_is_told_in_words() {
    let site = Site {
        flags: Site::PRIMARY,
        servers: vec![Server {
            id: 1,
            address: "127.0.0.1".parse().unwrap(),
            public_key: Vec::new(),
            interfaces: vec![Interface {
                kind: InterfaceKind::BOTH,
                protocol: Protocol::UDP,
                port: 2641,
            }],
        }],
        ..Site::default()
    };
    assert_eq!(
        typed::site_lines(&site),
        [
            "primary site, serial 1, protocol 2.11",
            "server 1 at 127.0.0.1, no key",
            "  udp 2641: resolution and administration",
        ]
    );
}

#[test]
fn data_that_does_not_fit_its_type_is_shown_as_it_is() {
    let lines = typed::lines(&Value::new(1, "HS_ADMIN", "not an admin"), None);
    assert_eq!(lines, ["not an admin"]);
}
