//! From where and by which right a change was made, as the change log keeps it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use guantong_proto::data::AdminPermissions;
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Handle, Reason};

use crate::error::FormError;
use crate::limits::{PRIMARY_LEN_MAX, RIGHT_GROUPS_MAX, RIGHT_VALUES_MAX};
use crate::record::{push_name, read_name};

//----------- Trail ----------------------------------------------------------

/// What the change log keeps of a batch beside who asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// From where it came.
    pub from: Source,
    /// By which right it was made.
    pub right: Right,
}

/// From where a batch came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// From whoever has the store open: the node itself, or a command while the node does not run.
    #[default]
    Here,
    /// Over the control socket.
    Control {
        /// The user of the process at the other end.
        uid: u32,
    },
    /// Over a protocol.
    Peer {
        /// Which one.
        way: Way,
        /// The other end.
        address: SocketAddr,
    },
    /// From the primary that is mirrored.
    Primary {
        /// Where it was reached; what is longer than
        /// [`PRIMARY_LEN_MAX`](crate::limits::PRIMARY_LEN_MAX) octets is cut.
        address: String,
    },
}

/// By which protocol a batch came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The native protocol in datagrams.
    Udp,
    /// The native protocol on a stream.
    Tcp,
    /// HTTP in clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// A page of the node's own console.
    Console,
}

/// By which right a batch was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Right {
    /// The one that its origin has by itself: the node, the operator of the machine, the primary.
    #[default]
    Own,
    /// The node lets anybody do everything.
    OpenNode,
    /// The values let anybody write them.
    OpenValues,
    /// The settings name a server administrator.
    ServerAdmin,
    /// The settings let server administrators do everything.
    FullAccess,
    /// HS_ADMIN values, at most [`RIGHT_VALUES_MAX`](crate::limits::RIGHT_VALUES_MAX).
    Administrator(Vec<Used>),
}

/// What was used of an HS_ADMIN value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The record that has the value.
    pub record: Handle,
    /// Its index.
    pub index: i32,
    /// The permissions that the change needed.
    pub permissions: AdminPermissions,
    /// The groups that lead from the value to the administrator, by handle and index, outermost
    /// first. Behind [`RIGHT_GROUPS_MAX`](crate::limits::RIGHT_GROUPS_MAX) of them, the others are
    /// only counted.
    pub through: Vec<(Handle, i32)>,
    /// How many groups more there were.
    pub more_groups: u16,
}

//----------- Encoding -------------------------------------------------------

impl Trail {
    /// Its form in the change log, within the limits.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.from.encode(&mut octets);
        self.right.encode(&mut octets);
        octets
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            from: Source::decode(r)?,
            right: Right::decode(r)?,
        })
    }
}

impl Source {
    fn encode(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Here => octets.push(1),
            Self::Control { uid } => {
                octets.push(2);
                octets.extend_from_slice(&uid.to_be_bytes());
            }
            Self::Peer { way, address } => {
                octets.push(match way {
                    Way::Udp => 3,
                    Way::Tcp => 4,
                    Way::Http => 5,
                    Way::Https => 6,
                    Way::Console => 8,
                });
                match address.ip() {
                    IpAddr::V4(ip) => {
                        octets.push(4);
                        octets.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        octets.push(6);
                        octets.extend_from_slice(&ip.octets());
                    }
                }
                octets.extend_from_slice(&address.port().to_be_bytes());
            }
            Self::Primary { address } => {
                octets.push(7);
                let fits = |&end: &usize| address.is_char_boundary(end);
                let end = (0..=address.len().min(PRIMARY_LEN_MAX)).rfind(fits);
                push_name(octets, &address.as_bytes()[..end.unwrap_or(0)]);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, FormError> {
        let way = match r.u8("source")? {
            1 => return Ok(Self::Here),
            2 => {
                let uid = r.u32("user")?;
                return Ok(Self::Control { uid });
            }
            3 => Way::Udp,
            4 => Way::Tcp,
            5 => Way::Http,
            6 => Way::Https,
            7 => {
                let address = read_primary(r)?;
                return Ok(Self::Primary { address });
            }
            8 => Way::Console,
            found => return Err(unknown("source", found)),
        };
        let ip = match r.u8("address family")? {
            4 => Ipv4Addr::from(r.u32("address")?).into(),
            6 => {
                let (high, low) = (r.i64("address")?, r.i64("address")?);
                let high = u128::from(high.cast_unsigned()) << 64;
                Ipv6Addr::from(high | u128::from(low.cast_unsigned())).into()
            }
            found => return Err(unknown("address family", found)),
        };
        let address = SocketAddr::new(ip, r.u16("port")?);
        Ok(Self::Peer { way, address })
    }
}

fn read_primary(r: &mut Reader<'_>) -> Result<String, FormError> {
    let at = r.position();
    let len = usize::from(r.u16("primary")?);
    check_count("primary", at, len, PRIMARY_LEN_MAX)?;
    let text = std::str::from_utf8(r.take("primary", len)?);
    let text = text.map_err(|_| DecodeError::new("primary", at, Reason::NotUtf8))?;
    Ok(text.to_owned())
}

impl Right {
    fn encode(&self, octets: &mut Vec<u8>) {
        let used = match self {
            Self::Own => return octets.push(1),
            Self::OpenNode => return octets.push(2),
            Self::OpenValues => return octets.push(3),
            Self::ServerAdmin => return octets.push(4),
            Self::FullAccess => return octets.push(5),
            Self::Administrator(used) => &used[..used.len().min(RIGHT_VALUES_MAX)],
        };
        octets.push(6);
        push_count(octets, used.len());
        used.iter().for_each(|used| used.encode(octets));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(match r.u8("right")? {
            1 => Self::Own,
            2 => Self::OpenNode,
            3 => Self::OpenValues,
            4 => Self::ServerAdmin,
            5 => Self::FullAccess,
            6 => {
                let count = read_count(r, "values of a right", RIGHT_VALUES_MAX)?;
                let used = (0..count).map(|_| Used::decode(r));
                Self::Administrator(used.collect::<Result<_, _>>()?)
            }
            found => return Err(unknown("right", found)),
        })
    }
}

impl Used {
    fn encode(&self, octets: &mut Vec<u8>) {
        let kept = self.through.len().min(RIGHT_GROUPS_MAX);
        let more = u16::try_from(self.through.len() - kept).unwrap_or(u16::MAX);
        push_name(octets, self.record.as_str().as_bytes());
        octets.extend_from_slice(&self.index.to_be_bytes());
        octets.extend_from_slice(&self.permissions.0.to_be_bytes());
        push_count(octets, kept);
        for (group, index) in &self.through[..kept] {
            push_name(octets, group.as_str().as_bytes());
            Writer::new(octets).i32(*index);
        }
        let more = self.more_groups.saturating_add(more);
        octets.extend_from_slice(&more.to_be_bytes());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, FormError> {
        let record = read_name(r)?.to_owned();
        let index = r.i32("index of the HS_ADMIN value")?;
        let permissions = AdminPermissions(r.u16("permissions")?);
        let count = read_count(r, "groups of a right", RIGHT_GROUPS_MAX)?;
        let group = |_| {
            let group = read_name(r)?.to_owned();
            Ok((group, r.i32("index of the group")?))
        };
        let through = (0..count).map(group).collect::<Result<_, FormError>>()?;
        Ok(Self {
            record,
            index,
            permissions,
            through,
            more_groups: r.u16("more groups")?,
        })
    }
}

// The limits of what is counted are below 256.
fn push_count(octets: &mut Vec<u8>, count: usize) {
    octets.push(u8::try_from(count).unwrap_or(u8::MAX));
}

fn read_count(r: &mut Reader<'_>, field: &'static str, limit: usize) -> Result<usize, FormError> {
    let at = r.position();
    let count = usize::from(r.u8(field)?);
    check_count(field, at, count, limit)?;
    Ok(count)
}

fn check_count(
    field: &'static str,
    at: usize,
    found: usize,
    limit: usize,
) -> Result<(), DecodeError> {
    match found <= limit {
        true => Ok(()),
        false => Err(DecodeError::new(
            field,
            at,
            Reason::TooLarge { found, limit },
        )),
    }
}

fn unknown(field: &'static str, found: u8) -> FormError {
    FormError::Code { field, found }
}

#[cfg(test)]
pub(crate) mod tests {
    use guantong_proto::limits::HANDLE_LEN_MAX;

    use super::*;
    use crate::limits::TRAIL_LEN_MAX;

    fn handle(name: &str) -> Handle {
        Handle::parse(name).unwrap()
    }

    fn used(groups: usize) -> Used {
        Used {
            record: handle("0.NA/88.118.5"),
            index: 100,
            permissions: AdminPermissions::ADD_HANDLE,
            through: vec![(handle("88.118.5/编辑"), 200); groups],
            more_groups: 0,
        }
    }

    /// One of each kind.
    pub(crate) fn trails() -> Vec<Trail> {
        let peer = |way, address: &str| Source::Peer {
            way,
            address: address.parse().unwrap(),
        };
        let sources = [
            Source::Here,
            Source::Control { uid: 1_000 },
            peer(Way::Udp, "192.0.2.1:4711"),
            peer(Way::Tcp, "[2001:db8::ff00:1]:65535"),
            peer(Way::Http, "192.0.2.2:80"),
            peer(Way::Https, "[::1]:443"),
            peer(Way::Console, "127.0.0.1:50000"),
            Source::Primary {
                address: "primary.example:2641".to_owned(),
            },
        ];
        let rights = [
            Right::Own,
            Right::OpenNode,
            Right::OpenValues,
            Right::ServerAdmin,
            Right::FullAccess,
            Right::Own,
            Right::Administrator(vec![used(0)]),
            Right::Administrator(vec![used(1), used(RIGHT_GROUPS_MAX)]),
        ];
        let both = sources.into_iter().zip(rights);
        both.map(|(from, right)| Trail { from, right }).collect()
    }

    fn decode(octets: &[u8]) -> Result<Trail, FormError> {
        let mut r = Reader::new(octets);
        let trail = Trail::decode(&mut r)?;
        assert!(r.is_empty());
        Ok(trail)
    }

    #[test]
    fn each_source_and_right_comes_back_and_is_refused_where_it_is_cut() {
        for trail in trails() {
            let octets = trail.encode();
            assert_eq!(decode(&octets).unwrap(), trail);
            for len in 0..octets.len() {
                assert!(decode(&octets[..len]).is_err(), "{trail:?} cut at {len}");
            }
        }
        assert_eq!(
            Trail::default().encode().len(),
            2,
            "most have nothing to say"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_groups_are_counted_that_are_left_out() {
        let long = handle(&format!("88.118.5/{}", "g".repeat(HANDLE_LEN_MAX - 9)));
        let longest = Used {
            record: long.clone(),
            through: vec![(long, 200); RIGHT_GROUPS_MAX + 3],
            ..used(0)
        };
        let trail = Trail {
            from: Source::Primary {
                address: "编".repeat(PRIMARY_LEN_MAX),
            },
            right: Right::Administrator(vec![longest.clone(); RIGHT_VALUES_MAX + 1]),
        };
        let octets = trail.encode();
        assert!(octets.len() <= TRAIL_LEN_MAX, "{}", octets.len());
        let decoded = decode(&octets).unwrap();
        let Source::Primary { address } = &decoded.from else {
            panic!("{decoded:?}")
        };
        assert_eq!(address, &"编".repeat(PRIMARY_LEN_MAX / 3));
        let Right::Administrator(values) = &decoded.right else {
            panic!("{decoded:?}")
        };
        assert_eq!(values.len(), RIGHT_VALUES_MAX);
        assert_eq!(values[0].through, longest.through[..RIGHT_GROUPS_MAX]);
        assert_eq!(values[0].more_groups, 3);
        assert_eq!(decoded.encode(), octets, "what was left out stays counted");
    }

    #[test]
    fn unknown_codes_and_counts_above_the_limits_are_refused() {
        let kinds = [
            &[0, 1][..],
            &[9, 1],
            &[1, 0],
            &[1, 7],
            &[3, 5, 1, 2, 3, 4, 0, 80, 1],
        ];
        for octets in kinds {
            assert!(decode(octets).is_err(), "{octets:?}");
        }
        let too_many = u8::try_from(RIGHT_VALUES_MAX + 1).unwrap();
        let found = decode(&[1, 6, too_many]).unwrap_err();
        assert!(found.to_string().contains("values of a right"), "{found}");
        let mut octets = Trail {
            from: Source::Here,
            right: Right::Administrator(vec![used(0)]),
        }
        .encode();
        let at = octets.len() - 3;
        octets[at] = u8::try_from(RIGHT_GROUPS_MAX + 1).unwrap();
        let found = decode(&octets).unwrap_err();
        assert!(found.to_string().contains("groups of a right"), "{found}");
    }
}
