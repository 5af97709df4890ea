//! `tidegate explain`: what the configuration makes of a request, and why.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::print;
use crate::config::{self, Strictness};
use crate::http::method::Method;
use crate::server::{Explanation, Question, explain as ask};

/// Tell where a request goes, and why.
///
/// The configuration is read from its file and asked, by the code that serves: the server and the
/// route that answer, those that were considered, the file, the status and the fields.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A method and a URL, or a URL alone for GET: `http://example.com:8080/docs/`, `/docs/`.
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    request: Vec<String>,
    /// A field of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD: VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: IpAddr,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `Field: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(super) fn explain(arguments: &Explain) -> Result<(), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let loaded = config::load(&arguments.config, &environment, Strictness::Lenient);
    let loaded = loaded.map_err(|report| report.to_string())?;
    let question = question(arguments)?;
    let title = format!("{} {}", question.method, question.target);
    let answers = ask(&loaded.config, vec![question])?;
    for answer in answers {
        let answer = answer.map_err(|error| format!("error: {error}"))?;
        print(&if arguments.json {
            to_json(&answer)
        } else {
            to_text(&title, &answer)
        });
    }
    Ok(())
}

fn question(arguments: &Explain) -> Result<Question, String> {
    let (method, url) = match &arguments.request[..] {
        [url] => ("GET", url),
        [method, url] => (method.as_str(), url),
        _ => return Err("error: expected [METHOD] URL".to_owned()),
    };
    let method = Method::from_bytes(method.as_bytes())
        .ok_or_else(|| format!("error: {method} is no method this server knows"))?;
    let (host, target) = match url.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("localhost", url.as_str()),
    };
    let port = host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Ok(Question {
        method,
        target: if target.is_empty() {
            "/".to_owned()
        } else {
            target.to_owned()
        },
        host: host.to_owned(),
        port,
        fields: arguments.fields.clone(),
        client: arguments.client,
    })
}

fn to_text(title: &str, answer: &Explanation) -> String {
    let mut text = format!("{title}\n");
    let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<10}{value}\n"));
    row("listener", &answer.listener);
    row(
        "server",
        answer
            .server
            .as_deref()
            .unwrap_or("none answers for this host"),
    );
    for (index, candidate) in answer.candidates.iter().enumerate() {
        let name = if index == 0 { "routes" } else { "" };
        row(
            name,
            &format!(
                "{} ({}) {}",
                candidate.pattern, candidate.place, candidate.verdict
            ),
        );
    }
    if answer.candidates.is_empty() {
        row("routes", "none matches");
    }
    row("file", answer.file.as_deref().unwrap_or("none"));
    row("limits", &answer.limits);
    row("access", &answer.access);
    row("status", &answer.status.to_string());
    for (index, (name, value)) in answer.fields.iter().enumerate() {
        row(
            if index == 0 { "fields" } else { "" },
            &format!("{name}: {value}"),
        );
    }
    text
}

fn to_json(answer: &Explanation) -> String {
    let candidates: Vec<_> = answer.candidates.iter().map(|candidate| {
        json!({ "route": candidate.pattern, "place": candidate.place, "verdict": candidate.verdict })
    }).collect();
    let fields: Vec<_> = answer
        .fields
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    let json = json!({
        "listener": answer.listener,
        "server": answer.server,
        "considered": candidates,
        "route": answer.route.as_ref().map(ToString::to_string),
        "file": answer.file,
        "limits": answer.limits,
        "access": answer.access,
        "status": answer.status.code(),
        "fields": fields,
    });
    format!("{json:#}\n")
}
