//! The spelling of the configuration file, version `v1`.
//!
//! Every setting is declared once, below: its key, its form, its default, its bounds and what it is
//! for. The reader, the template that `init` writes, the sample file and the reference page all
//! come from that declaration. What the settings mean to the node is in [`super::Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use guantong_core::admin::{Identity, OnDelete};
use ipnet::IpNet;

use super::read::Section;
use super::unit::{Acknowledge, Level, LogFormat, References, Setting, Size, Span, Verify};

/// The version that this module spells.
pub(super) const VERSION: &str = "v1";

/// A setting as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: &'static str,
    pub(super) section_doc: &'static str,
    pub(super) key: &'static str,
    pub(super) doc: &'static str,
    pub(super) form: &'static str,
    pub(super) default: String,
    pub(super) value: String,
}

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $ty:ty = $default:expr $(, $low:expr => $high:expr)?;
            )+
        }
    )+) => {
        /// All settings of a file.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct Spec {
            $(pub(super) $section: $name,)+
        }

        impl Spec {
            /// Names of the sections.
            pub(super) const SECTIONS: &[&str] = &[$(stringify!($section)),+];

            /// All settings in their order.
            pub(super) fn entries(&self) -> Vec<Entry> {
                let default = Self::default();
                vec![$($(Entry {
                    section: stringify!($section),
                    section_doc: $name::DOC,
                    key: stringify!($key),
                    doc: concat!($($doc),+),
                    form: <$ty as Setting>::FORM,
                    default: default.$section.$key.write(),
                    value: self.$section.$key.write(),
                },)+)+]
            }

            /// Reads all sections; `section` finds one by its name.
            pub(super) fn read<'a, 't: 'a>(
                mut section: impl FnMut(&'static str) -> Section<'a, 't>,
            ) -> Self {
                Self { $($section: $name::read(&mut section(stringify!($section))),)+ }
            }
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub(super) struct $name {
                $($(#[doc = $doc])+ pub(super) $key: $ty,)+
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }

            impl $name {
                /// What the section is about.
                const DOC: &str = concat!($($section_doc),+);
                /// Keys of the section.
                const KEYS: &[&str] = &[$(stringify!($key)),+];

                fn read(section: &mut Section<'_, '_>) -> Self {
                    section.refuse_unknown(Self::KEYS);
                    let default = Self::default();
                    Self { $(
                        $key: {
                            #[allow(unused_mut, unused_assignments)]
                            let mut bounds = None;
                            $(bounds = Some(($low, $high));)?
                            section.setting(stringify!($key), default.$key, bounds)
                        },
                    )+ }
                }
            }
        )+
    };
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The networks of this machine itself.
pub fn loopback_networks() -> Vec<IpNet> {
    let v4 = IpNet::from(IpAddr::from([127, 0, 0, 0]));
    let v4 = IpNet::new_assert(v4.addr(), 8);
    vec![
        v4,
        IpNet::new_assert(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128),
    ]
}

settings! {
    /// This node and its files.
    node: Node {
        /// Name of the node in logs and on its pages.
        name: String = "guantong".into();
        /// Folder of the record store.
        data: PathBuf = "store".into();
        /// Socket through which commands on this machine administer the running node.
        control: PathBuf = "control.sock".into();
        /// Whether suffixes that differ in case name different records. Fixed when the store is
        /// made.
        case_sensitive: bool = false;
    }
    /// What the node says about itself: the site record that clients and parents receive.
    site: Site {
        /// Address at which clients reach this node.
        address: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// Host name for HTTP and HTTPS, if there is one.
        domain: String = String::new();
        /// Serial number of the site record. Raise it whenever you change what is published.
        serial: u16 = 1, 1 => 65_534;
        /// Whether this site takes changes (primary) or holds copies (mirror).
        primary: bool = true;
        /// A description for people.
        description: String = String::new();
        /// File of a site record that several servers share (`siteinfo.json` or `siteinfo.bin`):
        /// this node is one of them. Address, domain, serial, primary and description are then
        /// those of the record. Empty: this node is a site by itself.
        record: Option<PathBuf> = None;
        /// Number of this node among the servers of the record.
        server_id: u32 = 1, 0 => 2_147_483_647;
        /// Private key of the node: RSA of 2048 to 4096 bits, PKCS#8 in PEM or a Handle.Net key
        /// file without passphrase.
        key: PathBuf = "server_key.pem".into();
    }
    /// Where the node listens. Port 0 means: any free port, written to `run/addresses.json`.
    listen: Listen {
        /// Addresses for the native protocol over UDP.
        udp: Vec<SocketAddr> = vec![loopback(2641)];
        /// Addresses for the native protocol over TCP.
        tcp: Vec<SocketAddr> = vec![loopback(2641)];
        /// Addresses for HTTP and HTTPS; each port takes both.
        http: Vec<SocketAddr> = vec![loopback(8000)];
        /// Address of the console, with metrics and health checks. Keep it private. Empty for none.
        console: Option<SocketAddr> = Some(loopback(8080));
        /// Threads for each UDP address; 0 means one per core.
        udp_threads: u32 = 0, 0 => 1_024;
        /// Whether these threads run before everything else on the machine, so that answers do not
        /// wait for a core beside imports. Linux; takes `LimitRTPRIO=1` of a systemd unit, or
        /// CAP_SYS_NICE, and otherwise changes nothing. They do so only while they use less than
        /// half of all cores, so that a flood of questions takes none from other work.
        udp_first: bool = true;
        /// Threads that answer over TCP and HTTP from memory, and as many again for what has to
        /// wait; 0 means one per core.
        worker_threads: u32 = 0, 0 => 1_024;
    }
    /// HTTP and HTTPS.
    http: Http {
        /// Certificate chain in PEM. Empty: one is made that signs itself, for `site.domain`,
        /// `site.address`, the addresses of `listen.http` and this machine, and made again in time.
        certificate: Option<PathBuf> = None;
        /// Private key of the certificate in PEM.
        certificate_key: Option<PathBuf> = None;
        /// Whether clients are asked for a certificate over HTTPS. Its key proves who they are; the
        /// subject is `index:handle`. Browsers then ask their users, too.
        client_certificates: bool = false;
        /// Networks that may read `/metrics` on the HTTP addresses.
        metrics_allow: Vec<IpNet> = loopback_networks();
        /// Networks that may list the handles of a prefix, over HTTP.
        list_allow: Vec<IpNet> = loopback_networks();
        /// Whether `/<handle>` redirects a browser to what the handle names.
        proxy: bool = true;
        /// Largest JSON body of a request.
        json_body_max: Size = Size::mib(1), Size::kib(1) => Size::mib(64);
    }
    /// Interfaces of existing enterprise nodes, for the clients that were written for them. Each is
    /// off unless it is switched on here.
    compatible: Compatible {
        /// Whether `/api/v1/` is served: templates, identifiers and grants as their SDK asks for
        /// them.
        doip: bool = false;
        /// Whether `/identity/`, `/identityv2/` and `/snms/api/` are served as a second-level node
        /// (SNMS) serves them.
        snms: bool = false;
        /// Whether clients of these may log in by a digest of the day in place of the password
        /// (`/identity/token/v1`). Whoever sees it logs in by it until midnight.
        day_digest: bool = false;
    }
    /// Enterprises that apply for a prefix below one of ours.
    onboarding: Onboarding {
        /// Prefixes below which anybody may apply without saying who he is, and send the papers for
        /// it. Empty: only who may make records there.
        open: Vec<String> = Vec::new();
        /// Most applications of such applicants that wait for a review, below each prefix.
        waiting_max: u32 = 1_000, 1 => 100_000;
    }
    /// Files that registrations name.
    files: Files {
        /// Folder of the files. They are in backups, and not sent to mirrors.
        folder: PathBuf = "files".into();
        /// Largest file.
        file_max: Size = Size::mib(64), Size(1) => Size(1 << 40);
        /// Most octets of all files together.
        total_max: Size = Size::mib(10_240), Size(0) => Size(1 << 50);
        /// How long a file is kept that no value has ever named. 0s means for ever.
        unnamed_time: Span = Span::secs(86_400), Span(0) => Span::secs(31_536_000);
    }
    /// Memory of the store and its extra indexes.
    store: Store {
        /// Memory for records that are asked for often, blocks read from disk, and writes not yet
        /// on it.
        memory: Size = Size::mib(256), Size::mib(16) => Size(1 << 42);
        /// Value types that records can be found by, such as EMAIL. Each costs disk and write time.
        /// A type that is taken out here keeps its index until it is switched off by command.
        index: Vec<String> = Vec::new();
    }
    /// Resolving names that live elsewhere, for clients that ask for it: the recursive node.
    recurse: Recurse {
        /// Networks for which names are resolved that live elsewhere. Empty: for nobody. Name your
        /// own networks only: an open recursive node is a tool for attacks on others.
        allow: Vec<IpNet> = Vec::new();
        /// File that says where the root is: `root_info`, `bootstrap_handles`, `siteinfo.json` or
        /// `siteinfo.bin`. What the root says of itself later is kept in `run/root_info`, which
        /// counts as long as it is newer than this file.
        root: Option<PathBuf> = None;
        /// Addresses of root servers, in place of a file. Their keys are then unknown, so signed
        /// answers cannot be checked.
        root_addresses: Vec<SocketAddr> = Vec::new();
        /// Memory for answers of others.
        cache: Size = Size::mib(64), Size::mib(1) => Size(1 << 42);
        /// File in which the cache is kept while the node does not run. Empty: it begins empty.
        cache_file: Option<PathBuf> = None;
        /// How long it is remembered that a record does not exist. 0s means not at all.
        negative_ttl: Span = Span::secs(60), Span(0) => Span::secs(3_600);
        /// How long past its time an answer may be given, marked as stale, when nobody who could
        /// renew it can be reached.
        stale: Span = Span::secs(86_400), Span(0) => Span::secs(604_800);
        /// How long an answer is kept at most, whatever its TTL says.
        ttl_max: Span = Span::secs(172_800), Span::secs(1) => Span::secs(172_800);
        /// Whether answers that are asked for often are renewed shortly before their time is over.
        prefetch: bool = true;
        /// Time for one question, from asking the first server to giving up.
        timeout: Span = Span::secs(10), Span::secs(1) => Span::secs(60);
        /// Most questions that may be under way. More are told that the node is busy.
        pending_max: u32 = 10_000, 16 => 1_000_000;
        /// Whether a record is given away only if its signatures prove it (`trust.roots` says whom
        /// to believe): "off" for any record, "if-signed" for all but those whose signature is
        /// wrong, expired or revoked or cannot be checked, "required" for signed ones only.
        verify: Verify = Verify::Off;
        /// UDP sockets that questions leave by. A forged answer has to guess the one that was used.
        sockets: u16 = 16, 1 => 256;
    }
    /// Who may do what over the network. Rights on records are in the records themselves: their
    /// `HS_ADMIN` values.
    administration: Administration {
        /// Identities that may home and unhome prefixes and list what is homed.
        server_admins: Vec<Identity> = Vec::new();
        /// Whether these may do everything else, too, whatever the records say.
        server_admin_full_access: bool = false;
        /// Identities that may follow this node as a mirror. They receive every value, restricted
        /// ones and secret keys included.
        replication_admins: Vec<Identity> = Vec::new();
        /// Whether anybody may change anything. For test nodes only: refused unless all listeners
        /// are on loopback addresses.
        anonymous_admin_full_access: bool = false;
        /// Time in which a challenge must be answered.
        challenge_time: Span = Span::secs(20), Span::secs(1) => Span::secs(300);
    }
    /// Logins of programs and people, and the tokens (令牌) that they get.
    login: Login {
        /// Time after which a token that was not used is worth nothing.
        idle_timeout: Span = Span::secs(86_400), Span::secs(60) => Span::secs(2_592_000);
        /// Networks from which passwords and tokens are taken over plain HTTP, where others on the
        /// way could read them. Over HTTPS they are taken from everywhere.
        plain_http_allow: Vec<IpNet> = loopback_networks();
    }
    /// Trust: which roots are believed, and whether records are signed as they are written.
    trust: Trust {
        /// File with the root keys that are believed: a key in any form, the record 0.0/0.0 as
        /// JSON, or a file bootstrap_handles.
        roots: Option<PathBuf> = None;
        /// Private key that signs every record when it is written: RSA, Ed25519 or SM2, not
        /// encrypted. Empty: records are not signed. A mirror never signs.
        sign_key: Option<PathBuf> = None;
        /// Identity of that key: index and handle of the value with its public half.
        sign_as: Option<Identity> = None;
        /// How long such a signature is good. It is renewed when its record is written in the
        /// second half of that time, and by `guantong trust sign`.
        sign_span: Span = Span::secs(31_536_000), Span::secs(3_600) => Span::secs(3_153_600_000);
    }
    /// Records and their life.
    records: Records {
        /// What the deletion of a record by a client over the network comes to: "remove" takes it
        /// away with its name, "withdraw" keeps it from the public and its name from being given
        /// again.
        on_delete: OnDelete = OnDelete::Remove;
        /// What is looked at when a registration refers to a record of another node that must be
        /// of a certain template: "check" has the record resolved (`recurse.root` must be set) and
        /// refuses one that is not there or of another template, "form" looks at the handle only.
        references: References = References::Check;
    }
    /// Mirrors: which primary this node follows, and on what terms others follow it.
    mirror: Mirror {
        /// The primary that this node follows: host and port of its native protocol over TCP.
        /// Empty: this node follows nobody.
        of: String = String::new();
        /// File with the primary's public key: PEM, the data of an `HS_PUBKEY` value, or a site as
        /// `GET /api/site` shows it. Empty: the key shown at the first contact is kept.
        key: Option<PathBuf> = None;
        /// Identity by which this node proves itself to other nodes, index and handle. They must
        /// have it in `administration.replication_admins`.
        identity: Option<Identity> = None;
        /// Private key of that identity. Empty: the key of the node, `site.key`.
        identity_key: Option<PathBuf> = None;
        /// How long the primary may wait for news before it answers, and the pause between two
        /// questions to a primary that does not wait.
        poll_interval: Span = Span::secs(5), Span(10) => Span::secs(60);
        /// Identity of the one mirror of this node that may take over by itself when this node
        /// cannot be reached. Empty for none.
        standby: Option<Identity> = None;
        /// How long this node goes on to take changes after it last heard of its standby. A
        /// standby waits so long before it takes over. 0: no limit, and taking over needs force.
        lease: Span = Span(0), Span(0) => Span::secs(3_600);
        /// When a change is reported as done: when it is on the disk of this node, or of its
        /// standby too (without a standby: of any mirror).
        acknowledge: Acknowledge = Acknowledge::Local;
        /// How long a change may wait for a mirror before it is reported as uncertain.
        acknowledge_timeout: Span = Span::secs(5), Span(10) => Span::secs(300);
        /// Most mirrors that are served at a time.
        feeds: u32 = 16, 0 => 1_024;
        /// Whether mirrors before version 2.8 are served, who know no TLS: everything, restricted
        /// values and secret keys included, then crosses the network signed but readable.
        clear_streams: bool = false;
    }
    /// Bounds on what others can make this node do.
    limits: Limits {
        /// Most connections at a time, TCP and HTTP together.
        connections: u32 = 4_096, 1 => 1_000_000;
        /// Most connections at a time from one address.
        connections_per_address: u32 = 256, 1 => 1_000_000;
        /// A connection without a request for this long is closed.
        idle_timeout: Span = Span::secs(300), Span(10) => Span::secs(86_400);
        /// Time in which a message, once begun, must arrive, and an answer must be taken.
        message_timeout: Span = Span::secs(30), Span(10) => Span::secs(3_600);
        /// Most requests per second from one address over TCP and HTTP; more are slowed down or
        /// refused. 0 means no limit.
        requests_per_second_per_address: u32 = 10_000, 0 => 10_000_000;
        /// Largest answer sent over UDP. Above it the client is told to ask over TCP.
        udp_response_max: Size = Size::kib(4), Size(512) => Size::kib(256);
        /// Most octets per second sent over UDP to one network (IPv4 /24, IPv6 /56). 0 means no
        /// limit.
        udp_octets_per_second_per_network: Size = Size::mib(1), Size(0) => Size(1 << 40);
        /// Most answers signed per second, all clients together. A signature takes half a
        /// millisecond of a core; above the limit, answers that should be signed go out unsigned.
        signatures_per_second: u32 = 500, 0 => 1_000_000;
        /// Networks to which the two limits per second do not apply. Loopback addresses cannot be
        /// forged from outside.
        trusted: Vec<IpNet> = loopback_networks();
        /// Time that requests in progress have when the node stops.
        stop_timeout: Span = Span::secs(10), Span(10) => Span::secs(600);
    }
    /// What is logged, to standard error.
    log: Log {
        /// How much is logged.
        level: Level = Level::Info;
        /// How lines are written.
        format: LogFormat = LogFormat::Text;
    }
}
