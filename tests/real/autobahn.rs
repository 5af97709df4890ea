//! Autobahn's WebSocket test suite, with its own server and with the same server behind `proxy`: every case
//! must come out the same.
//!
//! ```text
//! fuzzingclient ─→ testeeserver
//! fuzzingclient ─→ tidegate ─→ testeeserver
//! ```
//!
//! That server answers each frame before it reads the next one. With one that answers later, such as
//! python3-websockets, some outcomes depend on how many frames come in one read.
//!
//! The suite runs under Python 2.7 alone, which Debian has no more. `.ci/run` installs it where
//! there is one; elsewhere there is nothing to run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{Program, free_address};
use crate::support::{Site, ended_with};

/// What is left out: messages in many pieces, which take Python minutes, and compression, of which a tunnel
/// sees nothing.
const LEFT_OUT: [&str; 8] = [
    "9.3.*", "9.4.*", "9.5.*", "9.6.*", "9.7.*", "9.8.*", "12.*", "13.*",
];

/// How many cases are left.
const CASES: usize = 259;

/// The suite's program, where `.ci/run` has installed it.
fn suite() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let program = target.expect("a directory").join("autobahn/wstest");
    program.exists().then_some(program)
}

/// What became of a case: of its messages, of the end of the connection, and with which code it was closed.
fn outcome(case: &Value) -> [&Value; 3] {
    ["behavior", "behaviorClose", "remoteCloseCode"].map(|part| &case[part])
}

#[test]
fn every_case_comes_out_as_without_the_proxy() {
    let Some(suite) = suite() else {
        eprintln!(
            "skipped: Autobahn's test suite is not installed; it needs Python 2.7: see .ci/run"
        );
        return;
    };
    let testee = free_address();
    // The testee refuses a `Host` with another port than its own.
    let route = format!("'/' = {{ proxy = 'http://{testee}', host = 'upstream' }}");
    let mut command = Command::new(&suite);
    command
        .args(["-m", "testeeserver", "-w", &format!("ws://{testee}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _program = Program::at_port(command, testee);
    let server = Site::new(&route).start();
    let cases = json!({
        "outdir": "reports",
        "servers": [
            { "agent": "direct", "url": format!("ws://{testee}") },
            { "agent": "through", "url": format!("ws://{}", server.address()) },
        ],
        "cases": ["*"],
        "exclude-cases": LEFT_OUT,
        "exclude-agent-cases": {},
    });
    server.directory().write("cases.json", cases.to_string());
    let run = Command::new(suite)
        .args(["-m", "fuzzingclient", "-s", "cases.json"])
        .current_dir(server.directory().path())
        .output();
    ended_with(0, &run.expect("the suite is installed"));
    let reports = server.directory().read("reports/index.json");
    let reports: Value = serde_json::from_str(&reports).expect("the suite writes JSON");
    let direct = reports["direct"].as_object().expect("cases");
    let through = reports["through"].as_object().expect("cases");
    assert_eq!((direct.len(), through.len()), (CASES, CASES));
    for (name, case) in direct {
        assert_eq!(outcome(&through[name]), outcome(case), "case {name}");
        assert_ne!(case["behavior"], "FAILED", "case {name}");
    }
}
