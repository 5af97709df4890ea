//! `fastcgi = ADDRESS`, and the options beside it.

use std::path::{Path, PathBuf};

use super::freshness;
use super::links;
use super::peer::{self, Absent};
use super::script_variables::warn_of_variable;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys, index_names, script_name};
use crate::address::UpstreamAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::model::{Fastcgi, Links, Route, SendDirectory, Verb};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::paths::{absolute, beside, directory, report_path};
use crate::config::tree::section::{Key, Section};
use crate::config::words::address::parse_peer;
use crate::config::words::units::WAIT;
use crate::config::words::values::parse_script_name;
use crate::config::words::written;
use crate::http::path::NormalPath;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "fastcgi",
    usage: "fastcgi = \"ADDRESS\"",
    example: "\"/\" = { fastcgi = \"unix:/run/php/php-fpm.sock\", root = \"www\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

/// The verb and its options while they are read.
struct Draft {
    fastcgi: Fastcgi,
    /// As the file has it, because diagnostics show it so.
    root: PathBuf,
}

const SETTINGS: &[Setting<Draft, Fastcgi>] = &[
    Setting {
        key: "fastcgi",
        kind: Kind::Text,
        about: "the application server at \"unix:/run/php/php-fpm.sock\", \"127.0.0.1:9000\" or \
                \"php:9000\"",
        translations: &[(
            "fastcgi_pass",
            "the setting is called `fastcgi`: \
             `\"/\" = { fastcgi = \"unix:/run/php/php-fpm.sock\", root = \"www\" }`",
        )],
        read: |node, draft| {
            let address = node.text()?.parse(parse_peer)?;
            set(
                &mut draft.fastcgi.peer,
                peer::resolve(node, address, &ABSENT),
            )
        },
        show: |fastcgi| Some(written::upstream(&fastcgi.peer)),
        ..Setting::BLANK
    },
    Setting {
        key: "root",
        kind: Kind::Text,
        about: "the directory of its scripts",
        read: |node, draft| set(&mut draft.root, directory(&node.text()?)),
        show: |fastcgi| Some(written::path(&fastcgi.root)),
        ..Setting::BLANK
    },
    Setting {
        show: |fastcgi| fastcgi.script.as_deref().map(written::string),
        ..Setting::SCRIPT
    },
    Setting {
        read: |node, draft| set(&mut draft.fastcgi.index, Some(index_names(node))),
        show: |fastcgi| chooses(fastcgi).then(|| written::strings(&fastcgi.index)),
        ..Setting::INDEX
    },
    Setting {
        key: "scripts",
        kind: Kind::TEXTS,
        default: "[\".php\"]",
        about: "what the names of scripts end in",
        read: |node, draft| set(&mut draft.fastcgi.scripts, suffixes(node)),
        show: |fastcgi| chooses(fastcgi).then(|| written::strings(&fastcgi.scripts)),
        ..Setting::BLANK
    },
    // `read` takes it, when it knows all suffixes and the root.
    Setting {
        show: |fastcgi| fastcgi.fallback.as_deref().map(written::string),
        ..Setting::FALLBACK
    },
    Setting {
        key: "static_files",
        kind: Kind::Boolean,
        default: "true",
        about: "send files that are no scripts",
        read: |node, draft| set(&mut draft.fastcgi.static_files, node.boolean()),
        show: |fastcgi| chooses(fastcgi).then(|| fastcgi.static_files.to_string()),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| {
            set(
                &mut draft.fastcgi.cache_control,
                freshness::cache_control(node),
            )
        },
        show: |fastcgi| {
            chooses(fastcgi).then(|| freshness::show_cache_control(&fastcgi.cache_control))
        },
        ..Setting::CACHE_CONTROL
    },
    Setting {
        read: |node, draft| set(&mut draft.fastcgi.expires, freshness::expires(node)),
        show: |fastcgi| chooses(fastcgi).then(|| freshness::show_expires(&fastcgi.expires)),
        ..Setting::EXPIRES
    },
    Setting {
        key: "params",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "further parameters",
        translations: &[(
            "fastcgi_param",
            "the setting is called `params`, beside `fastcgi` in a route",
        )],
        read: |node, draft| set(&mut draft.fastcgi.params, params(node)),
        show: |fastcgi| Some(written::secret_pairs(&fastcgi.params)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| set(&mut draft.fastcgi.timeout, node.duration(WAIT)),
        show: |fastcgi| Some(written::duration(fastcgi.timeout)),
        ..Setting::TIMEOUT
    },
    Setting {
        read: |node, draft| set(&mut draft.fastcgi.stream, node.boolean()),
        show: |fastcgi| Some(fastcgi.stream.to_string()),
        ..Setting::STREAM
    },
    Setting {
        key: "sendfile",
        kind: Kind::Boolean,
        default: "false",
        about: "X-Sendfile and X-Accel-Redirect name files beneath `root`",
        read: |node, draft| set(&mut draft.fastcgi.sendfile, node.boolean()),
        show: |fastcgi| Some(fastcgi.sendfile.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "send_files",
        kind: Kind::Either(&[Kind::TEXTS, Kind::TEXT_MAP]),
        default: "[]",
        about: "further directories with files that X-Sendfile and X-Accel-Redirect name; \
                `{ \"/url\" = \"DIR\" }` also says how X-Accel-Redirect calls them",
        translations: &[(
            "internal",
            "write `send_files = { \"/protected\" = \"/srv/media\" }` beside `fastcgi` in a route",
        )],
        read: |node, draft| set(&mut draft.fastcgi.send_files, send_files(node)),
        show: |fastcgi| Some(show_send_files(&fastcgi.send_files)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| set(&mut draft.fastcgi.links, links::read(node)),
        show: |fastcgi| Some(links::show(&fastcgi.links)),
        ..Setting::LINKS
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let nowhere = UpstreamAddress::Unix(PathBuf::new());
    let mut draft = Draft {
        fastcgi: Fastcgi::beneath(PathBuf::new(), nowhere),
        root: PathBuf::new(),
    };
    let walked = walk(section, SETTINGS, &mut draft);
    let Draft {
        mut fastcgi,
        mut root,
    } = draft;
    let is_without_files = section.has("script") && !section.has("root") && !fastcgi.sendfile;
    match section.peek("fastcgi") {
        Some(node) if is_without_files => root = beside(node.cx.source, ""),
        _ if section.lacks("root") => report_no_root(section),
        _ => {}
    }
    fastcgi.script = script_name(section).map(|(name, _)| name);
    if section.has("script") {
        report_pointless(section);
    }
    freshness::warn_of_vain_keys(section, &root);
    let known_root = walked.took("root").then_some(&*root);
    // Which names are scripts is not known while `scripts` has a mistake.
    let fallback = section
        .peek("fallback")
        .filter(|_| !walked.misread(section, "scripts"));
    let fallback = fallback.and_then(Node::text);
    fastcgi.fallback = fallback.and_then(|text| fallback_script(&text, &fastcgi, known_root));
    if !walked.took("fastcgi") || !(walked.took("root") || is_without_files) {
        return None;
    }
    fastcgi.root = absolute(&root);
    Some(Verb::Fastcgi(fastcgi).into())
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Fastcgi(fastcgi) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, fastcgi))
}

/// Whether the path of each request chooses its script.
fn chooses(fastcgi: &Fastcgi) -> bool {
    fastcgi.script.is_none()
}

fn report_no_root(section: &Section<'_>) {
    let Some(node) = section.peek("fastcgi") else {
        return;
    };
    let help =
        "write root = \"DIR\", the directory that the scripts are in; a program that is no file \
                needs none, but script = \"NAME\""
            .to_owned();
    node.cx.report_absence(
        Diagnostic::error("`fastcgi` needs a `root`")
            .at(node.spot(), "")
            .help(help),
    );
}

/// Reports the options that choose a script or a file, in a route with one script for everything.
fn report_pointless(section: &Section<'_>) {
    for key in [
        "fallback",
        "index",
        "scripts",
        "static_files",
        "cache_control",
        "expires",
    ] {
        let Some(node) = section.peek(key) else {
            continue;
        };
        let message = format!("`script` answers everything, so `{key}` has nothing to choose");
        let help = "leave one of them out; files beside the program have a route of their own";
        let error = Diagnostic::error(message).at(node.spot(), "");
        section.report(error.help(help.to_owned()));
    }
}

/// What an operator is told while no application server listens.
const ABSENT: Absent = Absent {
    name: "the route answers 502 until it is; `tidegate reload` looks again",
    socket: "until a server listens there, the route answers 502",
};

/// Reads what the names of scripts end in. Without any, the source of every script would be sent as
/// a file.
fn suffixes(node: Node<'_>) -> Option<Vec<String>> {
    let nodes = node.at_least_one(
        "`scripts` is empty, so nothing would be run",
        "write scripts = \".php\", or `files` in place of `fastcgi` to send files only",
    )?;
    let suffix = |node: Node<'_>| node.text()?.parse(parse_suffix);
    // Collected twice, so that each mistake is reported.
    let suffixes: Vec<Option<String>> = nodes.into_iter().map(suffix).collect();
    suffixes.into_iter().collect()
}

/// Reads a suffix of scripts' names.
fn parse_suffix(text: &str) -> Result<String, Fault> {
    let is_suffix = text.len() > 1 && text.starts_with('.') && !text.contains(['/', '\0']);
    if is_suffix {
        return Ok(text.to_owned());
    }
    let message = format!(
        "`{}` is not what a script's name ends in",
        text.escape_debug()
    );
    Err(Fault::new(0..text.len(), message).help("write scripts = \".php\""))
}

/// Checks the script that `text` names. Returns its path relative to the root.
fn fallback_script(text: &Text<'_>, fastcgi: &Fastcgi, root: Option<&Path>) -> Option<String> {
    let name = text.parse(parse_script_name)?;
    let refuse = |message: String, help: &str| {
        let error = Diagnostic::error(message).at(text.node.spot(), "");
        text.node.cx.report(error.help(help.to_owned()));
        None
    };
    if let Some((path, _)) = name
        .split_once('?')
        .filter(|(path, _)| fastcgi.is_script(path.as_bytes()))
    {
        return refuse(
            format!("`{name}` is not the name of a script, which has no query"),
            &format!(
                "write \"{path}\": the query of the request reaches the script by itself, its path as REQUEST_URI"
            ),
        );
    }
    if !fastcgi.is_script(name.as_bytes()) {
        return refuse(
            format!(
                "`{name}` is not a script, which ends in {}",
                fastcgi.scripts.join(", ")
            ),
            "`fallback` is the script for paths that lead to nothing",
        );
    }
    let public = name.strip_prefix(".well-known/").unwrap_or(&name);
    if public.split('/').any(|segment| segment.starts_with('.')) {
        return refuse(
            format!("`{name}` would never answer: what begins with a dot is hidden"),
            "give the script, and the directories it is in, names without a dot at their start",
        );
    }
    let root = root?;
    let path = root.join(&name);
    if !path.is_file() {
        let message = format!("there is no file `{}`", path.display());
        text.node.cx.note_if_missing(&path);
        report_path(text, Path::new("/"), message);
        return None;
    }
    if !is_allowed(&fastcgi.links, root, &name) {
        return refuse(
            format!(
                "`{}` would never answer: `links` does not let a symbolic link lead there",
                path.display()
            ),
            "put the script itself beneath the root, or write links = [\"DIR\"], the directory \
             that it is in",
        );
    }
    Some(name)
}

/// Whether the file called `name` beneath `root` is where links may lead.
fn is_allowed(links: &Links, root: &Path, name: &str) -> bool {
    let (Ok(root), Ok(target)) = (root.canonicalize(), root.join(name).canonicalize()) else {
        return false;
    };
    let is_beneath = |directory: &PathBuf| {
        let directory = directory.canonicalize();
        directory.is_ok_and(|directory| target.starts_with(directory))
    };
    match links {
        Links::Anywhere => true,
        Links::None => target == root.join(name),
        Links::Inside => target.starts_with(&root),
        Links::Also(directories) => target.starts_with(&root) || directories.iter().any(is_beneath),
    }
}

/// Reads directories, or a table from paths of URLs to directories.
fn send_files(node: Node<'_>) -> Option<Vec<SendDirectory>> {
    let send_directory = |url, node: Node<'_>| {
        let path = absolute(&directory(&node.text()?)?);
        Some(SendDirectory { url, path })
    };
    if !node.value.get_ref().is_table() {
        let nodes = node.one_or_more().into_iter();
        return nodes.map(|node| send_directory(None, node)).collect();
    }
    let entries = node.section("`send_files`", None)?.entries();
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        send_directory(Some(key.parse(parse_url_prefix)?), value)
    };
    entries.into_iter().map(entry).collect()
}

/// Reads a path of a URL, and decodes it.
fn parse_url_prefix(text: &str) -> Result<String, Fault> {
    let decoded = text
        .starts_with('/')
        .then(|| NormalPath::parse(text.as_bytes()).ok())
        .flatten();
    let decoded = decoded.and_then(|path| String::from_utf8(path.as_bytes().to_vec()).ok());
    let prefix = decoded.map(|path| path.trim_end_matches('/').to_owned());
    prefix.filter(|prefix| !prefix.is_empty()).ok_or_else(|| {
        let message = format!("`{}` is not the path of a URL", text.escape_debug());
        Fault::new(0..text.len(), message).help("write { \"/protected\" = \"/srv/media\" }")
    })
}

fn show_send_files(directories: &[SendDirectory]) -> String {
    let path = |directory: &SendDirectory| directory.path.display().to_string();
    let named = |directory: &SendDirectory| Some((directory.url.clone()?, path(directory)));
    let pairs: Vec<(String, String)> = directories.iter().filter_map(named).collect();
    if pairs.is_empty() {
        let paths: Vec<String> = directories.iter().map(path).collect();
        return written::strings(&paths);
    }
    written::pairs(&pairs)
}

fn params(node: Node<'_>) -> Option<Vec<(String, String)>> {
    let help = "write { APP_ENV = \"production\" }".to_owned();
    let section = node.section("`params`", Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_parameter_name)?;
        let text = value.text()?;
        warn_of_variable("params", &name, &text);
        Some((name, text.value))
    };
    Some(section.entries().into_iter().filter_map(entry).collect())
}

fn parse_parameter_name(name: &str) -> Result<String, Fault> {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("`{}` is not the name of a parameter", name.escape_debug());
        return Err(Fault::new(0..name.len(), message));
    }
    Ok(name.to_owned())
}
