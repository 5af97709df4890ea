//! The `options` table of a route, for the factory of its handler.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// What stands in `options = { … }` beside a handler's name.
///
/// ```
/// # use tidegate::Options;
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Greeting {
///     greeting: String,
/// }
///
/// # fn factory(options: &Options) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let greeting: Greeting = options.deserialize()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    table: toml::Table,
    /// The directory of the file in which they stand.
    directory: PathBuf,
}

impl Options {
    pub(crate) fn new(table: toml::Table, directory: PathBuf) -> Self {
        Self { table, directory }
    }

    pub(crate) fn table(&self) -> &toml::Table {
        &self.table
    }

    /// A value by which these options are compared and hashed. Equal options have equal identities,
    /// even if one of the values is NaN, which is not equal to itself.
    pub(crate) fn identity(&self) -> (&Path, String) {
        (&self.directory, self.table.to_string())
    }

    /// The value of `key`, as TOML has it; variables in strings have been replaced.
    pub fn get(&self, key: &str) -> Option<&toml::Value> {
        self.table.get(key)
    }

    /// The string at `key`, if the key is there.
    ///
    /// # Errors
    /// If something else than a string is there.
    pub fn text(&self, key: &str) -> Result<Option<&str>, OptionsError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(OptionsError::at(key, format!("`{key}` must be a string"))),
        }
    }

    /// The path at `key`, if the key is there. A relative one starts at the directory of the file
    /// in which the route stands, as everywhere in the configuration.
    ///
    /// # Errors
    /// If something else than a string is there.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, OptionsError> {
        let text = self.text(key)?;
        Ok(text.map(|text| self.directory.join(text)))
    }

    /// The directory of the file in which the route stands.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All options as a type of your own.
    ///
    /// # Errors
    /// Where the type refuses what is there, in its words.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        let value = self.table.clone().try_into::<T>();
        value.map_err(|error| self.located(error.message()))
    }

    /// Refuses every key that is not among `known`.
    ///
    /// # Errors
    /// For the first such key.
    pub fn only(&self, known: &[&str]) -> Result<(), OptionsError> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) if known.is_empty() => {
                Err(OptionsError::at(key, "this handler takes no options"))
            }
            Some(key) => {
                let all = known.join("`, `");
                let message = format!("unknown option `{key}`; this handler takes `{all}`");
                Err(OptionsError::at(key, message))
            }
        }
    }

    /// The error that `message` of serde stands for. serde writes the key between backquotes.
    fn located(&self, message: &str) -> OptionsError {
        let mut words = message.split('`');
        match words.find(|word| self.table.contains_key(*word)) {
            Some(key) => OptionsError::at(key, message),
            None => OptionsError::new(message),
        }
    }
}

/// Why a factory refuses its options. What it says becomes a diagnostic of the configuration, with
/// the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsError {
    pub(crate) key: Option<String>,
    pub(crate) message: String,
}

impl OptionsError {
    /// About the options as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key: None, message }
    }

    /// About the option `key`: the diagnostic points at it.
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            message: message.into(),
        }
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OptionsError {}
