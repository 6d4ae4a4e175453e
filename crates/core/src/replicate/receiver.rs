//! Which records a receiving server holds: the hash of its own site (5.4, 6.8).

use guantong_proto::data::site::HashOption;
use guantong_proto::wire::Writer;
use guantong_proto::{DecodeError, HandleRef, Reason};

/// Most servers of a receiving site; a site record has room for no more.
const SERVERS_MAX: i32 = 1 << 20;

/// One server of a receiving site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    option: HashOption,
    servers: usize,
    server: usize,
}

impl Receiver {
    /// A site of one server, which holds everything.
    pub const ALL: Self = Self {
        option: HashOption::Whole,
        servers: 1,
        server: 0,
    };

    /// The parameters of a request.
    pub fn new(option: u8, servers: i32, server: i32) -> Result<Self, DecodeError> {
        let invalid = |field, why| Err(DecodeError::new(field, 0, Reason::Invalid(why)));
        if !(1..=SERVERS_MAX).contains(&servers) {
            return invalid("server count", "a site has between 1 and 1,048,576 servers");
        }
        if !(0..servers).contains(&server) {
            return invalid("server number", "is not below the number of servers");
        }
        Ok(Self {
            option: HashOption::from_wire(option),
            servers: usize::try_from(servers).unwrap_or(1),
            server: usize::try_from(server).unwrap_or(0),
        })
    }

    /// Whether the server holds the record of `handle`.
    pub fn takes(&self, handle: HandleRef<'_>) -> bool {
        self.servers == 1 || self.option.server_position(handle, self.servers) == Some(self.server)
    }

    /// Appends the parameters as requests have them.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.u8(self.option.to_wire());
        w.size(self.servers);
        w.size(self.server);
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Handle;

    use super::*;

    #[test]
    fn every_record_is_taken_by_exactly_one_server() {
        let servers: Vec<_> = (0..3).map(|n| Receiver::new(2, 3, n).unwrap()).collect();
        for n in 0..200 {
            let handle = Handle::parse(&format!("88.118.5/SN{n}")).unwrap();
            let takers = servers.iter().filter(|s| s.takes(handle.borrow()));
            assert_eq!(takers.count(), 1, "{handle}");
            assert!(Receiver::ALL.takes(handle.borrow()));
        }
    }

    #[test]
    fn parameters_that_no_site_has_are_refused() {
        for (servers, server) in [(0, 0), (-1, 0), (2, 2), (2, -1), (i32::MAX, 0)] {
            assert!(Receiver::new(2, servers, server).is_err());
        }
    }
}
