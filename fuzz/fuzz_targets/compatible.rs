//! Bodies of requests in the forms of existing enterprise nodes and second-level nodes, and of
//! `/api/v2`. The first octet says which.

#![no_main]

use guantong_api::{doip, login, snms, v2};
use serde::de::DeserializeOwned;

fn read<T: DeserializeOwned>(octets: &[u8]) {
    let _ = serde_json::from_slice::<T>(octets);
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((kind, octets)) = octets.split_first() else {
        return;
    };
    match kind {
        b'o' => read::<doip::Operation>(octets),
        b't' => read::<doip::NewTemplate>(octets),
        b'i' => read::<doip::ChangedItems>(octets),
        b'g' => {
            read::<doip::TemplateGrant>(octets);
            read::<doip::HandleGrant>(octets);
            read::<doip::ClassGrant>(octets);
            read::<doip::ClassPublic>(octets);
        }
        b'v' => read::<doip::VerifyResponse>(octets),
        b'r' => read::<Vec<snms::Registration>>(octets),
        b'h' => {
            if let Ok(handles) = serde_json::from_slice::<snms::Handles>(octets) {
                let _ = handles.into_list();
            }
        }
        b's' => read::<snms::TemplateForm>(octets),
        b'l' => {
            read::<snms::Login>(octets);
            read::<login::PasswordRequest>(octets);
            read::<login::SecondFactorRequest>(octets);
        }
        _ => {
            read::<v2::Bulk>(octets);
            read::<v2::Row>(octets);
        }
    }
});
