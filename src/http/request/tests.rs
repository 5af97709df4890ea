//! Heads as bytes, and what is parsed from them.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    max_bytes: 1024,
    max_fields: 8,
};

/// Parses `text`, which must be a complete head, and returns what `inspect` returns for it.
fn with_head<T>(text: &str, inspect: impl FnOnce(&RequestHead<'_>, usize) -> T) -> T {
    let mut space = field_space();
    match RequestHead::parse(text.as_bytes(), &mut space, LIMITS) {
        Ok(Parsed::Complete(head, length)) => inspect(&head, length),
        other => panic!("{text:?} is no complete head: {other:?}"),
    }
}

/// Returns why `text` is refused, or whether it is complete. Checks that `parse` and `parse_kept`
/// agree about that.
fn verdict(text: &str) -> Result<bool, RequestError> {
    let (mut space, mut lines) = (field_space(), Box::default());
    let parsed = RequestHead::parse(text.as_bytes(), &mut space, LIMITS);
    let kept = RequestHead::parse_kept(text.as_bytes(), &mut lines, LIMITS);
    assert_eq!(format!("{parsed:?}"), format!("{kept:?}"));
    parsed.map(|parsed| matches!(parsed, Parsed::Complete(..)))
}

#[test]
fn reads_a_request() {
    let text = "GET /a?b HTTP/1.1\r\nHost: Example.com:8080\r\nX: y\r\n\r\nGET";
    with_head(text, |head, length| {
        assert_eq!(head.method, Method::Get);
        assert_eq!(
            (head.target.path, head.target.query),
            (&b"/a"[..], Some(&b"b"[..]))
        );
        assert_eq!(head.raw_target, "/a?b");
        assert_eq!(head.host, b"Example.com");
        assert_eq!(head.framing, Framing::Empty);
        assert!(head.persistent && !head.expects_continue);
        assert_eq!(length, text.len() - 3);
    });
}

#[test]
fn the_host_of_an_absolute_form_wins() {
    let text = "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n";
    with_head(text, |head, _| assert_eq!(head.host, b"a.example"));
}

#[test]
fn tells_persistence() {
    for (version, connection, persistent) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.1", "Connection: upgrade\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.9", "", true),
    ] {
        let mut text = format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n").into_bytes();
        lower_minor_version(&mut text);
        let text = String::from_utf8(text).expect("text stays text");
        with_head(&text, |head, _| {
            assert_eq!(head.persistent, persistent, "{version} {connection:?}")
        });
    }
}

#[test]
fn tells_who_waits_for_100_continue() {
    for (version, fields, expects) in [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        (
            "1.1",
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
            true,
        ),
        ("1.1", "Expect: 100-continue\r\n", false),
        (
            "1.0",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            false,
        ),
    ] {
        let text = format!("PUT / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        with_head(&text, |head, _| {
            assert_eq!(head.expects_continue, expects, "{text:?}")
        });
    }
}

#[test]
fn judges_heads() {
    use RequestError::*;
    let cases: &[(&str, Result<bool, RequestError>)] = &[
        ("", Ok(false)),
        ("GET / HTTP/1.1\r\nHost: h\r\n", Ok(false)),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Ok(true)),
        ("GET / HTTP/1.1\nHost: h\n\n", Ok(true)),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Ok(true)),
        ("GET / HTTP/1.0\r\n\r\n", Ok(true)),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Ok(true)),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", Ok(true)),
        ("GET / HTTP/1.1\r\n\r\n", Err(MissingHost)),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Err(InvalidHost),
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Err(InvalidHost)),
        ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", Err(InvalidHost)),
        ("GET http://h/ HTTP/1.1\r\n\r\n", Err(MissingHost)),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", Err(InvalidTarget)),
        (
            "GET nowhere HTTP/1.1\r\nHost: h\r\n\r\n",
            Err(InvalidTarget),
        ),
        ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", Err(UnknownMethod)),
        ("get / HTTP/1.1\r\nHost: h\r\n\r\n", Err(UnknownMethod)),
        ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET / HTTP/2", Ok(false)),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", Err(UnsupportedVersion)),
        ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", Err(UnsupportedVersion)),
        ("GET / HTTP/11\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET /\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", Err(Malformed)),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", Err(Malformed)),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Err(Malformed)),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
            Err(Malformed),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
            Err(Malformed),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n",
            Err(Malformed),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\x07c\r\n\r\n",
            Err(Malformed),
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", Err(Malformed)),
        ("GET / HTTP/1.1\r\nHost: h\r\nAb\r\n\r\n", Err(Malformed)),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n",
            Err(UnknownExpectation),
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
            Err(InvalidContentLength),
        ),
        (
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
            Err(Malformed),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(verdict(text), *expected, "{text:?}");
    }
}

/// A head with two faults, of which the second lies behind the limit, was answered 414 or 400: it depended
/// on how much of it had come.
#[test]
fn a_fault_behind_the_limit_does_not_count() {
    for empty in ["", "\r\n\r\n"] {
        let long = "x".repeat(1200);
        let text = format!("{empty}GET /{long} HTTP/1.1\r\nno field line\r\n\r\n");
        assert_eq!(verdict(&text), Err(RequestError::TargetTooLong));
        let text = format!("{empty}GET / HTTP/1.1\r\nHost: {long}\r\nno field line\r\n\r\n");
        assert_eq!(verdict(&text), Err(RequestError::HeadTooLarge));
    }
}

#[test]
fn refuses_what_exceeds_the_limits() {
    let head = |target: usize, field: usize, lines: usize| {
        let (target, field) = ("a".repeat(target), "b".repeat(field));
        format!(
            "GET /{target} HTTP/1.1\r\nHost: h\r\nX: {field}\r\n{}\r\n",
            "Y: z\r\n".repeat(lines)
        )
    };
    assert_eq!(verdict(&head(900, 0, 0)), Ok(true));
    assert_eq!(verdict(&head(2000, 0, 0)), Err(RequestError::TargetTooLong));
    assert_eq!(verdict(&head(1000, 0, 0)), Err(RequestError::HeadTooLarge));
    assert_eq!(
        verdict(&head(2000, 0, 0)[..1024]),
        Err(RequestError::TargetTooLong)
    );
    assert_eq!(
        verdict(&head(0, 2000, 0)[..1024]),
        Err(RequestError::HeadTooLarge)
    );
    assert_eq!(verdict(&head(0, 0, 6)), Ok(true));
    assert_eq!(verdict(&head(0, 0, 7)), Err(RequestError::HeadTooLarge));
}

#[test]
fn lowers_only_a_higher_minor_version() {
    for (before, after) in [
        ("GET / HTTP/1.2\r\n", "GET / HTTP/1.1\r\n"),
        ("\r\nGET / HTTP/1.9\r\n", "\r\nGET / HTTP/1.1\r\n"),
        ("GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n"),
        ("GET / HTTP/2.2\r\n", "GET / HTTP/2.2\r\n"),
        ("GET / HTTP/1.2", "GET / HTTP/1.2"),
    ] {
        let mut bytes = before.as_bytes().to_vec();
        assert_eq!(lower_minor_version(&mut bytes), before != after);
        assert_eq!(bytes, after.as_bytes());
    }
}

#[test]
fn finds_the_request_line_of_anything() {
    for (bytes, line) in [
        ("\r\nGET /\r\nA", "GET /"),
        ("GET", "GET"),
        ("", ""),
        ("\r\n", ""),
    ] {
        assert_eq!(request_line(bytes.as_bytes()), line.as_bytes(), "{bytes:?}");
    }
}

proptest! {
    /// However the bytes arrive, the head is complete at the same byte, and `may_be_complete` is
    /// true of it there.
    #[test]
    fn any_split_gives_the_same_head(split in 0usize..70, bare in any::<bool>()) {
        let text = "GET /a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nX-Y: z\r\n\r\n";
        let text = if bare { text.replace("\r\n", "\n") } else { text.to_owned() };
        let split = split.min(text.len());
        let complete = verdict(&text[..split]).expect("no prefix is refused");
        prop_assert_eq!(complete, split == text.len());
        prop_assert!(split == text.len() || may_be_complete(text.as_bytes(), split));
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let (mut space, mut lines) = (field_space(), Box::default());
        let parsed = RequestHead::parse(&bytes, &mut space, LIMITS);
        let kept = RequestHead::parse_kept(&bytes, &mut lines, LIMITS);
        prop_assert_eq!(format!("{parsed:?}"), format!("{kept:?}"));
        let _ = lower_minor_version(&mut bytes.clone());
    }
}

#[test]
fn a_head_ends_with_its_empty_line() {
    for (bytes, expected) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\nrest\r\n\r\n", Some(27)),
        ("GET / HTTP/1.1\nHost: h\n\nrest", Some(24)),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r", None),
        ("\r\n\r\nGET /", Some(4)),
        ("", None),
    ] {
        assert_eq!(head_length(bytes.as_bytes()), expected, "{bytes:?}");
    }
}

#[test]
fn what_was_read_of_a_refused_request_can_be_told() {
    let told = |text: &str| {
        let mut space = field_space();
        let glimpse = Glimpse::of(text.as_bytes(), &mut space);
        let host = String::from_utf8_lossy(glimpse.host).into_owned();
        (glimpse.method, host, glimpse.is_whole)
    };
    let (get, post) = (Some(Method::Get), Some(Method::Post));
    for (text, method, host, is_whole) in [
        (
            "POST / HTTP/1.1\r\nHost: a:8\r\nExpect: b\r\n\r\n",
            post,
            "a",
            true,
        ),
        (
            "\r\nGET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            get,
            "a",
            true,
        ),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", get, "b", true),
        ("GET b HTTP/1.1\r\nHost: a\r\n\r\n", get, "a", true),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", None, "a", true),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            get,
            "",
            true,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", get, "", true),
        ("GET / HTTP/1.1\r\n\r\n", get, "", true),
        ("GET / HTTP/1.1\r\nHost: a\r\n", get, "", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", get, "", false),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", get, "", false),
        ("GE", None, "", false),
        ("", None, "", false),
    ] {
        assert_eq!(told(text), (method, host.to_owned(), is_whole), "{text:?}");
    }
}
