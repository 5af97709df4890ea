//! `files = DIR`, and the options beside it.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::freshness;
use super::links;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys, index_names};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::model::{ArchiveForm, Files, RequestText, Route, Verb, is_php_source};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::paths::{beside, directory};
use crate::config::tree::section::Section;
use crate::config::words::target::parse_try;
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::written;
use crate::http::path::NormalPath;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "files",
    usage: "files = \"DIR\"",
    example: "\"/\" = { files = \"www\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

/// The verb and the option that the route keeps.
struct Draft {
    files: Files,
    strip_prefix: bool,
}

const SETTINGS: &[Setting<Draft>] = &[
    Setting {
        key: "files",
        kind: Kind::Text,
        about: "the files of a directory",
        translations: &[
            (
                "root",
                "the files of a directory are a route: `\"/\" = { files = \"www\" }`",
            ),
            (
                "static",
                "the files of a directory are a route: `\"/\" = { files = \"www\" }`",
            ),
            (
                "alias",
                "the files of a directory are a route: \
                 `\"/docs\" = { files = \"docs\", strip_prefix = true }`",
            ),
        ],
        read: |node, draft| set(&mut draft.files.root, root(&node.text()?)),
        show: |draft| Some(written::path(&draft.files.root)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| set(&mut draft.strip_prefix, node.boolean()),
        show: |draft| Some(draft.strip_prefix.to_string()),
        ..Setting::STRIP_PREFIX
    },
    Setting {
        read: |node, draft| set(&mut draft.files.index, Some(index_names(node))),
        show: |draft| Some(written::strings(&draft.files.index)),
        ..Setting::INDEX
    },
    Setting {
        key: "listing",
        kind: Kind::Boolean,
        default: "false",
        about: "list directories without an index",
        translations: &[(
            "autoindex",
            "the setting is called `listing`, beside `files` in a route",
        )],
        read: |node, draft| set(&mut draft.files.listing, node.boolean()),
        show: |draft| Some(draft.files.listing.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "archive",
        kind: Kind::Either(&[
            Kind::Boolean,
            Kind::OneOrMore(&Kind::Word(|| {
                ArchiveForm::ALL.map(ArchiveForm::as_str).to_vec()
            })),
        ]),
        default: "false",
        about: "what is listed may be had as one file, by `?archive=tar.gz` or `?archive=zip`: true, or the forms",
        translations: &[(
            "zip",
            "the setting is called `archive`, beside `listing`: archive = [\"zip\"]",
        )],
        read: |node, draft| set(&mut draft.files.archives, archives(node)),
        show: |draft| Some(show_archives(&draft.files.archives)),
        ..Setting::BLANK
    },
    Setting {
        key: "try",
        kind: Kind::TEXTS,
        default: "[]",
        about: "the files that are tried, in order, in place of the one at the path: `{path}` is the path as \
                it is looked for; also `{rest}`, `{host}` and names of the route's path",
        translations: &[(
            "try_files",
            "the setting is called `try`, beside `files` in a route: \
             try = [\"{path}\", \"{path}.html\", \"{path}/index.html\"]; the last one is `fallback`",
        )],
        read: |node, draft| set(&mut draft.files.tries, tries(node)),
        show: |draft| {
            let tries = draft.files.tries.iter();
            Some(written::array(
                tries.map(|text| written::string(&text.written)),
            ))
        },
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| {
            let name = node.text()?.parse(parse_fallback)?;
            set(&mut draft.files.fallback, Some(Some(name)))
        },
        show: |draft| draft.files.fallback.as_deref().map(written::string),
        ..Setting::FALLBACK
    },
    Setting {
        key: "spa",
        kind: Kind::Boolean,
        default: "false",
        about: "navigations that lead nowhere get /index.html",
        read: |node, draft| set(&mut draft.files.spa, node.boolean()),
        show: |draft| Some(draft.files.spa.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "clean_urls",
        kind: Kind::Boolean,
        default: "false",
        about: "`/a` may be answered from `a.html`",
        read: |node, draft| set(&mut draft.files.clean_urls, node.boolean()),
        show: |draft| Some(draft.files.clean_urls.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "decode_slashes",
        kind: Kind::Boolean,
        default: "false",
        about: "`%2F` separates segments, as `/` does",
        read: |node, draft| set(&mut draft.files.decode_slashes, node.boolean()),
        show: |draft| Some(draft.files.decode_slashes.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "precompressed",
        kind: Kind::Boolean,
        default: "true",
        about: "look for `.zst`, `.br` and `.gz` siblings; not where `headers` name `Content-Encoding`",
        translations: &[(
            "gzip",
            "precompressed files (`.gz`, `.br`, `.zst`) beside the originals are served by \
             themselves",
        )],
        read: |node, draft| set(&mut draft.files.precompressed, node.boolean()),
        show: |draft| Some(draft.files.precompressed.to_string()),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| {
            set(
                &mut draft.files.cache_control,
                freshness::cache_control(node),
            )
        },
        show: |draft| Some(freshness::show_cache_control(&draft.files.cache_control)),
        ..Setting::CACHE_CONTROL
    },
    Setting {
        read: |node, draft| set(&mut draft.files.expires, freshness::expires(node)),
        show: |draft| Some(freshness::show_expires(&draft.files.expires)),
        ..Setting::EXPIRES
    },
    Setting {
        key: "revalidate",
        kind: Kind::Duration,
        default: "\"1s\"",
        about: "how long what is cached is believed",
        read: |node, draft| set(&mut draft.files.revalidate, node.duration(WAIT_OR_NONE)),
        show: |draft| Some(written::duration(draft.files.revalidate)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| set(&mut draft.files.links, links::read(node)),
        show: |draft| Some(links::show(&draft.files.links)),
        ..Setting::LINKS
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut draft = Draft {
        files: Files::beneath(PathBuf::new()),
        strip_prefix: false,
    };
    let walked = walk(section, SETTINGS, &mut draft);
    report_two_ways(section, &draft.files);
    report_archive_in_vain(section, &draft.files);
    warn_of_absent_fallback(section, &draft.files);
    warn_of_scripts(section);
    freshness::warn_of_vain_keys(section, &draft.files.root);
    walked.took("files").then_some(Answer {
        verb: Verb::Files(draft.files),
        strip_prefix: draft.strip_prefix,
    })
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Files(files) = &route.verb else {
        return None;
    };
    let draft = Draft {
        files: files.clone(),
        strip_prefix: route.strip_prefix,
    };
    Some(show(SETTINGS, &draft))
}

/// Reads the directory of the files.
fn root(text: &Text<'_>) -> Option<PathBuf> {
    let path = beside(text.node.cx.source, &text.value);
    let written = Path::new(&text.value);
    let (true, Some(parent), Some(name)) = (path.is_file(), written.parent(), written.file_name())
    else {
        return directory(text);
    };
    let parent = match parent.to_string_lossy() {
        here if here.is_empty() => ".".into(),
        parent => parent,
    };
    let message = format!("`{}` is a file, and not a directory", path.display());
    let help = format!(
        "write files = {}, rewrite = {}: that file answers, whatever the path of the route",
        written::string(&parent),
        written::string(&format!("/{}", name.to_string_lossy())),
    );
    let error = Diagnostic::error(message).at(text.node.spot(), "");
    text.node.cx.report(error.help(help));
    None
}

/// Reads `archive`.
fn archives(node: Node<'_>) -> Option<Vec<ArchiveForm>> {
    if let DeValue::Boolean(is_on) = node.value.get_ref() {
        let all = if *is_on { &ArchiveForm::ALL[..] } else { &[] };
        return Some(all.to_vec());
    }
    let words = ArchiveForm::ALL.map(|form| (form.as_str(), form));
    let nodes = node.one_or_more().into_iter();
    // Collected twice, so that each mistake is reported.
    let read: Vec<Option<ArchiveForm>> = nodes.map(|node| node.word(&words)).collect();
    let named: Vec<ArchiveForm> = read.into_iter().collect::<Option<_>>()?;
    let is_named = |form: &ArchiveForm| named.contains(form);
    Some(ArchiveForm::ALL.into_iter().filter(is_named).collect())
}

fn show_archives(forms: &[ArchiveForm]) -> String {
    match forms {
        [] => "false".to_owned(),
        _ if *forms == ArchiveForm::ALL => "true".to_owned(),
        _ => written::array(forms.iter().map(|form| written::string(form.as_str()))),
    }
}

/// Reports `archive` where there is no listing to offer it, or where a path beneath the directory does not lead
/// to the file of that name.
fn report_archive_in_vain(section: &Section<'_>, files: &Files) {
    let Some(node) = section.peek("archive") else {
        return;
    };
    if files.archives.is_empty() {
        return;
    }
    if !files.listing {
        let error =
            Diagnostic::error("`archive` is for directories that are listed").at(node.spot(), "");
        section.report(error.help("write listing = true beside it".to_owned()));
    }
    let others = [
        ("try", !files.tries.is_empty()),
        ("rewrite", section.peek("rewrite").is_some()),
    ];
    for (key, is_said) in others {
        if let (true, Some(other)) = (is_said, section.peek(key)) {
            let message = format!("`archive` and `{key}` do not go together");
            let error = Diagnostic::error(message)
                .at(node.spot(), "")
                .at(other.spot(), "");
            let help = "an archive holds the files at the paths that clients ask for";
            section.report(error.help(help.to_owned()));
        }
    }
}

/// How many files may be tried for one request.
const MAX_TRIES: usize = 8;

/// Reads the texts of `try`. One with a mistake is left out.
fn tries(node: Node<'_>) -> Option<Vec<RequestText>> {
    let nodes = node.one_or_more();
    if nodes.len() > MAX_TRIES {
        let message = format!("`try` names more than {MAX_TRIES} files");
        node.cx
            .report(Diagnostic::error(message).at(node.spot(), ""));
        return None;
    }
    let text = |node: Node<'_>| node.text()?.parse(parse_try);
    Some(nodes.into_iter().filter_map(text).collect())
}

/// Reads the path of a file beneath the root.
fn parse_fallback(path: &str) -> Result<String, Fault> {
    let is_normal = NormalPath::is_normal(path.as_bytes()) && !path.contains('\0');
    if is_normal && !path.ends_with('/') {
        return Ok(path.to_owned());
    }
    let message = "`fallback` is the path of a file beneath the directory, from its slash on";
    Err(Fault::new(0..path.len(), message).help("write \"/index.html\""))
}

/// Reports keys that say in another way which file answers.
fn report_two_ways(section: &Section<'_>, files: &Files) {
    let says = |key: &'static str| section.peek(key);
    let pairs = [
        (
            "clean_urls",
            "try",
            files.clean_urls && !files.tries.is_empty(),
            "write \"{path}.html\" as an element of `try`",
        ),
        (
            "spa",
            "try",
            files.spa && !files.tries.is_empty(),
            "write fallback = \"/index.html\" in place of `spa`",
        ),
        (
            "spa",
            "fallback",
            files.spa && files.fallback.is_some(),
            "`spa` answers navigations alone, `fallback` every request: leave one of them out",
        ),
    ];
    for (key, other, are_both, help) in pairs {
        if let (true, Some(first), Some(second)) = (are_both, says(key), says(other)) {
            let message = format!("`{key}` and `{other}` both say which file answers");
            let error = Diagnostic::error(message)
                .at(first.spot(), "")
                .at(second.spot(), "");
            section.report(error.help(help.to_owned()));
        }
    }
}

/// Warns of a script of PHP that is to answer: its source is sent.
fn warn_of_scripts(section: &Section<'_>) {
    let keys = ["index", "try", "fallback"].into_iter();
    let values = keys.filter_map(|key| section.peek(key));
    let values = values.flat_map(Node::one_or_more);
    let mut names = values.filter_map(|node| {
        // Behind a `?` no file is named, but the recipes of other servers have a query here.
        let name = node.value.get_ref().as_str()?.split('?').next()?;
        is_php_source(name.as_bytes()).then_some((node, name))
    });
    let Some((node, script)) = names.next() else {
        return;
    };
    let root = section
        .peek("files")
        .and_then(|node| node.value.get_ref().as_str());
    let message = format!("`{script}` is sent as text: `files` runs no scripts");
    let help = format!(
        "in place of `files`, `try` and `index` write fastcgi = \"unix:/run/php/php-fpm.sock\", root = {}, \
         fallback = \"index.php\"; files that are no scripts are sent there, too",
        written::string(root.unwrap_or("DIR"))
    );
    let warning = Diagnostic::warning(message).at(node.spot(), "");
    section.report(warning.help(help));
}

/// Warns of a fallback that is not there: the route answers 404 in its place.
fn warn_of_absent_fallback(section: &Section<'_>, files: &Files) {
    let (Some(node), Some(path)) = (section.peek("fallback"), &files.fallback) else {
        return;
    };
    let file = files.root.join(path.trim_start_matches('/'));
    // The files of an empty root are still to come.
    let is_empty = || node.cx.surveys.of(&files.root).is_empty;
    if files.root.is_dir() && !file.is_file() && !is_empty() {
        let message = format!(
            "`{}` is not there, so nothing falls back on it",
            file.display()
        );
        node.cx
            .report(Diagnostic::warning(message).at(node.spot(), ""));
    }
}
