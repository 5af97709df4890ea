//! What becomes of a connection to a `[[stream]]`: it is passed on, and has no requests.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::parts::{access_of, servers_to_json, servers_to_rows};
use crate::address::ListenAddress;
use crate::control::question::Question;
use crate::generation::{Generation, Stream};
use crate::upstream::ServerOutlook;

/// What becomes of a connection that is passed on as it is.
#[derive(Debug)]
pub(crate) struct StreamExplanation {
    listener: String,
    /// The name of the upstream.
    upstream: String,
    /// Its servers as they are now; none if its names lead nowhere.
    servers: Vec<ServerOutlook>,
    /// The version of the PROXY protocol that tells the upstream who the client is.
    proxy_protocol: Option<u8>,
    access: String,
}

/// The stream at the address that `question` is about, if there is one.
pub(super) fn find<'g>(
    generation: &'g Generation,
    question: &Question,
) -> Option<(&'g ListenAddress, &'g Arc<Stream>)> {
    let is_named = |address: &ListenAddress| match (&question.listener, question.port) {
        (Some(wanted), _) => address.to_string() == *wanted,
        (None, _) if address.to_string() == question.host => true,
        (None, Some(port)) => {
            let is_at = |address: &ListenAddress| {
                let ip = address.ip();
                ip.is_some_and(|address| address.port() == port)
            };
            is_at(address) && !generation.addresses().any(is_at)
        }
        (None, None) => false,
    };
    let mut streams = generation.streams();
    streams.find(|(address, _)| is_named(address))
}

impl StreamExplanation {
    /// What becomes of a connection of the question's client.
    pub(super) fn of(listener: &ListenAddress, stream: &Stream, question: &Question) -> Self {
        Self {
            listener: listener.to_string(),
            upstream: stream.upstream.options().name.clone(),
            servers: stream.upstream.outlook(Instant::now()),
            proxy_protocol: stream.proxy_protocol.map(|version| version.number()),
            access: access_of(&stream.access, question.client.into()),
        }
    }

    /// Describes it for a person, in lines.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("a connection to {}\n", self.listener);
        let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<10}{value}\n"));
        row("stream", "it is passed on as it is");
        row("access", &self.access);
        if let Some(version) = self.proxy_protocol {
            row("sends", &format!("the PROXY protocol, version {version}"));
        }
        row("upstream", &self.upstream);
        servers_to_rows(&self.servers, row);
        text
    }

    /// Describes it for a program.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "listener": self.listener,
            "stream": true,
            "access": self.access,
            "proxy_protocol": self.proxy_protocol,
            "upstream": { "name": self.upstream, "servers": servers_to_json(&self.servers) },
        })
    }
}
