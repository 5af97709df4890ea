//! `files = DIR`, and the options beside it.

use crate::config::model::{CacheControl, Files};
use crate::config::tree::node::Node;
use crate::config::tree::paths::directory;
use crate::config::tree::section::{Key, Section};
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::values::{parse_field_value, parse_file_pattern, parse_index_name};

/// The files of a route.
pub(super) fn files(section: &mut Section<'_>) -> Option<Files> {
    let root = section
        .take("files")
        .and_then(Node::text)
        .and_then(|text| directory(&text));
    let default = Files::beneath(root.clone().unwrap_or_default());
    let files = Files {
        index: section.take("index").map(index).unwrap_or(default.index),
        listing: section.boolean("listing").unwrap_or(default.listing),
        spa: section.boolean("spa").unwrap_or(default.spa),
        clean_urls: section.boolean("clean_urls").unwrap_or(default.clean_urls),
        precompressed: section
            .boolean("precompressed")
            .unwrap_or(default.precompressed),
        cache_control: section
            .take("cache_control")
            .map(cache_control)
            .unwrap_or_default(),
        revalidate: section
            .duration("revalidate", WAIT_OR_NONE)
            .unwrap_or(default.revalidate),
        root: default.root,
    };
    root.and(Some(files))
}

fn index(node: Node<'_>) -> Vec<String> {
    let name = |node: Node<'_>| node.text()?.parse(parse_index_name);
    node.one_or_more().into_iter().filter_map(name).collect()
}

fn cache_control(node: Node<'_>) -> Vec<CacheControl> {
    let help = "write { \"*.css\" = \"max-age=3600\" }".to_owned();
    let Some(section) = node.section("`cache_control`", Some(help)) else {
        return Vec::new();
    };
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let pattern = key.parse(parse_file_pattern)?;
        let value = value.text()?.parse(parse_field_value)?;
        Some(CacheControl { pattern, value })
    };
    section.entries().into_iter().filter_map(entry).collect()
}
