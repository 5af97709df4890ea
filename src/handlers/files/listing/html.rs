//! A listing as HTML: a table that can be streamed, that links sort and a form filters, and that needs no
//! script and no other file. Where its script runs, times are those of the reader's clock.
//!
//! Every link is relative. So the page is right behind a gateway or a stripped prefix, and a path
//! such as `//host/` cannot lead elsewhere. The icons of `listing.css` are `data:` images: a
//! `Content-Security-Policy` must allow `img-src data:` and inline styles, and inline scripts where the script is
//! to run.

use std::fmt;
use std::io::{self, Write};

use super::display::{HumanSize, Link, UtcTime, name_characters};
use super::entry::{Entry, EntryKind};
use super::page::{Page, Summary};
use super::sort::SortKey;
use super::view::View;
use crate::config::model::ArchiveForm;
use crate::http::media_type;

const STYLE: &str = include_str!("listing.css");

const SCRIPT: &str = include_str!("listing.js");

pub(super) fn write_head(page: &Page, out: &mut Vec<u8>) -> io::Result<()> {
    write!(
        out,
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Index of {title}</title>
<style>
{STYLE}</style>
<main>
<nav aria-label="Breadcrumb"><h1>"#,
        title = Escaped(&page.path),
    )?;
    write_breadcrumb(&page.path, out)?;
    out.write_all(b"</h1></nav>\n")?;
    write_summary(page, out)?;
    write_archives(&page.archives, out)?;
    write_form(&page.view, out)?;
    out.write_all(b"<table>\n<thead>\n<tr>")?;
    write_column(&page.view, SortKey::Name, "Name", out)?;
    write_column(&page.view, SortKey::Size, "Size", out)?;
    write_column(&page.view, SortKey::Time, "Modified (UTC)", out)?;
    out.write_all(b"</tr>\n</thead>\n<tbody>\n")?;
    if page.path != b"/" {
        out.write_all(PARENT_ROW.as_bytes())?;
    }
    Ok(())
}

const PARENT_ROW: &str = "<tr class=\"up\"><th scope=\"row\"><a href=\"../\">Parent directory</a></th>\
     <td></td><td></td></tr>\n";

/// One entry.
pub(super) fn write_row(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let (class, slash) = match entry.kind {
        EntryKind::Directory => ("dir", "/"),
        EntryKind::File | EntryKind::Other => (class_of(&entry.name), ""),
    };
    out.write_all(b"<tr")?;
    if !class.is_empty() {
        write!(out, " class=\"{class}\"")?;
    }
    write!(
        out,
        "><th scope=\"row\"><a href=\"{link}\"><bdi>{name}{slash}</bdi></a></th>",
        link = Link(entry),
        name = Escaped(&entry.name),
    )?;
    write_size(entry.size, out)?;
    write_time(entry.modified.and_then(UtcTime::from_system), out)?;
    out.write_all(b"</tr>\n")
}

/// What a file of that name looks like in `listing.css`; empty: like any other file.
fn class_of(name: &[u8]) -> &'static str {
    let media_type = media_type::bare_for_path(name);
    match media_type.split_once('/') {
        Some(("image", _)) => "image",
        Some(("video", _)) => "video",
        Some(("audio", _)) => "audio",
        Some(("text", _)) => "text",
        Some(("application", "json" | "javascript" | "xml" | "toml" | "yaml")) => "text",
        Some(("application", "pdf")) => "text",
        Some(("application", _)) if media_type::is_compressed(media_type) => "archive",
        Some(("application", "x-tar")) => "archive",
        _ => "",
    }
}

pub(super) fn write_foot(page: &Page, out: &mut Vec<u8>) -> io::Result<()> {
    out.write_all(b"</tbody>\n</table>\n")?;
    if let Some(readme) = &page.readme {
        let (link, name) = (Link(readme), Escaped(&readme.name));
        writeln!(
            out,
            "<section class=\"readme\"><h2><a href=\"{link}\"><bdi>{name}</bdi></a></h2></section>"
        )?;
    }
    write!(out, "</main>\n<script>\n{SCRIPT}</script>\n</html>\n")
}

fn write_summary(page: &Page, out: &mut Vec<u8>) -> io::Result<()> {
    let filter = &page.view.filter;
    if filter.is_empty() {
        return writeln!(out, "<p>{}</p>", page.summary);
    }
    let text = Escaped(filter.as_bytes());
    match page.summary.count() {
        0 => writeln!(out, "<p>No name has “<bdi>{text}</bdi>” in it.</p>"),
        _ => writeln!(
            out,
            "<p>{} with “<bdi>{text}</bdi>” in the name</p>",
            page.summary
        ),
    }
}

/// The links to the directory as one file. Crawlers are told not to follow them.
fn write_archives(forms: &[ArchiveForm], out: &mut Vec<u8>) -> io::Result<()> {
    if forms.is_empty() {
        return Ok(());
    }
    out.write_all(b"<p>All of it as")?;
    for form in forms {
        let form = form.as_str();
        write!(
            out,
            " <a href=\"?archive={form}\" rel=\"nofollow\" download>{form}</a>"
        )?;
    }
    out.write_all(b"</p>\n")
}

/// The form that filters. It keeps the order.
fn write_form(view: &View, out: &mut Vec<u8>) -> io::Result<()> {
    let text = Escaped(view.filter.as_bytes());
    let (key, order) = (view.sort.key.as_str(), view.sort.order());
    writeln!(
        out,
        "<form role=\"search\"><input type=\"search\" name=\"filter\" value=\"{text}\" aria-label=\"Part of a name\" \
         placeholder=\"Part of a name\" autocomplete=\"off\"><input type=\"hidden\" name=\"sort\" value=\"{key}\">\
         <input type=\"hidden\" name=\"order\" value=\"{order}\"><button>Filter</button></form>"
    )
}

/// The path, each segment a link to its directory; the last one is this page.
fn write_breadcrumb(path: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    // An empty segment is a level for the client that resolves `../` (RFC 3986 §5.2.4).
    let levels = match inner {
        [] => 0,
        _ => inner.split(is_slash).count(),
    };
    write_crumb(levels, " aria-label=\"Root\"", b"", out)?;
    for (index, segment) in inner.split(is_slash).take(levels).enumerate() {
        write_crumb(levels - index - 1, "", segment, out)?;
    }
    Ok(())
}

/// A link to the directory `above` levels above the page.
fn write_crumb(above: usize, label: &str, segment: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let (link, current) = match above {
        0 => ("./".to_owned(), " aria-current=\"page\""),
        _ => ("../".repeat(above), ""),
    };
    let name = Escaped(segment);
    write!(
        out,
        "<a href=\"{link}\"{label}{current}><bdi>{name}/</bdi></a><wbr>"
    )
}

fn is_slash(octet: &u8) -> bool {
    *octet == b'/'
}

/// A column's head: the link that sorts by it and keeps the filter, and the present order if the listing is
/// sorted by it.
fn write_column(view: &View, key: SortKey, title: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let sort = view.sort;
    let (state, arrow) = match (sort.key == key, sort.descending) {
        (false, _) => ("", ""),
        (true, false) => (" aria-sort=\"ascending\"", "↑"),
        (true, true) => (" aria-sort=\"descending\"", "↓"),
    };
    let next = sort.after_choosing(key);
    let (key, order) = (key.as_str(), next.order());
    write!(
        out,
        "<th scope=\"col\"{state}><a href=\"?sort={key}&amp;order={order}"
    )?;
    if !view.filter.is_empty() {
        write!(out, "&amp;filter={}", view.filter)?;
    }
    write!(
        out,
        "\">{title}<span aria-hidden=\"true\">{arrow}</span></a></th>"
    )
}

fn write_size(size: Option<u64>, out: &mut Vec<u8>) -> io::Result<()> {
    match size {
        None => write!(out, "<td>–</td>"),
        Some(bytes) => write!(out, "<td title=\"{bytes} bytes\">{}</td>", HumanSize(bytes)),
    }
}

fn write_time(time: Option<UtcTime>, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(time) = time else {
        return write!(out, "<td>–</td>");
    };
    let (iso, date, clock) = (time.iso(), time.date(), time.clock());
    write!(
        out,
        "<td><time datetime=\"{iso}\">{date} {clock}</time></td>"
    )
}

/// `2 directories, 14 files, 3.1 MiB`
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directories = Count(self.directories, "directory", "directories");
        let files = Count(self.files, "file", "files");
        let bytes = HumanSize(self.bytes);
        match (self.directories, self.files) {
            (0, 0) => f.write_str("Empty"),
            (_, 0) => write!(f, "{directories}"),
            (0, _) => write!(f, "{files}, {bytes}"),
            _ => write!(f, "{directories}, {files}, {bytes}"),
        }
    }
}

/// A number of things, with their name in singular and plural.
struct Count(usize, &'static str, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.0 == 1 { self.1 } else { self.2 };
        write!(f, "{} {name}", self.0)
    }
}

/// A name as text or as the value of a quoted attribute.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_characters(self.0).try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ => fmt::Write::write_char(f, character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Renderer;
    use super::super::tests::{directory, file, render, unreadable};
    use super::*;
    use crate::message::format::Format;

    fn listing(path: &str, entries: Vec<Entry>) -> String {
        render(Format::Html, path, entries)
    }

    #[test]
    fn names_of_any_octets_are_encoded_in_links_and_escaped_in_text() {
        for (name, link, text) in [
            (&b"a.txt"[..], "./a.txt", "a.txt"),
            (b"a:b", "./a:b", "a:b"),
            (
                b"javascript:alert(1)",
                "./javascript:alert(1)",
                "javascript:alert(1)",
            ),
            (
                b"50% of #1?.txt",
                "./50%25%20of%20%231%3F.txt",
                "50% of #1?.txt",
            ),
            (b"<\"'&>", "./%3C%22%27%26%3E", "&lt;&quot;&#39;&amp;&gt;"),
            (b"back\\slash", "./back%5Cslash", "back\\slash"),
            ("gr\u{fc}n".as_bytes(), "./gr%C3%BCn", "gr\u{fc}n"),
            (b"\xff\n", "./%FF%0A", "\u{fffd}\u{240a}"),
        ] {
            let expected = format!("<a href=\"{link}\"><bdi>{text}</bdi></a>");
            let listing = listing("/", vec![file(name)]);
            assert!(listing.contains(&expected), "{expected}");
        }
    }

    #[test]
    fn archives_are_offered_where_the_route_makes_them() {
        let page = |forms: &[ArchiveForm]| {
            let renderer = Renderer::new(Format::Html, b"/".into(), View::default(), Vec::new());
            let mut whole = Vec::new();
            assert!(!renderer.offering(forms).next_block(&mut whole));
            String::from_utf8(whole).expect("listings are UTF-8")
        };
        let link = "<a href=\"?archive=zip\" rel=\"nofollow\" download>zip</a>";
        assert!(page(&[ArchiveForm::Zip]).contains(&format!("<p>All of it as {link}</p>")));
        assert!(page(&ArchiveForm::ALL).contains("?archive=tar.gz"));
        assert!(!page(&[]).contains("archive="));
    }

    #[test]
    fn a_row_shows_what_is_known() {
        let time = r#"<td><time datetime="2026-11-22T23:54:10Z">2026-11-22 23:54</time></td>"#;
        let unknown = "<td>–</td>";
        let size = r#"<td title="1536 bytes">1.5 KiB</td>"#;
        for (entry, start, name, size, time) in [
            (file(b"a"), "<tr>", "a", size, time),
            (directory(b"a"), "<tr class=\"dir\">", "a/", unknown, time),
            (unreadable(b"a"), "<tr>", "a", unknown, unknown),
        ] {
            let link = format!("<a href=\"./{name}\"><bdi>{name}</bdi></a>");
            let expected = format!("{start}<th scope=\"row\">{link}</th>{size}{time}</tr>\n");
            let listing = listing("/", vec![entry]);
            assert!(listing.contains(&expected), "{expected}\n{listing}");
        }
    }

    #[test]
    fn the_breadcrumb_leads_to_every_level_above() {
        for (path, crumbs) in [
            ("/", vec![("./", "")]),
            ("/a/", vec![("../", ""), ("./", "a")]),
            ("/a/b/", vec![("../../", ""), ("../", "a"), ("./", "b")]),
            ("//a/", vec![("../../", ""), ("../", ""), ("./", "a")]),
            ("/<b>/", vec![("../", ""), ("./", "&lt;b&gt;")]),
        ] {
            let listing = listing(path, Vec::new());
            let (_, rest) = listing.split_once("<h1>").expect("one heading");
            let (heading, _) = rest.split_once("</h1>").expect("one heading");
            let found: Vec<_> = heading.split("<a ").skip(1).map(link_and_name).collect();
            assert_eq!(found, crumbs, "{path}");
            assert_eq!(heading.matches("aria-current").count(), 1, "{path}");
            assert_eq!(listing.contains("Parent directory"), path != "/", "{path}");
        }
    }

    /// `href="LINK"…><bdi>NAME/</bdi>`
    fn link_and_name(crumb: &str) -> (&str, &str) {
        let (_, link) = crumb.split_once("href=\"").expect("a link");
        let (link, rest) = link.split_once('"').expect("a quoted link");
        let (_, name) = rest.split_once("<bdi>").expect("a name");
        (link, name.split_once("/</bdi>").expect("a slash").0)
    }

    #[test]
    fn the_columns_link_to_orders_and_name_the_present_one() {
        for (query, sorted, link, title, arrow) in [
            ("", "ascending", "name&amp;order=desc", "Name", "↑"),
            ("", "", "size&amp;order=desc", "Size", ""),
            ("", "", "time&amp;order=desc", "Modified (UTC)", ""),
            (
                "order=desc",
                "descending",
                "name&amp;order=asc",
                "Name",
                "↓",
            ),
            (
                "sort=size&order=desc",
                "descending",
                "size&amp;order=asc",
                "Size",
                "↓",
            ),
            ("sort=size", "", "name&amp;order=asc", "Name", ""),
        ] {
            let state = match sorted {
                "" => String::new(),
                _ => format!(" aria-sort=\"{sorted}\""),
            };
            let link = format!(
                "<a href=\"?sort={link}\">{title}<span aria-hidden=\"true\">{arrow}</span>"
            );
            let expected = format!("<th scope=\"col\"{state}>{link}</a></th>");
            let listing = sorted_listing(query);
            assert!(listing.contains(&expected), "{query}: {expected}");
            assert_eq!(listing.matches("aria-sort=").count(), 1, "{query}");
        }
    }

    fn sorted_listing(query: &str) -> String {
        viewed(query, Vec::new())
    }

    fn viewed(query: &str, entries: Vec<Entry>) -> String {
        let view = View::from_query(query.as_bytes());
        let mut renderer = Renderer::new(Format::Html, b"/".into(), view, entries);
        let mut out = Vec::new();
        renderer.next_block(&mut out);
        String::from_utf8(out).expect("a listing is UTF-8")
    }

    #[test]
    fn a_filter_is_told_kept_and_escaped() {
        let entries = || vec![file(b"a\"<b>.txt"), file(b"c")];
        let listing = viewed("sort=size&order=desc&filter=%22%3Cb%3E", entries());
        for part in [
            "<p>1 file, 1.5 KiB with “<bdi>&quot;&lt;b&gt;</bdi>” in the name</p>",
            "name=\"filter\" value=\"&quot;&lt;b&gt;\"",
            "name=\"sort\" value=\"size\"",
            "name=\"order\" value=\"desc\"",
            "href=\"?sort=name&amp;order=asc&amp;filter=%22%3Cb%3E\"",
        ] {
            assert!(listing.contains(part), "{part}\n{listing}");
        }
        assert!(!listing.contains("./c"), "{listing}");
        let listing = viewed("filter=zzz", entries());
        assert!(
            listing.contains("<p>No name has “<bdi>zzz</bdi>” in it.</p>"),
            "{listing}"
        );
    }

    #[test]
    fn files_look_like_what_they_are() {
        for (name, class) in [
            ("a.png", "image"),
            ("a.svg", "image"),
            ("a.mp4", "video"),
            ("a.flac", "audio"),
            ("a.md", "text"),
            ("a.json", "text"),
            ("a.pdf", "text"),
            ("a.zip", "archive"),
            ("a.tar", "archive"),
            ("a.tar.gz", "archive"),
            ("a.bin", ""),
            ("a", ""),
        ] {
            assert_eq!(class_of(name.as_bytes()), class, "{name}");
        }
    }

    #[test]
    fn a_readme_is_linked_below() {
        let listing = listing("/", vec![file(b"READ<ME.txt"), file(b"README.md")]);
        let section = "</table>\n<section class=\"readme\"><h2><a href=\"./README.md\"><bdi>README.md</bdi></a></h2>";
        assert!(listing.contains(section), "{listing}");
    }

    #[test]
    fn the_summary_counts() {
        for (entries, expected) in [
            (vec![], "Empty"),
            (vec![directory(b"a")], "1 directory"),
            (vec![file(b"a"), unreadable(b"b")], "2 files, 1.5 KiB"),
            (
                vec![directory(b"a"), directory(b"b"), file(b"c")],
                "2 directories, 1 file, 1.5 KiB",
            ),
        ] {
            let listing = listing("/", entries);
            assert!(
                listing.contains(&format!("<p>{expected}</p>")),
                "{expected}"
            );
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let listing = listing("/", vec![file(b"a")]);
        for foreign in ["<link", "@import", "http://", "https://", "src=", "import("] {
            let own_namespace = "xmlns='http://www.w3.org/2000/svg'";
            assert!(
                !listing.replace(own_namespace, "").contains(foreign),
                "{foreign}"
            );
        }
    }
}
