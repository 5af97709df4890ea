//! Who answers a route: the verbs and the options of each.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::ListenAddress;
use crate::api::HandlerSpec;
use crate::http::status::Status;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Files(Files),
    Respond(Respond),
    Redirect(Redirect),
    /// What arrived, as JSON, for debugging.
    Echo,
    /// What the server has counted.
    Status,
    Handler(PluginRoute),
    Cgi(Cgi),
    Fastcgi(Fastcgi),
}

/// `handler = NAME`: code that is part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginRoute {
    /// Its name and options.
    pub(crate) handler: HandlerSpec,
    /// How long it may take until it answers: 504.
    pub(crate) timeout: Duration,
    /// Content is given as it arrives, not when it is all there.
    pub(crate) stream: bool,
}

/// What holds for code behind a route, unless the route says otherwise.
pub(crate) const DEFAULT_CODE_TIMEOUT: Duration = Duration::from_secs(60);

/// `files = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    pub(crate) listing: bool,
    /// Navigations that lead to nothing get `/index.html`.
    pub(crate) spa: bool,
    /// `/a` may be answered from `a.html`.
    pub(crate) clean_urls: bool,
    /// Look for `.zst`, `.br` and `.gz` siblings.
    pub(crate) precompressed: bool,
    /// The first pattern that matches the path beneath the root gives `Cache-Control`.
    pub(crate) cache_control: Vec<CacheControl>,
    /// How long what is cached is believed without looking again.
    pub(crate) revalidate: Duration,
}

impl Files {
    /// The files of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            index: vec!["index.html".to_owned()],
            listing: false,
            spa: false,
            clean_urls: false,
            precompressed: true,
            cache_control: Vec::new(),
            revalidate: Duration::from_secs(1),
        }
    }
}

/// `cgi = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cgi {
    pub(crate) root: PathBuf,
    /// Until a script's header section is there: 504. Between two reads of its content: it is cut.
    pub(crate) timeout: Duration,
    /// Scripts of the route that run at once; past it, 503 with `Retry-After`.
    pub(crate) max_processes: usize,
    /// What scripts find in their environment beside the meta-variables, and in their stead.
    pub(crate) environment: Vec<(String, String)>,
}

impl Cgi {
    /// The scripts of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            timeout: DEFAULT_CODE_TIMEOUT,
            max_processes: 32,
            environment: Vec::new(),
        }
    }
}

/// One entry of `cache_control`: a pattern over the path beneath the root, and the field's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheControl {
    /// As written: `*.css`, `assets/**`.
    pub(crate) pattern: String,
    pub(crate) value: String,
}

/// `respond = TEXT`: the same content for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Respond {
    pub(crate) status: Status,
    pub(crate) content_type: String,
    pub(crate) content: String,
}

/// `redirect = TARGET`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// As written. What is below the route's path, and the query, is appended unless `exact`.
    pub(crate) target: String,
    pub(crate) status: Status,
}

/// `fastcgi = ADDRESS`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fastcgi {
    /// Where the application server listens.
    pub(crate) peer: ListenAddress,
    /// Absolute: the peer is told of files beneath it.
    pub(crate) root: PathBuf,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    /// What the names of scripts end in; the case of letters does not count.
    pub(crate) scripts: Vec<String>,
    /// The script for paths that lead to nothing, beneath the root.
    pub(crate) fallback: Option<String>,
    /// Files that are no scripts are sent.
    pub(crate) static_files: bool,
    /// Further parameters, or others in the place of ours.
    pub(crate) params: Vec<(String, String)>,
    /// To connect, to the end of the header section, and between two reads: 504.
    pub(crate) timeout: Duration,
    /// `X-Sendfile` and `X-Accel-Redirect` name files beneath the root.
    pub(crate) sendfile: bool,
}

impl Fastcgi {
    /// The scripts of `root`, run by `peer`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf, peer: ListenAddress) -> Self {
        Self {
            peer,
            root: std::path::absolute(&root).unwrap_or(root),
            index: vec!["index.php".to_owned()],
            scripts: vec![".php".to_owned()],
            fallback: None,
            static_files: true,
            params: Vec::new(),
            timeout: Duration::from_secs(60),
            sendfile: false,
        }
    }

    /// Whether what is at `path` would be run rather than sent.
    pub(crate) fn is_script(&self, path: &[u8]) -> bool {
        let ends_in = |suffix: &String| {
            let start = path.len().checked_sub(suffix.len());
            start.is_some_and(|start| path[start..].eq_ignore_ascii_case(suffix.as_bytes()))
        };
        self.scripts.iter().any(ends_in)
    }

    /// What answers for the files that are no scripts.
    pub(crate) fn files(&self) -> Files {
        let names = self.index.iter();
        let index = names.filter(|name| !self.is_script(name.as_bytes()));
        Files {
            index: index.cloned().collect(),
            ..Files::beneath(self.root.clone())
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(root: PathBuf) -> Self {
        Self::beneath(root, ListenAddress::Unix("/nowhere".into()))
    }
}
