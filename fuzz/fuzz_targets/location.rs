//! XML of 10320/loc and HS_NAMESPACE values, and the choice among what was read.

#![no_main]

use guantong_core::location::{Locations, SHARED_MAX, Shared, Visitor};
use guantong_core::namespace::Namespace;
use guantong_core::redirect::{Redirect, SCHEMES, Wish, redirect};
use guantong_proto::{HandleRef, Value};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let handle = HandleRef::parse("88.118.5/a b").expect("it is a handle");
    let visitor = Visitor {
        wishes: vec![("id", "1")],
        country: Some("cn"),
        random: 0x1234_5678_9abc_def0,
        ..Visitor::default()
    };
    if let Ok(locations) = Locations::parse(octets, handle) {
        assert_eq!(
            locations.choose(&visitor).is_some(),
            !locations.list.is_empty()
        );
    }
    let namespace = Namespace::parse(octets).ok();
    let values = ["10320/loc", "URL"].map(|kind| Value::new(1, kind, octets));
    let mut shared = Shared::of(handle, &values, namespace.as_ref());
    let mut shown = 0;
    while shared.wanted().is_some() {
        shared.show(handle, &values);
        shown += 1;
    }
    assert!(shown <= SHARED_MAX);
    if let Redirect::To(target) = redirect(
        handle,
        &values,
        &shared,
        &Wish {
            visitor,
            ..Wish::default()
        },
    ) {
        assert!(target.url.bytes().all(|octet| octet.is_ascii_graphic()));
        let scheme = target
            .url
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert!(SCHEMES.contains(&scheme.as_str()));
    }
});
