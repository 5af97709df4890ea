//! Spans as OTLP over HTTP takes them in JSON, and what a collector says to them.
//!
//! The form is that of Protocol Buffers in JSON, with ids in hexadecimal. Numbers of 64 bits are strings.
//!
//! ```text
//! { resourceSpans: [{ resource: { attributes: [service.name …] },
//!                     scopeSpans: [{ scope: { name: tidegate }, spans: [ … ] }] }] }
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::span::{Kind, Span, Value};

/// The request for `spans` of the service of that name.
pub(super) fn request(service: &str, spans: &[Span]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes = vec![
        attribute("service.name", &Value::Text(service.to_owned())),
        attribute("telemetry.sdk.name", &Value::Text("tidegate".to_owned())),
        attribute("telemetry.sdk.language", &Value::Text("rust".to_owned())),
        attribute("telemetry.sdk.version", &Value::Text(version.to_owned())),
        attribute("process.pid", &Value::Number(std::process::id().into())),
    ];
    let system = rustix::system::uname();
    if let Ok(host) = system.nodename().to_str() {
        attributes.push(attribute("host.name", &Value::Text(host.to_owned())));
    }
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes },
            "scopeSpans": [{
                "scope": { "name": "tidegate", "version": version },
                "spans": spans.iter().map(span).collect::<Vec<_>>(),
            }],
        }],
    })
}

/// The flags of a span beside those of Trace Context: it is known whether the parent is remote, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// `STATUS_CODE_ERROR`. A span that did not fail has no status.
const ERROR: u32 = 2;

fn span(span: &Span) -> Json {
    let remote = if span.has_remote_parent { IS_REMOTE } else { 0 };
    let attributes = span.attributes.iter();
    let mut json = json!({
        "traceId": span.trace.to_string(),
        "spanId": span.id.to_string(),
        "flags": u32::from(span.flags) | HAS_IS_REMOTE | remote,
        "name": span.name,
        "kind": match span.kind {
            Kind::Server => 2,
            Kind::Client => 3,
        },
        "startTimeUnixNano": nanoseconds(span.started),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes
            .map(|(key, value)| attribute(key, value))
            .collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = parent.to_string().into();
    }
    if !span.state.is_empty() {
        json["traceState"] = span.state.as_str().into();
    }
    if span.is_error {
        json["status"] = json!({ "code": ERROR });
    }
    json
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

/// Nanoseconds since 1970, as a string.
fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

/// How many spans the collector says it has refused of those that it has answered 200, and why.
pub(super) fn rejected(content: &[u8]) -> Option<(u64, String)> {
    let said: Json = serde_json::from_slice(content).ok()?;
    let partial = said.get("partialSuccess")?;
    let count = &partial["rejectedSpans"];
    let written = || count.as_str()?.parse().ok();
    let count = count.as_u64().or_else(written).filter(|count| *count > 0)?;
    let why = partial["errorMessage"].as_str().unwrap_or_default();
    Some((count, why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_ids_in_hexadecimal_and_long_numbers_as_strings() {
        let span = Span {
            parent: Some(crate::http::trace_context::SpanId::new([0xab; 8])),
            has_remote_parent: true,
            state: "a=1".to_owned(),
            is_error: true,
            started: UNIX_EPOCH + std::time::Duration::new(1_764_240_000, 5),
            ..Span::for_tests()
        };
        let request = request("shop", std::slice::from_ref(&span));
        let of_resource = &request["resourceSpans"][0];
        assert_eq!(
            of_resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "shop" } })
        );
        let of_scope = &of_resource["scopeSpans"][0];
        assert_eq!(of_scope["scope"]["name"], "tidegate");
        let json = &of_scope["spans"][0];
        assert_eq!(json["traceId"], span.trace.to_string());
        assert_eq!(json["traceId"].as_str().map(str::len), Some(32));
        assert_eq!(json["spanId"].as_str().map(str::len), Some(16));
        assert_eq!(json["parentSpanId"], "abababababababab");
        assert_eq!(json["startTimeUnixNano"], "1764240000000000005");
        assert_eq!(json["kind"], 2);
        assert_eq!(json["flags"], 0x303);
        assert_eq!(json["traceState"], "a=1");
        assert_eq!(json["status"], json!({ "code": 2 }));
        let attributes = json["attributes"].as_array().expect("attributes");
        let status = json!({ "key": "http.response.status_code", "value": { "intValue": "200" } });
        assert!(attributes.contains(&status), "{json}");
    }

    #[test]
    fn a_span_that_did_not_fail_has_no_status_and_one_that_begins_a_trace_no_parent() {
        let request = request("shop", &[Span::for_tests()]);
        let span = &request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        for key in ["status", "parentSpanId", "traceState"] {
            assert_eq!(span.get(key), None, "{key}");
        }
        assert_eq!(span["flags"], 0x103);
    }

    #[test]
    fn a_collector_may_refuse_a_part() {
        for (content, expected) in [
            ("", None),
            ("{}", None),
            ("{\"partialSuccess\":{}}", None),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"0\"}}", None),
            (
                "{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}",
                Some((3, "")),
            ),
            (
                "{\"partialSuccess\":{\"rejectedSpans\":2,\"errorMessage\":\"old\"}}",
                Some((2, "old")),
            ),
        ] {
            let expected = expected.map(|(count, why)| (count, why.to_owned()));
            assert_eq!(rejected(content.as_bytes()), expected, "{content}");
        }
    }
}
