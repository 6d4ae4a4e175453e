//! Who asks: the first administrator of the node by his password, and a program by its key.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::thing::GROUP;
use crate::corpus::PREFIX;
use crate::tls::read_key;
use crate::web::{Web, log_in, token};

/// Nothing that is worth anything is behind it.
const PASSWORD: &str = "bench of one enterprise";
const USER: &str = "User_bench";
const APP: &str = "App_bench";

/// The token of the administrator, who is made if there is none.
pub fn administrator(http: SocketAddr, node: &Path) -> Result<String> {
    let mut web = Web::connect(http, None)?;
    let user = format!("{PREFIX}/{USER}");
    let code = fs::read_to_string(node.join("setup_code"));
    let body = match code {
        Ok(code) => {
            let body = json!({"setupCode": code.trim(), "user": user, "password": PASSWORD});
            web.post("/api/v2/login/set-up", &body)?
        }
        Err(_) => {
            let body = json!({"user": user, "password": PASSWORD});
            web.post("/api/v2/login/password", &body)?
        }
    };
    token(&body.success("the login of the administrator")?)
}

/// Makes a program, and the group that it is in. Its key goes to `key`.
pub fn make_program(admin: &mut Web, key: &Path) -> Result<()> {
    let body = json!({"prefix": PREFIX, "kind": "app", "code": "bench", "name": "bench",
        "makeKey": {"kind": "p256"}});
    let made = admin.post("/api/v2/identities", &body)?;
    let made = made.success("a program")?;
    let pem = made["privateKey"].as_str().context("no private key")?;
    fs::write(key, pem)?;
    let members = [format!("300:{PREFIX}/{APP}")];
    let body = json!({"prefix": PREFIX, "code": GROUP, "name": "partners", "members": members});
    let made = admin.post("/api/v2/groups", &body)?;
    made.success("a group").map(drop)
}

/// The token of the program whose key is in the file.
pub fn program(http: SocketAddr, key: &Path) -> Result<String> {
    log_in(http, &format!("{PREFIX}/{APP}"), &read_key(key)?)
}
