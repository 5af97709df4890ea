//! An archive as zip, written from start to end: the length and the checksum of a file follow its octets.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::names::portable;
use super::tree::{Content, Item, Items};
use crate::http::media_type;

/// Writes all of `items` to `out`.
///
/// # Errors
/// If the archive cannot be completed.
pub(super) fn write(mut items: Items, out: impl Write) -> io::Result<()> {
    let mut archive = ZipArchiveWriter::new(out);
    while let Some(item) = items.next()? {
        match item {
            Item::Directory { name, modified } => {
                let directory = archive.new_dir(portable(&name));
                let directory = directory.last_modified(UtcDateTime::from_unix(modified));
                let written = directory.unix_permissions(0o40755).create();
                written.map_err(io::Error::other)?;
            }
            Item::File {
                name,
                modified,
                content,
                ..
            } => append(&mut archive, &name, modified, content)?,
        }
    }
    let finished = archive.finish();
    finished.map(drop).map_err(io::Error::other)
}

/// Writes a file, as it is if its format is compressed.
fn append<W: Write>(
    archive: &mut ZipArchiveWriter<W>,
    name: &str,
    modified: i64,
    mut content: Content,
) -> io::Result<()> {
    let media_type = media_type::bare_for_path(name.as_bytes());
    let is_compressed = media_type::is_compressed(media_type);
    let method = if is_compressed {
        CompressionMethod::STORE
    } else {
        CompressionMethod::DEFLATE
    };
    let file = archive.new_file(portable(name));
    let file = file.last_modified(UtcDateTime::from_unix(modified));
    let file = file.unix_permissions(0o100_644).compression_method(method);
    let (mut entry, config) = file.start().map_err(io::Error::other)?;
    let told = if is_compressed {
        let mut out = config.wrap(&mut entry);
        io::copy(&mut content, &mut out)?;
        let (_, told) = out.finish().map_err(io::Error::other)?;
        told
    } else {
        let encoder = DeflateEncoder::new(&mut entry, Compression::fast());
        let mut out = config.wrap(encoder);
        io::copy(&mut content, &mut out)?;
        let (encoder, told) = out.finish().map_err(io::Error::other)?;
        encoder.finish()?;
        told
    };
    entry.finish(told).map_err(io::Error::other)?;
    Ok(())
}
