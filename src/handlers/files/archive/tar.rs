//! An archive as tar, compressed with gzip.
//!
//! Headers are those of POSIX (`ustar`). A name that does not fit into one, or is not ASCII, and a length that
//! does not, go before it in a header of `pax`, which every program of the last twenty years reads.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::tree::{Item, Items};

/// The longest name that a header has as it is, in octets.
const MAX_NAME: usize = 100;

/// The greatest length that a header has as it is: eleven octal digits.
const MAX_LENGTH: u64 = (1 << 33) - 1;

/// Writes all of `items` to `out`.
///
/// # Errors
/// If the archive cannot be completed.
pub(super) fn write(mut items: Items, out: impl Write) -> io::Result<()> {
    // Others wait for this processor, too.
    let encoder = GzEncoder::new(out, Compression::fast());
    let mut archive = Builder::new(encoder);
    while let Some(item) = items.next()? {
        match item {
            Item::Directory { name, modified } => {
                let header = header(EntryType::Directory, modified, 0);
                append(&mut archive, header, &name, io::empty())?;
            }
            Item::File {
                name,
                modified,
                length,
                content,
            } => {
                let header = header(EntryType::Regular, modified, length);
                append(&mut archive, header, &name, content)?;
            }
        }
    }
    archive.into_inner()?.finish()?.flush()
}

/// A header without a name.
fn header(kind: EntryType, modified: i64, length: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_mtime(u64::try_from(modified).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(length);
    header
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    mut header: Header,
    name: &str,
    content: impl Read,
) -> io::Result<()> {
    let length = header.size()?;
    let mut further = Vec::new();
    let plain = plain_name(name);
    if plain != name {
        further.push(("path", name.as_bytes().to_vec()));
    }
    if length > MAX_LENGTH {
        further.push(("size", length.to_string().into_bytes()));
    }
    let borrowed = further.iter().map(|(key, value)| (*key, &value[..]));
    archive.append_pax_extensions(borrowed)?;
    header.set_path(plain)?;
    header.set_cksum();
    archive.append(&header, content)
}

/// `name` as a header can have it: what programs without `pax` read.
fn plain_name(name: &str) -> String {
    let ascii = |character: char| if character.is_ascii() { character } else { '_' };
    let name: String = name.chars().map(ascii).collect();
    if name.len() <= MAX_NAME {
        return name;
    }
    let is_directory = name.ends_with('/');
    let start = &name[..MAX_NAME - 1];
    let start = start.trim_end_matches('/');
    if is_directory {
        format!("{start}/")
    } else {
        start.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_that_fits() {
        let long = format!("top/{}/", "d".repeat(120));
        for (name, expected) in [
            ("top/a", "top/a".to_owned()),
            ("top/gr\u{fc}n/", "top/gr_n/".to_owned()),
            (long.as_str(), format!("{}/", &long[..99])),
            (&long[..long.len() - 1], long[..99].to_owned()),
        ] {
            assert_eq!(plain_name(name), expected);
            assert!(Header::new_ustar().set_path(plain_name(name)).is_ok());
        }
    }

    #[test]
    fn what_a_header_does_not_hold_goes_before_it() {
        let mut archive = Builder::new(Vec::new());
        let five_gib_eight = MAX_LENGTH + 1;
        let header = header(EntryType::Regular, -5, five_gib_eight);
        // Without content: the header is what is looked at.
        append(&mut archive, header, "top/\u{e4}", io::empty()).expect("memory takes it");
        let octets = archive.into_inner().expect("memory takes it");
        let text = String::from_utf8_lossy(&octets);
        assert!(text.contains(" path=top/\u{e4}\n"), "{text}");
        assert!(
            text.contains(&format!(" size={five_gib_eight}\n")),
            "{text}"
        );
    }
}
