//! `fastcgi = ADDRESS`, and the options beside it.

use std::path::{Path, PathBuf};

use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::model::Fastcgi;
use crate::config::tree::node::{Node, Text};
use crate::config::tree::paths::{beside, directory, report_path, unix};
use crate::config::tree::section::{Key, Section};
use crate::config::words::address::parse_peer;
use crate::config::words::units::WAIT;
use crate::config::words::values::parse_index_name;

pub(crate) fn fastcgi(section: &mut Section<'_>) -> Option<Fastcgi> {
    let peer = section.take("fastcgi").and_then(peer);
    let root = match section.take("root") {
        Some(node) => node.text().and_then(|text| directory(&text)),
        None => {
            report_no_root(section);
            None
        }
    };
    let nowhere = ListenAddress::Unix(PathBuf::new());
    let known = root.clone().unwrap_or_default();
    let default = Fastcgi::beneath(known, peer.clone().unwrap_or(nowhere));
    let mut fastcgi = Fastcgi {
        index: section.take("index").map_or(default.index, index),
        scripts: section.take("scripts").map_or(default.scripts, suffixes),
        static_files: section
            .boolean("static_files")
            .unwrap_or(default.static_files),
        params: section.take("params").map(params).unwrap_or_default(),
        timeout: section.duration("timeout", WAIT).unwrap_or(default.timeout),
        sendfile: section.boolean("sendfile").unwrap_or(default.sendfile),
        ..default
    };
    let fallback = section.take("fallback").and_then(Node::text);
    fastcgi.fallback = fallback.and_then(|text| fallback_script(&text, &fastcgi, root.as_deref()));
    peer.and(root).and(Some(fastcgi))
}

fn report_no_root(section: &mut Section<'_>) {
    let Some(node) = section.take("fastcgi") else {
        return;
    };
    let help = "write root = \"DIR\", the directory that the scripts are in".to_owned();
    node.cx.report_absence(
        Diagnostic::error("`fastcgi` needs a `root`")
            .at(node.spot(), "")
            .help(help),
    );
}

/// The address of the application server. One that is not there now may be there when it is asked.
fn peer(node: Node<'_>) -> Option<ListenAddress> {
    match node.text()?.parse(parse_peer)? {
        ListenAddress::Unix(written) => {
            let address = unix(node, &written)?;
            warn_of_missing_socket(node, &beside(node.cx.source, written));
            Some(address)
        }
        address => Some(address),
    }
}

fn warn_of_missing_socket(node: Node<'_>, path: &Path) {
    if path.exists() {
        return;
    }
    let message = format!("there is no socket `{}`", path.display());
    let help = "until somebody listens there, the route answers 502".to_owned();
    node.cx
        .report(Diagnostic::warning(message).at(node.spot(), "").help(help));
}

fn index(node: Node<'_>) -> Vec<String> {
    let name = |node: Node<'_>| node.text()?.parse(parse_index_name);
    node.one_or_more().into_iter().filter_map(name).collect()
}

fn suffixes(node: Node<'_>) -> Vec<String> {
    let suffix = |node: Node<'_>| node.text()?.parse(parse_suffix);
    node.one_or_more().into_iter().filter_map(suffix).collect()
}

/// What the names of scripts end in.
fn parse_suffix(text: &str) -> Result<String, Fault> {
    let is_suffix = text.len() > 1 && text.starts_with('.') && !text.contains(['/', '\0']);
    match is_suffix {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(
            0..text.len(),
            format!(
                "`{}` is not what a script's name ends in",
                text.escape_debug()
            ),
        )
        .help("write scripts = \".php\"")),
    }
}

/// The script that `text` names, relative to the root.
fn fallback_script(text: &Text<'_>, fastcgi: &Fastcgi, root: Option<&Path>) -> Option<String> {
    let name = text.value.trim_start_matches('/');
    if !fastcgi.is_script(name.as_bytes()) {
        let message = format!(
            "`{name}` is not a script, which ends in {}",
            fastcgi.scripts.join(", ")
        );
        text.node.cx.report(
            Diagnostic::error(message)
                .at(text.node.spot(), "")
                .help("`fallback` is the script for paths that lead to nothing".to_owned()),
        );
        return None;
    }
    let path = root?.join(name);
    if !path.is_file() {
        report_path(
            text,
            Path::new("/"),
            format!("there is no file `{}`", path.display()),
        );
        return None;
    }
    Some(name.to_owned())
}

fn params(node: Node<'_>) -> Vec<(String, String)> {
    let help = "write { APP_ENV = \"production\" }".to_owned();
    let Some(section) = node.section("`params`", Some(help)) else {
        return Vec::new();
    };
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_parameter_name)?;
        Some((name, value.text()?.value))
    };
    section.entries().into_iter().filter_map(entry).collect()
}

fn parse_parameter_name(name: &str) -> Result<String, Fault> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(Fault::new(
            0..name.len(),
            format!("`{}` is not the name of a parameter", name.escape_debug()),
        )),
        false => Ok(name.to_owned()),
    }
}
