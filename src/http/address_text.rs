//! The address of a peer as text, without memory of its own.
//!
//! Each line of the log and each request to an upstream has an address. IPv4 is put together from a
//! table, because `write!` takes several times as long.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Octets of an IPv6 address whose last part is written as an IPv4 address: none is longer.
const LONGEST: usize = 45;

/// An address as the standard library writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressText {
    octets: [u8; LONGEST],
    length: usize,
}

impl AddressText {
    pub(crate) fn new(address: IpAddr) -> Self {
        let mut octets = [0; LONGEST];
        let length = match address {
            IpAddr::V4(address) => write_ipv4(address, &mut octets),
            IpAddr::V6(address) => {
                let mut rest = &mut octets[..];
                write!(rest, "{address}").expect("it is long enough");
                LONGEST - rest.len()
            }
        };
        Self { octets, length }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Writes `address` to the beginning of `text`, and returns the number of octets.
fn write_ipv4(address: Ipv4Addr, text: &mut [u8; LONGEST]) -> usize {
    let mut end = 0;
    for octet in address.octets() {
        let (digits, count) = DECIMALS[usize::from(octet)];
        // All four, because a copy of a length that is known is one instruction.
        text[end..end + digits.len()].copy_from_slice(&digits);
        end += usize::from(count) + 1;
    }
    end - 1
}

/// By octet, its decimal digits with a full stop behind them, and how many digits there are.
static DECIMALS: [([u8; 4], u8); 256] = decimals();

const fn decimals() -> [([u8; 4], u8); 256] {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < all.len() {
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
        let [hundreds, tens, ones] = [digit(hundreds), digit(tens), digit(ones)];
        all[octet] = match octet {
            0..10 => ([ones, b'.', b'.', b'.'], 1),
            10..100 => ([tens, ones, b'.', b'.'], 2),
            _ => ([hundreds, tens, ones, b'.'], 3),
        };
        octet += 1;
    }
    all
}

const fn digit(number: usize) -> u8 {
    b'0' + number as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_the_library_writes() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "192.0.2.255",
            "255.255.255.255",
            "10.100.9.19",
            "::1",
            "2001:db8::7",
            "::ffff:192.0.2.1",
            "2001:db8:1111:2222:3333:4444:5555:6666",
        ] {
            let address: IpAddr = text.parse().expect("an address");
            let written = AddressText::new(address);
            assert_eq!(String::from_utf8_lossy(written.as_bytes()), text);
        }
    }
}
