//! Postfix and Dovecot behind streams: they learn by the PROXY protocol who the client is. What their
//! configurations need for that stands in docs/databases-and-mail.md, word for word.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};

use crate::documents::block;
use crate::support::{SAFETY, Server, Site, until};

const PAGE: &str = "databases-and-mail.md";
const HEADING: &str = "## SMTP and IMAP";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A mail server. Dropping it ends it.
struct MailServer(Child);

impl Drop for MailServer {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

fn chown(owner: &str, path: &Path) {
    let status = Command::new("chown").arg(owner).arg(path).status();
    assert!(status.expect("chown runs").success());
}

/// Postfix at the port that the document names, which `port` takes the place of.
fn postfix(site: &Site, port: u16) -> MailServer {
    let directory = site.directory();
    for name in ["etc", "queue", "data"] {
        std::fs::create_dir(directory.join(name)).expect("it is new");
    }
    chown("postfix", &directory.join("data"));
    let root = directory.path().display();
    directory.write(
        "etc/main.cf",
        format!(
            "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\n\
             maillog_file = {root}/mail.log\nmaillog_file_prefixes = {root}\n\
             myhostname = mail.example\nmydestination = mail.example\nlocal_recipient_maps =\n\
             mynetworks =\ninet_interfaces = 127.0.0.1\nalias_maps =\n\
             smtpd_relay_restrictions = reject_unauth_destination\n"
        ),
    );
    let listener = block(PAGE, HEADING, "text", 0).replace("10025", &port.to_string());
    directory.write(
        "etc/master.cf",
        format!(
            "postlog unix-dgram n - n - 1 postlogd\n{listener}\
             cleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\n\
             anvil unix - - n - 1 anvil\nqmgr unix n - n 300 1 qmgr\nbounce unix - - n - 0 bounce\n"
        )
        // Without the change of its root directory, which would need a copy of the system's files.
        .replace("n - y - -", "n - n - -"),
    );
    let mut child = Command::new("/usr/lib/postfix/sbin/master");
    child
        .arg("-c")
        .arg(directory.join("etc"))
        .arg("-d")
        .env("MAIL_CONFIG", directory.join("etc"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let made = Command::new("postfix")
        .arg("-c")
        .arg(directory.join("etc"))
        .arg("check")
        .output();
    assert!(made.expect("postfix is installed").status.success());
    MailServer(child.spawn().expect("postfix is installed"))
}

/// Dovecot at the port that the document names, which `port` takes the place of.
fn dovecot(site: &Site, port: u16) -> MailServer {
    let directory = site.directory();
    std::fs::create_dir(directory.join("mail")).expect("it is new");
    chown("mail:mail", &directory.join("mail"));
    let root = directory.path().display();
    let listener = block(PAGE, HEADING, "text", 1).replace("10143", &port.to_string());
    // Its ordinary port belongs to the machine.
    let listener = listener.replace(
        "service imap-login {",
        "service imap-login {\n  inet_listener imap {\n    port = 0\n  }",
    );
    directory.write(
        "dovecot.conf",
        format!(
            "base_dir = {root}/dovecot\nstate_dir = {root}/dovecot-state\nlog_path = {root}/dovecot.log\n\
             protocols = imap\nssl = no\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\n\
             mail_location = maildir:{root}/mail\n\
             passdb {{\n  driver = static\n  args = password=secret\n}}\n\
             userdb {{\n  driver = static\n  args = uid=mail gid=mail home={root}/mail\n}}\n{listener}"
        ),
    );
    let child = Command::new("dovecot")
        .arg("-F")
        .arg("-c")
        .arg(directory.join("dovecot.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    MailServer(child.expect("dovecot is installed"))
}

/// A client at 127.0.0.9.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let from: SocketAddr = ([127, 0, 0, 9], 0).into();
        socket.bind(&from.into()).expect("loopback has it");
        socket.connect(&address.into()).expect("the stream listens");
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(SAFETY))
            .expect("it is not zero");
        Self(BufReader::new(stream))
    }

    /// The next line, empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        read.map_or(String::new(), |_| line.trim_end().to_owned())
    }

    /// Sends a command, and returns the last line of the reply, which begins with `tag`.
    fn ask(&mut self, command: &str, tag: &str) -> String {
        write!(self.0.get_mut(), "{command}\r\n").expect("it is open");
        loop {
            let line = self.line();
            if line.is_empty() || line.starts_with(tag) && !line[tag.len()..].starts_with('-') {
                return line;
            }
        }
    }
}

/// The server with both streams of the document, to these ports.
fn start(site: Site, smtp: u16, imap: u16) -> Server {
    let streams = block(PAGE, HEADING, "toml", 0)
        .replace("\":25\"", "\"127.0.0.2:0\"")
        .replace("\":143\"", "\"127.0.0.3:0\"")
        .replace("127.0.0.1:10025", &format!("127.0.0.1:{smtp}"))
        .replace("127.0.0.1:10143", &format!("127.0.0.1:{imap}"));
    let text =
        format!("[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = '' }}\n{streams}");
    site.directory().write("config.toml", text);
    site.run_from("config.toml").start()
}

/// Where the stream at `host` listens.
fn stream(server: &Server, host: &str) -> SocketAddr {
    let of_host = format!("listening at {host}:");
    let line = server.wait_for_line(|line| line.contains(&of_host));
    let address = line.split_once("listening at ").expect("it says where").1;
    let address = address.split_once(',').expect("and for what").0;
    address.parse().expect("an address")
}

/// Waits until the log of a mail server names the client.
fn wait_for_client(log: &Path) {
    until("the client's address in the log", || {
        let text = std::fs::read_to_string(log).ok()?;
        text.contains("127.0.0.9").then_some(())
    });
}

#[test]
fn mail_servers_learn_who_the_client_is() {
    if !rustix::process::geteuid().is_root() {
        // Both change to users of their own.
        return;
    }
    let site = Site::new("");
    let root: PathBuf = site.directory().path().to_owned();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&root, mode).expect("it is ours");
    let (smtp_port, imap_port) = (free_port(), free_port());
    let _postfix = postfix(&site, smtp_port);
    let _dovecot = dovecot(&site, imap_port);
    let server = start(site, smtp_port, imap_port);

    let smtp = stream(&server, "127.0.0.2");
    // The server speaks first.
    let mut client = until("Postfix listens", || {
        let mut client = Client::connect(smtp);
        client
            .line()
            .starts_with("220 mail.example")
            .then_some(client)
    });
    for (command, expected) in [
        ("EHLO client.example", "250 "),
        ("MAIL FROM:<a@client.example>", "250 2.1.0"),
        ("RCPT TO:<me@mail.example>", "250 2.1.5"),
        // The client is no neighbour, although this server is one.
        ("RCPT TO:<me@elsewhere.example>", "554 5.7.1"),
        ("QUIT", "221 "),
    ] {
        let reply = client.ask(command, &expected[..3]);
        assert!(reply.starts_with(expected), "{command}: {reply}");
    }
    wait_for_client(&root.join("mail.log"));

    let imap = stream(&server, "127.0.0.3");
    let mut client = until("Dovecot listens", || {
        let mut client = Client::connect(imap);
        client.line().starts_with("* OK").then_some(client)
    });
    assert!(client.ask("a LOGIN me secret", "a").starts_with("a OK"));
    assert!(client.ask("b SELECT INBOX", "b").starts_with("b OK"));
    assert!(client.ask("c LOGOUT", "c").starts_with("c OK"));
    wait_for_client(&root.join("dovecot.log"));
}
