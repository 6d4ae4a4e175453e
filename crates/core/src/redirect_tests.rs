//! Which URL wins.

use super::*;

fn handle() -> HandleRef<'static> {
    HandleRef::parse("88.118.5/a").unwrap()
}

const LOC: &str = r#"<locations><location id="0" href="https://loc.example/" http_sc="303"/>
    <location id="1" href="https://cn.example/" weight="0" country="cn"/></locations>"#;

#[track_caller]
fn check(values: &[(&str, &str)], wish: &Wish<'_>, expected: &str) {
    let values: Vec<Value> = (1..)
        .zip(values)
        .map(|(index, (kind, data))| Value::new(index, *kind, *data))
        .collect();
    let found = match redirect(handle(), &values, &Shared::default(), wish) {
        Redirect::To(target) => format!("{} {}", target.status, target.url),
        Redirect::Alias(handle) => format!("alias {handle}"),
        Redirect::Nowhere => "nowhere".into(),
    };
    assert_eq!(found, expected, "{values:?}");
}

#[test]
fn first_url_wins_over_subtypes_and_other_types() {
    let plain = Wish::default();
    let values = [
        ("EMAIL", "a@b"),
        ("URL.x", "https://x/"),
        ("url", "https://1/"),
        ("URL", "https://2/"),
    ];
    check(&values, &plain, "302 https://1/");
    check(&values[..2], &plain, "302 https://x/");
    check(&values[..1], &plain, "nowhere");
    check(&[("0.TYPE/URL", "https://t/")], &plain, "302 https://t/");
}

#[test]
fn locations_come_before_the_plain_url_which_is_the_last_resort() {
    let plain = Wish::default();
    check(
        &[("URL", "https://1/"), ("10320/loc", LOC)],
        &plain,
        "303 https://loc.example/",
    );
    let unfit = r#"<locations><location href="javascript:alert(1)"/></locations>"#;
    check(
        &[("URL", "https://1/"), ("10320/loc", unfit)],
        &plain,
        "302 https://1/",
    );
    let alone = r#"<locations no_legacy="1"/>"#;
    check(
        &[("URL", "https://1/"), ("10320/loc", alone)],
        &plain,
        "nowhere",
    );
    check(
        &[("URL", "https://1/"), ("10320/loc", "no XML")],
        &plain,
        "302 https://1/",
    );
}

#[test]
fn visitor_decides_among_locations() {
    let visitor = Visitor {
        country: Some("cn"),
        ..Visitor::default()
    };
    let wish = Wish {
        visitor,
        ..Wish::default()
    };
    check(&[("10320/loc", LOC)], &wish, "302 https://cn.example/");
}

#[test]
fn schemes_that_run_in_the_browser_are_not_followed() {
    let plain = Wish::default();
    for url in [
        "javascript:alert(1)",
        " JavaScript:x",
        "data:text/html,x",
        "vbscript:x",
        "/x",
        "//x",
        "x",
    ] {
        check(&[("URL", url)], &plain, "nowhere");
    }
    check(
        &[("URL", "javascript:x"), ("URL", "HTTPS://ok/")],
        &plain,
        "302 HTTPS://ok/",
    );
}

#[test]
fn nothing_in_a_target_can_end_its_header_field() {
    let plain = Wish::default();
    check(
        &[("URL", "https://a/\r\nSet-Cookie: x")],
        &plain,
        "302 https://a/%0D%0ASet-Cookie:%20x",
    );
    check(
        &[("URL", "https://a/零件?q={1}")],
        &plain,
        "302 https://a/%E9%9B%B6%E4%BB%B6?q=%7B1%7D",
    );
    let wish = Wish {
        append: "&x=1\n",
        ..Wish::default()
    };
    check(
        &[("URL", " https://a/?b ")],
        &wish,
        "302 https://a/?b&x=1%0A",
    );
    let long = format!("https://a/{}", "x".repeat(TARGET_LEN_MAX));
    check(&[("URL", &long)], &plain, "nowhere");
}

#[test]
fn nothing_appended_changes_the_host() {
    let append = |url: &str, append: &str, expected: &str| {
        let wish = Wish {
            append,
            ..Wish::default()
        };
        check(&[("URL", url)], &wish, expected);
    };
    append("https://a", ".b/x", "302 https://a/.b/x");
    append("https://a", "@b", "302 https://a/@b");
    append("https://a:8", "0", "302 https://a:8/0");
    append("https://a", "?x=1", "302 https://a?x=1");
    append("https://a", "/x", "302 https://a/x");
    append("HTTP:a", ".b", "302 HTTP:a/.b");
    append("https://", "b", "302 https://");
    append("https:///", "b", "302 https:///");
    append("https://a?q=", "b", "302 https://a?q=b");
    append("urn:isbn:", "1", "302 urn:isbn:1");
}

#[test]
fn alias_goes_first_unless_it_is_to_be_ignored() {
    let values = [("URL", "https://1/"), ("HS_ALIAS", "88.118.5/b")];
    check(&values, &Wish::default(), "alias 88.118.5/b");
    let wish = Wish {
        ignore_aliases: true,
        ..Wish::default()
    };
    check(&values, &wish, "302 https://1/");
    check(
        &[("HS_ALIAS", ""), ("URL", "https://1/")],
        &Wish::default(),
        "302 https://1/",
    );
}

#[test]
fn age_is_what_is_left_of_the_ttl() {
    let mut value = Value::new(1, "URL", "https://1/");
    value.ttl = guantong_proto::Ttl::Absolute(1_100);
    let wish = Wish {
        now_secs: 1_000,
        ..Wish::default()
    };
    let Redirect::To(target) = redirect(handle(), &[value], &Shared::default(), &wish) else {
        panic!()
    };
    assert_eq!(target.max_age_secs, 100);
}

/// What `values` lead to when the namespace shares `namespace`.
fn with_namespace(values: &[Value], namespace: &Value) -> Target {
    let xml = b"<namespace><locs>88.118.5/all</locs></namespace>";
    let said = crate::namespace::Namespace::parse(xml).unwrap();
    let mut shared = Shared::of(handle(), values, Some(&said));
    assert_eq!(shared.wanted().unwrap().as_str(), "88.118.5/all");
    shared.show(handle(), std::slice::from_ref(namespace));
    match redirect(handle(), values, &shared, &Wish::default()) {
        Redirect::To(target) => target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn namespace_has_locations_for_its_records() {
    let both = [
        Value::new(1, "URL", "https://1/"),
        Value::new(2, "10320/loc", LOC),
    ];
    let url = &both[..1];
    let xml = r#"<locations><location href_template="https://all/{hdl:path}" weight="WEIGHT"/></locations>"#;
    let all = |weight: &str| {
        let mut value = Value::new(1, "10320/loc", xml.replace("WEIGHT", weight));
        value.ttl = guantong_proto::Ttl::Relative(60);
        value
    };
    let target = |values: &[Value], weight| with_namespace(values, &all(weight)).url;
    // One record of the namespace serves every handle in it.
    assert_eq!(target(&[], "1"), "https://all/88.118.5/a");
    assert_eq!(target(url, "1"), "https://all/88.118.5/a");
    // Where no weight decides, what is nearer to the record goes first.
    assert_eq!(target(url, "0"), "https://1/");
    assert_eq!(target(&both, "0"), "https://loc.example/");
    assert_eq!(with_namespace(&[], &all("1")).max_age_secs, 60);
}

#[test]
fn circles_and_endless_ways_of_aliases_are_found() {
    let name = |text: &str| Handle::parse(text).unwrap();
    let mut way = Aliases::from(handle());
    assert_eq!(way.follow(name("88.118.5/b").borrow()), Ok(()));
    assert!(matches!(
        way.follow(name("88.118.5/A").borrow()),
        Err(AliasError::Circle { .. })
    ));
    for step in 1..ALIASES_MAX {
        assert_eq!(
            way.follow(name(&format!("88.118.5/{step}")).borrow()),
            Ok(()),
            "{step}"
        );
    }
    assert_eq!(
        way.follow(name("88.118.5/z").borrow()),
        Err(AliasError::TooMany)
    );
}
