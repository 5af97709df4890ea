//! Describes the server that runs: the replies to `tidegate status`, `explain --live` and `stop`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Supervisor;
use super::apps::AppFacts;
use super::certificates::{self, CertificateFacts};
use super::issued::{self, IssuedFacts};
use super::observed::Standing;
use super::rates::{self, RateFacts};
use super::upstreams::{self, UpstreamFacts};
use crate::control::ControlReply;
use crate::control::question::Question;
use crate::generation::Generation;
use crate::http::date::iso;
use crate::http::status::Status;
use crate::metrics::Counters;
use crate::reason::Reason;
use crate::runtime::PoolState;
use crate::server::{self, Buckets};

/// When the process started, and when its current generation did.
#[derive(Clone, Copy)]
pub(super) struct Since {
    process: Instant,
    generation: SystemTime,
}

impl Since {
    pub(super) fn now() -> Self {
        Self {
            process: Instant::now(),
            generation: SystemTime::now(),
        }
    }

    /// Another generation starts now, in the same process.
    pub(super) fn of_generation(self) -> Self {
        Self {
            generation: SystemTime::now(),
            ..self
        }
    }

    /// How long the process has been running, in seconds.
    pub(super) fn uptime(self) -> u64 {
        self.process.elapsed().as_secs()
    }

    /// When the current generation started.
    pub(super) fn generation_time(self) -> SystemTime {
        self.generation
    }

    /// The same in ISO 8601.
    pub(super) fn generation(self) -> String {
        iso(self.generation)
    }
}

/// What is known of the server that runs.
pub(super) struct Facts {
    /// How long the process has been running, in seconds.
    pub(super) uptime: u64,
    /// The number of the current generation.
    pub(super) generation: u64,
    /// When that generation started, in ISO 8601.
    pub(super) since: String,
    pub(super) waits_for_confirmation: bool,
    /// The process that an upgrade waits for.
    pub(super) successor: Option<u32>,
    pub(super) file: Option<String>,
    /// How the last reload has left it.
    pub(super) standing: Standing,
    pub(super) control: Option<String>,
    pub(super) listeners: Vec<String>,
    pub(super) upstreams: Vec<UpstreamFacts>,
    pub(super) certificates: Vec<CertificateFacts>,
    /// Those of ACME.
    pub(super) issued: Vec<IssuedFacts>,
    /// Handshakes of TLS that led to a session, and those that did not.
    pub(super) handshakes: u64,
    pub(super) failed_handshakes: u64,
    pub(super) workers: usize,
    /// Those of the workers that have not adopted the generation yet.
    pub(super) late: Vec<String>,
    pub(super) open: u64,
    pub(super) accepted: u64,
    /// Connections that were refused because their clients had as many as they may.
    pub(super) too_many_of_client: u64,
    pub(super) requests: u64,
    /// How many exchanges have ended for each reason, where there were any.
    pub(super) reasons: Vec<(Reason, u64)>,
    /// Connections of streams.
    pub(super) open_streams: u64,
    pub(super) streams: u64,
    /// The state of the pools that run handlers of the program, together.
    pub(super) blocking: PoolState,
    pub(super) apps: Vec<AppFacts>,
    pub(super) rates: Vec<RateFacts>,
}

impl Supervisor {
    /// What `status` tells about the server.
    pub(super) fn facts(&mut self) -> Facts {
        let late = self.workers.late();
        let observed = Arc::clone(&self.observed);
        let tally = observed.tally();
        let control = self.control.as_ref();
        Facts {
            uptime: self.since.uptime(),
            generation: self.number,
            since: self.since.generation(),
            waits_for_confirmation: self.trial.is_some(),
            successor: self.successor,
            file: self.file.as_ref().map(|file| file.display().to_string()),
            standing: observed.standing(),
            control: control.map(|control| control.path().display().to_string()),
            listeners: self.addresses().map(ToString::to_string).collect(),
            upstreams: upstreams::facts(self.generation.upstreams()),
            certificates: certificates::facts(&self.generation),
            issued: issued::facts(&self.generation),
            handshakes: tally.total(|counters| counters.handshakes.complete.read()),
            failed_handshakes: tally.total(|counters| counters.handshakes.failed.read()),
            workers: self.workers.count(),
            late,
            open: tally.total(|counters| counters.open.read()),
            accepted: tally.total(|counters| counters.accepted.read()),
            too_many_of_client: tally.total(|counters| counters.too_many_of_client.read()),
            requests: tally.total(Counters::requests),
            reasons: tally.reasons(),
            open_streams: tally.total(|counters| counters.streams.open.read()),
            streams: tally.total(|counters| counters.streams.accepted.read()),
            blocking: self
                .generation
                .pool_states()
                .fold(self.pools.code.state(), PoolState::plus),
            apps: self.apps.facts(),
            rates: rates::facts(&self.generation),
        }
    }
}

/// The reply to `tidegate status`.
pub(super) fn status(facts: &Facts) -> ControlReply {
    ControlReply {
        status: Status::OK,
        text: facts.to_text(),
        json: facts.to_json(),
    }
}

/// The reply to a request at a route with `status = true`: counts alone, for it may be public.
pub(super) fn counters(facts: &Facts) -> ControlReply {
    ControlReply {
        status: Status::OK,
        text: to_lines(&facts.counted()),
        json: facts.counted_json(),
    }
}

impl Facts {
    fn to_json(&self) -> serde_json::Value {
        let mut json = self.counted_json();
        let further = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "successor": self.successor,
            "generation": {
                "number": self.generation,
                "since": self.since,
                "waits_for_confirmation": self.waits_for_confirmation,
            },
            "file": self.file,
            "last_reload": self.standing.word(),
            "control_socket": self.control,
            "listeners": self.listeners,
            "upstreams": self.upstreams.iter().map(UpstreamFacts::to_json).collect::<Vec<_>>(),
            "certificates": self.certificates.iter().map(CertificateFacts::to_json).collect::<Vec<_>>(),
            "acme": self.issued.iter().map(IssuedFacts::to_json).collect::<Vec<_>>(),
            "apps": self.apps.iter().map(AppFacts::to_json).collect::<Vec<_>>(),
            "rates": self.rates.iter().map(RateFacts::to_json).collect::<Vec<_>>(),
        });
        if let (Some(json), Some(further)) = (json.as_object_mut(), further.as_object()) {
            json.extend(further.clone());
        }
        json
    }

    fn counted_json(&self) -> serde_json::Value {
        let pool = &self.blocking;
        json!({
            "uptime_seconds": self.uptime,
            "generation": { "number": self.generation, "since": self.since },
            "workers": self.workers,
            "late_workers": self.late,
            "connections": {
                "open": self.open,
                "accepted": self.accepted,
                "too_many_of_client": self.too_many_of_client,
            },
            "requests": self.requests,
            "reasons": self.reasons.iter().map(named).collect::<serde_json::Map<_, _>>(),
            "handshakes": { "complete": self.handshakes, "failed": self.failed_handshakes },
            "streams": { "open": self.open_streams, "accepted": self.streams },
            "blocking": {
                "threads": pool.threads,
                "running": pool.running,
                "lost": pool.lost,
                "queued": pool.queued,
                "refused": pool.refused,
            },
        })
    }

    fn to_text(&self) -> String {
        let waits = if self.waits_for_confirmation {
            ", waits to be confirmed"
        } else {
            ""
        };
        let generation = format!("{} since {}{waits}", self.generation, self.since);
        let successor = self.successor.map(|process| {
            format!(", an upgrade is under way: process {process} does not serve yet")
        });
        let differs = match self.standing {
            Standing::Applied => "",
            Standing::Refused => ", whose last reload was refused: what ran before runs on",
            Standing::TakenBack => {
                ", whose last reload was taken back: what ran before it runs again"
            }
        };
        let process = std::process::id().to_string() + &successor.unwrap_or_default();
        let rows = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("process", process),
            ("generation", generation),
            (
                "file",
                self.file
                    .as_ref()
                    .map_or_else(String::new, |file| format!("{file}{differs}")),
            ),
            ("control", self.control.clone().unwrap_or_default()),
            ("listeners", self.listeners.join(", ")),
        ];
        let upstreams = self.upstreams.iter().map(UpstreamFacts::to_text);
        let apps = self.apps.iter().map(AppFacts::to_line);
        let certificates = self.certificates.iter();
        let certificates = certificates.map(|certificate| certificate.describe() + "\n");
        let all = [to_lines(&rows), to_lines(&self.counted())].into_iter();
        let issued = self.issued.iter().map(IssuedFacts::to_line);
        all.chain(certificates)
            .chain(issued)
            .chain(apps)
            .chain(self.rates.iter().map(RateFacts::to_line))
            .chain(upstreams)
            .collect()
    }

    fn counted(&self) -> [(&'static str, String); 7] {
        let late = self
            .late
            .iter()
            .map(|worker| format!(", {worker} answers as before"));
        let workers = self.workers.to_string() + &late.collect::<String>();
        let mut connections = format!("{} open, {} accepted", self.open, self.accepted);
        if self.too_many_of_client > 0 {
            let refused = self.too_many_of_client;
            connections.push_str(&format!(", {refused} over connections_per_client"));
        }
        let streams = format!("{} open, {} accepted", self.open_streams, self.streams);
        let handshakes = format!(
            "{} complete, {} failed",
            self.handshakes, self.failed_handshakes
        );
        let pool = &self.blocking;
        let blocking = format!(
            "{} threads, {} running ({} lost), {} queued, {} refused",
            pool.threads, pool.running, pool.lost, pool.queued, pool.refused
        );
        [
            ("uptime", format!("{}s", self.uptime)),
            ("workers", workers),
            ("connections", connections),
            ("requests", self.requests.to_string()),
            ("handshakes", handshakes),
            ("streams", streams),
            ("blocking", blocking),
        ]
    }
}

/// A count by the id of its reason.
fn named((reason, count): &(Reason, u64)) -> (String, serde_json::Value) {
    (reason.id().to_owned(), (*count).into())
}

fn to_lines(rows: &[(&str, String)]) -> String {
    rows.iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

/// The reply to `tidegate explain --live`: where the configuration that runs leads a request.
pub(super) fn explain(generation: &Arc<Generation>, fields: &[(String, String)]) -> ControlReply {
    let answer = Question::from_fields(fields).and_then(|question| {
        let mut answers = server::explain(generation, vec![question], Buckets::AsTheyAre)?;
        answers
            .pop()
            .unwrap_or_else(|| Err("nothing was asked".to_owned()))
    });
    match answer {
        Ok(answer) => ControlReply {
            status: Status::OK,
            text: answer.to_text(),
            json: answer.to_json(),
        },
        Err(error) => ControlReply {
            status: Status::BAD_REQUEST,
            json: json!({ "error": error }),
            text: format!("error: {error}\n"),
        },
    }
}

/// The reply to a command that failed with a panic.
pub(super) fn failed(panic: &str) -> ControlReply {
    let text = format!("error: it failed with a panic, and the server goes on: {panic}\n");
    ControlReply {
        status: Status::INTERNAL_SERVER_ERROR,
        json: json!({ "error": text.trim_end() }),
        text,
    }
}

/// The reply to `tidegate stop`.
pub(super) fn stopping(grace: Duration, delay: Duration) -> ControlReply {
    let text = if delay.is_zero() {
        format!("stopping: exchanges in flight have {grace:?} to finish\n")
    } else {
        format!("stopping in {delay:?}: then exchanges in flight have {grace:?} to finish\n")
    };
    ControlReply {
        status: Status::ACCEPTED,
        json: json!({ "message": text.trim_end() }),
        text,
    }
}
