//! The forms in which a directory is sent as one file.

/// A form in which a directory is sent as one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ArchiveForm {
    /// A tar, compressed as a whole.
    TarGz,
    /// Each file compressed by itself.
    Zip,
}

impl ArchiveForm {
    /// In the order in which a listing offers them.
    pub(crate) const ALL: [Self; 2] = [Self::TarGz, Self::Zip];

    /// Its name in the configuration and in a query, and the ending of the file's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }

    /// The media type of the file.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::TarGz => "application/gzip",
            Self::Zip => "application/zip",
        }
    }
}
