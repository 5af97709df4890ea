//! SRV records (RFC 2782): a name of a service leads to hosts and ports, with priorities and weights.
//!
//! The system's own look-up knows no such records, so the name servers of `/etc/resolv.conf` are asked here,
//! over UDP, and over TCP where an answer is too long. The addresses of the hosts are looked up as any
//! other name's. All of this waits for other machines: call it on a thread that may wait.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::name::{FlattenInto as _, Name, ToName as _};
use domain::base::{Message, MessageBuilder, Rtype};
use domain::rdata::Srv;

/// Where the name servers are written down.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The port of name servers.
const PORT: u16 = 53;

/// The longest message over UDP that is asked for (RFC 1035 §2.3.4).
const MAX_UDP: usize = 512;

/// A host that gives a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Hosts of a lower priority are asked first.
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) host: String,
}

/// Looks `name` up, such as `_http._tcp.shop.internal`.
///
/// # Errors
/// Why there are no records.
pub(super) fn look_up(name: &str) -> io::Result<Vec<Record>> {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    Resolver::parse(&text).look_up(name)
}

/// The name servers, and how patiently they are asked (resolv.conf(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resolver {
    servers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: u32,
}

impl Resolver {
    /// Reads the text of a `resolv.conf`. What is no line of one is skipped, as the system does.
    fn parse(text: &str) -> Self {
        let mut resolver = Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    let server = address.map(|address| SocketAddr::new(address, PORT));
                    resolver.servers.extend(server);
                }
                Some("options") => words.for_each(|option| resolver.set(option)),
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            let local = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
            resolver.servers.push(local);
        }
        resolver
    }

    /// Takes an option: `timeout:1`, `attempts:3`.
    fn set(&mut self, option: &str) {
        let number = |text: &str| text.parse::<u8>().ok().filter(|number| *number > 0);
        match option.split_once(':') {
            Some(("timeout", text)) => {
                let seconds = number(text).map(|seconds| Duration::from_secs(seconds.into()));
                self.timeout = seconds.unwrap_or(self.timeout);
            }
            Some(("attempts", text)) => {
                self.attempts = number(text).map_or(self.attempts, u32::from);
            }
            _ => {}
        }
    }

    /// Asks one server after the other.
    fn look_up(&self, name: &str) -> io::Result<Vec<Record>> {
        let mut failure = io::Error::other("no name server was asked");
        for _ in 0..self.attempts {
            for server in &self.servers {
                match self.ask(*server, name) {
                    Ok(records) => return Ok(records),
                    // A server has said that there is no such name.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    fn ask(&self, server: SocketAddr, name: &str) -> io::Result<Vec<Record>> {
        let query = query(name)?;
        let answer = over_udp(server, &query, self.timeout)?;
        if answer.header().tc() {
            return records(&over_tcp(server, &query, self.timeout)?);
        }
        records(&answer)
    }
}

/// The question for the records of `name`, with a random number, so that no other host can forge the answer.
fn query(name: &str) -> io::Result<Message<Vec<u8>>> {
    let invalid = |error: &dyn std::fmt::Display| {
        let sentence = format!("`{name}` is no name of the DNS: {error}");
        io::Error::new(io::ErrorKind::InvalidInput, sentence)
    };
    let name = Name::<Vec<u8>>::from_str(name).map_err(|error| invalid(&error))?;
    let mut number = [0; 2];
    rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty())?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(u16::from_ne_bytes(number));
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question
        .push((&name, Rtype::SRV))
        .map_err(|error| invalid(&error))?;
    Ok(question.into_message())
}

/// Sends the question in a datagram, and waits for the one that answers it.
fn over_udp(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
    timeout: Duration,
) -> io::Result<Message<Vec<u8>>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    // From now on the system drops datagrams that other addresses send.
    socket.connect(server)?;
    socket.send(query.as_slice())?;
    let deadline = Instant::now() + timeout;
    let mut buffer = [0; MAX_UDP];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let received = match socket.recv(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => received?,
        };
        let answer = Message::from_octets(buffer[..received].to_vec());
        if let Some(answer) = answer.ok().filter(|answer| answer.is_answer(query)) {
            return Ok(answer);
        }
    }
}

/// Asks over TCP, where each message has its length before it (RFC 1035 §4.2.2).
fn over_tcp(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
    timeout: Duration,
) -> io::Result<Message<Vec<u8>>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is malformed");
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let octets = query.as_slice();
    let length = u16::try_from(octets.len()).map_err(|_| malformed())?;
    stream.write_all(&[&length.to_be_bytes(), octets].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    let answer = Message::from_octets(answer).map_err(|_| malformed())?;
    if answer.is_answer(query) {
        Ok(answer)
    } else {
        Err(malformed())
    }
}

/// The records of an answer, behind the aliases that it may begin with.
///
/// # Errors
/// `NotFound` if there are none; others if another server may know more.
fn records(answer: &Message<Vec<u8>>) -> io::Result<Vec<Record>> {
    let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, "the answer is malformed");
    let not_found = || io::Error::new(io::ErrorKind::NotFound, "it has no SRV records");
    match answer.header().rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Err(not_found()),
        code => return Err(io::Error::other(format!("the name server says {code}"))),
    }
    let owner = answer.canonical_name().ok_or_else(not_found)?;
    let mut records = Vec::new();
    for record in answer.answer().map_err(malformed)?.limit_to_in::<Srv<_>>() {
        let record = record.map_err(malformed)?;
        let data = record.data();
        // The root stands for no host: the service is not given (RFC 2782).
        if record.owner().name_eq(&owner) && !data.target().is_root() {
            let host: Name<Vec<u8>> = (*data.target()).flatten_into();
            records.push(Record {
                priority: data.priority(),
                weight: data.weight(),
                port: data.port(),
                host: host.to_string(),
            });
        }
    }
    if records.is_empty() {
        return Err(not_found());
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use domain::base::Ttl;
    use domain::rdata::Cname;

    use super::*;

    fn name(text: &str) -> Name<Vec<u8>> {
        Name::from_str(text).expect("a name")
    }

    /// What a name server answers to `query`: hosts of `_http._tcp.shop`, of which `_w._tcp.shop` is an
    /// alias.
    fn answer(query: &[u8], hosts: &[(u16, u16, u16, &str)], is_cut: bool) -> Vec<u8> {
        let query = Message::from_octets(query).expect("a message");
        let builder = MessageBuilder::new_vec();
        let mut answer = builder.start_answer(&query, Rcode::NOERROR).expect("room");
        answer.header_mut().set_tc(is_cut);
        let ttl = Ttl::from_secs(60);
        let (alias, service) = (name("_w._tcp.shop"), name("_http._tcp.shop"));
        answer
            .push((&alias, ttl, Cname::new(service.clone())))
            .expect("room");
        for (priority, weight, port, host) in hosts {
            let data = Srv::new(*priority, *weight, *port, name(host));
            answer.push((&service, ttl, data)).expect("room");
            let other = Srv::new(0, 0, 9, name("other"));
            answer
                .push((&name("_else._tcp.shop"), ttl, other))
                .expect("room");
        }
        answer.finish()
    }

    fn resolver(servers: Vec<SocketAddr>) -> Resolver {
        Resolver {
            servers,
            timeout: Duration::from_secs(20),
            attempts: 1,
        }
    }

    /// A name server that gives one answer by UDP, after one that belongs to no question.
    fn name_server(
        hosts: &'static [(u16, u16, u16, &'static str)],
        is_cut: bool,
    ) -> (SocketAddr, JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let address = socket.local_addr().expect("it is bound");
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; MAX_UDP];
            let (length, client) = socket.recv_from(&mut buffer).expect("a question");
            let mut right = answer(&buffer[..length], hosts, is_cut);
            right[1] ^= 1;
            socket.send_to(&right, client).expect("sent");
            right[1] ^= 1;
            socket.send_to(&right, client).expect("sent");
        });
        (address, thread)
    }

    fn record(priority: u16, weight: u16, port: u16, host: &str) -> Record {
        Record {
            priority,
            weight,
            port,
            host: host.to_owned(),
        }
    }

    #[test]
    fn reads_where_the_name_servers_are() {
        let text = "# nameserver 9.9.9.9\nnameserver 10.0.0.1\nnameserver ::1\nnameserver x\n\
                    search shop\noptions ndots:2 timeout:1 attempts:x attempts:3\n";
        let expected = Resolver {
            servers: vec![
                "10.0.0.1:53".parse().expect("one"),
                "[::1]:53".parse().expect("one"),
            ],
            timeout: Duration::from_secs(1),
            attempts: 3,
        };
        assert_eq!(Resolver::parse(text), expected);
        let local = ["127.0.0.1:53".parse().expect("one")];
        assert_eq!(Resolver::parse("").servers, local);
    }

    #[test]
    fn the_records_of_the_service_are_found_behind_its_alias() {
        let (server, thread) = name_server(&[(1, 5, 80, "a.shop"), (2, 0, 81, "b.shop")], false);
        let found = resolver(vec![server])
            .look_up("_w._tcp.shop")
            .expect("records");
        assert_eq!(
            found,
            [record(1, 5, 80, "a.shop"), record(2, 0, 81, "b.shop")]
        );
        thread.join().expect("it was asked");
    }

    #[test]
    fn the_root_is_no_host() {
        let (server, thread) = name_server(&[(0, 0, 0, ".")], false);
        let error = resolver(vec![server])
            .look_up("_w._tcp.shop")
            .expect_err("none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        thread.join().expect("it was asked");
    }

    #[test]
    fn an_answer_that_is_cut_is_asked_for_over_tcp() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listening.local_addr().expect("it is bound");
        let socket = UdpSocket::bind(address).expect("the same port is free for UDP");
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; MAX_UDP];
            let (length, client) = socket.recv_from(&mut buffer).expect("a question");
            let cut = answer(&buffer[..length], &[], true);
            socket.send_to(&cut, client).expect("sent");
            let (mut stream, _) = listening.accept().expect("a connection");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).expect("a question");
            let whole = answer(&question, &[(0, 1, 80, "a.shop")], false);
            let length = u16::try_from(whole.len()).expect("short").to_be_bytes();
            stream
                .write_all(&[&length, &whole[..]].concat())
                .expect("room");
        });
        let found = resolver(vec![address])
            .look_up("_w._tcp.shop")
            .expect("records");
        assert_eq!(found, [record(0, 1, 80, "a.shop")]);
        thread.join().expect("it was asked");
    }

    #[test]
    fn the_next_server_is_asked_where_one_is_not_there() {
        let closed = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let nowhere = closed.local_addr().expect("it is bound");
        drop(closed);
        let (server, thread) = name_server(&[(0, 1, 80, "a.shop")], false);
        let found = resolver(vec![nowhere, server]).look_up("_w._tcp.shop");
        assert_eq!(found.expect("records").len(), 1);
        thread.join().expect("it was asked");
        assert!(resolver(vec![nowhere]).look_up("_w._tcp.shop").is_err());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let long = "a".repeat(64);
        let error = resolver(Vec::new()).ask(([127, 0, 0, 1], 1).into(), &long);
        assert_eq!(
            error.expect_err("refused").kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
