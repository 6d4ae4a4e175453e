//! A recursive node that judges records before it gives them away (`recurse.verify`): over real
//! sockets, through a tree whose root certifies the keys below.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::message::{Envelope, OpFlags, RequestBuilder, ResponseCode, Version};
use guantong_proto::{Permissions, Ttl, Value};
use guantong_server::Running;
use guantong_server::config::Verify;
use support::signed::{ENTERPRISE, ROOT, YEAR, certified, signed};
use support::tree::Tree;
use support::{Reply, Tcp, Udp, ask, eventually, get, put, put_values, value};

const HANDLE: &str = "88.118.5/SN20260001";
/// How far past its end a signature counts: clocks may differ.
const SKEW: i64 = 60;

/// Asks for one value, since a signature fills more than one datagram.
fn udp(node: &Running, handle: &str) -> Reply {
    let packet = request(handle, OpFlags::DEFAULT, &["TEXT"]);
    Udp::to(node.addresses().udp[0]).ask(&packet)
}

fn request(handle: &str, flags: OpFlags, types: &[&str]) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, 5),
        flags,
        expiration: u32::MAX / 2,
    };
    builder.resolve(handle, &[], types)
}

fn pump() -> Vec<Value> {
    vec![
        value(1, "TEXT", "pump"),
        value(2, "URL", "https://a.example/"),
    ]
}

/// A tree with certified keys, and a record that the enterprise has signed.
fn tree() -> Tree {
    let tree = Tree::grow();
    tree.certify();
    put_signed(&tree, YEAR);
    tree
}

fn put_signed(tree: &Tree, span_secs: i64) {
    let values = signed(HANDLE, &pump(), span_secs);
    put_values(tree.enterprise.node(), HANDLE, &values);
}

fn exchanges(node: &Running) -> u64 {
    let figures = node.node().courier().unwrap().snapshot().figures;
    figures.exchanges.iter().map(|each| each.sent).sum()
}

/// The verdicts so far: signed, unsigned, refused, undecided.
fn judged(node: &Running) -> [u64; 4] {
    node.node().courier().unwrap().snapshot().judged
}

/// Over every transport, several times so that what is kept is asked too, the record is refused.
#[track_caller]
fn refused(node: &Running, because: &str) {
    for _ in 0..3 {
        let reply = udp(node, HANDLE);
        assert_eq!(reply.code, ResponseCode::ERROR, "{reply:?}");
        assert!(reply.text.contains(because), "{}", reply.text);
        let reply = Tcp::to(node.addresses().tcp[0]).ask(&ask(HANDLE, 1));
        assert_eq!(reply.code, ResponseCode::ERROR, "{reply:?}");
        assert!(reply.text.contains("not given on"), "{}", reply.text);
        let http = node.addresses().http[0];
        for path in [
            format!("/api/handles/{HANDLE}"),
            format!("/api/handles/{HANDLE}?type=TEXT"),
            format!("/{HANDLE}?noredirect"),
        ] {
            let found = get(http, &path);
            assert!(found.starts_with("HTTP/1.1 502"), "{path}: {found}");
            assert!(found.contains(because), "{path}: {found}");
            assert!(!found.contains("pump"), "{path}: {found}");
        }
    }
}

#[track_caller]
fn given(node: &Running) {
    assert_eq!(udp(node, HANDLE).text, "pump");
    let tcp = Tcp::to(node.addresses().tcp[0]).ask(&ask(HANDLE, 1));
    assert_eq!(tcp.text, "pump");
    let found = get(node.addresses().http[0], &format!("/api/handles/{HANDLE}"));
    assert!(found.contains("\"value\":\"pump\""), "{found}");
}

//----------- Verdicts -------------------------------------------------------

#[test]
fn signed_record_is_judged_once_and_then_costs_nothing() {
    let tree = tree();
    for verify in [Verify::Required, Verify::IfSigned] {
        let node = tree.verifying(verify).start();
        given(&node);
        let asked = exchanges(&node);
        given(&node);
        assert_eq!(exchanges(&node), asked);
        assert_eq!(judged(&node), [1, 0, 0, 0]);
        let hits = get(node.addresses().http[0], "/metrics");
        let hits = hits
            .lines()
            .find(|line| line.starts_with("guantong_recurse_cache_hits"));
        assert_eq!(hits, Some("guantong_recurse_cache_hits_total 5"));
    }
}

#[test]
fn unsigned_record_is_refused_only_where_signatures_are_required() {
    let tree = tree();
    put_values(tree.enterprise.node(), HANDLE, &pump());
    let node = tree.verifying(Verify::Required).start();
    refused(&node, "it is not signed");
    given(&tree.verifying(Verify::IfSigned).start());
    given(&tree.verifying(Verify::Off).start());
}

#[test]
fn changed_record_is_refused_by_any_rule() {
    let tree = tree();
    let mut values = signed(HANDLE, &pump(), YEAR);
    values[0].data = b"pumx".to_vec();
    put_values(tree.enterprise.node(), HANDLE, &values);
    for verify in [Verify::Required, Verify::IfSigned] {
        let node = tree.verifying(verify).start();
        refused(&node, "value 1 is not what was signed");
        // However often it was asked for.
        assert_eq!(judged(&node), [0, 0, 1, 0]);
    }
}

#[test]
fn signature_that_has_ended_proves_nothing() {
    let tree = tree();
    put_signed(&tree, -SKEW);
    refused(
        &tree.verifying(Verify::IfSigned).start(),
        "the signature has expired",
    );
    put_signed(&tree, YEAR);
    tree.certify_enterprise(-SKEW);
    let because = "the certificate of 300:0.NA/88.118.5 has expired";
    refused(&tree.verifying(Verify::IfSigned).start(), because);
}

#[test]
fn revoked_signer_proves_nothing() {
    let tree = tree();
    let [_, certificate] = certified(ROOT, ENTERPRISE, "handlesUnderThisPrefix", YEAR);
    tree.put_enterprise(&[certificate]);
    let node = tree.verifying(Verify::IfSigned).start();
    refused(&node, "the key 300:0.NA/88.118.5 is revoked");
}

#[test]
fn record_whose_certificates_cannot_be_had_is_not_given_on() {
    let mut tree = tree();
    let node = tree.verifying(Verify::IfSigned).start();
    // The way to the name is known, the keys on the way are not.
    assert_eq!(udp(&node, "88.118.5/none").code.0, 100);
    tree.second.stop();
    let reply = udp(&node, HANDLE);
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(
        reply.text.contains("could not be found out"),
        "{}",
        reply.text
    );
    assert_eq!(judged(&node), [0, 0, 0, 1]);
}

#[test]
fn what_does_not_exist_needs_no_signature() {
    let tree = tree();
    let node = tree.verifying(Verify::Required).start();
    for _ in 0..2 {
        assert_eq!(udp(&node, "88.118.5/none").code.0, 100);
        let found = get(node.addresses().http[0], "/api/handles/88.118.5/none");
        assert!(found.starts_with("HTTP/1.1 404"), "{found}");
    }
}

//----------- Time and change ------------------------------------------------

#[test]
fn kept_answer_ends_with_its_signature() {
    let tree = tree();
    let node = tree.verifying(Verify::IfSigned).start();
    // Good for some seconds yet, because clocks may differ by a minute.
    put_signed(&tree, 6 - SKEW);
    given(&node);
    let found = get(node.addresses().http[0], &format!("/api/handles/{HANDLE}"));
    let line = found.lines().find(|line| line.starts_with("cache-status"));
    let left = line.and_then(|line| line.rsplit_once("ttl=")).unwrap().1;
    assert!(left.trim().parse::<i64>().unwrap() <= 6, "{left}");
    let gone = eventually(|| {
        let reply = udp(&node, HANDLE);
        (reply.code == ResponseCode::ERROR).then_some(reply.text)
    });
    assert!(gone.contains("has expired"), "{gone}");
    refused(&node, "the signature has expired");
}

#[test]
fn kept_answer_is_not_given_as_stale_past_its_signature() {
    let mut tree = tree();
    let node = tree.verifying(Verify::IfSigned).start();
    put_signed(&tree, 6 - SKEW);
    given(&node);
    tree.enterprise.stop();
    eventually(|| (udp(&node, HANDLE).code == ResponseCode::ERROR).then_some(()));
    refused(&node, "the signature has expired");
}

#[test]
fn revocation_counts_as_soon_as_the_kept_key_record_has_ended() {
    let tree = Tree::grow();
    tree.certify();
    let brief = certified(ROOT, ENTERPRISE, "handlesUnderThisPrefix", YEAR).map(|value| Value {
        ttl: Ttl::Relative(1),
        ..value
    });
    tree.put_enterprise(&brief);
    put_signed(&tree, YEAR);
    let node = tree.verifying(Verify::IfSigned).start();
    given(&node);
    tree.put_enterprise(&brief[1..]);
    // The record itself is good for a day yet.
    eventually(|| (udp(&node, HANDLE).code == ResponseCode::ERROR).then_some(()));
    refused(&node, "is revoked");
}

#[test]
fn kept_cache_is_judged_by_the_rule_that_is_in_force() {
    let tree = tree();
    let mut place = tree.verifying(Verify::Off);
    put_values(tree.enterprise.node(), HANDLE, &pump());
    place.config.recurse.cache_file = Some(place.dir.path().join("run/cache"));
    let node = place.start();
    given(&node);
    node.stop();
    place.config.recurse.verify = Verify::Required;
    let node = place.start();
    assert!(node.node().courier().unwrap().snapshot().cache_entries > 0);
    refused(&node, "it is not signed");
}

#[test]
fn judging_goes_on_from_a_kept_cache_although_the_tree_is_gone() {
    let mut tree = tree();
    let mut place = tree.verifying(Verify::Required);
    place.config.recurse.cache_file = Some(place.dir.path().join("run/cache"));
    let node = place.start();
    given(&node);
    node.stop();
    for level in [
        &mut tree.root,
        &mut tree.top,
        &mut tree.second,
        &mut tree.enterprise,
    ] {
        level.stop();
    }
    let node = place.start();
    given(&node);
    assert_eq!(judged(&node), [1, 0, 0, 0]);
}

//----------- Ways to ask ----------------------------------------------------

#[test]
fn however_it_is_asked_for_a_changed_record_is_refused_and_a_signed_one_given() {
    let tree = tree();
    let secret = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(3, "SECRET", "x")
    };
    let values = [&pump()[..], &[secret]].concat();
    let all = OpFlags::DEFAULT;
    let ways = [
        (all, &["TEXT"][..]),
        (all, &["TEXT", "GT_STATE"]),
        (all.without(OpFlags::PUBLIC_ONLY), &["TEXT"]),
        (all.with(OpFlags::AUTHORITATIVE), &["TEXT"]),
    ];
    let good = signed(HANDLE, &values, YEAR);
    let mut bad = good.clone();
    bad[1].data = b"https://b.example/".to_vec();
    for (record, is_good) in [(good, true), (bad, false)] {
        put_values(tree.enterprise.node(), HANDLE, &record);
        let node = tree.verifying(Verify::IfSigned).start();
        let client = Udp::to(node.addresses().udp[0]);
        for (flags, types) in ways {
            for _ in 0..2 {
                let reply = client.ask(&request(HANDLE, flags, types));
                let expected = match is_good {
                    true => ResponseCode::SUCCESS,
                    false => ResponseCode::ERROR,
                };
                assert_eq!(reply.code, expected, "{types:?}: {}", reply.text);
                let given = if is_good { "pump" } else { "value 2 is not" };
                assert!(reply.text.contains(given), "{types:?}: {}", reply.text);
            }
        }
        let reply = client.ask(&request(
            HANDLE,
            all.without(OpFlags::PUBLIC_ONLY),
            &["SECRET"],
        ));
        assert_eq!(reply.code, ResponseCode::INSUFFICIENT_PERMISSIONS);
        let reply = client.ask(&request(HANDLE, all, &["NAME"]));
        let absent = [ResponseCode::ERROR, ResponseCode::VALUES_NOT_FOUND];
        assert_eq!(reply.code, absent[usize::from(is_good)]);
    }
}

#[test]
fn withdrawn_record_is_told_where_signatures_are_not_required() {
    let tree = tree();
    let state = value(
        1_900,
        "GT_STATE",
        r#"{"state":"withdrawn","reason":"scrapped"}"#,
    );
    let values = [&pump()[..], &[state]].concat();
    put_values(tree.enterprise.node(), HANDLE, &values);
    let http = |node: &Running| get(node.addresses().http[0], &format!("/api/handles/{HANDLE}"));
    let told = http(&tree.verifying(Verify::IfSigned).start());
    assert!(told.starts_with("HTTP/1.1 410"), "{told}");
    assert!(told.contains("scrapped"), "{told}");
    let told = http(&tree.verifying(Verify::Required).start());
    assert!(told.starts_with("HTTP/1.1 404"), "{told}");
}

#[test]
fn prefix_records_on_the_way_are_followed_unjudged_but_not_given_away() {
    let tree = tree();
    let node = tree.verifying(Verify::Required).start();
    given(&node);
    let reply = udp(&node, "0.NA/88.118");
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.contains("it is not signed"), "{}", reply.text);
}

#[test]
fn own_records_are_given_as_they_are() {
    let tree = tree();
    let mut place = support::Place::homing(&["77"]);
    let config = tree.verifying(Verify::Required);
    place.config.recurse = config.config.recurse.clone();
    place.config.trust = config.config.trust.clone();
    let node = place.start();
    put(&node, "77/a", "mine");
    assert_eq!(udp(&node, "77/a").text, "mine");
}

#[test]
fn node_does_not_start_without_the_keys_that_it_is_to_believe() {
    let tree = Tree::grow();
    let mut place = tree.verifying(Verify::Required);
    std::fs::write(place.config.trust.roots.as_ref().unwrap(), "none").unwrap();
    let error = guantong_server::start(place.config.clone()).unwrap_err();
    assert!(
        error.to_string().contains("there is no root key in"),
        "{error}"
    );
    place.config.trust.roots = None;
    let error = guantong_server::start(place.config.clone()).unwrap_err();
    assert!(
        error.to_string().contains("trust.roots names no file"),
        "{error}"
    );
}

//----------- Figures --------------------------------------------------------

#[test]
fn first_ends_of_signatures_and_certificates_are_figures() {
    let tree = tree();
    let values = signed("88.118.5/b", &pump(), 1_000);
    put_values(tree.enterprise.node(), "88.118.5/b", &values);
    put_values(tree.enterprise.node(), "88.118.5/c", &pump());
    tree.certify_enterprise(5_000);
    // A node with the store of the enterprise, that signs in its name and resolves.
    let mut tree = tree;
    tree.enterprise.stop();
    let mut place = tree.verifying(Verify::Off);
    place.config.data = tree.enterprise.place.config.data.clone();
    place.config.trust.sign_as = Some(ENTERPRISE.parse().unwrap());
    let key = place.dir.path().join("sign.der");
    std::fs::write(&key, support::signed::pkcs8(ENTERPRISE)).unwrap();
    place.config.trust.sign_key = Some(key);
    let node = place.start();
    let now = support::signed::now();
    let left = eventually(|| {
        let text = get(node.addresses().http[0], "/metrics");
        let left = |of: &str| {
            let line = format!("guantong_trust_expiry_timestamp_seconds{{of=\"{of}\"}} ");
            let end = text.lines().find_map(|text| text.strip_prefix(&line))?;
            Some(end.parse::<i64>().unwrap() - now)
        };
        assert_eq!(left("certificates"), None);
        Some([left("records")?, left("signer")?, left("root")?])
    });
    for (left, expected) in left.into_iter().zip([1_000, 5_000, YEAR]) {
        assert!((expected - 100..=expected).contains(&left), "{left}");
    }
}

//----------- Pages ----------------------------------------------------------

/// The page of the record in a language.
fn page(node: &Running, lang: &str) -> String {
    let path = format!("/{HANDLE}?noredirect&lang={lang}");
    get(node.addresses().http[0], &path)
}

#[test]
fn page_says_who_has_signed_and_whether_that_holds() {
    let tree = tree();
    let signed = signed(HANDLE, &pump(), YEAR);
    let mut changed = signed.clone();
    changed[0].data = b"pumx".to_vec();
    let brief = support::signed::signed(HANDLE, &pump(), -SKEW);
    let table: [(&[Value], &str, &str); 4] = [
        (&signed, ">valid<", ">有效<"),
        (
            &changed,
            "The values are not what was signed",
            "值与签名不符",
        ),
        (&brief, "It has expired", "已过期"),
        (&pump(), ">not signed<", ">未签名<"),
    ];
    for (values, en, zh) in table {
        put_values(tree.enterprise.node(), HANDLE, values);
        let node = tree.verifying(Verify::Off).start();
        for (lang, word) in [("en", en), ("zh", zh)] {
            let page = page(&node, lang);
            assert!(page.contains(word), "{word}: {page}");
            let is_signed = values.len() > 2;
            let signer = ">300:0.NA/88.118.5</a>";
            assert_eq!(page.contains(signer), is_signed, "{page}");
        }
        // Of a part nothing is said.
        let path = format!("/{HANDLE}?noredirect&lang=en&type=TEXT");
        let part = get(node.addresses().http[0], &path);
        assert!(!part.contains(en), "{part}");
    }
}

#[test]
fn page_judges_nothing_where_no_root_is_believed() {
    let tree = tree();
    for lang in ["en", "zh"] {
        let found = page(tree.enterprise.node(), lang);
        assert!(found.contains("trust.roots"), "{found}");
        assert!(found.contains(">300:0.NA/88.118.5</a>"), "{found}");
    }
    put_values(tree.enterprise.node(), HANDLE, &pump());
    let found = page(tree.enterprise.node(), "en");
    assert!(!found.contains("Signature"), "{found}");
}

#[test]
fn page_says_that_certificates_cannot_be_had_where_nobody_resolves() {
    let mut tree = tree();
    tree.enterprise.stop();
    let mut place = tree.enterprise.place;
    support::signed::believe(&mut place.config);
    let node = place.start();
    let found = page(&node, "en");
    assert!(found.contains("could not be checked"), "{found}");
    assert!(found.contains("resolves no names of others"), "{found}");
}
