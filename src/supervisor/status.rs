//! What runs, told to whoever asks at the control socket.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Supervisor;
use super::workers::Workers;
use crate::config::Config;
use crate::handlers::control::ControlReply;
use crate::http::status::Status;
use crate::server::{self, Question};

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

impl Supervisor {
    /// What runs: `tidegate status`.
    pub(super) fn status(&self, workers: &Workers) -> ControlReply {
        let since = jiff::Timestamp::try_from(self.since.generation).unwrap_or_default();
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let uptime = self.since.process.elapsed().as_secs();
        let listeners: Vec<String> = self.addresses().map(ToString::to_string).collect();
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let control = self
            .control
            .as_ref()
            .map(|control| control.path().display().to_string());
        let (open, accepted) = (
            self.tally.total(|c| c.open.read()),
            self.tally.total(|c| c.accepted.read()),
        );
        let requests = self.tally.total(|c| c.requests.read());
        let waits = self.trial.is_some();
        let json = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "uptime_seconds": uptime,
            "generation": { "number": self.generation.number, "since": since, "waits_for_confirmation": waits },
            "file": file,
            "control_socket": control,
            "listeners": listeners,
            "workers": workers.count(),
            "connections": { "open": open, "accepted": accepted },
            "requests": requests,
        });
        let rows = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            (
                "process",
                format!(
                    "{}, up {:?}",
                    std::process::id(),
                    Duration::from_secs(uptime)
                ),
            ),
            (
                "generation",
                format!(
                    "{} since {since}{}",
                    self.generation.number,
                    if waits { ", waits to be confirmed" } else { "" }
                ),
            ),
            ("file", file.unwrap_or_default()),
            ("control", control.unwrap_or_default()),
            ("listeners", listeners.join(", ")),
            ("workers", workers.count().to_string()),
            ("connections", format!("{open} open, {accepted} accepted")),
            ("requests", requests.to_string()),
        ];
        let text = rows
            .iter()
            .map(|(name, value)| format!("{name:<12} {value}\n"))
            .collect();
        ControlReply {
            status: Status::OK,
            text,
            json,
        }
    }
}

/// The answer to `tidegate explain --live`: what the configuration that runs makes of a request.
pub(super) fn explain(config: &Config, fields: &[(String, String)]) -> ControlReply {
    let answer = Question::from_fields(fields).and_then(|question| {
        let mut answers = server::explain(config, vec![question])?;
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
