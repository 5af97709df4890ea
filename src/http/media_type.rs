//! Media types (RFC 9110 §8.3) of files, by their names.
//!
//! `mime_guess` has the table; this module corrects the types in it that are not the registered ones.

use std::borrow::Cow;

/// The media type of content about which nothing is known (RFC 2046 §4.5.1).
const OCTET_STREAM: &str = "application/octet-stream";

/// Returns the value of `Content-Type` for a file called `path`, by the last extension of its last
/// segment.
///
/// Text gets `charset=utf-8`, because old clients guess without it. XML does not, not even as
/// `text/xml`: the parameter would overrule the encoding that the file itself declares, and the server
/// has not read the file (RFC 7303 §3.1). JSON has no such parameter (RFC 8259 §11).
pub(crate) fn for_path(path: &[u8]) -> Cow<'static, str> {
    match extension(path).and_then(for_extension) {
        None => Cow::Borrowed(OCTET_STREAM),
        Some("text/html") => Cow::Borrowed("text/html; charset=utf-8"),
        Some(text) if text.starts_with("text/") && !is_xml(text) => {
            Cow::Owned(format!("{text}; charset=utf-8"))
        }
        Some(other) => Cow::Borrowed(other),
    }
}

/// Whether a content coding makes content of that type much smaller: text in the widest sense, and
/// binary formats that are not compressed themselves. The type may have parameters.
pub(crate) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.starts_with("text/")
        || [is_xml, is_json, is_textual, is_bare_font, is_bare_image]
            .iter()
            .any(|is| is(&essence))
}

/// Returns the extension of the last segment: `html` for `/a.b/index.tar.html`. A name such as
/// `.profile` has none.
fn extension(path: &[u8]) -> Option<&str> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let dot = memchr::memrchr(b'.', name).filter(|dot| *dot > 0)?;
    str::from_utf8(&name[dot + 1..]).ok()
}

/// Returns the media type that is registered for an extension. Case does not matter.
fn for_extension(extension: &str) -> Option<&'static str> {
    let guess = mime_guess::from_ext(extension).first_raw()?;
    Some(match guess {
        "application/javascript" => "text/javascript", // `mjs`; RFC 9239 §6
        "application/font-woff" => "font/woff",        // RFC 8081 §4.4.5
        "application/font-sfnt" => "font/otf",         // RFC 8081 §4.4.3
        "video/vnd.dlna.mpeg-tts" => "video/mp2t",     // `ts`, as in HLS; RFC 3555
        registered => registered,
    })
}

/// Whether the type is XML, as SVG is (RFC 7303 §4.2).
fn is_xml(essence: &str) -> bool {
    essence.ends_with("+xml")
        || matches!(
            essence,
            "text/xml" | "application/xml" | "application/xml-dtd"
        )
}

/// Whether the type is JSON.
fn is_json(essence: &str) -> bool {
    essence.ends_with("+json") || matches!(essence, "application/json" | "application/x-ndjson")
}

/// Whether the type is a program or other text, but not `text/*`.
fn is_textual(essence: &str) -> bool {
    matches!(
        essence,
        "application/javascript"
            | "application/x-javascript"
            | "application/wasm"
            | "application/x-sh"
            | "application/x-httpd-php"
            | "application/rtf"
            | "application/yaml"
            | "application/toml"
    )
}

/// Whether the type is a font without compression. WOFF and WOFF2 are compressed.
fn is_bare_font(essence: &str) -> bool {
    matches!(
        essence,
        "font/ttf"
            | "font/otf"
            | "font/collection"
            | "font/sfnt"
            | "application/x-font-ttf"
            | "application/font-sfnt"
            | "application/vnd.ms-fontobject"
    )
}

/// Whether the type is an image without compression, but not SVG, which is XML.
fn is_bare_image(essence: &str) -> bool {
    matches!(
        essence,
        "image/bmp" | "image/x-icon" | "image/vnd.microsoft.icon"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_the_type_by_the_last_extension() {
        for (path, media_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("/a.b/INDEX.HTM", "text/html; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("readme.md", "text/markdown; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("feed.xml", "text/xml"),
            ("feed.atom", "application/atom+xml"),
            ("logo.svg", "image/svg+xml"),
            ("data.json", "application/json"),
            ("site.webmanifest", "application/manifest+json"),
            ("a.wasm", "application/wasm"),
            ("a.png", "image/png"),
            ("a.jpeg", "image/jpeg"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff", "font/woff"),
            ("a.woff2", "font/woff2"),
            ("a.ttf", "font/ttf"),
            ("a.otf", "font/otf"),
            ("a.mp4", "video/mp4"),
            ("a.ts", "video/mp2t"),
            ("a.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("a.html.unknown", OCTET_STREAM),
            ("a.html/b", OCTET_STREAM),
            ("Makefile", OCTET_STREAM),
            (".html", OCTET_STREAM),
            ("a.", OCTET_STREAM),
            ("", OCTET_STREAM),
        ] {
            assert_eq!(for_path(path.as_bytes()), media_type, "{path}");
        }
    }

    #[test]
    fn knows_what_shrinks() {
        for (media_type, compressible) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/CSS", true),
            ("text/javascript", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("font/ttf", true),
            ("image/x-icon", true),
            ("font/woff", false),
            ("font/woff2", false),
            ("image/png", false),
            ("video/mp4", false),
            ("application/gzip", false),
            (OCTET_STREAM, false),
            ("", false),
        ] {
            assert_eq!(is_compressible(media_type), compressible, "{media_type}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_type(path: Vec<u8>) {
            prop_assert!(for_path(&path).contains('/'));
        }
    }
}
