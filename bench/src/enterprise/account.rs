//! Who asks: the first administrator of the node by his password, and a program by its key.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::hash::Hash;
use ring::rand::SystemRandom;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::thing::GROUP;
use super::web::Web;
use crate::corpus::PREFIX;

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
    let der = PrivatePkcs8KeyDer::from_pem_file(key);
    let der = der.with_context(|| key.display().to_string())?;
    let random = SystemRandom::new();
    let key = SigningKey::from_pkcs8(der.secret_pkcs8_der(), &random)?;
    let identity = format!("{PREFIX}/{APP}");
    let mut web = Web::connect(http, None)?;
    let body = json!({"identity": identity});
    let answer = web.post("/api/v2/login/challenge", &body)?;
    let answer = answer.success("a challenge")?;
    let nonce = answer["nonce"].as_str().context("no nonce")?;
    let signature = key.sign(Hash::Sha256, nonce.as_bytes(), &random)?;
    let body = json!({"identity": identity, "signature": STANDARD.encode(signature)});
    let answer = web.post("/api/v2/login/answer", &body)?;
    token(&answer.success("the login of the program")?)
}

fn token(answer: &Value) -> Result<String> {
    let token = answer["token"].as_str().context("no token")?;
    Ok(token.to_owned())
}
