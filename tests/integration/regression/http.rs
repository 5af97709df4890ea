//! HTTP itself: framing, fields, request-targets, answers to errors.

use crate::support::Site;

/// A client behind nginx or HAProxy sent a quote. The proxy put the client's address behind it, both
/// together were read as one element, and since that was no address, the client counted as the proxy:
/// it passed `allow`, evaded `deny`, and the log named the proxy.
#[test]
fn a_quote_in_a_forwarded_field_lets_nobody_in() {
    let routes = "'/' = { respond = 'ok' }\n\
                  '/admin' = { respond = 'ok', allow = '127.0.0.1' }\n\
                  '/open' = { respond = 'ok', deny = '203.0.113.9' }";
    let server = Site::new(routes)
        .top("trusted_proxies = '127.0.0.1'")
        .log("access = '-'\nformat = 'common'")
        .start();
    let cases = [
        ("203.0.113.9", "203.0.113.9", 403, 403),
        ("\", 203.0.113.9", "203.0.113.9", 403, 403),
        (
            "\"\r\nX-Forwarded-For: 203.0.113.9",
            "203.0.113.9",
            403,
            403,
        ),
        ("\"127.0.0.1, 203.0.113.8", "203.0.113.8", 403, 200),
        ("\"", "-", 403, 403),
        ("unknown", "-", 403, 403),
        ("_secret:80", "-", 403, 403),
        ("[203.0.113.9]:80", "-", 403, 403),
        ("203.0.113.9:80", "203.0.113.9", 403, 403),
        ("[2001:db8::9]:80", "2001:db8::9", 403, 200),
        ("127.0.0.1", "127.0.0.1", 200, 200),
    ];
    for (number, (value, _, admin, open)) in cases.into_iter().enumerate() {
        let lines = format!("X-Forwarded-For: {value}\r\n");
        let status = |target: &str| server.get_with(target, &lines).status;
        assert_eq!(status("/admin"), admin, "{value:?}");
        assert_eq!(status("/open"), open, "{value:?}");
        let target = format!("/{number}");
        assert_eq!(status(&target), 200, "{value:?}");
    }
    let (_, records) = server.stop();
    for (number, (value, client, ..)) in cases.into_iter().enumerate() {
        let is_its = |record: &&String| record.contains(&format!("GET /{number} "));
        let record = records
            .iter()
            .find(is_its)
            .expect("every exchange is logged");
        let logged = record.split(' ').next();
        assert_eq!(logged, Some(client), "{value:?}: {record}");
    }
}
