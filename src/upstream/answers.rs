//! What the names of a group lead to at present.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::members::Entry;
use super::names::{Target, found_before, is_name};
use super::security::Security;
use super::server::Servers;
use crate::address::{Scheme, UpstreamAddress};
use crate::config::model::{Upstream, UpstreamServer};
use crate::tls::Connector;

/// The tier of `backup = true`.
const BACKUP_TIER: u32 = 1 << 16;

/// For each entry of `servers`, what its name leads to; nothing for an address.
#[derive(Debug)]
pub(super) struct Answers(Mutex<Vec<Vec<Target>>>);

impl Answers {
    /// What the names led to when the configuration was read. Where a look-up then found nothing,
    /// the last good answer that an earlier generation had.
    pub(super) fn new(options: &Upstream, servers: &Servers) -> Self {
        let answer = |server: &UpstreamServer| {
            let found = found_before(&server.address);
            if found.is_empty() && is_name(&server.address) {
                return servers.last_answer(&server.address);
            }
            found
        };
        Self(Mutex::new(options.servers.iter().map(answer).collect()))
    }

    /// The servers that the names lead to, by the answers of the last look-up. `connector` is for
    /// the servers to which TLS is spoken.
    pub(super) fn entries(
        &self,
        options: &Upstream,
        connector: Option<&Arc<Connector>>,
    ) -> Vec<Entry> {
        let answers = self.lock();
        let pairs = options.servers.iter().zip(&*answers);
        pairs
            .flat_map(|(server, answer)| {
                let security = security(server, options, connector);
                entries(server, answer, options.health.is_some(), security)
            })
            .collect()
    }

    /// Whether the name at that place of `servers` leads anywhere.
    pub(super) fn has(&self, nth: usize) -> bool {
        !self.lock()[nth].is_empty()
    }

    /// Replaces what the name at that place leads to. Returns whether it leads to other servers than before;
    /// another order of the same addresses is no change.
    pub(super) fn replace(&self, nth: usize, mut targets: Vec<Target>) -> bool {
        targets.sort();
        targets.dedup();
        let mut answers = self.lock();
        answers[nth].sort();
        let is_new = answers[nth] != targets;
        answers[nth] = targets;
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Target>>> {
        // A poisoned lock does no harm: every change is one assignment, so that none is left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The members of the group of an application whose processes listen at `ready`.
pub(super) fn of_instances(ready: Vec<UpstreamAddress>, options: &Upstream) -> Vec<Entry> {
    let entry = |address: UpstreamAddress| Entry {
        host: address.host_field(Scheme::Plain).into(),
        security: None,
        written: address.to_string(),
        address,
        weight: 1,
        max_connections: None,
        is_checked: options.health.is_some(),
        tier: 0,
    };
    ready.into_iter().map(entry).collect()
}

/// How TLS is spoken to `server`; `None`: it is not.
fn security(
    server: &UpstreamServer,
    options: &Upstream,
    connector: Option<&Arc<Connector>>,
) -> Option<Arc<Security>> {
    if !server.scheme.is_tls() {
        return None;
    }
    let connector = connector.expect("a group has one if TLS is spoken to a server of it");
    let name = options.tls.server_name.clone();
    let name = name.unwrap_or_else(|| server.address.host());
    Some(Arc::new(Security::new(connector, server.scheme, &name)))
}

/// What an entry of `servers` stands for, if its name leads to `answer`: as many servers as that has.
fn entries(
    server: &UpstreamServer,
    answer: &[Target],
    is_checked: bool,
    security: Option<Arc<Security>>,
) -> Vec<Entry> {
    let first = if server.backup { BACKUP_TIER } else { 0 };
    let host: Arc<str> = server.address.host_field(server.scheme).into();
    let entry = |address, weight, tier| Entry {
        address,
        host: Arc::clone(&host),
        security: security.clone(),
        written: server.address.to_string(),
        weight,
        max_connections: server.max_connections,
        is_checked,
        tier: first + tier,
    };
    if !is_name(&server.address) {
        return vec![entry(server.address.clone(), server.weight, 0)];
    }
    let of_target = |target: &Target| {
        let weight = server.weight.saturating_mul(target.weight);
        entry(UpstreamAddress::Ip(target.address), weight, target.tier)
    };
    answer.iter().map(of_target).collect()
}
