//! Which configuration file a command is about: `tidegate check site.toml`, or `--config site.toml`.

use std::path::{Path, PathBuf};

use clap::Args;

/// The name of the file that is meant if none is given.
const DEFAULT: &str = "config.toml";

/// The argument that names a configuration file.
#[derive(Args, Debug)]
pub(super) struct ConfigFile {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = DEFAULT)]
    file: PathBuf,
    /// The configuration file, as an option.
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    pub(super) fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(&self.file)
    }
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            file: DEFAULT.into(),
            config: None,
        }
    }
}
