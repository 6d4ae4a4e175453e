//! `guantong key new`, `show`, `convert`.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use guantong_proto::crypto::Hash;
use guantong_proto::data::PublicKey;
use guantong_proto::{Handle, is_of_type};
use guantong_server::key::form::{
    Form, FormError, Key, KeyPair, Kind, describe, spki, write_public,
};

use super::super::{NodeArgs, ask};
use super::file::{self, PassphraseArgs};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};

pub(super) const NEW_EXAMPLES: &str = "\
Examples:
  guantong key new --out admin.pem
  guantong key new --kind ed25519 --encrypt --out admin.pem
  guantong key new --kind sm2 --out sm2.pem
  guantong key new --kind secret --out secret.txt

The private key goes into the file, which only you can read. Printed is what to put into a record.";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  guantong key show admin.pem
  guantong key show admin.pem --json
  guantong key show 0.NA/88.118.5

A handle instead of a file: the keys in that record of the node of this machine.";

pub(super) const CONVERT_EXAMPLES: &str = "\
Examples:
  guantong key convert admpriv.bin --to pem --out admin.pem
  guantong key convert admin.pem --to handle --encrypt --out admpriv.bin
  guantong key convert admin.pem --to public-jwk
  guantong key convert admin.pem --to handle-public --out admpub.bin

Forms of private keys: pem, pkcs8, pkcs1, jwk, handle, hex. Of public ones: public-pem, spki,
public-jwk, handle-public, handle-public-pem, public-hex. The form of the file is found out.";

/// The index under which a key usually stands.
const USUAL_INDEX: i32 = 300;
/// Random octets of a secret key.
const SECRET_LEN: usize = 32;

//----------- new ------------------------------------------------------------

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    /// RSA: taken by every client
    Rsa,
    /// ECDSA on P-256
    P256,
    /// Ed25519
    Ed25519,
    /// SM2, the national standard GB/T 32918
    Sm2,
    /// A secret shared with the server (HS_SECKEY), for HTTP Basic and old clients
    Secret,
}

#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Kind of key
    #[arg(long, value_enum, default_value = "rsa")]
    kind: KindArg,

    /// Size of an RSA key
    #[arg(long, value_name = "BITS", default_value_t = 2_048,
          value_parser = clap::value_parser!(u16).range(2_048..=4_096))]
    bits: u16,

    /// File for the private key; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Encrypt the file with a passphrase
    #[arg(long)]
    encrypt: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn new(args: &NewArgs) -> Result<(), Failed> {
    let kind = match args.kind {
        KindArg::Rsa => Kind::Rsa(usize::from(args.bits)),
        KindArg::P256 => Kind::P256,
        KindArg::Ed25519 => Kind::Ed25519,
        #[cfg(feature = "sm")]
        KindArg::Sm2 => Kind::Sm2,
        #[cfg(not(feature = "sm"))]
        KindArg::Sm2 => {
            let what = "this program was built without national cryptography (feature `sm`)";
            return Err(Report::new(Exit::Usage, what).fail());
        }
        KindArg::Secret => return new_secret(args),
    };
    let passphrase = match args.encrypt {
        true => Some(args.passphrase.new_one()?),
        false => None,
    };
    let failed = |error: FormError| Report::new(Exit::Usage, error).fail();
    let pair = KeyPair::generate(kind).map_err(failed)?;
    let octets = pair
        .write(Form::Pem, passphrase.as_deref())
        .map_err(failed)?;
    file::write(&args.out, &octets, true)?;
    let public = pair.signing().public_key();
    let mut output = Output::new();
    let sealed = if args.encrypt { ", encrypted" } else { "" };
    let kind = describe(&public);
    output.line(format_args!("{kind}{sealed}: {}", args.out.display()))?;
    output.line(format_args!("fingerprint: {}", fingerprint(&public)))?;
    output.line("")?;
    output.line(
        "the value for a record, in the Handle JSON form (`guantong record add --file -`):",
    )?;
    output.line(value_json(&public))?;
    output.finish()
}

fn new_secret(args: &NewArgs) -> Result<(), Failed> {
    if args.encrypt {
        let what = "a secret is kept as it is sent: --encrypt is for private keys";
        return Err(Report::new(Exit::Usage, what).fail());
    }
    let mut octets = [0; SECRET_LEN];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets)
        .map_err(|_| Report::new(Exit::Usage, "the system gives no random octets").fail())?;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets);
    file::write(&args.out, secret.as_bytes(), true)?;
    let mut output = Output::new();
    output.line(format_args!("secret key: {}", args.out.display()))?;
    output.line(format_args!(
        "put it into a record that you keep closed:\n  guantong record add HANDLE --permissions \
         1100 --value \"{USUAL_INDEX} HS_SECKEY $(cat {})\"",
        args.out.display()
    ))?;
    output.finish()
}

/// The HS_PUBKEY value of a key, as `record add` takes it.
fn value_json(key: &PublicKey) -> String {
    let value = guantong_proto::Value::new(USUAL_INDEX, "HS_PUBKEY", key.encode());
    let form = guantong_proto::json::ValueForm::from(&value);
    // A structure of strings and numbers always has a JSON form.
    serde_json::to_string(&[form]).unwrap_or_default()
}

//----------- show -----------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// File with a key in any form, - for standard input; or a handle with keys
    #[arg(value_name = "FILE|HANDLE")]
    key: String,

    /// Print it as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failed> {
    let path = PathBuf::from(&args.key);
    if args.key == "-" || path.exists() || !args.key.contains('/') {
        let key = file::load(&path, &args.passphrase)?;
        let is_private = matches!(key, Key::Private(_));
        return print(&[(None, key.public(), is_private)], args.json);
    }
    // What begins like a path and is no file was meant as one.
    if matches!(
        path.components().next(),
        Some(
            std::path::Component::RootDir
                | std::path::Component::CurDir
                | std::path::Component::ParentDir
        )
    ) {
        return file::load(&path, &args.passphrase).map(drop);
    }
    print(&keys_in(&args.key, &args.node)?, args.json)
}

/// The public keys in a record of the node of this machine.
fn keys_in(handle: &str, node: &NodeArgs) -> Result<Vec<(Option<i32>, PublicKey, bool)>, Failed> {
    let handle = Handle::parse(handle).map_err(|error| Report::new(Exit::Usage, error).fail())?;
    let mut control = ask::open(node)?;
    let Some(values) = ask::record(&mut *control, &handle)? else {
        let what = format!("there is no file and no record {handle} on this node");
        return Err(Report::new(Exit::Refused, what).fail());
    };
    let keys = values
        .iter()
        .filter(|value| is_of_type(value.kind.as_bytes(), b"HS_PUBKEY"));
    let keys = keys.filter_map(|value| {
        let key = PublicKey::decode(&value.data).ok()?;
        Some((Some(value.index), key, false))
    });
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() {
        false => Ok(keys),
        true => {
            let what = format!("the record {handle} has no public key (HS_PUBKEY)");
            Err(Report::new(Exit::Refused, what).fail())
        }
    }
}

fn print(keys: &[(Option<i32>, PublicKey, bool)], json: bool) -> Result<(), Failed> {
    let mut output = Output::new();
    for (index, key, is_private) in keys {
        let spki = spki(key).ok();
        let spki_print = spki.as_deref().map(hash);
        let jwk = guantong_proto::json::key_to_jwk(key);
        if json {
            output.line(serde_json::json!({
                "index": index,
                "kind": describe(key),
                "private": is_private,
                "fingerprint": fingerprint(key),
                "spkiFingerprint": spki_print,
                "jwk": jwk,
            }))?;
            continue;
        }
        if let Some(index) = index {
            output.line(format_args!("value {index}"))?;
        }
        let half = if *is_private {
            "private key"
        } else {
            "public key"
        };
        output.line(format_args!("{half}:   {}", describe(key)))?;
        output.line(format_args!(
            "fingerprint:   {}  (of the HS_PUBKEY data)",
            fingerprint(key)
        ))?;
        if let Some(print) = spki_print {
            output.line(format_args!(
                "fingerprint:   {print}  (of the SubjectPublicKeyInfo)"
            ))?;
        }
        if let Some(jwk) = jwk {
            output.line(format_args!("public JWK:    {jwk}"))?;
        }
        if let Ok(pem) = write_public(key, Form::PublicPem) {
            output.raw(&pem)?;
        }
    }
    output.finish()
}

fn hash(octets: &[u8]) -> String {
    format!("SHA256:{}", STANDARD.encode(Hash::Sha256.digest(&[octets])))
}

/// What tells one key from another: SHA-256 of the data of its HS_PUBKEY value.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    hash(&key.encode())
}

//----------- convert --------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct ConvertArgs {
    /// File with a key in any form; - for standard input
    file: PathBuf,

    /// The form wanted
    #[arg(long, value_name = "FORM", value_parser = forms())]
    to: String,

    /// File to write, which must not exist; without it, text goes to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Encrypt the new file with a passphrase
    #[arg(long)]
    encrypt: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    /// File whose first line is the passphrase of the new file, if it is another one
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    new_passphrase_file: Option<PathBuf>,
}

fn forms() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Form::ALL.map(|(_, name)| name))
}

pub(super) fn convert(args: &ConvertArgs) -> Result<(), Failed> {
    let mut forms = Form::ALL.into_iter();
    let form = forms
        .find(|(_, name)| *name == args.to)
        .map(|(form, _)| form);
    let form = form.ok_or_else(|| Report::new(Exit::Usage, "unknown form").fail())?;
    let key = file::load(&args.file, &args.passphrase)?;
    let passphrase = match (args.encrypt, &args.new_passphrase_file) {
        (false, _) => None,
        (true, None) => Some(args.passphrase.new_one()?),
        (true, file) => {
            let of_new = PassphraseArgs::in_file(file.clone());
            Some(of_new.new_one()?)
        }
    };
    let written = match &key {
        Key::Private(pair) => pair.write(form, passphrase.as_deref()),
        Key::Public(key) => write_public(key, form),
    };
    let octets = written.map_err(|error| {
        let what = format!("{} has no form `{}`", args.file.display(), args.to);
        Report::new(Exit::Usage, what).cause(error).fail()
    })?;
    match &args.out {
        Some(path) => {
            file::write(path, &octets, form.is_private())?;
            note(format_args!(
                "{}: {}",
                describe(&key.public()),
                path.display()
            ));
            Ok(())
        }
        None if form.is_text() => {
            let mut output = Output::new();
            output.raw(&octets)?;
            output.finish()
        }
        None => {
            Err(Report::new(Exit::Usage, "this form is no text: name a file with --out").fail())
        }
    }
}
