//! The servers behind one name, and the choice among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::Server;
use crate::address::{ClientAddress, UpstreamAddress};
use crate::config::model;
use crate::http::request::RequestHead;

/// The servers of `[upstreams.NAME]`, shared by all workers.
#[derive(Debug)]
pub(crate) struct Group {
    options: model::Upstream,
    members: Vec<Member>,
    next: AtomicUsize,
}

/// A server in its place in a group.
#[derive(Clone, Debug)]
struct Member {
    server: Arc<Server>,
    is_backup: bool,
}

/// What a server is chosen for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'r> {
    pub(crate) client: ClientAddress,
    /// `None` for a stream, which has no requests.
    pub(crate) head: Option<&'r RequestHead<'r>>,
}

/// A server that was chosen. It counts one request more until this is dropped.
#[derive(Debug)]
pub(crate) struct Chosen {
    server: Arc<Server>,
}

/// Why no server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoServer {
    #[error("none of its names leads to an address")]
    Unknown,
    #[error("every server was tried, or has failed too often")]
    AllFailed,
    #[error("every server has as many requests as `max_connections` lets it have")]
    AllBusy,
}

impl Group {
    /// The group of `options`. `server` finds or makes the server at an address.
    pub(crate) fn new(
        options: &model::Upstream,
        mut server: impl FnMut(&UpstreamAddress) -> Arc<Server>,
    ) -> Self {
        let mut members = Vec::new();
        for entry in &options.servers {
            let addresses = match &entry.address {
                UpstreamAddress::Name { found, .. } => {
                    found.iter().copied().map(UpstreamAddress::Ip).collect()
                }
                address => vec![address.clone()],
            };
            members.extend(addresses.iter().map(|address| Member {
                server: server(address),
                is_backup: entry.backup,
            }));
        }
        Self {
            options: options.clone(),
            members,
            next: AtomicUsize::new(0),
        }
    }

    /// What the operator says of it.
    pub(crate) fn options(&self) -> &model::Upstream {
        &self.options
    }

    /// Chooses a server for a request; none of those in `tried`, by their ids, while there is another.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn choose(&self, _wanted: Wanted<'_>, tried: &[u64]) -> Result<Chosen, NoServer> {
        if self.members.is_empty() {
            return Err(NoServer::Unknown);
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let from_next =
            (0..self.members.len()).map(|nth| &self.members[(next + nth) % self.members.len()]);
        let mut untried = from_next.filter(|member| !tried.contains(&member.server.id()));
        let member = untried
            .clone()
            .find(|member| !member.is_backup)
            .or_else(|| untried.next());
        let member = member.ok_or(NoServer::AllFailed)?;
        member.server.begin();
        Ok(Chosen {
            server: Arc::clone(&member.server),
        })
    }
}

impl Chosen {
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Takes note that the server has given a response.
    pub(crate) fn succeeded(&self) {}

    /// Takes note that the server has failed.
    pub(crate) fn failed(&self) {}
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.server.end();
    }
}
