//! The commands for a running server: each sends one request to its control socket.

use std::path::Path;

use clap::{Args, Subcommand};

use super::config_file::ConfigFile;
use super::output::print;
use crate::config;
use crate::control::client::{ClientError, Command, exchange};
use crate::control::question::Question;

/// How a running server is found.
#[derive(Args, Debug)]
pub(super) struct Remote {
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    server: Remote,
    /// Take it back after this time, unless `tidegate confirm` comes first: `30s`, `5m`.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    confirm: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    server: Remote,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Metrics {
    #[command(flatten)]
    server: Remote,
    /// In the form of OpenMetrics.
    #[arg(long)]
    openmetrics: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Upstream {
    /// Send a server no new requests, until `enable` or the next reload.
    ///
    /// Clients that `sticky` has given it keep it.
    Drain(UpstreamServer),
    /// Send a server requests again.
    Enable(UpstreamServer),
}

#[derive(Debug, Subcommand)]
pub(super) enum Acme {
    /// Give the account with the CA a new key, in place of the one that it has.
    ///
    /// The account stays, and so do its certificates. Use it if another person may have read the key.
    RollKey(Remote),
}

#[derive(Args, Debug)]
pub(super) struct UpstreamServer {
    /// The upstream and the server, as `tidegate status` lists them: `shop/127.0.0.1:8000`.
    #[arg(value_name = "NAME/ADDRESS")]
    server: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct RestartApp {
    /// The NAME of `[apps.NAME]`.
    #[arg(value_name = "NAME")]
    app: String,
    #[command(flatten)]
    server: Remote,
}

/// Asks for new processes of an application.
pub(super) fn restart_app(arguments: &RestartApp) -> Result<(), String> {
    let encoded = form_urlencoded::byte_serialize(arguments.app.as_bytes());
    let target = format!("/restart-app?app={}", encoded.collect::<String>());
    tell(&arguments.server, "POST", &target)
}

/// Checks a time, and leaves it as it is for the server to read.
fn parse_time(text: &str) -> Result<String, String> {
    let time = config::parse_duration(text).filter(|time| !time.is_zero());
    time.map(|_| text.to_owned())
        .ok_or_else(|| "expected a time, like 30s or 5m".to_owned())
}

/// Asks for a reload; with `--confirm`, for one that has to be confirmed.
pub(super) fn reload(arguments: &Reload) -> Result<(), String> {
    let target = match &arguments.confirm {
        Some(time) => format!("/reload?confirm={}", time.replace(' ', "")),
        None => "/reload".to_owned(),
    };
    tell(&arguments.server, "POST", &target)
}

/// Takes a server of an upstream out, or back in.
pub(super) fn upstream(command: &Upstream) -> Result<(), String> {
    let (verb, arguments) = match command {
        Upstream::Drain(arguments) => ("drain", arguments),
        Upstream::Enable(arguments) => ("enable", arguments),
    };
    let encoded = form_urlencoded::byte_serialize(arguments.server.as_bytes());
    let target = format!("/upstream/{verb}?server={}", encoded.collect::<String>());
    tell(&arguments.remote, "POST", &target)
}

/// Has the account with the CA get a new key.
pub(super) fn acme(command: &Acme) -> Result<(), String> {
    let Acme::RollKey(server) = command;
    tell(server, "POST", "/acme/roll-key")
}

/// Prints what the server tells about itself.
pub(super) fn status(arguments: &Status) -> Result<(), String> {
    let accept = if arguments.json {
        "application/json"
    } else {
        "text/plain"
    };
    print(&ask(
        arguments.server.config.path(),
        get("/status", accept),
    )?)
}

/// Prints what the server counts.
pub(super) fn metrics(arguments: &Metrics) -> Result<(), String> {
    let accept = if arguments.openmetrics {
        "application/openmetrics-text"
    } else {
        "text/plain"
    };
    let command = get("/metrics", accept);
    print(&ask(arguments.server.config.path(), command)?)
}

/// A request for `target` that changes nothing.
fn get<'a>(target: &'a str, accept: &'a str) -> Command<'a> {
    Command {
        method: "GET",
        target,
        accept,
        fields: "",
    }
}

/// Asks the server that runs from `config`.
///
/// # Errors
/// The message to print.
fn ask(config: &Path, command: Command<'_>) -> Result<String, String> {
    exchange(config, command).map_err(|error| error.to_string())
}

/// The listeners of the server that runs from `config`; none if no server runs from it.
///
/// # Errors
/// A sentence, if a server runs from it and does not answer.
pub(super) fn listeners(config: &Path) -> Result<Vec<String>, String> {
    let text = match exchange(config, get("/status", "application/json")) {
        Err(ClientError::NoAnswer(sentence)) => return Err(sentence),
        answer => answer.unwrap_or_default(),
    };
    let status = serde_json::from_str::<serde_json::Value>(&text).ok();
    let listeners = status
        .as_ref()
        .and_then(|status| status["listeners"].as_array());
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    Ok(listeners
        .map(|all| all.iter().filter_map(text).collect())
        .unwrap_or_default())
}

/// Prints where the server would lead a request.
pub(super) fn explain(config: &Path, question: &Question, json: bool) -> Result<(), String> {
    let accept = if json {
        "application/json"
    } else {
        "text/plain"
    };
    let fields: String = question
        .to_fields()
        .into_iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.replace(['\r', '\n'], " ")))
        .collect();
    let command = Command {
        fields: &fields,
        ..get("/explain", accept)
    };
    print(&ask(config, command)?)
}

/// Sends a request to the server, and prints its reply.
pub(super) fn tell(server: &Remote, method: &str, target: &str) -> Result<(), String> {
    let command = Command {
        method,
        ..get(target, "text/plain")
    };
    print(&ask(server.config.path(), command)?)
}
