//! `guantong identity`: app identities, users and roles, on the machine of the node.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use guantong_api::control::{Condition, Mode};
use guantong_core::identity::{
    Chosen, Kind, LOGIN_INDEX, Login, MEMBERS_INDEX, Role, SALT_LEN, code_of, group_values,
    role_values,
};
use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::{Handle, Permissions, Reference, Value, is_of_type};
use guantong_server::control::Control;
use guantong_server::key::form::{self, Form, KeyPair};

use super::key::file::{self, PassphraseArgs};
use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;

const SET_UP_EXAMPLES: &str = "\
Examples:
  guantong identity set-up 88.118.5

Puts the roles in force: administrators, operators, app-administrators, auditors. `guantong init`
has done so for a new enterprise or second-level node. What is there already stays.";

const ADD_APP_EXAMPLES: &str = "\
Examples:
  guantong identity add-app 88.118.5/App_line-3 --out line-3.pem
  guantong identity add-app 88.118.5/App_line-3 --key line-3-public.pem --name 'Line 3'

With --out a key pair is made, and its private half is written to that file and nowhere else.";

const ADD_USER_EXAMPLES: &str = "\
Examples:
  guantong identity add-user 88.118.5/User_wang --role administrators
  guantong identity add-user 88.118.5/User_li --name 'Li Si' --role operators --role auditors
  guantong identity add-user 88.118.5/User_zhao --password-file first.txt

The password is good for one thing: to choose another one.";

const PASSWD_EXAMPLES: &str = "\
Examples:
  guantong identity passwd 88.118.5/User_wang
  guantong identity passwd 88.118.5/User_wang --without-second-factor

For users who have forgotten a password or lost a device. All their sessions end.";

const ROLES_EXAMPLES: &str = "\
Examples:
  guantong identity roles 88.118.5
  guantong identity roles 88.118.5/User_wang --add operators
  guantong identity roles 88.118.5/User_wang --remove administrators";

/// Index of what people call an identity.
const NAME_INDEX: i32 = 1;
/// Index of the key.
const KEY_INDEX: i32 = 300;

/// Make app identities and users, and give roles, on the machine of the node.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the roles of a prefix in force
    #[command(after_help = SET_UP_EXAMPLES)]
    SetUp(SetUpArgs),
    /// Make an app identity
    #[command(after_help = ADD_APP_EXAMPLES)]
    AddApp(AddAppArgs),
    /// Make a user
    #[command(after_help = ADD_USER_EXAMPLES)]
    AddUser(AddUserArgs),
    /// Give a user a password
    #[command(after_help = PASSWD_EXAMPLES)]
    Passwd(PasswdArgs),
    /// Show who has which role, or change it
    #[command(after_help = ROLES_EXAMPLES)]
    Roles(RolesArgs),
}

#[derive(Debug, clap::Args)]
struct SetUpArgs {
    /// The prefix, such as 88.118.5
    prefix: String,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    /// RSA: taken by every client
    Rsa,
    /// ECDSA on P-256
    P256,
    /// Ed25519
    Ed25519,
    /// SM2
    #[cfg(feature = "sm")]
    Sm2,
}

#[derive(Debug, clap::Args)]
struct AddAppArgs {
    /// Its handle, such as 88.118.5/App_line-3
    handle: String,

    /// What people call it
    #[arg(long)]
    name: Option<String>,

    /// File of its public key, in any form
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "out",
        required_unless_present = "out"
    )]
    key: Option<PathBuf>,

    /// New file for the private key of a pair that is made
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Kind of the pair
    #[arg(long, value_name = "K", default_value = "rsa", requires = "out")]
    kind: KindArg,

    /// Encrypt the private key with a passphrase
    #[arg(long, requires = "out")]
    encrypt: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct AddUserArgs {
    /// His handle, such as 88.118.5/User_wang
    handle: String,

    /// What people call him
    #[arg(long)]
    name: Option<String>,

    /// A role that he has. May be repeated
    #[arg(long, value_name = "ROLE")]
    role: Vec<Role>,

    /// File whose first line is the password; without it, it is asked for on the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct PasswdArgs {
    /// The user's handle
    handle: String,

    /// Take his second factor away, too
    #[arg(long)]
    without_second_factor: bool,

    /// File whose first line is the password; without it, it is asked for on the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct RolesArgs {
    /// A prefix, or the handle of a user
    of: String,

    /// A role to give. May be repeated
    #[arg(long, value_name = "ROLE")]
    add: Vec<Role>,

    /// A role to take. May be repeated
    #[arg(long, value_name = "ROLE")]
    remove: Vec<Role>,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::SetUp(args) => set_up(args),
        Command::AddApp(args) => add_app(args),
        Command::AddUser(args) => add_user(args),
        Command::Passwd(args) => passwd(args),
        Command::Roles(args) => roles(args),
    }
}

//----------- Names ----------------------------------------------------------

fn wrong(what: impl std::fmt::Display) -> Failed {
    Report::new(Exit::Usage, what).fail()
}

/// The handle of an identity of this kind.
fn named(kind: Kind, text: &str) -> Result<Handle, Failed> {
    let handle = Handle::parse(text).map_err(wrong)?;
    let code = code_of(kind, handle.borrow());
    let made = code.map(|code| kind.handle(handle.borrow().prefix(), code));
    match made {
        Some(Ok(_)) => Ok(handle),
        Some(Err(fault)) => Err(wrong(fault)),
        None => {
            let lead = kind.lead();
            Err(wrong(format_args!(
                "`{text}` must begin with `{lead}` behind the slash"
            )))
        }
    }
}

//----------- set-up ---------------------------------------------------------

fn set_up(args: &SetUpArgs) -> Result<(), Failed> {
    let prefix = Handle::of_prefix(&args.prefix).map_err(wrong)?;
    let mut control = ask::open(&args.node)?;
    let Some((version, mut values)) = ask::stored(&mut *control, &prefix)? else {
        let what = format_args!("there is no record {prefix} on this node");
        return Err(Report::new(Exit::Refused, what)
            .hint("roles are put in force by the prefix record; `guantong prefix` writes one")
            .fail());
    };
    let roles = role_values(prefix.borrow());
    let is_there = |value: &Value| values.iter().any(|old| old.data == value.data);
    let missing: Vec<Value> = roles.into_iter().filter(|value| !is_there(value)).collect();
    let taken = missing
        .iter()
        .find(|value| values.iter().any(|old| old.index == value.index));
    if let Some(value) = taken {
        let what = format_args!("{prefix} has another value at index {}", value.index);
        return Err(Report::new(Exit::Refused, what)
            .hint("move it: roles stand at 110 to 113")
            .fail());
    }
    let mut output = Output::new();
    for role in Role::ALL {
        let Some(group) = role.group(prefix.borrow()) else {
            continue;
        };
        if ask::stored(&mut *control, &group)?.is_none() {
            let values = group_values(prefix.borrow(), Vec::new());
            ask::put(
                &mut *control,
                &group,
                &values,
                Condition::Absent,
                Mode::Apply,
            )?;
            output.line(format_args!("{group} created"))?;
        }
    }
    if !missing.is_empty() {
        values.extend(missing);
        let condition = Condition::Version(version);
        ask::put(&mut *control, &prefix, &values, condition, Mode::Apply)?;
    }
    output.line(format_args!("the roles of {} are in force", args.prefix))?;
    output.finish()
}

//----------- add-app, add-user ----------------------------------------------

/// Who looks after a new identity, and what people call it.
fn begun(handle: &Handle, name: Option<&str>, permissions: Permissions) -> Vec<Value> {
    let owner = handle.borrow().prefix_handle();
    let admin = Admin::new(AdminPermissions::ALL, owner.as_str(), KEY_INDEX);
    let mut values = vec![Value::new(100, "HS_ADMIN", admin.encode())];
    values.extend(name.map(|name| Value {
        permissions,
        ..Value::new(NAME_INDEX, "DESC", name)
    }));
    values
}

fn add_app(args: &AddAppArgs) -> Result<(), Failed> {
    let handle = named(Kind::App, &args.handle)?;
    let mut control = ask::open(&args.node)?;
    if ask::stored(&mut *control, &handle)?.is_some() {
        return Err(is_there(&handle));
    }
    let public = match (&args.key, &args.out) {
        (Some(path), _) => file::load(path, &args.passphrase)?.public(),
        (None, Some(out)) => {
            let kind = match args.kind {
                KindArg::Rsa => form::Kind::Rsa(guantong_server::key::RSA_BITS),
                KindArg::P256 => form::Kind::P256,
                KindArg::Ed25519 => form::Kind::Ed25519,
                #[cfg(feature = "sm")]
                KindArg::Sm2 => form::Kind::Sm2,
            };
            let passphrase = match args.encrypt {
                true => Some(args.passphrase.new_one()?),
                false => None,
            };
            let pair = KeyPair::generate(kind).map_err(wrong)?;
            let octets = pair
                .write(Form::Pem, passphrase.as_deref())
                .map_err(wrong)?;
            file::write(out, &octets, true)?;
            pair.signing().public_key()
        }
        (None, None) => return Err(wrong("give --key or --out")),
    };
    let mut values = begun(&handle, args.name.as_deref(), Permissions::default());
    values.push(Value::new(KEY_INDEX, "HS_PUBKEY", public.encode()));
    ask::put(
        &mut *control,
        &handle,
        &values,
        Condition::Absent,
        Mode::Apply,
    )?;
    let mut output = Output::new();
    let kind = form::describe(&public);
    output.line(format_args!("{handle} created, {kind}"))?;
    if let Some(out) = &args.out {
        output.line(format_args!("private key: {}", out.display()))?;
    }
    output.finish()
}

fn is_there(handle: &Handle) -> Failed {
    Report::new(Exit::Refused, format_args!("{handle} is there already")).fail()
}

/// A login by a password that is typed, or in a file, and good for choosing another one.
fn login(password_file: Option<&PathBuf>) -> Result<Login, Failed> {
    let password = PassphraseArgs::in_file(password_file.cloned()).new_one()?;
    let password = String::from_utf8(password).map_err(|_| wrong("the password is not UTF-8"))?;
    let mut salt = [0; SALT_LEN];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut salt)
        .map_err(|_| wrong("the system gives no random octets"))?;
    Login::new(&password, salt, Chosen::ByOther).map_err(wrong)
}

fn add_user(args: &AddUserArgs) -> Result<(), Failed> {
    let handle = named(Kind::User, &args.handle)?;
    let mut control = ask::open(&args.node)?;
    if ask::stored(&mut *control, &handle)?.is_some() {
        return Err(is_there(&handle));
    }
    let for_administrators = Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE);
    let mut values = begun(&handle, args.name.as_deref(), for_administrators);
    values.push(login(args.password_file.as_ref())?.to_value());
    ask::put(
        &mut *control,
        &handle,
        &values,
        Condition::Absent,
        Mode::Apply,
    )?;
    let mut output = Output::new();
    output.line(format_args!("{handle} created"))?;
    for role in &args.role {
        give(&mut *control, &handle, *role)?;
        output.line(format_args!("{handle} is one of the {role}"))?;
    }
    output.finish()
}

fn passwd(args: &PasswdArgs) -> Result<(), Failed> {
    let handle = named(Kind::User, &args.handle)?;
    let mut control = ask::open(&args.node)?;
    let Some((version, mut values)) = ask::stored(&mut *control, &handle)? else {
        let what = format_args!("there is no user {handle} on this node");
        return Err(Report::new(Exit::Refused, what).fail());
    };
    let other = login(args.password_file.as_ref())?;
    let old = values.iter().find(|value| value.index == LOGIN_INDEX);
    let old = old.and_then(|value| Login::parse(&value.data).ok());
    let mut login = match old {
        Some(old) => old.with_password(other),
        None => other,
    };
    if args.without_second_factor {
        login = login.with_second_factor(None);
    }
    values.retain(|value| value.index != LOGIN_INDEX);
    values.push(login.to_value());
    let condition = Condition::Version(version);
    ask::put(&mut *control, &handle, &values, condition, Mode::Apply)?;
    let mut output = Output::new();
    output.line(format_args!("{handle} has another password"))?;
    output.finish()
}

//----------- roles ----------------------------------------------------------

/// Version and values of a record, if it is there.
type Stored = Option<(u64, Vec<Value>)>;

/// The group of a role, its record, and who is in it.
fn members(
    control: &mut dyn Control,
    prefix: &Handle,
    role: Role,
) -> Result<(Handle, Stored, Vec<Reference>), Failed> {
    let group = role.group(prefix.borrow());
    let group = group.ok_or_else(|| wrong(format_args!("{prefix} is no prefix with roles")))?;
    let stored = ask::stored(control, &group)?;
    let values = stored.as_ref().map_or(&[][..], |(_, values)| values);
    let list = values.iter().find(|value| {
        value.index == MEMBERS_INDEX && is_of_type(value.kind.as_bytes(), b"HS_VLIST")
    });
    let list = list.and_then(|value| List::decode(&value.data).ok());
    Ok((group, stored, list.unwrap_or_default().0))
}

fn is_same(reference: &Reference, user: &Handle) -> bool {
    reference.handle.eq_ignore_ascii_case(user.as_str())
}

fn write_members(
    control: &mut dyn Control,
    prefix: &Handle,
    group: &Handle,
    stored: Stored,
    members: Vec<Reference>,
) -> Result<(), Failed> {
    let (condition, values) = match stored {
        Some((version, mut values)) => {
            values.retain(|value| value.index != MEMBERS_INDEX);
            values.push(Value::new(
                MEMBERS_INDEX,
                "HS_VLIST",
                List(members).encode(),
            ));
            (Condition::Version(version), values)
        }
        None => (Condition::Absent, group_values(prefix.borrow(), members)),
    };
    ask::put(control, group, &values, condition, Mode::Apply).map(drop)
}

fn give(control: &mut dyn Control, user: &Handle, role: Role) -> Result<(), Failed> {
    let prefix = user.borrow().prefix_handle();
    let (group, stored, mut members) = members(control, &prefix, role)?;
    members.retain(|member| !is_same(member, user));
    members.push(Reference {
        handle: user.to_string(),
        index: 0,
    });
    write_members(control, &prefix, &group, stored, members)
}

fn take(control: &mut dyn Control, user: &Handle, role: Role) -> Result<(), Failed> {
    let prefix = user.borrow().prefix_handle();
    let (group, stored, mut members) = members(control, &prefix, role)?;
    members.retain(|member| !is_same(member, user));
    write_members(control, &prefix, &group, stored, members)
}

fn roles(args: &RolesArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let user = match args.of.contains('/') {
        true => Some(named(Kind::User, &args.of)?),
        false => None,
    };
    let Some(user) = user else {
        if !args.add.is_empty() || !args.remove.is_empty() {
            return Err(wrong("whose role? name a user such as 88.118.5/User_wang"));
        }
        let prefix = Handle::of_prefix(&args.of).map_err(wrong)?;
        return show_roles(&mut *control, &prefix, None);
    };
    for role in &args.add {
        give(&mut *control, &user, *role)?;
    }
    for role in &args.remove {
        take(&mut *control, &user, *role)?;
    }
    let prefix = user.borrow().prefix_handle();
    show_roles(&mut *control, &prefix, Some(&user))
}

fn show_roles(
    control: &mut dyn Control,
    prefix: &Handle,
    user: Option<&Handle>,
) -> Result<(), Failed> {
    let mut output = Output::new();
    for role in Role::ALL {
        let (_, _, members) = members(control, prefix, role)?;
        for member in members {
            if user.is_none_or(|user| is_same(&member, user)) {
                output.line(format_args!("{role}  {}", member.handle))?;
            }
        }
    }
    output.finish()
}
