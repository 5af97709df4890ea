//! Why the server cannot listen at an address, and which address it may do without.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use crate::address::ListenAddress;

/// Why the server cannot listen at an address. The operator can mend it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {reason}")]
pub(crate) struct ListenError {
    address: ListenAddress,
    reason: String,
    is_missing_family: bool,
}

impl ListenError {
    pub(super) fn new(address: &ListenAddress, error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let reason = match (errno, address) {
            (Some(Errno::ADDRINUSE), ListenAddress::Ip(ip)) => format!(
                "another program, perhaps another tidegate, listens there; stop it, or choose another port (`ss -ltnp 'sport = :{}'` shows which)",
                ip.port()
            ),
            (Some(Errno::ACCESS | Errno::PERM), ListenAddress::Ip(_)) => format!(
                "ports below 1024 are privileged; choose a higher one, or allow it: `setcap cap_net_bind_service=+ep` on the program (the system says: {error})"
            ),
            (Some(Errno::ADDRNOTAVAIL), _) => {
                "no interface of this machine has that address; `ip address` lists those there are"
                    .to_owned()
            }
            (Some(Errno::ROFS), _) => format!(
                "{error}; choose another path, or let the server write there: under systemd, its unit needs `RuntimeDirectory=tidegate` for /run/tidegate, or `ReadWritePaths=` with the directory"
            ),
            (Some(Errno::AFNOSUPPORT), _) => "this machine has no IPv6".to_owned(),
            _ => error.to_string(),
        };
        let is_missing_family = matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL));
        Self {
            address: address.clone(),
            reason,
            is_missing_family,
        }
    }

    /// Whether the server does without the address: the machine has no IPv6, and the address stands
    /// beside its IPv4 counterpart in `all`. `localhost` and `:8080` stand for both.
    pub(super) fn may_be_passed_over(&self, all: &[ListenAddress]) -> bool {
        self.is_missing_family && is_implied(&self.address, all)
    }
}

/// Whether an IPv6 wildcard or loopback address stands beside its IPv4 counterpart, as `localhost`
/// and `:PORT` mean both.
fn is_implied(address: &ListenAddress, all: &[ListenAddress]) -> bool {
    let Some(address) = address.ip() else {
        return false;
    };
    let counterpart = match address.ip() {
        IpAddr::V6(Ipv6Addr::LOCALHOST) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => return false,
    };
    all.contains(&ListenAddress::Ip(SocketAddr::new(
        counterpart,
        address.port(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::SocketPath;

    fn at(text: &str) -> ListenAddress {
        ListenAddress::Ip(text.parse().expect("an address"))
    }

    #[test]
    fn only_a_counterpart_implies_ipv6() {
        let both = [at("127.0.0.1:80"), at("[::1]:80")];
        assert!(is_implied(&both[1], &both));
        assert!(!is_implied(&both[0], &both));
        assert!(!is_implied(&at("[::1]:81"), &both));
        assert!(!is_implied(&at("[2001:db8::1]:80"), &both));
    }

    #[test]
    fn a_socket_on_a_read_only_file_system_is_told_with_its_remedy() {
        let address = ListenAddress::Unix(SocketPath::new("/srv/site.sock".into()));
        let error = ListenError::new(&address, &Errno::ROFS.into()).to_string();
        assert!(error.contains("`ReadWritePaths=`"), "{error}");
    }

    #[test]
    fn a_machine_without_ipv6_does_without_what_stands_for_both() {
        let all = [at("127.0.0.1:80"), at("[::1]:80"), at("[2001:db8::1]:80")];
        let refused = |address, errno: Errno| {
            ListenError::new(address, &errno.into()).may_be_passed_over(&all)
        };
        assert!(refused(&all[1], Errno::AFNOSUPPORT) && refused(&all[1], Errno::ADDRNOTAVAIL));
        assert!(!refused(&all[1], Errno::ADDRINUSE));
        assert!(!refused(&all[2], Errno::AFNOSUPPORT));
    }
}
