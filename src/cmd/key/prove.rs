//! `guantong key test`: proves an identity to a node, and says what comes of it.

use std::path::PathBuf;

use guantong_client::{Administrator, Client, Credential, Error, Server};
use guantong_core::admin::Identity;
use guantong_proto::data::PublicKey;
use guantong_proto::is_of_type;
use guantong_proto::message::ResponseCode;
use guantong_server::key::form::{Key, describe, read};
use guantong_server::key::read_bounded;
use ring::rand::SystemRandom;

use super::super::{NodeArgs, block_on, local};
use super::file::{self, PassphraseArgs};
use super::make::fingerprint;
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};

pub(super) const EXAMPLES: &str = "\
Examples:
  guantong key test node/admin_key.pem --id 300:0.NA/88.118.5
  guantong key test admin.pem --id 300:88.118.5/alice --at 203.0.113.7:2641
  guantong key test secret.txt --secret --id 300:88.118.5/alice

The node is asked for a challenge, which is answered with the key. Nothing is changed. Exit code 1:
the node does not believe it.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File with the private key, in any form
    file: PathBuf,

    /// Whose key it is: index and handle of the value that holds its public half
    #[arg(long, value_name = "INDEX:HANDLE")]
    id: Identity,

    /// The file holds a secret key (HS_SECKEY), not a private key
    #[arg(long)]
    secret: bool,

    /// The node to ask: host, host:port, or an address such as tcp://host:2641; without it, the
    /// node of this machine
    #[arg(long, value_name = "ADDR")]
    at: Option<Server>,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failed> {
    let server = match &args.at {
        Some(server) => server.clone(),
        None => Server::new(local::endpoints(&args.node.load()?)),
    };
    let client = Client::builder(server).build();
    let (index, handle) = (args.id.index, args.id.handle.as_str());
    let random = SystemRandom::new();
    if args.secret {
        let secret = read_secret(args)?;
        let credential = Credential::Secret(&secret);
        let who = Administrator::new(&client, index, handle, credential);
        return report(block_on(who.log_in())?, &client, args, None);
    }
    let pair = file::load_private(&args.file, &args.passphrase)?;
    let credential = Credential::Key {
        key: pair.signing(),
        random: &random,
    };
    let who = Administrator::new(&client, index, handle, credential);
    let public = pair.signing().public_key();
    report(block_on(who.log_in())?, &client, args, Some(&public))
}

fn read_secret(args: &Args) -> Result<Vec<u8>, Failed> {
    let octets = read_bounded(&args.file).map_err(|error| {
        let what = format!("{} cannot be read", args.file.display());
        Report::new(Exit::Usage, what).cause(error).fail()
    })?;
    if let Ok(Key::Private(_)) = read(&octets, &mut || Err(String::new())) {
        note("note: the file holds a private key, and its octets are taken as a secret");
    }
    let line_end = octets
        .iter()
        .rposition(|octet| !matches!(octet, b'\n' | b'\r'));
    Ok(octets[..line_end.map_or(0, |at| at + 1)].to_vec())
}

fn report(
    outcome: Result<(), Error>,
    client: &Client,
    args: &Args,
    key: Option<&PublicKey>,
) -> Result<(), Failed> {
    match outcome {
        Ok(()) => {
            let mut output = Output::new();
            output.line(format_args!("the node believes that this is {}", args.id))?;
            output.finish()
        }
        Err(Error::Refused { code, text }) => {
            let what = format!("the node does not believe that this is {}", args.id);
            let mut report = Report::new(Exit::Refused, what);
            report = report.cause(format_args!("code {}: {text}", code.0));
            if code == ResponseCode::OPERATION_NOT_SUPPORTED {
                report = report.hint("it knows no logins (operation 2001); try a change with it");
            }
            for hint in key.map_or_else(Vec::new, |key| look(client, args, key)) {
                report = report.hint(hint);
            }
            Err(report.fail())
        }
        Err(error) => Err(Report::new(Exit::Network, "the node could not be asked")
            .causes_of(&error)
            .hint("proofs go over TCP: is its port open?")
            .fail()),
    }
}

/// What is wrong with the record that should hold the key, as far as everybody can see.
fn look(client: &Client, args: &Args, key: &PublicKey) -> Vec<String> {
    let (index, handle) = (args.id.index, args.id.handle.as_str());
    let Ok(Ok(answer)) = block_on(client.resolve(handle)) else {
        return vec![format!(
            "the record {handle} cannot be read there: does it exist, and does the node answer \
             for it or find it?"
        )];
    };
    let is_key = |kind: &str| is_of_type(kind.as_bytes(), b"HS_PUBKEY");
    let keys = answer.values().iter().filter(|value| is_key(&value.kind));
    let keys: Vec<_> = keys
        .filter_map(|value| Some((value.index, PublicKey::decode(&value.data).ok()?)))
        .collect();
    let mine = keys
        .iter()
        .find(|(_, found)| fingerprint(found) == fingerprint(key));
    let there = keys.iter().find(|(at, _)| *at == index);
    match (mine, there) {
        (Some((at, _)), _) if *at == index || index == 0 => vec![
            "the record holds this very key, so its proof should be believed: is the key allowed \
             to be used, and is the version of the protocol recent enough?"
                .to_owned(),
        ],
        (Some((at, _)), _) => vec![format!(
            "the record has this key as value {at}: --id {at}:{handle}"
        )],
        (None, Some((_, other))) => vec![format!(
            "value {index} of the record is another key: {}, {}",
            describe(other),
            fingerprint(other)
        )],
        (None, None) => vec![format!(
            "the record has no public key as value {index}; it has keys as {:?}",
            keys.iter().map(|(at, _)| *at).collect::<Vec<_>>()
        )],
    }
}
