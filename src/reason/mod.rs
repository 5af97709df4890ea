//! Why a response is the server's own, or why an exchange ended badly: one closed list.
//!
//! A reason stands in the log, on error pages, in `Proxy-Status`, and in the counters. An exchange
//! without one was answered by a handler, to the end of the response. The list itself, with the words
//! that `tidegate reasons` prints, is [`list`]; how to add a reason is in CONTRIBUTING.md.

mod list;
mod of_request;
mod text;

pub(crate) use list::Reason;
pub(crate) use text::{meaning_of, to_json, to_text};

#[cfg(test)]
mod tests {
    use super::list::Entry;
    use super::*;

    fn entries() -> impl Iterator<Item = &'static Entry> {
        list::GROUPS.iter().flat_map(|group| group.entries)
    }

    #[test]
    fn every_reason_has_an_id_of_its_own_and_words() {
        let mut ids = std::collections::BTreeSet::new();
        for entry in entries() {
            let id = entry.id;
            let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'_';
            assert!(id.bytes().all(is_plain), "{id}");
            assert!(ids.insert(id), "{id} stands there twice");
            assert_eq!(entry.reason.id(), id);
            for text in [entry.meaning, entry.remedy] {
                assert!(text.ends_with('.'), "{id}: {text:?} is no sentence");
                assert!(
                    !text.contains("  ") && !text.contains('|'),
                    "{id}: {text:?}"
                );
            }
        }
        assert_eq!(ids.len(), Reason::COUNT);
        let places = Reason::ALL.iter().map(|reason| *reason as usize);
        assert!(places.eq(0..Reason::COUNT));
    }

    /// The types that RFC 9209 §2.3 registers.
    #[test]
    fn errors_of_proxy_status_are_registered_ones() {
        const REGISTERED: &[&str] = &[
            "dns_timeout",
            "dns_error",
            "destination_not_found",
            "destination_unavailable",
            "destination_ip_prohibited",
            "destination_ip_unroutable",
            "connection_refused",
            "connection_terminated",
            "connection_timeout",
            "connection_read_timeout",
            "connection_write_timeout",
            "connection_limit_reached",
            "tls_protocol_error",
            "tls_certificate_error",
            "tls_alert_received",
            "http_request_error",
            "http_request_denied",
            "http_response_incomplete",
            "http_response_header_section_size",
            "http_response_header_size",
            "http_response_body_size",
            "http_response_trailer_section_size",
            "http_response_trailer_size",
            "http_response_transfer_coding",
            "http_response_content_coding",
            "http_response_timeout",
            "http_upgrade_failed",
            "http_protocol_error",
            "proxy_internal_response",
            "proxy_internal_error",
            "proxy_configuration_error",
            "proxy_loop_detected",
        ];
        for error in entries().filter_map(|entry| entry.proxy_error) {
            assert!(REGISTERED.contains(&error), "{error}");
        }
    }
}
