//! Media types (RFC 9110 §8.3) of files, by their names.
//!
//! `mime_guess` has the table; this module corrects the types in it that are not the registered ones,
//! adds those that it lacks, and knows names without an extension.

mod table;

use std::borrow::Cow;

use table::{BY_EXTENSION, IN_GZIP, PLAIN_TEXT, TEXT_NAMES, TEXT_STEMS};

/// The character encoding that text is in where nothing else is said.
pub(crate) const UTF_8: &str = "utf-8";

/// The media type of content about which nothing is known (RFC 2046 §4.5.1).
const OCTET_STREAM: &str = "application/octet-stream";

/// Returns the value of `Content-Type` for a file called `path`. Text is said to be in UTF-8.
pub(crate) fn for_path(path: &[u8]) -> Cow<'static, str> {
    with_charset(Cow::Borrowed(bare_for_path(path)), UTF_8)
}

/// Returns the media type of a file called `path`, by the last extension of its last segment, or by the
/// segment itself, without parameters.
pub(crate) fn bare_for_path(path: &[u8]) -> &'static str {
    let name = last_segment(path).to_ascii_lowercase();
    let is_name = |known: &&str| known.as_bytes() == name;
    let by_name = TEXT_NAMES.iter().any(is_name).then_some(PLAIN_TEXT);
    let by_extension = || extension(path).and_then(for_extension);
    let by_stem = || begins_as_text(&name).then_some(PLAIN_TEXT);
    let known = by_name.or_else(by_extension).or_else(by_stem);
    known.unwrap_or(OCTET_STREAM)
}

/// Whether nothing is known about content of that type.
pub(crate) fn is_unknown(media_type: &str) -> bool {
    media_type == OCTET_STREAM
}

/// Returns `media_type` with `charset`, if it is text and names no character encoding: old clients guess
/// without it.
///
/// XML gets none, not even as `text/xml`: the parameter would overrule the encoding that the file
/// itself declares, and the server has not read the file (RFC 7303 §3.1). JSON has no such parameter
/// (RFC 8259 §11).
pub(crate) fn with_charset<'a>(media_type: Cow<'a, str>, charset: &str) -> Cow<'a, str> {
    let essence = essence(&media_type);
    let is_text = essence.starts_with("text/") && !is_xml(&essence);
    if is_text && !media_type.to_ascii_lowercase().contains("charset=") {
        Cow::Owned(format!("{media_type}; charset={charset}"))
    } else {
        media_type
    }
}

/// The content coding that a file called `path` is in, because its format says so: `.svgz` is SVG in
/// gzip.
pub(crate) fn coding_of(path: &[u8]) -> Option<&'static str> {
    let is_in_gzip = |extension: &str| {
        let mut known = IN_GZIP.iter();
        known.any(|known| known.eq_ignore_ascii_case(extension))
    };
    extension(path).is_some_and(is_in_gzip).then_some("gzip")
}

/// Whether content of that type is compressed as it is, so that a content coding would only cost time.
/// The type may have parameters.
pub(crate) fn is_compressed(media_type: &str) -> bool {
    let essence = essence(media_type);
    let is_packed = match essence.split_once('/') {
        Some(("image", _)) => !is_xml(&essence) && !is_bare_image(&essence),
        Some(("audio", _)) => !is_bare_audio(&essence),
        Some(("video", _)) => true,
        _ => is_archive(&essence),
    };
    is_packed || essence.ends_with("+zip") || essence.ends_with("+gzip")
}

/// The type without its parameters, in small letters.
fn essence(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn last_segment(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Returns the extension of the last segment: `html` for `/a.b/index.tar.html`. A name such as
/// `.profile` has none.
fn extension(path: &[u8]) -> Option<&str> {
    let name = last_segment(path);
    let dot = memchr::memrchr(b'.', name).filter(|dot| *dot > 0)?;
    str::from_utf8(&name[dot + 1..]).ok()
}

/// Returns the media type that is registered for an extension. Case does not matter.
fn for_extension(extension: &str) -> Option<&'static str> {
    let lower = extension.to_ascii_lowercase();
    if let Ok(found) = BY_EXTENSION.binary_search_by_key(&&*lower, |(known, _)| *known) {
        return Some(BY_EXTENSION[found].1);
    }
    let guess = mime_guess::from_ext(extension).first_raw()?;
    Some(match guess {
        "application/font-woff" => "font/woff",    // RFC 8081 §4.4.5
        "application/font-sfnt" => "font/otf",     // RFC 8081 §4.4.3
        "video/vnd.dlna.mpeg-tts" => "video/mp2t", // `ts`, as in HLS; RFC 3555
        registered => registered,
    })
}

/// Whether files whose names begin like `name`, which is in small letters, are text by custom.
fn begins_as_text(name: &[u8]) -> bool {
    let mut words = name.split(|byte| matches!(byte, b'.' | b'-' | b'_'));
    let first = words.next().unwrap_or_default();
    let is_first = |known: &&str| known.as_bytes() == first;
    TEXT_STEMS.iter().any(is_first)
}

/// Whether the type is XML, as SVG is (RFC 7303 §4.2).
fn is_xml(essence: &str) -> bool {
    essence.ends_with("+xml")
        || matches!(
            essence,
            "text/xml" | "application/xml" | "application/xml-dtd"
        )
}

/// Whether the type is an image without compression, but not SVG, which is XML.
fn is_bare_image(essence: &str) -> bool {
    matches!(
        essence,
        "image/bmp"
            | "image/x-ms-bmp"
            | "image/x-icon"
            | "image/vnd.microsoft.icon"
            | "image/emf"
            | "image/wmf"
            | "image/tiff"
            | "image/vnd.adobe.photoshop"
            | "image/x-portable-anymap"
            | "image/x-portable-bitmap"
            | "image/x-portable-graymap"
            | "image/x-portable-pixmap"
            | "image/x-tga"
            | "image/vnd-ms.dds"
            | "image/ktx"
    )
}

/// Whether the type is sound without compression, or a list of sounds.
fn is_bare_audio(essence: &str) -> bool {
    matches!(
        essence,
        "audio/wav"
            | "audio/x-wav"
            | "audio/wave"
            | "audio/aiff"
            | "audio/x-aiff"
            | "audio/basic"
            | "audio/midi"
            | "audio/mpegurl"
            | "audio/x-mpegurl"
    )
}

/// Whether the type is an archive, a compressed file, or a format that is one of these inside.
fn is_archive(essence: &str) -> bool {
    matches!(
        essence,
        "application/gzip"
            | "application/x-gzip"
            | "application/zip"
            | "application/zstd"
            | "application/x-compressed"
            | "application/x-bzip2"
            | "application/x-bzip"
            | "application/x-xz"
            | "application/x-lz4"
            | "application/x-lzip"
            | "application/x-lzma"
            | "application/x-7z-compressed"
            | "application/vnd.rar"
            | "application/x-rpm"
            | "application/vnd.debian.binary-package"
            | "application/vnd.android.package-archive"
            | "application/java-archive"
            | "application/x-apple-diskimage"
            | "application/x-chrome-extension"
            | "application/x-xpinstall"
            | "application/vnd.google-earth.kmz"
            | "font/woff"
            | "font/woff2"
    ) || essence.starts_with("application/vnd.openxmlformats-officedocument")
        || essence.starts_with("application/vnd.oasis.opendocument")
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
            (".html", OCTET_STREAM),
            ("a.", OCTET_STREAM),
            ("", OCTET_STREAM),
        ] {
            assert_eq!(for_path(path.as_bytes()), media_type, "{path}");
        }
    }

    /// These had types of players and modellers of the nineties, or none, so that browsers saved them
    /// or refused to run them.
    #[test]
    fn tells_the_types_that_the_table_has_wrong() {
        const TEXT: &str = "text/plain; charset=utf-8";
        for (path, media_type) in [
            ("a.rpm", "application/x-rpm"),
            ("a.deb", "application/vnd.debian.binary-package"),
            ("a.obj", "model/obj"),
            ("a.STL", "model/stl"),
            ("a.glb", "model/gltf-binary"),
            ("a.pbf", "application/x-protobuf"),
            ("a.m3u8", "application/vnd.apple.mpegurl"),
            ("a.ndjson", "application/x-ndjson"),
            ("a.sql", "application/sql"),
            ("app.js.map", "application/json"),
            ("a.zst", "application/zstd"),
            ("a.tgz", "application/gzip"),
            ("a.svgz", "image/svg+xml"),
            ("a.cjs", "text/javascript; charset=utf-8"),
            ("main.go", TEXT),
            ("lib.rs", TEXT),
            ("A.java", TEXT),
            ("fix.diff", TEXT),
            ("fix.patch", TEXT),
            ("a.rb", TEXT),
            ("LICENSE", TEXT),
            ("docs/LICENSE-MIT", TEXT),
            ("Makefile", TEXT),
            ("README", TEXT),
            ("README.de", TEXT),
            ("Dockerfile.dev", TEXT),
            ("SHA256SUMS", TEXT),
            ("go.mod", TEXT),
            ("COPYING.LESSER", TEXT),
            ("README.html", "text/html; charset=utf-8"),
            ("license.pdf", "application/pdf"),
            ("licenses", OCTET_STREAM),
            ("program", OCTET_STREAM),
        ] {
            assert_eq!(for_path(path.as_bytes()), media_type, "{path}");
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(BY_EXTENSION.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn a_format_may_imply_a_coding() {
        for (path, coding) in [
            ("a.svgz", Some("gzip")),
            ("A.SVGZ", Some("gzip")),
            ("a.emz", Some("gzip")),
            ("a.svg", None),
            ("a.svg.gz", None),
            ("svgz", None),
        ] {
            assert_eq!(coding_of(path.as_bytes()), coding, "{path}");
        }
    }

    #[test]
    fn text_gets_a_charset_unless_it_has_one() {
        for (media_type, expected) in [
            ("text/plain", "text/plain; charset=utf-8"),
            ("TEXT/plain; a=b", "TEXT/plain; a=b; charset=utf-8"),
            ("text/html; Charset=koi8-r", "text/html; Charset=koi8-r"),
            ("text/xml", "text/xml"),
            ("application/json", "application/json"),
        ] {
            assert_eq!(with_charset(Cow::Borrowed(media_type), UTF_8), expected);
        }
    }

    /// Siblings were looked for by a list of types that left out most binary formats, such as models,
    /// tiles, and data without a known type.
    #[test]
    fn knows_what_is_compressed_as_it_is() {
        for (media_type, compressed) in [
            ("text/html; charset=utf-8", false),
            ("TEXT/CSS", false),
            ("text/javascript", false),
            ("application/json", false),
            ("application/problem+json", false),
            ("image/svg+xml", false),
            ("application/wasm", false),
            ("font/ttf", false),
            ("image/x-icon", false),
            ("model/gltf-binary", false),
            ("model/stl", false),
            ("application/x-protobuf", false),
            ("application/vnd.apple.mpegurl", false),
            ("audio/mpegurl", false),
            ("audio/wav", false),
            (OCTET_STREAM, false),
            ("", false),
            ("font/woff", true),
            ("font/woff2", true),
            ("image/png", true),
            ("Image/JPEG", true),
            ("video/mp4", true),
            ("audio/mpeg", true),
            ("application/gzip", true),
            ("application/epub+zip", true),
            ("model/vnd.usdz+zip", true),
        ] {
            assert_eq!(is_compressed(media_type), compressed, "{media_type}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_type(path: Vec<u8>) {
            prop_assert!(for_path(&path).contains('/'));
        }
    }
}
