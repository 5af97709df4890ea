//! `links`: what symbolic links beneath a root may lead to.
//!
//! ```toml
//! links = "inside"                    # what lies beneath the root (the default)
//! links = "none"                      # no link is followed
//! links = "anywhere"                  # whatever the server may open
//! links = ["/usr/share/phpmyadmin"]   # beneath the root, or beneath these directories
//! ```

use std::path::PathBuf;

use toml::de::DeValue;

use super::setting::{Kind, Setting};
use crate::config::model::Links;
use crate::config::tree::node::Node;
use crate::config::tree::paths::directory;
use crate::config::words::written;

/// The values that are a word.
const WORDS: &[(&str, Word)] = &[
    ("inside", Word::Inside),
    ("none", Word::None),
    ("anywhere", Word::Anywhere),
];

#[derive(Clone, Copy)]
enum Word {
    Inside,
    None,
    Anywhere,
}

impl<D, M> Setting<D, M> {
    pub(super) const LINKS: Self = Self {
        key: "links",
        kind: Kind::Either(&[
            Kind::Word(|| WORDS.iter().map(|(word, _)| *word).collect()),
            Kind::Array(&Kind::Text),
        ]),
        default: "\"inside\"",
        about: "with `files`, `cgi` and `fastcgi`: what symbolic links may lead to: \"inside\" the \
                root, \"none\", \"anywhere\", or an array of further directories",
        translations: &[
            (
                "disable_symlinks",
                "the setting is called `links`, beside `files`, `cgi` or `fastcgi` in a route",
            ),
            (
                "follow_symlinks",
                "the setting is called `links`, beside `files`, `cgi` or `fastcgi` in a route",
            ),
        ],
        ..Self::BLANK
    };
}

/// Reads the value of `links`.
pub(super) fn read(node: Node<'_>) -> Option<Links> {
    match node.value.get_ref() {
        DeValue::Array(_) => {
            let directories = node.one_or_more().into_iter().map(further_directory);
            Some(Links::Also(directories.collect::<Option<_>>()?))
        }
        DeValue::String(text) if text.contains('/') => {
            let help = format!("write links = [\"{text}\"]");
            node.refuse_type("a word, or an array of directories", Some(help))
        }
        DeValue::String(_) => Some(match node.word(WORDS)? {
            Word::Inside => Links::Inside,
            Word::None => Links::None,
            Word::Anywhere => Links::Anywhere,
        }),
        _ => {
            let help = "write \"inside\", \"none\", \"anywhere\" or [\"DIR\"]".to_owned();
            node.refuse_type("a word, or an array of directories", Some(help))
        }
    }
}

fn further_directory(node: Node<'_>) -> Option<PathBuf> {
    directory(&node.text()?)
}

/// The value as TOML.
pub(super) fn show(links: &Links) -> String {
    match links {
        Links::Inside => written::string("inside"),
        Links::None => written::string("none"),
        Links::Anywhere => written::string("anywhere"),
        Links::Also(directories) => {
            written::array(directories.iter().map(|directory| written::path(directory)))
        }
    }
}
