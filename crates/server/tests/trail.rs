//! What the change log says of changes over the native protocol: from where, and by which right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::message::OpCode;
use guantong_proto::{Handle, Permissions, Reference, Value};
use guantong_server::Running;
use guantong_store::{Entry, Origin, Right, Source, Trail, Used, Way};

use support::admin::{
    SECRET, USER, admin_value, administered, answer, builder, code_of, node, prove, write_request,
};
use support::{Place, Tcp, Udp, put_values, value};

const THING: &str = "88.118.5/thing";

fn newest(node: &Running) -> Entry {
    let store = &node.node().store;
    store.change(store.last_change()).unwrap().unwrap()
}

fn administrator() -> Origin {
    Origin::Administrator {
        handle: Handle::parse(USER).unwrap(),
        index: 300,
    }
}

fn used(record: &str, index: i32, permissions: AdminPermissions) -> Used {
    Used {
        record: Handle::parse(record).unwrap(),
        index,
        permissions,
        through: Vec::new(),
        more_groups: 0,
    }
}

fn from(way: Way, address: std::net::SocketAddr, right: Right) -> Trail {
    Trail {
        from: Source::Peer { way, address },
        right,
    }
}

fn url() -> Value {
    value(1, "URL", "x")
}

#[test]
fn creation_is_by_the_prefix_record_and_a_change_by_the_record_itself() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let address = tcp.0.local_addr().unwrap();
    let create = write_request(OpCode::CREATE, THING, &[admin_value(), url()]);
    assert_eq!(code_of(&prove(&mut tcp, &create)), 1);
    let entry = newest(&node);
    let by_prefix = used("0.NA/88.118.5", 100, AdminPermissions::ADD_HANDLE);
    let right = Right::Administrator(vec![by_prefix]);
    assert_eq!(entry.origin, administrator());
    assert_eq!(entry.trail, from(Way::Tcp, address, right));

    let udp = Udp::to(node.addresses().udp[0]);
    let udp_address = udp.0.local_addr().unwrap();
    udp.send(&write_request(
        OpCode::MODIFY_VALUE,
        THING,
        &[value(1, "URL", "y")],
    ));
    udp.send(&answer(&udp.receive(), 300, SECRET, 2));
    assert_eq!(code_of(&udp.receive()), 1);
    let by_record = used(THING, 100, AdminPermissions::MODIFY_VALUE);
    let right = Right::Administrator(vec![by_record]);
    assert_eq!(newest(&node).trail, from(Way::Udp, udp_address, right));

    let home = builder(0, 5).named(OpCode::HOME_PREFIX, "0.NA/88.118.6");
    assert_eq!(code_of(&prove(&mut tcp, &home)), 1);
    let trail = from(Way::Tcp, address, Right::ServerAdmin);
    assert_eq!(newest(&node).trail, trail);
}

#[test]
fn groups_that_led_to_the_administrator_are_kept() {
    let mut place = Place::new();
    let node = node(&mut place);
    let group = |members: &[(&str, i32)]| {
        let members = members.iter().map(|&(handle, index)| Reference {
            handle: handle.to_owned(),
            index,
        });
        value(200, "HS_VLIST", List(members.collect()).encode())
    };
    let all = Admin::new(AdminPermissions::ALL, "88.118.5/editors", 200);
    put_values(
        &node,
        "0.NA/88.118.5",
        &[value(103, "HS_ADMIN", all.encode())],
    );
    put_values(
        &node,
        "88.118.5/editors",
        &[group(&[("88.118.5/staff", 200)])],
    );
    put_values(
        &node,
        "88.118.5/staff",
        &[group(&[("88.118.5/nobody", 300), (USER, 300)])],
    );
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let create = write_request(OpCode::CREATE, THING, &[url()]);
    assert_eq!(code_of(&prove(&mut tcp, &create)), 1);
    let through = ["88.118.5/editors", "88.118.5/staff"];
    let through = through.map(|group| (Handle::parse(group).unwrap(), 200));
    let by_group = Used {
        through: through.to_vec(),
        ..used("0.NA/88.118.5", 103, AdminPermissions::ADD_HANDLE)
    };
    assert_eq!(
        newest(&node).trail.right,
        Right::Administrator(vec![by_group])
    );
}

#[test]
fn change_of_anybody_says_from_where_and_that_the_value_was_open() {
    let mut place = Place::new();
    let node = node(&mut place);
    let open = Value {
        permissions: Permissions(0x0f),
        ..url()
    };
    put_values(&node, THING, &[open]);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let modify = write_request(OpCode::MODIFY_VALUE, THING, &[value(1, "URL", "y")]);
    assert_eq!(tcp.ask(&modify).code.0, 1);
    let entry = newest(&node);
    assert_eq!(entry.origin, Origin::Anybody);
    let address = tcp.0.local_addr().unwrap();
    assert_eq!(entry.trail, from(Way::Tcp, address, Right::OpenValues));
}
