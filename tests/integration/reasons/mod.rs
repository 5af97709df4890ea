//! Every reason, and the test that produces it.
//!
//! [`PRODUCED`] names for each reason a test in whose body its id stands. A reason that has no row fails
//! [`every_reason_is_produced_by_a_test`].

// Requests that are refused, and what the server itself answers.
mod requests;
// Upstreams, scripts and endings.
mod endings;
// What the machine does not do or give.
mod machine;
// The list as `tidegate reasons` prints it.
mod list;

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Server, Site, ended_with, program};

/// A reason, the file below `tests/` and the test.
type Row = (&'static str, &'static str, &'static str);

const REQUESTS: &str = "integration/reasons/requests.rs";
const ENDINGS: &str = "integration/reasons/endings.rs";
const MACHINE: &str = "integration/reasons/machine.rs";

const PRODUCED: &[Row] = &[
    (
        "content_coding_unknown",
        "handlers/requests.rs",
        "content_is_decoded_for_a_handler_that_asks",
    ),
    (
        "content_not_in_coding",
        "handlers/requests.rs",
        "content_is_decoded_for_a_handler_that_asks",
    ),
    (
        "too_many_of_client",
        "integration/per_client.rs",
        "one_too_many_is_answered_429_until_another_ends",
    ),
    (
        "password_missing",
        "integration/auth.rs",
        "a_password_is_asked_for_and_lets_in",
    ),
    (
        "password_wrong",
        "integration/auth.rs",
        "a_password_is_asked_for_and_lets_in",
    ),
    (
        "passwords_busy",
        "integration/auth.rs",
        "one_password_too_many_does_not_wait",
    ),
    (
        "rate_limited",
        "integration/rates.rs",
        "the_sixth_of_five_is_refused_and_told_when_to_come_back",
    ),
    (
        "upstream_not_ready",
        "integration/apps/running.rs",
        "an_instance_is_asked_when_it_is_ready",
    ),
    (
        "upstream_file",
        "integration/fastcgi.rs",
        "a_script_names_the_file_to_be_sent",
    ),
    (
        "upstream_certificate",
        "integration/proxy/tls.rs",
        "failures_are_named",
    ),
    (
        "upstream_tls_alert",
        "integration/proxy/tls.rs",
        "failures_are_named",
    ),
    (
        "request_malformed",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    ("target_invalid", REQUESTS, "requests_that_cannot_be_read"),
    ("host_missing", REQUESTS, "requests_that_cannot_be_read"),
    ("host_invalid", REQUESTS, "requests_that_cannot_be_read"),
    (
        "content_length_invalid",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    (
        "transfer_coding_invalid",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    (
        "framing_ambiguous",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    (
        "transfer_coding_unknown",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    ("method_unknown", REQUESTS, "requests_that_cannot_be_read"),
    (
        "expectation_unknown",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    (
        "version_unsupported",
        REQUESTS,
        "requests_that_cannot_be_read",
    ),
    ("target_too_long", REQUESTS, "requests_that_cannot_be_read"),
    ("head_too_large", REQUESTS, "requests_that_cannot_be_read"),
    ("path_invalid", REQUESTS, "requests_that_cannot_be_read"),
    ("head_timeout", REQUESTS, "what_does_not_come_in_time"),
    (
        "plain_http",
        "integration/tls.rs",
        "plain_http_is_told_where_it_is",
    ),
    (
        "content_malformed",
        REQUESTS,
        "content_that_cannot_be_taken",
    ),
    (
        "content_too_large",
        REQUESTS,
        "content_that_cannot_be_taken",
    ),
    ("content_timeout", REQUESTS, "what_does_not_come_in_time"),
    ("content_not_kept", REQUESTS, "content_that_cannot_be_kept"),
    (
        "host_unknown",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "other_connection",
        "integration/client_certificates.rs",
        "another_connection_is_asked_for_where_this_one_was_made_for_another_server",
    ),
    (
        "no_route",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "when_unmet",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "rewrite_without_path",
        REQUESTS,
        "a_rewrite_that_makes_no_path",
    ),
    (
        "method_not_allowed",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "redirect_without_host",
        REQUESTS,
        "a_redirect_that_needs_a_host",
    ),
    (
        "not_ready",
        "integration/metrics.rs",
        "a_server_is_not_ready_without_a_server_of_an_upstream",
    ),
    (
        "not_live",
        "integration/metrics.rs",
        "a_loop_that_does_not_turn_is_told_of",
    ),
    (
        "configured",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "access_denied",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "certificate_missing",
        "integration/client_certificates.rs",
        "another_connection_is_asked_for_where_this_one_was_made_for_another_server",
    ),
    (
        "too_many_connections",
        "integration/outcomes.rs",
        "turned_away",
    ),
    (
        "file_missing",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "directory_without_index",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "file_permission",
        REQUESTS,
        "files_that_the_system_keeps_from_the_server",
    ),
    (
        "precondition_failed",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "range_unsatisfiable",
        REQUESTS,
        "what_the_server_answers_where_no_handler_does",
    ),
    (
        "system_shortage",
        "integration/limits.rs",
        "a_shortage_of_descriptors_spares_what_needs_none",
    ),
    ("stopped", ENDINGS, "what_is_cut_by_the_end_of_grace"),
    (
        "connection_panicked",
        "integration/outcomes.rs",
        "cut_by_a_panic_of_its_connection",
    ),
    (
        "handler_panicked",
        "integration/panics.rs",
        "a_panic_costs_one_exchange",
    ),
    (
        "file_shrank",
        ENDINGS,
        "a_file_that_becomes_shorter_while_it_is_sent",
    ),
    (
        "threads_busy",
        "handlers/misbehaviour.rs",
        "a_full_queue_is_503_at_once",
    ),
    (
        "too_many_viewers",
        "integration/live.rs",
        "one_viewer_too_many_is_503_until_another_has_gone",
    ),
    ("handler_error", "handlers/logs.rs", "misbehave"),
    ("handler_answer_invalid", "handlers/logs.rs", "misbehave"),
    ("handler_timeout", "handlers/logs.rs", "misbehave"),
    ("script_missing", ENDINGS, "scripts"),
    ("script_permission", ENDINGS, "scripts"),
    ("script_not_started", ENDINGS, "scripts"),
    ("script_output", ENDINGS, "scripts"),
    ("script_ended", ENDINGS, "scripts"),
    ("script_timeout", ENDINGS, "scripts"),
    ("local_redirect_failed", ENDINGS, "scripts"),
    ("content_broke_off", ENDINGS, "scripts"),
    ("content_too_short", ENDINGS, "scripts"),
    (
        "scripts_busy",
        "integration/cgi.rs",
        "more_scripts_than_may_run_are_refused_at_once",
    ),
    (
        "upstream_connect_refused",
        ENDINGS,
        "upstreams_that_take_no_connection",
    ),
    (
        "upstream_connect_failed",
        ENDINGS,
        "upstreams_that_take_no_connection",
    ),
    (
        "upstream_connect_timeout",
        ENDINGS,
        "upstreams_that_take_no_connection",
    ),
    (
        "upstream_unknown",
        ENDINGS,
        "upstreams_that_take_no_connection",
    ),
    (
        "upstream_tls_protocol",
        "integration/proxy/tls.rs",
        "failures_are_named",
    ),
    (
        "upstream_no_descriptor",
        "integration/proxy/shortage.rs",
        "a_lack_of_descriptors_is_not_the_upstreams_failure",
    ),
    (
        "upstream_closed_early",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    ("upstream_broken", ENDINGS, "upstreams_that_break_the_rules"),
    (
        "upstream_timeout",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_response_invalid",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_head_too_large",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_chunks_invalid",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_upgrade_failed",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_incomplete",
        ENDINGS,
        "upstreams_that_break_the_rules",
    ),
    (
        "upstream_all_failed",
        ENDINGS,
        "upstreams_that_cannot_be_asked",
    ),
    ("upstream_busy", ENDINGS, "upstreams_that_cannot_be_asked"),
    (
        "upstream_queue_full",
        "integration/proxy/queue.rs",
        "one_more_than_may_wait_is_refused_at_once",
    ),
    (
        "upstream_queue_timeout",
        "integration/proxy/queue.rs",
        "a_request_that_has_waited_long_enough_is_refused",
    ),
    (
        "upstream_overloaded",
        "integration/fastcgi.rs",
        "a_peer_that_misbehaves_is_answered_for_and_named",
    ),
    (
        "upstream_refused",
        "integration/fastcgi.rs",
        "a_peer_that_misbehaves_is_answered_for_and_named",
    ),
    ("proxy_loop", ENDINGS, "upstreams_that_cannot_be_asked"),
    (
        "client_gone",
        "integration/outcomes.rs",
        "left_by_its_client_while_the_response_is_sent",
    ),
    (
        "send_timeout",
        "integration/limits.rs",
        "a_client_that_does_not_read_is_closed",
    ),
    ("file_unreadable", MACHINE, "a_file_whose_read_fails"),
    (
        "content_queue_full",
        MACHINE,
        "content_for_which_there_is_no_thread",
    ),
    (
        "script_unreadable",
        MACHINE,
        "a_script_that_cannot_be_looked_for",
    ),
    (
        "archives_busy",
        "integration/archives.rs",
        "one_too_many_is_refused_until_another_client_has_gone",
    ),
    (
        "listing_no_room",
        MACHINE,
        "a_listing_for_which_there_is_no_room",
    ),
];

/// A site that writes its access log as JSON.
fn site(routes: &str) -> Site {
    Site::new(routes)
        .top("workers = 1")
        .log("access = '-'\nformat = 'json'")
}

/// Waits for the record of the exchange that ended for `reason`; its status must be `status`.
fn expect(server: &Server, reason: &str, status: u16) {
    let meant = format!("\"reason\":\"{reason}\"");
    let record = server.wait_for_record(|line| line.contains(&meant));
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["status"], status, "{record}");
}

/// The list as `tidegate reasons --json` prints it.
fn reasons() -> Vec<serde_json::Value> {
    let output = program().args(["reasons", "--json"]).output();
    let output = output.expect("the program starts");
    let text = ended_with(0, &output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The body of the function `name` in a source file.
fn body<'s>(source: &'s str, name: &str) -> Option<&'s str> {
    let start = source.find(&format!("\nfn {name}("))?;
    let rest = &source[start..];
    Some(&rest[..rest.find("\n}\n")?])
}

#[test]
fn every_reason_is_produced_by_a_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut faults = Vec::new();
    for (reason, file, test) in PRODUCED {
        let source = std::fs::read_to_string(tests.join(file)).unwrap_or_default();
        match body(&source, test) {
            None => faults.push(format!("{reason}: {file} has no test `{test}`")),
            Some(body) if !body.contains(&format!("\"{reason}\"")) => {
                faults.push(format!("{reason}: `{test}` in {file} does not name it"));
            }
            Some(_) => {}
        }
    }
    let named: BTreeSet<&str> = PRODUCED.iter().map(|(reason, ..)| *reason).collect();
    let listed = reasons();
    let listed: BTreeSet<&str> = listed.iter().filter_map(|it| it["id"].as_str()).collect();
    let without = listed.difference(&named);
    faults.extend(without.map(|reason| format!("{reason}: no row says which test produces it")));
    let unknown = named.difference(&listed);
    faults.extend(unknown.map(|reason| format!("{reason}: there is no such reason")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
