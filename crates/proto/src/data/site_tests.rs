use proptest::prelude::*;

use super::*;
use crate::error::Reason;
use crate::name::Handle;

fn sample() -> Site {
    let interface = Interface {
        kind: InterfaceKind::BOTH,
        protocol: Protocol::TCP,
        port: 2641,
    };
    let server = |id, address: &str| Server {
        id,
        address: address.parse().unwrap(),
        public_key: vec![1, 2, 3],
        interfaces: vec![interface],
    };
    let attribute = |name: &str, value: &str| Attribute {
        name: name.into(),
        value: value.into(),
    };
    Site {
        flags: Site::PRIMARY | 0x01,
        hash_option: HashOption::Other(9),
        attributes: vec![
            attribute("domain", "all.example"),
            attribute("domain.2", "two.example"),
            attribute("alt_addr.2", "2001:db8::2"),
        ],
        servers: vec![server(1, "192.0.2.1"), server(2, "0.0.0.0")],
        ..Site::default()
    }
}

#[test]
fn unknown_flags_and_numbers_survive_a_round_trip() {
    let mut site = sample();
    site.servers[0].interfaces[0] = Interface {
        kind: InterfaceKind(0xf0),
        protocol: Protocol(77),
        port: -1,
    };
    assert_eq!(Site::decode(&site.encode()).unwrap(), site);
    assert_eq!(site.servers[0].interfaces[0].port(), None);
}

#[test]
fn both_forms_of_an_ipv4_address_are_read_and_zeros_are_written() {
    let mut octets = [0; 16];
    octets[12..].copy_from_slice(&[192, 0, 2, 10]);
    let plain = address_from_wire(octets);
    octets[10..12].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(address_from_wire(octets), plain);
    assert_eq!(address_to_wire(plain)[..12], [0; 12]);
    for address in ["::1", "2001:db8::1", "0.0.0.0", "127.0.0.1"] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(address_from_wire(address_to_wire(address)), address);
    }
}

#[test]
fn octets_behind_the_record_are_refused() {
    let mut octets = sample().encode();
    octets.push(0);
    assert!(matches!(
        Site::decode(&octets).unwrap_err().reason,
        Reason::TrailingOctets(1)
    ));
}

#[test]
fn more_elements_than_the_limit_are_refused() {
    let attribute = Attribute {
        name: String::new(),
        value: String::new(),
    };
    let mut site = Site {
        attributes: vec![attribute; SITE_ELEMENTS_MAX],
        ..Site::default()
    };
    assert!(Site::decode(&site.encode()).is_ok());
    site.attributes.push(site.attributes[0].clone());
    assert!(matches!(
        Site::decode(&site.encode()).unwrap_err().reason,
        Reason::TooLarge { .. }
    ));
}

#[test]
fn attribute_of_one_server_goes_before_that_of_the_site() {
    let site = sample();
    let [one, two] = &site.servers[..] else {
        panic!("two servers")
    };
    assert_eq!(site.location(one).host, Some("all.example"));
    assert_eq!(site.location(one).addresses, [one.address]);
    let location = site.location(two);
    assert_eq!(location.host, Some("two.example"));
    assert_eq!(
        location.addresses,
        ["2001:db8::2".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(site.attribute("desc", None), None);
}

#[test]
fn interface_is_found_by_protocol_and_purpose() {
    let site = sample();
    let server = &site.servers[0];
    assert!(
        server
            .interface(Protocol::TCP, InterfaceKind::QUERY)
            .is_some()
    );
    assert!(
        server
            .interface(Protocol::UDP, InterfaceKind::QUERY)
            .is_none()
    );
}

#[test]
fn selection_ignores_case_and_knows_empty_sites() {
    let position = |name: &str, option: HashOption, count| {
        option.server_position(Handle::parse(name).unwrap().borrow(), count)
    };
    let option = HashOption::Whole;
    assert_eq!(position("20.500.12345/ABC-1", option, 5), Some(0));
    assert_eq!(position("20.500.12345/abc-1", option, 5), Some(0));
    assert_eq!(
        position("20.500.12345/ABC-1", HashOption::Prefix, 5),
        Some(3)
    );
    assert_eq!(position("a/b", option, 0), None);
    assert_eq!(position("a/b", option, 1), Some(0));
    assert_eq!(
        HashOption::Prefix.hashed_part(Handle::parse("x").unwrap().borrow()),
        "0.NA"
    );
    assert_eq!(
        HashOption::Suffix.hashed_part(Handle::parse("x").unwrap().borrow()),
        "X"
    );
}

prop_compose! {
    fn any_server()(
        id: i32,
        address: [u8; 16],
        public_key in proptest::collection::vec(any::<u8>(), 0..9),
        interfaces in proptest::collection::vec(any::<(u8, u8, i32)>(), 0..4),
    ) -> Server {
        let interface = |(kind, protocol, port)| Interface {
            kind: InterfaceKind(kind), protocol: Protocol(protocol), port,
        };
        Server {
            id,
            address: address_from_wire(address),
            public_key,
            interfaces: interfaces.into_iter().map(interface).collect(),
        }
    }
}

proptest! {
    #[test]
    fn every_site_survives_a_round_trip(
        numbers: (u16, u8, u8, u16, u8, u8),
        hash_filter in proptest::collection::vec(any::<u8>(), 0..5),
        attributes in proptest::collection::vec(("\\PC{0,5}", "\\PC{0,5}"), 0..4),
        servers in proptest::collection::vec(any_server(), 0..4),
    ) {
        let (format, major, minor, serial, flags, hash_option) = numbers;
        let attributes = attributes.into_iter();
        let site = Site {
            format,
            protocol: (major, minor),
            serial,
            flags,
            hash_option: HashOption::from_wire(hash_option),
            hash_filter,
            attributes: attributes.map(|(name, value)| Attribute { name, value }).collect(),
            servers,
        };
        prop_assert_eq!(Site::decode(&site.encode()).unwrap(), site);
    }
}
