//! The tree over real sockets: delegation, referrals, and a recursive node that resolves through it
//! over every transport.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::message::{
    Body, Envelope, Message, OpFlags, RequestBuilder, Response, ResponseCode, Version,
};
use guantong_proto::{Permissions, Ttl, Value};
use guantong_server::Running;
use guantong_server::config::{Root, Span};
use support::tree::{Tree, delegate};
use support::{Place, Reply, Tcp, Udp, ask, decode, eventually, get, put, put_values, value};

const HANDLE: &str = "88.118.5/SN20260001";
const NONE: [&str; 0] = [];

fn udp(node: &Running) -> Udp {
    Udp::to(node.addresses().udp[0])
}

fn tcp(node: &Running) -> Tcp {
    Tcp::to(node.addresses().tcp[0])
}

fn request(flags: OpFlags, handle: &str) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, 5),
        flags,
        expiration: u32::MAX / 2,
    };
    builder.resolve(handle, &[], &NONE)
}

/// A tree with one record, and a node that resolves through it.
fn tree_with_recursive() -> (Tree, Running) {
    let tree = Tree::grow();
    put(tree.enterprise.node(), HANDLE, "pump");
    let recursive = tree.recursive().start();
    (tree, recursive)
}

fn figures(node: &Running) -> guantong_core::resolve::Figures {
    node.node().courier().unwrap().snapshot().figures
}

/// Questions to other servers so far.
fn exchanges(node: &Running) -> u64 {
    figures(node).exchanges.iter().map(|each| each.sent).sum()
}

//----------- Resolving ------------------------------------------------------

#[test]
fn name_four_levels_down_is_resolved_alike_over_udp_tcp_and_http() {
    let (_tree, recursive) = tree_with_recursive();
    let reply = udp(&recursive).ask(&ask(HANDLE, 7));
    let expected = Reply {
        op: reply.op,
        code: ResponseCode::SUCCESS,
        request_id: 7,
        text: "pump".into(),
    };
    assert_eq!(reply, expected);
    assert_eq!(tcp(&recursive).ask(&ask(HANDLE, 7)), expected);
    let path = format!("/api/handles/{HANDLE}");
    let found = get(recursive.addresses().http[0], &path);
    assert!(found.contains("\"value\":\"pump\""), "{found}");
    assert!(found.contains("\"responseCode\":1"), "{found}");
}

#[test]
fn what_does_not_exist_does_not_exist_over_any_transport() {
    let (_tree, recursive) = tree_with_recursive();
    for handle in ["88.118.5/none", "88.118.6/x", "88.119/x", "99/x"] {
        let code = ResponseCode::HANDLE_NOT_FOUND;
        assert_eq!(udp(&recursive).ask(&ask(handle, 1)).code, code, "{handle}");
        assert_eq!(tcp(&recursive).ask(&ask(handle, 1)).code, code, "{handle}");
        let found = get(
            recursive.addresses().http[0],
            &format!("/api/handles/{handle}"),
        );
        assert!(found.starts_with("HTTP/1.1 404"), "{found}");
    }
}

#[test]
fn nodes_of_the_tree_refer_whom_they_do_not_resolve_for() {
    let tree = Tree::grow();
    let code = |node: &Running, handle: &str| udp(node).ask(&ask(handle, 1)).code.0;
    assert_eq!(code(tree.root.node(), "0.NA/88.118.5"), 303);
    assert_eq!(code(tree.top.node(), "0.NA/88.118.5"), 303);
    assert_eq!(code(tree.root.node(), "88/x"), 302);
    assert_eq!(code(tree.second.node(), HANDLE), 302);
    assert_eq!(code(tree.root.node(), HANDLE), 301);
    assert_eq!(code(tree.enterprise.node(), "88.118/x"), 301);
}

#[test]
fn bare_prefix_is_answered_like_its_prefix_record() {
    let (tree, recursive) = tree_with_recursive();
    for node in [tree.second.node(), &recursive] {
        let builder = RequestBuilder {
            envelope: Envelope::new(Version::new(2, 10), 3),
            flags: OpFlags::DEFAULT,
            expiration: u32::MAX / 2,
        };
        let mut connection = tcp(node);
        connection.send(&builder.resolve("88.118.5", &[], &["HS_SITE"]));
        let packet = connection.receive();
        let message = Message::decode(&packet).unwrap();
        let Body::Record { handle, values } = Response::of(&message).unwrap().body else {
            unreachable!("no record");
        };
        assert_eq!(handle, b"88.118.5");
        let site = tree.enterprise.node().node().site();
        assert_eq!(values.iter().next().unwrap().data, site.record());
    }
}

#[test]
fn answer_claims_no_authority_and_repeats_what_was_asked() {
    let (_tree, recursive) = tree_with_recursive();
    let flags = OpFlags::DEFAULT.with(OpFlags::RETURN_DIGEST);
    let asked = request(flags, "88.118.5/sn20260001");
    for _cold_then_warm in 0..2 {
        let client = udp(&recursive);
        client.send(&asked);
        let packet = client.receive();
        let message = Message::decode(&packet).unwrap();
        assert_eq!(message.header.flags, flags);
        let response = Response::of(&message).unwrap();
        let digest = response.digest.unwrap();
        let request = Message::decode(&asked).unwrap();
        let expected = guantong_proto::crypto::hash::request_digest(digest.hash, &request);
        assert_eq!(digest.octets, expected);
        let Body::Record { handle, .. } = response.body else {
            unreachable!("no record");
        };
        assert_eq!(handle, b"88.118.5/sn20260001");
    }
}

#[test]
fn restricted_values_are_read_at_their_own_site() {
    let (tree, recursive) = tree_with_recursive();
    let secret = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(1, "SECRET", "x")
    };
    put_values(tree.enterprise.node(), "88.118.5/secret", &[secret]);
    let packet = request(
        OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY),
        "88.118.5/secret",
    );
    let reply = udp(&recursive).ask(&packet);
    assert_eq!(reply.code, ResponseCode::INSUFFICIENT_PERMISSIONS);
    assert!(reply.text.contains("record's own site"), "{}", reply.text);
    let public = udp(&recursive).ask(&ask("88.118.5/secret", 1));
    assert_eq!(public.code, ResponseCode::VALUES_NOT_FOUND);
}

#[test]
fn answer_too_large_for_udp_is_fetched_and_given_over_tcp() {
    let (tree, recursive) = tree_with_recursive();
    let large = "x".repeat(20_000);
    put(tree.enterprise.node(), "88.118.5/large", &large);
    let reply = udp(&recursive).ask(&ask("88.118.5/large", 1));
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.ends_with("ask over TCP"), "{}", reply.text);
    let reply = tcp(&recursive).ask(&ask("88.118.5/large", 1));
    assert_eq!(reply.text, large);
}

#[test]
fn own_names_of_a_recursive_node_stay_its_own() {
    let tree = Tree::grow();
    let mut place = Place::homing(&["77"]);
    place.config.recurse = tree.recursive().config.recurse;
    let node = place.start();
    put(&node, "77/a", "mine");
    assert_eq!(udp(&node).ask(&ask("77/a", 1)).text, "mine");
    assert_eq!(udp(&node).ask(&ask("77/b", 1)).code.0, 100);
    assert_eq!(exchanges(&node), 0);
}

//----------- Who may --------------------------------------------------------

#[test]
fn names_are_resolved_for_stated_networks_only() {
    let tree = Tree::grow();
    put(tree.enterprise.node(), HANDLE, "pump");
    let mut place = tree.recursive();
    place.config.recurse.allow = vec!["10.0.0.0/8".parse().unwrap()];
    let node = place.start();
    assert_eq!(udp(&node).ask(&ask(HANDLE, 1)).code.0, 301);
    assert_eq!(tcp(&node).ask(&ask(HANDLE, 1)).code.0, 301);
    let path = format!("/api/handles/{HANDLE}");
    let found = get(node.addresses().http[0], &path);
    assert!(found.contains("\"responseCode\":301"), "{found}");
    assert_eq!(exchanges(&node), 0);
    let mut config = place.config.clone();
    config.recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let reloaded = node.reconfigure(config).unwrap();
    assert_eq!(reloaded.applied, ["recurse.allow"]);
    assert_eq!(udp(&node).ask(&ask(HANDLE, 1)).text, "pump");
}

#[test]
fn whoever_does_not_ask_for_recursion_gets_none() {
    let (_tree, recursive) = tree_with_recursive();
    let packet = request(OpFlags::DEFAULT.without(OpFlags::RECURSIVE), HANDLE);
    assert_eq!(udp(&recursive).ask(&packet).code.0, 301);
}

#[test]
fn node_without_a_root_file_does_not_start() {
    let mut place = Place::homing(&[]);
    place.config.recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    place.config.recurse.root = Some(Root::File(place.dir.path().join("nothing")));
    let error = guantong_server::start(place.config.clone()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nothing cannot be read"), "{text}");
}

//----------- Withdrawn ------------------------------------------------------

fn in_state(values: &[Value], state: &str) -> Vec<Value> {
    [values, &[value(1_900, "GT_STATE", state)]].concat()
}

const WITHDRAWN: &str = r#"{"state":"withdrawn","reason":"scrapped","successor":"88.118.5/new"}"#;

#[test]
fn withdrawn_record_is_told_through_a_recursive_node_and_nothing_of_it_is_left_in_the_cache() {
    let (tree, recursive) = tree_with_recursive();
    let short = Value {
        ttl: Ttl::Relative(0),
        ..value(1, "TEXT", "pump")
    };
    let name = "88.118.5/withdrawn";
    put_values(tree.enterprise.node(), name, std::slice::from_ref(&short));
    assert_eq!(udp(&recursive).ask(&ask(name, 1)).text, "pump");
    put_values(tree.enterprise.node(), name, &in_state(&[short], WITHDRAWN));
    for _ in 0..2 {
        for reply in [
            udp(&recursive).ask(&ask(name, 2)),
            tcp(&recursive).ask(&ask(name, 2)),
        ] {
            assert_eq!(reply.code, ResponseCode::HANDLE_NOT_FOUND);
        }
        let http = recursive.addresses().http[0];
        let found = get(http, &format!("/api/handles/{name}"));
        assert!(found.starts_with("HTTP/1.1 410"), "{found}");
        let state = format!("\"state\":{WITHDRAWN}");
        assert!(found.contains(&state) && !found.contains("pump"), "{found}");
        let page = get(http, &format!("/{name}"));
        assert!(
            page.contains("scrapped") && !page.contains("pump"),
            "{page}"
        );
        // The cache knows that there is no record, which says nothing of the state.
        let builder = RequestBuilder {
            envelope: Envelope::new(Version::OURS, 5),
            flags: OpFlags::DEFAULT,
            expiration: u32::MAX / 2,
        };
        let packet = builder.resolve(name, &[], &["GT_STATE"]);
        assert_eq!(udp(&recursive).ask(&packet).text, WITHDRAWN);
    }
}

#[test]
fn reserved_record_is_not_there_for_a_recursive_node() {
    let (tree, recursive) = tree_with_recursive();
    let name = "88.118.5/reserved";
    let reserved = in_state(&[value(1, "TEXT", "pump")], r#"{"state":"reserved"}"#);
    put_values(tree.enterprise.node(), name, &reserved);
    let reply = udp(&recursive).ask(&ask(name, 1));
    assert_eq!(reply.code, ResponseCode::HANDLE_NOT_FOUND);
    let http = recursive.addresses().http[0];
    let found = get(http, &format!("/api/handles/{name}"));
    assert!(found.starts_with("HTTP/1.1 404"), "{found}");
}

#[test]
fn withdrawn_prefix_leads_nobody_to_its_servers() {
    let (tree, recursive) = tree_with_recursive();
    let site = tree.enterprise.node().node().site().record().to_vec();
    let values = [
        value(1, "HS_SITE", site.clone()),
        value(2, "HS_SITE.PREFIX", site),
    ];
    let withdrawn = in_state(&values, r#"{"state":"withdrawn"}"#);
    put_values(tree.second.node(), "0.NA/88.118.5", &withdrawn);
    let reply = udp(&recursive).ask(&ask(HANDLE, 1));
    assert_eq!(reply.code, ResponseCode::HANDLE_NOT_FOUND);
    let referred = udp(tree.second.node()).ask(&ask("0.NA/88.118.5.1", 2));
    assert_eq!(referred.code, ResponseCode::HANDLE_NOT_FOUND);
}

//----------- Cache ----------------------------------------------------------

#[test]
fn answer_is_cached_and_http_says_so() {
    let (mut tree, recursive) = tree_with_recursive();
    let http = recursive.addresses().http[0];
    let path = format!("/api/handles/{HANDLE}");
    let status = |answer: &str| {
        let line = answer.lines().find(|line| line.starts_with("cache-status"));
        line.map(str::to_owned).unwrap_or_default()
    };
    let first = status(&get(http, &path));
    assert_eq!(first, "cache-status: guantong; fwd=miss");
    let second = status(&get(http, &path));
    assert!(
        second.starts_with("cache-status: guantong; hit; ttl="),
        "{second}"
    );
    let asked = exchanges(&recursive);
    tree.enterprise.stop();
    assert_eq!(udp(&recursive).ask(&ask(HANDLE, 1)).text, "pump");
    assert_eq!(exchanges(&recursive), asked);
    let page = get(http, &format!("/{HANDLE}?noredirect&lang=en"));
    assert!(page.contains("the cache"), "{page}");
    let page = get(http, &format!("/{HANDLE}?noredirect&lang=zh"));
    assert!(page.contains("缓存"), "{page}");
    let metrics = get(http, "/metrics");
    assert!(
        metrics.contains("guantong_recurse_cache_entries"),
        "{metrics}"
    );
}

#[test]
fn stale_answer_is_given_and_marked_when_nobody_can_renew_it() {
    let tree = Tree::grow();
    let brief = Value {
        ttl: Ttl::Relative(1),
        ..value(1, "TEXT", "pump")
    };
    put_values(tree.enterprise.node(), HANDLE, &[brief]);
    let recursive = tree.recursive().start();
    let client = udp(&recursive);
    assert_eq!(client.ask(&ask(HANDLE, 1)).text, "pump");
    let mut tree = tree;
    tree.enterprise.stop();
    let packet = eventually(|| {
        client.send(&ask(HANDLE, 2));
        let packet = client.receive();
        let flags = Message::decode(&packet).unwrap().header.flags;
        flags.has(OpFlags::STALE).then_some(packet)
    });
    assert_eq!(decode(&packet).text, "pump");
    let expiration = Message::decode(&packet).unwrap().header.expiration;
    assert!(expiration <= recursive.node().now_secs() + 30);
    let path = format!("/api/handles/{HANDLE}");
    let found = get(recursive.addresses().http[0], &path);
    assert!(
        found.contains("cache-status: guantong; hit; ttl=-"),
        "{found}"
    );
}

#[test]
fn kept_cache_answers_after_a_restart_although_the_tree_is_gone() {
    let mut tree = Tree::grow();
    put(tree.enterprise.node(), HANDLE, "pump");
    let mut place = tree.recursive();
    place.config.recurse.cache_file = Some(place.dir.path().join("run/cache"));
    let node = place.start();
    assert_eq!(udp(&node).ask(&ask(HANDLE, 1)).text, "pump");
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
    assert_eq!(udp(&node).ask(&ask(HANDLE, 1)).text, "pump");
    node.stop();
    std::fs::write(place.dir.path().join("run/cache"), b"damaged").unwrap();
    place.config.recurse.timeout = Span::secs(1);
    let node = place.start();
    let reply = udp(&node).ask(&ask(HANDLE, 1));
    assert_eq!(reply.code, ResponseCode::ERROR);
}

//----------- Order and bounds -----------------------------------------------

/// A node whose root answers nothing, with little time for each question.
fn node_with_silent_root() -> (std::net::UdpSocket, Place) {
    let root = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut place = Place::homing(&["77"]);
    let recurse = &mut place.config.recurse;
    recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    recurse.root = Some(Root::Addresses(vec![root.local_addr().unwrap()]));
    recurse.timeout = Span::secs(1);
    (root, place)
}

#[test]
fn answers_on_a_connection_stay_in_order_while_the_first_one_waits() {
    let (_root, place) = node_with_silent_root();
    let node = place.start();
    put(&node, "77/a", "mine");
    let mut connection = tcp(&node);
    for (handle, id) in [("88/x", 1), ("77/a", 2), ("88/y", 3), ("77/a", 4)] {
        connection.send(&ask(handle, id));
    }
    let replies: Vec<Reply> = (0..4).map(|_| decode(&connection.receive())).collect();
    let ids: Vec<i32> = replies.iter().map(|reply| reply.request_id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    let codes: Vec<i32> = replies.iter().map(|reply| reply.code.0).collect();
    assert_eq!(codes, [2, 1, 2, 1]);
    assert!(replies[0].text.contains("88/x"), "{}", replies[0].text);
}

#[test]
fn more_requests_than_may_wait_on_a_connection_are_all_answered() {
    let (tree, recursive) = tree_with_recursive();
    let count = 3 * guantong_server::listen::tcp::WAITING_MAX;
    let handle = |n: usize| format!("88.118.5/{n}");
    for n in 0..count {
        put(tree.enterprise.node(), &handle(n), &n.to_string());
    }
    let mut connection = tcp(&recursive);
    let mut requests = Vec::new();
    for n in 0..count {
        requests.extend(ask(&handle(n), i32::try_from(n).unwrap()));
    }
    connection.send(&requests);
    for n in 0..count {
        let reply = decode(&connection.receive());
        assert_eq!(reply.request_id, i32::try_from(n).unwrap());
        assert_eq!(reply.text, n.to_string());
    }
}

#[test]
fn peer_that_has_said_all_still_gets_its_answers() {
    let (_tree, recursive) = tree_with_recursive();
    let mut connection = tcp(&recursive);
    connection.send(&ask(HANDLE, 1));
    connection.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(decode(&connection.receive()).text, "pump");
    connection.expect_close();
}

#[test]
fn ten_thousand_questions_in_flight_are_bounded_and_own_names_are_answered() {
    let (_root, mut place) = node_with_silent_root();
    place.config.recurse.pending_max = 100;
    let node = place.start();
    put(&node, "77/a", "mine");
    let client = udp(&node);
    for n in 0..10_000 {
        client.send(&ask(&format!("{n}/x"), n));
        let under_way = figures(&node).walks;
        assert!(under_way <= 100, "{under_way}");
    }
    let busy = eventually(|| {
        let reply = decode(&client.receive());
        (reply.code == ResponseCode::SERVER_TOO_BUSY).then_some(reply)
    });
    assert!(busy.text.contains("ask again later"), "{}", busy.text);
    assert_eq!(udp(&node).ask(&ask("77/a", 1)).text, "mine");
    // Once their time is over nothing is left of them.
    eventually(|| (figures(&node).walks == 0).then_some(()));
}

#[test]
fn node_stops_at_once_although_questions_are_under_way() {
    let (_root, mut place) = node_with_silent_root();
    place.config.recurse.timeout = Span::secs(60);
    let node = place.start();
    let client = udp(&node);
    client.send(&ask("88/x", 1));
    eventually(|| (figures(&node).walks > 0).then_some(()));
    node.stop();
    // Whoever waited is told rather than left alone.
    assert_eq!(
        decode(&client.receive()).code,
        ResponseCode::SERVER_TOO_BUSY
    );
}

#[test]
fn servers_that_cannot_be_reached_are_named() {
    let (root, mut place) = node_with_silent_root();
    // Long enough for the resolver to have tried every way.
    place.config.recurse.timeout = Span::secs(30);
    let address = root.local_addr().unwrap();
    drop(root);
    let node = place.start();
    let reply = udp(&node).ask(&ask("88/x", 1));
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.contains(&address.to_string()), "{}", reply.text);
    let found = get(node.addresses().http[0], "/api/handles/88/y");
    assert!(found.starts_with("HTTP/1.1 504"), "{found}");
}

//----------- Delegation -----------------------------------------------------

#[test]
fn servant_of_a_service_handle_is_found() {
    let tree = Tree::grow();
    put(tree.enterprise.node(), HANDLE, "pump");
    let service = [value(1, "HS_SERV", "0.SERV/shop")];
    put_values(tree.second.node(), "0.NA/88.118.5", &service);
    let site = tree.enterprise.node().node().site().record().to_vec();
    put_values(
        tree.root.node(),
        "0.SERV/shop",
        &[value(1, "HS_SITE", site)],
    );
    let recursive = tree.recursive().start();
    assert_eq!(udp(&recursive).ask(&ask(HANDLE, 1)).text, "pump");
}

#[test]
fn prefix_that_is_delegated_to_who_does_not_home_it_is_said_so() {
    let tree = Tree::grow();
    delegate(&tree.second, "0.NA/88.118.6", &tree.enterprise);
    let recursive = tree.recursive().start();
    let reply = udp(&recursive).ask(&ask("88.118.6/x", 1));
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.contains("not responsible"), "{}", reply.text);
    let found = get(recursive.addresses().http[0], "/api/handles/88.118.6/y");
    assert!(found.starts_with("HTTP/1.1 502"), "{found}");
}

//----------- Keys of others -------------------------------------------------

#[test]
fn key_that_another_server_holds_is_found_by_signed_answers_and_believed() {
    let tree = Tree::grow();
    let admin = "88.118.5/admin";
    let key = tree.enterprise.node().node().key().public();
    let values = [value(300, "HS_PUBKEY", key.encode())];
    put_values(tree.enterprise.node(), admin, &values);
    let mut place = Place::homing(&["77"]);
    let identity = format!("300:{admin}").parse().unwrap();
    place.config.administration.rules.replication_admins = vec![identity];
    // Addresses alone prove nothing.
    let addresses = tree.root.node().addresses().udp.clone();
    place.config.recurse.root = Some(Root::Addresses(addresses));
    let reply = prove(&place.start(), admin);
    assert_eq!(reply.code, ResponseCode::UNABLE_TO_AUTHENTICATE);
    assert!(reply.text.contains("signature"), "{}", reply.text);
    // The site record of the root has its key, and from there on everything is signed.
    let file = place.dir.path().join("siteinfo.bin");
    std::fs::write(&file, tree.root.node().node().site().record()).unwrap();
    place.config.recurse.root = Some(Root::File(file));
    let reply = prove(&place.start(), admin);
    let refused = [
        ResponseCode::UNABLE_TO_AUTHENTICATE,
        ResponseCode::AUTHENTICATION_FAILED,
        ResponseCode::INVALID_ADMIN,
    ];
    assert!(!refused.contains(&reply.code), "{reply:?}");
}

/// Nobody but the server of a secret key can tell whether an answer by it is right.
#[test]
fn answer_by_secret_key_of_another_server_is_confirmed_by_that_server() {
    let tree = Tree::grow();
    let admin = "88.118.5/admin";
    let secret = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(300, "HS_SECKEY", "correct horse")
    };
    put_values(tree.enterprise.node(), admin, &[secret]);
    let mut place = Place::homing(&["77"]);
    let identity = format!("300:{admin}").parse().unwrap();
    place.config.administration.rules.replication_admins = vec![identity];
    let file = place.dir.path().join("siteinfo.bin");
    std::fs::write(&file, tree.root.node().node().site().record()).unwrap();
    place.config.recurse.root = Some(Root::File(file));
    let node = place.start();
    let code = |index, secret: &str| prove_with(&node, admin, index, Some(secret)).code;
    assert_eq!(code(300, "guess"), ResponseCode::AUTHENTICATION_FAILED);
    // A key that is not there, and one that is not named.
    assert_eq!(
        code(301, "correct horse"),
        ResponseCode::AUTHENTICATION_FAILED
    );
    assert_eq!(
        code(0, "correct horse"),
        ResponseCode::UNABLE_TO_AUTHENTICATE
    );
    let right = code(300, "correct horse");
    let refused = [
        ResponseCode::UNABLE_TO_AUTHENTICATE,
        ResponseCode::AUTHENTICATION_FAILED,
        ResponseCode::INVALID_ADMIN,
    ];
    assert!(!refused.contains(&right), "{right:?}");
}

/// Asks for what only a replication administrator gets, and proves to be `user` with the key that
/// all nodes of the test share.
fn prove(node: &Running, user: &str) -> Reply {
    prove_with(node, user, 300, None)
}

/// The same with a secret key, if one is given.
fn prove_with(node: &Running, user: &str, index: i32, secret: Option<&str>) -> Reply {
    use guantong_proto::crypto::challenge::{answer_with_key, answer_with_secret};
    use guantong_proto::data::SecretKey;
    use guantong_proto::message::OpCode;
    use guantong_proto::wire::Writer;
    let builder = |session_id| {
        let mut envelope = Envelope::new(Version::OURS, 5);
        envelope.session_id = session_id;
        RequestBuilder {
            envelope,
            flags: OpFlags::DEFAULT,
            expiration: u32::MAX / 2,
        }
    };
    let dump = Writer::to_vec(|w| {
        w.u8(2);
        w.i32(1);
        w.i32(0);
    });
    let mut connection = tcp(node);
    connection.send(&builder(0).packet(OpCode::DUMP_HANDLES, &dump));
    let challenge = connection.receive();
    let message = Message::decode(&challenge).unwrap();
    let response = Response::of(&message).unwrap();
    let Body::Challenge { nonce } = response.body else {
        unreachable!("{response:?}");
    };
    let digest = response.digest.unwrap();
    let key = node.node().key();
    let random = ring::rand::SystemRandom::new();
    let (kind, signed): (&[u8], _) = match secret {
        None => {
            let signed = answer_with_key(key.signing(), nonce, digest.octets, &random);
            (b"HS_PUBKEY", signed.unwrap())
        }
        Some(secret) => {
            let secret = SecretKey::new(secret.as_bytes());
            let (version, salt) = (Version::OURS, [7; 16]);
            let signed = answer_with_secret(version, &secret, nonce, digest.octets, &salt);
            (b"HS_SECKEY", signed)
        }
    };
    let body = Writer::to_vec(|w| {
        w.bytes(kind);
        w.bytes(user.as_bytes());
        w.i32(index);
        w.bytes(&signed);
    });
    let session_id = message.envelope.session_id;
    connection.ask(&builder(session_id).packet(OpCode::CHALLENGE_ANSWER, &body))
}
