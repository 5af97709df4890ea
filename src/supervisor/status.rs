//! What runs, told to whoever asks at the control socket.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Supervisor;
use super::workers::Workers;
use crate::control::ControlReply;
use crate::control::question::Question;
use crate::generation::Generation;
use crate::http::status::Status;
use crate::metrics::Counters;
use crate::runtime::PoolState;
use crate::server;

/// Since when the process and its current generation run.
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

    /// The process goes on, and another generation begins.
    pub(super) fn of_generation(self) -> Self {
        Self {
            generation: SystemTime::now(),
            ..self
        }
    }
}

/// What there is to tell.
struct Facts {
    uptime: u64,
    generation: u64,
    since: String,
    waits_for_confirmation: bool,
    file: Option<String>,
    control: Option<String>,
    listeners: Vec<String>,
    workers: usize,
    open: u64,
    accepted: u64,
    requests: u64,
    /// The pool for other people's code.
    blocking: PoolState,
}

impl Supervisor {
    /// What runs: `tidegate status`.
    pub(super) fn status(&self, workers: &Workers) -> ControlReply {
        let facts = self.facts(workers);
        ControlReply {
            status: Status::OK,
            text: facts.to_text(),
            json: facts.to_json(),
        }
    }

    /// What has been counted: `status = true`.
    pub(super) fn counters(&self, workers: &Workers) -> ControlReply {
        let facts = self.facts(workers);
        ControlReply {
            status: Status::OK,
            text: to_lines(&facts.counted()),
            json: facts.counted_json(),
        }
    }

    fn facts(&self, workers: &Workers) -> Facts {
        let since = jiff::Timestamp::try_from(self.since.generation).unwrap_or_default();
        let control = self.control.as_ref();
        Facts {
            uptime: self.since.process.elapsed().as_secs(),
            generation: self.number,
            since: since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            waits_for_confirmation: self.trial.is_some(),
            file: self.file.as_ref().map(|file| file.display().to_string()),
            control: control.map(|control| control.path().display().to_string()),
            listeners: self.addresses().map(ToString::to_string).collect(),
            workers: workers.count(),
            open: self.tally.total(|counters| counters.open.read()),
            accepted: self.tally.total(|counters| counters.accepted.read()),
            requests: self.tally.total(Counters::requests),
            blocking: self.pools.code.state(),
        }
    }
}

impl Facts {
    fn to_json(&self) -> serde_json::Value {
        let mut json = self.counted_json();
        let further = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "generation": {
                "number": self.generation,
                "since": self.since,
                "waits_for_confirmation": self.waits_for_confirmation,
            },
            "file": self.file,
            "control_socket": self.control,
            "listeners": self.listeners,
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
            "connections": { "open": self.open, "accepted": self.accepted },
            "requests": self.requests,
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
        let rows = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("process", std::process::id().to_string()),
            ("generation", generation),
            ("file", self.file.clone().unwrap_or_default()),
            ("control", self.control.clone().unwrap_or_default()),
            ("listeners", self.listeners.join(", ")),
        ];
        to_lines(&rows) + &to_lines(&self.counted())
    }

    fn counted(&self) -> [(&'static str, String); 5] {
        let connections = format!("{} open, {} accepted", self.open, self.accepted);
        let pool = &self.blocking;
        let blocking = format!(
            "{} threads, {} running ({} lost), {} queued, {} refused",
            pool.threads, pool.running, pool.lost, pool.queued, pool.refused
        );
        [
            ("uptime", format!("{}s", self.uptime)),
            ("workers", self.workers.to_string()),
            ("connections", connections),
            ("requests", self.requests.to_string()),
            ("blocking", blocking),
        ]
    }
}

fn to_lines(rows: &[(&str, String)]) -> String {
    rows.iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

/// The answer to `tidegate explain --live`: what the configuration that runs makes of a request.
pub(super) fn explain(generation: &Arc<Generation>, fields: &[(String, String)]) -> ControlReply {
    let answer = Question::from_fields(fields).and_then(|question| {
        let mut answers = server::explain(generation, vec![question])?;
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

/// The answer to `tidegate stop`.
pub(super) fn stopping(grace: Duration) -> ControlReply {
    let text = format!("stopping: exchanges in flight have {grace:?} to finish\n");
    ControlReply {
        status: Status::ACCEPTED,
        json: json!({ "message": text.trim_end() }),
        text,
    }
}
