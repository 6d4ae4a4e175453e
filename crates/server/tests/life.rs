//! The life of a node: made, started, reloaded, stopped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use guantong_proto::Handle;
use guantong_proto::data::site::Site;
use guantong_proto::message::ResponseCode;
use guantong_server::config::{self, Config, Judgement, PresetListen};
use guantong_server::init::InitError;
use guantong_server::node::{Node, StartError};
use guantong_server::reload::ReloadError;
use guantong_server::site::Addresses;
use guantong_server::{InitOptions, Made, init, start};
use support::{Place, Tcp, Udp, ask, decode, eventually, put};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A node of prefix 88.118.5 with free ports.
fn made(dir: &Path) -> Made {
    let any = "127.0.0.1:0".parse().unwrap();
    let options = InitOptions {
        prefix: Some(support::PREFIX.into()),
        listen: Some(PresetListen {
            native: vec![any],
            http: vec![any],
            console: Some(any),
        }),
        ..InitOptions::default()
    };
    init(dir, &options).unwrap()
}

//----------- init -----------------------------------------------------------

#[test]
fn made_node_starts_and_publishes_its_real_ports() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("node");
    let made = made(&dir);
    assert_eq!(mode(&dir), 0o700);
    for private in [
        &made.server_key,
        made.admin_key.as_ref().unwrap(),
        &made.config,
    ] {
        assert_eq!(mode(private), 0o600, "{}", private.display());
    }
    let config = config::load(&dir).unwrap();
    let bad = |f: &config::Finding| f.judgement == Judgement::Bad;
    assert!(
        !config::check(&config).iter().any(bad),
        "{:?}",
        config::check(&config)
    );

    let node = start(config.clone()).unwrap();
    let told = std::fs::read(dir.join("run/addresses.json")).unwrap();
    let told: Addresses = serde_json::from_slice(&told).unwrap();
    assert_eq!(&told, node.addresses());

    let record = node
        .node()
        .store
        .record(Handle::of_prefix(support::PREFIX).unwrap().borrow());
    let record = record.unwrap().unwrap();
    let kinds: Vec<_> = record
        .values()
        .iter()
        .map(|v| (v.index, String::from_utf8_lossy(v.kind).into_owned()))
        .collect();
    let expected = [(1, "HS_SITE"), (100, "HS_ADMIN"), (300, "HS_PUBKEY")];
    assert_eq!(kinds, expected.map(|(n, kind)| (n, kind.to_owned())));
    let site = Site::decode(record.values().iter().next().unwrap().data).unwrap();
    let ports: Vec<_> = site.servers[0]
        .interfaces
        .iter()
        .map(|i| i.port())
        .collect();
    let http = Some(told.http[0].port());
    assert_eq!(
        ports,
        [
            Some(told.udp[0].port()),
            Some(told.tcp[0].port()),
            http,
            http
        ]
    );
    let reply = Tcp::to(told.tcp[0]).ask(&ask("0.NA/88.118.5", 1));
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    node.stop();
    assert!(!dir.join("run/addresses.json").exists());
}

#[test]
fn folder_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "x").unwrap();
    let error = init(dir.path(), &InitOptions::default()).unwrap_err();
    assert!(matches!(error, InitError::NotEmpty(_)), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn prefix_that_is_none_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("node");
    let options = InitOptions {
        prefix: Some("88.1/x".into()),
        ..InitOptions::default()
    };
    assert!(matches!(init(&dir, &options), Err(InitError::Prefix(_))));
    assert!(!dir.exists());
}

//----------- Start and stop -------------------------------------------------

#[test]
fn port_in_use_is_refused_with_its_setting() {
    let place = Place::new();
    let node = place.start();
    let changes: [fn(&mut Config, &Addresses); 3] = [
        |c, a| c.listen.udp.clone_from(&a.udp),
        |c, a| c.listen.tcp.clone_from(&a.tcp),
        |c, a| c.listen.http.clone_from(&a.http),
    ];
    for change in changes {
        let mut other = Place::new();
        change(&mut other.config, node.addresses());
        let error = start(other.config.clone()).unwrap_err();
        assert!(matches!(error, StartError::Listen { .. }), "{error}");
        // Nothing is left behind: the same node starts on other ports.
        other.config.listen = place.config.listen.clone();
        other.start().stop();
    }
}

#[test]
fn store_serves_one_node_at_a_time() {
    let place = Place::new();
    let node = place.start();
    let error = Node::open(place.config.clone()).unwrap_err();
    assert!(error.is_in_use(), "{error}");
    let findings = config::check(&place.config);
    let store = findings.iter().find(|f| f.about == "node.data").unwrap();
    assert!(store.text.contains("in use by a running node"), "{store}");
    node.stop();
    assert!(Node::open(place.config.clone()).is_ok());
}

#[test]
fn stopped_node_has_answered_what_it_had_received_and_starts_again() {
    let place = Place::new();
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let mut idle = Tcp::to(node.addresses().tcp[0]);
    assert_eq!(idle.ask(&ask("88.118.5/x", 1)).text, "one");
    let mut busy = Tcp::to(node.addresses().tcp[0]);
    let request = ask("88.118.5/x", 2);
    busy.send(&request[..40]);
    eventually(|| (node.node().connections.open() == 2).then_some(()));
    // Half a message keeps the connection through the stop, within its bound.
    let stopping = std::thread::spawn(move || node.stop());
    idle.expect_close();
    busy.send(&request[40..]);
    assert_eq!(decode(&busy.receive()).text, "one");
    busy.expect_close();
    stopping.join().unwrap();

    let node = place.start();
    assert_eq!(
        Udp::to(node.addresses().udp[0])
            .ask(&ask("88.118.5/x", 3))
            .text,
        "one"
    );
}

#[test]
fn peer_that_never_finishes_does_not_hold_up_the_stop_for_ever() {
    let mut place = Place::new();
    place.config.limits.stop_timeout = config::Span(50);
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&ask("88.118.5/x", 1)[..30]);
    eventually(|| (node.node().connections.open() > 0).then_some(()));
    node.stop();
    tcp.expect_close();
}

#[test]
fn node_can_be_started_and_stopped_inside_an_async_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let place = Place::new();
        let node = place.start();
        let reply = Udp::to(node.addresses().udp[0]).ask(&ask("88.118.5/none", 1));
        assert_eq!(reply.code, ResponseCode::HANDLE_NOT_FOUND);
        node.stop();
    });
}

//----------- Reload ---------------------------------------------------------

#[test]
fn good_reload_applies_and_names_what_needs_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("node");
    let made = made(&dir);
    let node = start(config::load(&dir).unwrap()).unwrap();
    let text = std::fs::read_to_string(&made.config).unwrap();
    let text = text
        .replace("# serial = 1", "serial = 2")
        .replace("# memory = \"256MiB\"", "memory = \"64MiB\"");
    std::fs::write(&made.config, text).unwrap();
    let reloaded = node.reload().unwrap();
    assert_eq!(reloaded.applied, ["site"]);
    assert_eq!(reloaded.needs_restart, ["store"]);
    assert_eq!(node.node().site().serial(), 2);
    assert_eq!(node.node().config().store.memory, config::Size::mib(256));
}

#[test]
fn bad_reload_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("node");
    let made = made(&dir);
    let node = start(config::load(&dir).unwrap()).unwrap();
    let good = std::fs::read_to_string(&made.config).unwrap();
    let serial = |text: &str| text.replace("# serial = 1", "serial = 2");
    // A mistake in the text, a key that is not there, a certificate that is not there.
    let with_key = serial(&good).replace("# key = \"server_key.pem\"", "key = \"gone.pem\"");
    let with_certificate = serial(&good)
        .replace("# certificate = \"\"", "certificate = \"gone.pem\"")
        .replace("# certificate_key = \"\"", "certificate_key = \"gone.pem\"");
    for bad in [serial(&good) + "\n[nodde]\n", with_key, with_certificate] {
        std::fs::write(&made.config, bad).unwrap();
        let error = node.reload().unwrap_err();
        assert!(!matches!(error, ReloadError::NoFile), "{error}");
        assert_eq!(node.node().site().serial(), 1, "{error}");
    }
    let metrics = node.node().metrics.render(&node.node().snapshot());
    assert!(metrics.contains("guantong_config_last_reload_success 0"));
    assert!(metrics.contains("guantong_config_reloads_total{result=\"refused\"} 3"));
}

#[test]
fn limits_change_while_connections_are_open() {
    let place = Place::new();
    let node = place.start();
    put(&node, "88.118.5/x", &"y".repeat(1_000));
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&ask("88.118.5/x", 1));
    for _ in 0..3 {
        udp.receive();
    }
    let mut config = Config::clone(&node.node().config());
    config.limits.udp_response_max = 512;
    node.reconfigure(config).unwrap();
    assert_eq!(udp.ask(&ask("88.118.5/x", 2)).code, ResponseCode::ERROR);
}
