//! The floor: the least that a program can do which waits for readiness.
//!
//! One thread, one epoll instance, edge-triggered. A short read means that the socket is drained, so
//! none is ever read to hear `EAGAIN`. It routes nothing, looks at no clock, sets no timer and logs
//! nothing. It is a yardstick and no server: what another spends beyond it is the price of everything
//! else. It has three modes:
//!
//! * `floor ADDRESS` answers. A request is one `recv`, `httparse` and one `send` of a canned answer; all
//!   complete requests of a read share that `send`. A connection is one `accept4` and is read at once,
//!   since `TCP_DEFER_ACCEPT` says that its request is there; one that ends with its first answer never
//!   meets epoll. Content of requests is not understood.
//! * `floor proxy ADDRESS UPSTREAM` copies octets between each client and a connection of its own to the
//!   upstream, and parses nothing.
//! * `floor upstream ADDRESS [FILE]` is what the proxies that are measured stand in front of. Its path says
//!   how much content it answers with, which is the text of the file, and it takes any content.

mod answer;
mod connection;
mod event_loop;
mod listen;
mod proxy;
mod serving;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::connection::Connection;
use crate::proxy::Proxy;
use crate::serving::{Peer, Serving};
use crate::upstream::Upstream;

/// Where it answers, unless an argument says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8090";

const USAGE: &str = "usage: floor [ADDRESS:PORT]
       floor proxy ADDRESS:PORT UPSTREAM:PORT
       floor upstream ADDRESS:PORT [FILE]";

/// What this process does.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Mode {
    Answer(SocketAddr),
    Proxy(SocketAddr, SocketAddr),
    /// With the file whose text it answers with.
    Upstream(SocketAddr, Option<PathBuf>),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(mode) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: floor, {mode:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The mode that the command line asks for; none if it does not say one.
fn parse(arguments: &[String]) -> Option<Mode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = |word: &str| word.parse().ok();
    Some(match words[..] {
        [] => Mode::Answer(address(DEFAULT_ADDRESS)?),
        [own] => Mode::Answer(address(own)?),
        ["upstream", own] => Mode::Upstream(address(own)?, None),
        ["upstream", own, file] => Mode::Upstream(address(own)?, Some(file.into())),
        ["proxy", own, upstream] => Mode::Proxy(address(own)?, address(upstream)?),
        _ => return None,
    })
}

/// Serves until the process is ended.
fn run(mode: &Mode) -> std::io::Result<()> {
    match mode {
        Mode::Answer(address) => serve::<Connection>(*address, <_>::default()),
        Mode::Upstream(address, file) => {
            let text = file.as_ref().map(std::fs::read).transpose()?;
            serve::<Upstream>(*address, upstream::Shared::of(&text.unwrap_or_default()))
        }
        Mode::Proxy(address, upstream) => {
            Ok(event_loop::run(*address, &mut Proxy::new(*upstream))?)
        }
    }
}

fn serve<P: Peer>(address: SocketAddr, shared: P::Shared) -> std::io::Result<()> {
    Ok(event_loop::run(address, &mut Serving::<P>::new(shared))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_command_line() {
        let (one, two) = ("127.0.0.1:1", "[::1]:2");
        let (first, second) = (
            one.parse().expect("an address"),
            two.parse().expect("one too"),
        );
        for (words, expected) in [
            (vec![one], Some(Mode::Answer(first))),
            (vec!["upstream", two], Some(Mode::Upstream(second, None))),
            (
                vec!["upstream", two, "a.html"],
                Some(Mode::Upstream(second, Some("a.html".into()))),
            ),
            (vec!["proxy", one, two], Some(Mode::Proxy(first, second))),
            (vec!["proxy", one], None),
            (vec!["localhost"], None),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(parse(&words), expected, "{words:?}");
        }
        assert!(parse(&[]).is_some());
    }
}
