//! `tidegate dashboard`: the live page of a running server, in a browser on this machine.
//!
//! ```text
//! browser ─ /TOKEN         → this process: the page (verb `dashboard`)
//!         ─ /TOKEN?events  → this process ─ proxy ─ GET /live → control socket of the server
//! ```
//!
//! This process is a server of its own, with a configuration that is made here. Other users of the machine can
//! connect to its port, so that the path has a token that they cannot guess. A page of another site can have the
//! browser connect, by a name that leads to 127.0.0.1: a host that is not this machine's is answered 421.

use std::path::Path;

use clap::Args;
use rustix::rand::{GetRandomFlags, getrandom};

use super::browser::Opened;
use super::config_file::ConfigFile;
use super::starting::{describe, start};
use crate::address::ListenAddress;
use crate::api::Handlers;
use crate::config::{self, Surroundings};
use crate::control::client::{ClientError, Command, exchange, find_socket};
use crate::generation::prepare::{Prepared, prepare};
use crate::log::diagnostic;
use crate::supervisor::{Inherited, Role, Setup, Supervisor};

/// What the configuration is called where a mistake in it is told.
const NAME: &str = "tidegate dashboard";

/// Octets of the token.
const TOKEN: usize = 16;

/// Show in a browser what the running server does, second by second.
///
/// The page is at an address of this machine alone, for as long as the command runs. The address has a token
/// that other users do not know: who has the address can see what the page shows, and change nothing.
#[derive(Args, Debug)]
pub(super) struct Dashboard {
    #[command(flatten)]
    server: ConfigFile,
    /// The port of 127.0.0.1 for the page; 0 is any free one.
    #[arg(short, long, default_value_t = 0)]
    port: u16,
    /// Print the address, and open no browser.
    #[arg(long)]
    no_open: bool,
}

/// Serves the page, until a signal ends that.
///
/// # Errors
/// If no server runs, if it tells no live numbers, or if the page cannot be served.
pub(super) fn dashboard(arguments: &Dashboard) -> Result<(), String> {
    let file = arguments.server.path();
    check_server(file)?;
    let socket = find_socket(file).map_err(|error| error.to_string())?;
    let token = new_token()?;
    let supervisor = serve(&configuration(arguments.port, &token, &socket))?;
    let address = supervisor.addresses().find_map(ListenAddress::ip);
    let address = address.ok_or("error: the page has no address")?;
    let url = format!("http://{address}/{token}");
    diagnostic::print(&format!(
        "\n  The live page of the server that runs from {}\n\n    {url}\n\n  Ctrl-C ends it\n\n",
        file.display()
    ));
    // Its file is there until the command ends.
    let _opened = if arguments.no_open {
        None
    } else {
        Opened::in_browser(&url)
    };
    supervisor.run().map_err(|error| describe(&error))
}

/// Asks the server that runs from `file` once, so that the operator hears at once why there is nothing to show.
fn check_server(file: &Path) -> Result<(), String> {
    let command = Command {
        method: "GET",
        target: "/live",
        accept: "application/json",
        fields: "",
    };
    match exchange(file, command) {
        Ok(_) => Ok(()),
        Err(ClientError::Refused(answer)) => Err(format!(
            "error: the server that runs from {} tells no live numbers, as one of an older version does; \
             `tidegate upgrade` starts the version that is installed: {}",
            file.display(),
            answer.lines().next().unwrap_or_default()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Makes the server of the page.
fn serve(configuration: &str) -> Result<Supervisor, String> {
    let inherited = Inherited::from_environment();
    let handlers = Handlers::new();
    let surroundings = Surroundings::of_process(&handlers);
    let checked = config::parse(configuration, Path::new(NAME), surroundings);
    let prepared = prepare(checked, &handlers, None);
    let Prepared { loaded, generation } = prepared.map_err(|report| report.to_string())?;
    start(Setup {
        config: loaded.config,
        generation,
        file: None,
        handlers,
        role: Role::Program(inherited),
    })
}

/// The configuration of the server of the page, at `port`. A stop waits for no page, because its events never end.
fn configuration(port: u16, token: &str, socket: &Path) -> String {
    let socket = format!("unix:{}", socket.display()).replace('$', "$$");
    let socket = toml::Value::String(socket);
    format!(
        r#"
workers = 1
grace = "0s"
log = {{ access = false, level = "warn" }}

[[server]]
listen = "127.0.0.1:{port}"
hosts = ["127.0.0.1", "localhost", "[::1]"]
headers = {{ Referrer-Policy = "no-referrer" }}

[server.routes]
"= /{token}" = [
    {{ when = {{ method = "GET", query.events = true }}, proxy = "server", rewrite = "/live", buffer = false, request_headers = {{ Accept = "text/event-stream" }} }},
    {{ dashboard = true }},
]

# Other hosts have a server of their own: where none answers for a host, the log warns the operator to name that
# host, and here it is refused on purpose.
[[server]]
listen = "127.0.0.1:{port}"
routes."/" = {{ respond = "The live page is at 127.0.0.1 alone.\n", status = 421 }}

# A server that comes back is asked soon, because the page shows no past that it has missed.
[upstreams.server]
servers = [{socket}]
failures = {{ pause = "1s" }}
"#
    )
}

/// A token that cannot be guessed.
///
/// # Errors
/// If the system gives no random octets.
fn new_token() -> Result<String, String> {
    let mut octets = [0; TOKEN];
    let got = getrandom(&mut octets, GetRandomFlags::empty());
    if got != Ok(TOKEN) {
        return Err("error: the system gives no random octets for the address".to_owned());
    }
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn the_configuration_is_taken_without_a_warning() {
        let directory = TemporaryDirectory::new("dashboard");
        for name in ["0.sock", "$a \"b\".sock"] {
            let socket = directory.path().join(name);
            let _listener = UnixListener::bind(&socket).expect("ours");
            let text = configuration(0, "0123", &socket);
            let handlers = Handlers::new();
            let surroundings = Surroundings::of_process(&handlers);
            let checked = config::parse(text, Path::new(NAME), surroundings);
            let prepared = prepare(checked, &handlers, None).expect("it is valid");
            assert_eq!(prepared.loaded.warnings.to_string(), "");
            let server = &prepared.loaded.config.upstreams[0].servers[0];
            assert_eq!(
                server.url().to_string(),
                format!("unix:{}", socket.display())
            );
        }
    }

    #[test]
    fn tokens_differ() {
        let tokens = [new_token(), new_token()].map(|token| token.expect("random octets"));
        assert_ne!(tokens[0], tokens[1]);
        assert!(tokens.iter().all(|token| token.len() == 2 * TOKEN));
    }
}
