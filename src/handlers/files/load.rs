//! From an open file to what the cache keeps of it: small content in memory, larger files open.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags};

use super::coded;
use super::lookup::{CODINGS, FoundFile, coded_path};
use super::siblings::{PassedOver, passed_over};
use crate::config::model::Files;
use crate::disk::beneath::{Opened, Waiting};
use crate::disk::identity::Identity;
use crate::http::compression::forbids_changes;
use crate::http::fields::Known;
use crate::http::media_type;
use crate::http::negotiation::{ContentCoding, select_coding};
use crate::http::request::RequestHead;
use crate::message::representation::{Body, Metadata, Representation};

/// Content up to this many octets is kept in memory. Larger content is faster sent from the page
/// cache than copied. See `benches/` for the measurement.
pub(super) const MAX_IN_MEMORY: u64 = 64 * 1024;

/// A file's octets on their way from the thread that read them. Unlike what the cache keeps, it may
/// move between threads.
#[derive(Debug)]
pub(super) struct Loaded {
    path: Vec<u8>,
    media_type: String,
    /// As in [`CachedFile`].
    directory: Option<Identity>,
    codings: Vec<(ContentCoding, Identity, LoadedBody)>,
}

#[derive(Debug)]
enum LoadedBody {
    Memory(Vec<u8>),
    File(OwnedFd),
}

/// A file as the cache keeps it: every coding, with its fields encoded.
pub(super) struct CachedFile {
    /// The path beneath the root.
    path: Vec<u8>,
    /// The state of its directory before the file was looked up, if that state can confirm the
    /// file; see `unchanged`.
    directory: Cell<Option<Identity>>,
    /// The codings; the first one is the file itself.
    codings: Vec<(ContentCoding, Identity, Representation)>,
    is_open: bool,
    media_type: String,
    /// Those codings that this server has made of the file itself.
    made: Vec<(ContentCoding, Representation)>,
    /// Whether such codings are made for clients that take no other one.
    may_be_coded: Cell<bool>,
}

/// What is sent of a file.
pub(super) enum Choice<'f> {
    Ready(&'f Representation),
    /// The file in this coding, which has to be made.
    ToMake(ContentCoding),
}

/// Reads the content that is kept in memory. `directory` is the state of the directory that can
/// confirm the file.
///
/// # Errors
/// The error of reading. `WouldBlock` if reading would have had to wait and may not, or if a file
/// changed while it was read: another look may succeed.
pub(super) fn load(
    file: FoundFile,
    directory: Option<Identity>,
    waiting: Waiting,
) -> io::Result<Loaded> {
    let load = |(coding, opened): (ContentCoding, Opened)| {
        let identity = opened.identity;
        let body = if identity.size <= MAX_IN_MEMORY {
            LoadedBody::Memory(read_whole(opened.fd.as_fd(), identity, waiting)?)
        } else {
            LoadedBody::File(opened.fd)
        };
        Ok((coding, identity, body))
    };
    let codings = file
        .codings
        .into_iter()
        .map(load)
        .collect::<io::Result<_>>()?;
    Ok(Loaded {
        path: file.path,
        media_type: file.media_type,
        directory,
        codings,
    })
}

fn read_whole(fd: BorrowedFd<'_>, identity: Identity, waiting: Waiting) -> io::Result<Vec<u8>> {
    let mut content = vec![0; identity.size as usize];
    let mut filled = 0;
    while filled < content.len() {
        match read_at(fd, &mut content[filled..], filled as u64, waiting)? {
            0 => return Err(io::ErrorKind::WouldBlock.into()),
            count => filled += count,
        }
    }
    if Identity::of_open(fd)? != identity {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(content)
}

/// Reads once; 0 octets are the end of the file.
fn read_at(
    fd: BorrowedFd<'_>,
    into: &mut [u8],
    offset: u64,
    waiting: Waiting,
) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| match waiting {
        Waiting::Allowed => rustix::io::pread(fd, &mut *into, offset),
        Waiting::Never => rustix::io::preadv2(
            fd,
            &mut [IoSliceMut::new(into)],
            offset,
            ReadWriteFlags::NOWAIT,
        ),
    })
    // Some file systems cannot tell what they hold in memory. The pool reads the file then.
    .map_err(|error| {
        if error == Errno::OPNOTSUPP {
            Errno::AGAIN
        } else {
            error
        }
        .into()
    })
}

impl Loaded {
    /// Encodes the fields. The result is the worker's own and stays on its thread.
    pub(super) fn into_cached(self, options: &Files) -> CachedFile {
        let cache_control = options.cache_control_of(&self.path, &self.media_type);
        let may_be_coded = self.may_be_coded(options, cache_control);
        let varies = self.codings.len() > 1 || may_be_coded;
        let coding_of_format = media_type::coding_of(&self.path);
        let encode = |(coding, identity, body): (ContentCoding, Identity, LoadedBody)| {
            let metadata = Metadata {
                content_type: self.media_type.clone(),
                content_coding: match coding {
                    ContentCoding::Identity => coding_of_format,
                    coding => Some(coding.as_str()),
                },
                entity_tag: identity.entity_tag(coding),
                is_made: false,
                last_modified: identity.last_modified(),
                cache_control,
                varies,
            };
            (
                coding,
                identity,
                metadata.encode(body.into_body(identity.size)),
            )
        };
        let is_open = |(.., body): &(_, _, LoadedBody)| matches!(body, LoadedBody::File(_));
        CachedFile {
            is_open: self.codings.iter().any(is_open),
            path: self.path,
            directory: Cell::new(self.directory),
            codings: self.codings.into_iter().map(encode).collect(),
            media_type: self.media_type,
            made: Vec::new(),
            may_be_coded: Cell::new(may_be_coded),
        }
    }

    /// Whether the file is one that `compress` is for.
    fn may_be_coded(&self, options: &Files, cache_control: Option<&str>) -> bool {
        let Some(rules) = &options.compression else {
            return false;
        };
        let [(_, identity, _), ..] = &self.codings[..] else {
            return false;
        };
        let is_to_stay = cache_control.is_some_and(|value| forbids_changes(value.as_bytes()));
        rules.has_type(self.media_type.as_bytes())
            && (rules.min_size..=coded::MOST).contains(&identity.size)
            && identity.size > 0
            && media_type::coding_of(&self.path).is_none()
            && !is_to_stay
    }
}

impl LoadedBody {
    fn into_body(self, length: u64) -> Body {
        match self {
            Self::Memory(content) => Body::Memory(content.into()),
            Self::File(fd) => Body::File {
                file: Rc::new(fd),
                length,
            },
        }
    }
}

impl CachedFile {
    /// What is sent in answer to the request of `head`.
    ///
    /// A coding in a file of its own comes first: the operator has chosen it, and parts of it can be sent.
    #[inline]
    pub(super) fn choose(&self, head: &RequestHead<'_>, options: &Files) -> Choice<'_> {
        match &self.codings[..] {
            [(_, _, only)] if !self.may_be_coded.get() => Choice::Ready(only),
            _ => self.choose_coding(head, options),
        }
    }

    /// As [`choose`](Self::choose), where there is a choice.
    #[inline(never)]
    fn choose_coding(&self, head: &RequestHead<'_>, options: &Files) -> Choice<'_> {
        let accept_encoding = || head.fields.combined(Known::AcceptEncoding);
        let (coding, _, selected) = match self.codings.len() {
            1 => self.itself(),
            _ => self.selected(accept_encoding().as_deref()),
        };
        if *coding != ContentCoding::Identity || !self.may_be_coded.get() {
            return Choice::Ready(selected);
        }
        let rules = options.compression.as_ref();
        match rules.and_then(|rules| rules.coding_for(head).ok()) {
            None => Choice::Ready(selected),
            Some(coding) => {
                let made = self.made.iter().find(|(made, _)| *made == coding);
                made.map_or(Choice::ToMake(coding), |(_, made)| Choice::Ready(made))
            }
        }
    }

    /// The file as it is.
    pub(super) fn itself(&self) -> &(ContentCoding, Identity, Representation) {
        self.codings
            .first()
            .expect("a file has at least its own representation")
    }

    /// Has the file sent as it is to clients for which a coding would be made.
    pub(super) fn leave_as_it_is(&self) {
        self.may_be_coded.set(false);
    }

    /// This file, with the octets that were made of it in `coding`.
    pub(super) fn with_made(
        &self,
        coding: ContentCoding,
        octets: Arc<[u8]>,
        options: &Files,
    ) -> Self {
        let (_, identity, _) = self.itself();
        let metadata = Metadata {
            content_type: self.media_type.clone(),
            content_coding: Some(coding.as_str()),
            entity_tag: identity.entity_tag(coding),
            is_made: true,
            last_modified: identity.last_modified(),
            cache_control: options.cache_control_of(&self.path, &self.media_type),
            varies: true,
        };
        let mut made = self.made.clone();
        made.retain(|(other, _)| *other != coding);
        made.push((coding, metadata.encode(Body::Everywhere(octets))));
        Self {
            path: self.path.clone(),
            directory: self.directory.clone(),
            codings: self.codings.clone(),
            is_open: self.is_open,
            media_type: self.media_type.clone(),
            made,
            may_be_coded: self.may_be_coded.clone(),
        }
    }

    /// The coding that is sent in answer to the request of `head`, and the path beneath the root of what it
    /// is made of, as text.
    pub(super) fn describe(&self, head: &RequestHead<'_>, options: &Files) -> (String, String) {
        let accept_encoding = head.fields.combined(Known::AcceptEncoding);
        let (coding, ..) = self.selected(accept_encoding.as_deref());
        let path = coded_path(&self.path, *coding);
        let made = match self.choose(head, options) {
            Choice::Ready(selected) => {
                let made = self.made.iter();
                let mut made = made.filter(|(_, made)| std::ptr::eq(made, selected));
                made.next().map(|(coding, _)| *coding)
            }
            Choice::ToMake(_) => None,
        };
        let coding = match made {
            Some(made) => format!("compressed: {}", made.as_str()),
            None => coding.as_str().to_owned(),
        };
        (coding, String::from_utf8_lossy(&path).into_owned())
    }

    /// The compressed siblings that are passed over. Looks at the disk, for `explain` alone.
    pub(super) fn passed_over(&self, options: &Files) -> Vec<PassedOver> {
        passed_over(&options.root.join(OsStr::from_bytes(&self.path)), options)
    }

    /// The file, or a coding in a file of its own that `Accept-Encoding` weighs higher.
    fn selected(
        &self,
        accept_encoding: Option<&[u8]>,
    ) -> &(ContentCoding, Identity, Representation) {
        let itself = self.itself();
        let mut available = [ContentCoding::Identity; CODINGS.len() + 1];
        for (place, (coding, ..)) in available.iter_mut().zip(&self.codings) {
            *place = *coding;
        }
        let selected = select_coding(accept_encoding, &available);
        let mut codings = self.codings.iter();
        codings
            .find(|(coding, ..)| *coding == selected)
            .unwrap_or(itself)
    }

    /// Whether a coding of it is an open file, rather than content in memory.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether what is sent in answer to the request of `head` is as it was when it was looked at, as far as
    /// the open file tells. One system call; none if the content is in memory.
    pub(super) fn is_as_opened(&self, head: &RequestHead<'_>, options: &Files) -> bool {
        if let Choice::Ready(chosen) = self.choose(head, options)
            && matches!(chosen.body(), Body::Everywhere(_))
        {
            return true;
        }
        let accept_encoding = head.fields.combined(Known::AcceptEncoding);
        let (_, identity, selected) = self.selected(accept_encoding.as_deref());
        match selected.body() {
            Body::Memory(_) | Body::Everywhere(_) => true,
            Body::File { file, .. } => {
                Identity::of_open(file.as_fd()).is_ok_and(|now| now == *identity)
            }
        }
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn directory(&self) -> Option<Identity> {
        self.directory.get()
    }

    /// Notes the state of the directory before another look, which found the same file.
    pub(super) fn set_directory(&self, directory: Option<Identity>) {
        self.directory.set(directory);
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = (ContentCoding, Identity)> {
        self.codings
            .iter()
            .map(|(coding, identity, _)| (*coding, *identity))
    }

    /// How much it weighs in the cache's bounds, in bytes.
    pub(super) fn weight(&self) -> usize {
        /// The rough size of the encoded fields and the structures around them.
        const FIELDS: usize = 768;
        let weigh = |body: &Body| match body {
            Body::Memory(content) => content.len(),
            Body::Everywhere(content) => content.len(),
            Body::File { .. } => 0,
        };
        self.path.len()
            + self
                .bodies()
                .map(|body| FIELDS + weigh(body))
                .sum::<usize>()
    }

    /// How many descriptors it keeps open.
    pub(super) fn descriptors(&self) -> usize {
        let is_open = |body: &&Body| matches!(body, Body::File { .. });
        self.bodies().filter(is_open).count()
    }

    fn bodies(&self) -> impl Iterator<Item = &Body> {
        let codings = self.codings.iter();
        let codings = codings.map(|(.., representation)| representation);
        let made = self.made.iter().map(|(_, representation)| representation);
        codings.chain(made).map(Representation::body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Links;
    use crate::disk::beneath::Root;
    use crate::test_support::TemporaryDirectory;

    /// The content of a file and its entity tag must be of one state. So a file that changes between
    /// the look at it and the end of reading is looked at again.
    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_loaded() {
        let tree = TemporaryDirectory::new("load");
        let root = Root::open(tree.path(), &Links::Inside, Waiting::Allowed).expect("it is there");
        let load_after = |change: &dyn Fn()| {
            tree.write("f", b"old");
            let opened = root.open_beneath(b"f", Waiting::Allowed);
            let opened = opened.expect("it is there");
            change();
            let file = FoundFile {
                path: b"f".to_vec(),
                media_type: "text/plain".to_owned(),
                codings: vec![(ContentCoding::Identity, opened)],
                depends_only_on_names: false,
            };
            let loaded = load(file, None, Waiting::Allowed);
            loaded.map(|_| ()).map_err(|error| error.kind())
        };
        assert_eq!(load_after(&|| ()), Ok(()));
        for content in [&b"new"[..], b"longer", b"", b"n"] {
            // Until the clock of the file system has moved on, a change may not show.
            let rewrite = || {
                let state = || std::fs::metadata(tree.path().join("f")).expect("it is there");
                let modified = || state().modified().expect("there is a clock");
                let before = modified();
                while modified() == before {
                    tree.write("f", content);
                }
            };
            let refused = Err(io::ErrorKind::WouldBlock);
            assert_eq!(load_after(&rewrite), refused, "{content:?}");
        }
    }
}
