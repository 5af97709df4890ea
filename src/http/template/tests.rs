use super::*;

/// The template whose parts are `parts`, as they stand in a URI reference.
fn template(parts: &[Part]) -> Template {
    let mut before = String::new();
    let mut placed = Vec::new();
    for part in parts {
        placed.push((part.clone(), Area::behind(&before)));
        match part {
            Part::Text(text) => before.push_str(text),
            _ => before.push('x'),
        }
    }
    placed.into_iter().collect()
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

const VALUES: Values<'static> = Values {
    path: b"/shop/a b",
    rest: b"",
    matched: b"/shop/a b",
    is_sent: false,
    query: None,
    host: b"Example.COM",
    is_https: false,
    method: "GET",
    client: None,
};

fn filled(parts: &[Part], values: &Values<'_>, place: Place) -> String {
    let mut out = Vec::new();
    template(parts).fill(values, place, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_text_tells_which_part_of_a_uri_follows_it() {
    for (before, area) in [
        ("", Area::Path),
        ("/a", Area::Path),
        ("/a//", Area::Path),
        ("https://", Area::Authority),
        ("x://x.example", Area::Authority),
        ("//cdn.example", Area::Authority),
        ("https://x/", Area::Path),
        ("https://x/a?b=", Area::Query),
        ("/a#", Area::Query),
        ("https://x?", Area::Query),
    ] {
        assert_eq!(Area::behind(before), area, "{before}");
    }
}

#[test]
fn an_empty_query_leaves_nothing_behind() {
    let cases: &[(&[Part], &str, &str)] = &[
        (&[text("/i?a=1&"), Part::Query], "/i?a=1", "/i?a=1&q=2"),
        (&[text("/i?"), Part::Query], "/i", "/i?q=2"),
        (
            &[text("/i?"), Part::Query, text("&a=1")],
            "/i?a=1",
            "/i?q=2&a=1",
        ),
        (
            &[text("/i?b=1&"), Part::Query, text("&a=1")],
            "/i?b=1&a=1",
            "/i?b=1&q=2&a=1",
        ),
        (&[text("/i?all="), Part::Query], "/i?all=", "/i?all=q%3D2"),
        (&[text("/i?"), Part::Query, text("#x")], "/i#x", "/i?q=2#x"),
    ];
    for (parts, without, with) in cases {
        for (query, expected) in [
            (None, without),
            (Some(&b""[..]), without),
            (Some(b"q=2"), with),
        ] {
            let values = Values { query, ..VALUES };
            assert_eq!(filled(parts, &values, Place::Uri), **expected, "{query:?}");
        }
    }
}

#[test]
fn a_slash_before_a_path_is_not_doubled() {
    let values = Values {
        path: b"/a/b",
        rest: b"/b",
        matched: b"/a/b",
        ..VALUES
    };
    for (parts, expected) in [
        (&[text("/v2"), Part::Rest][..], "/v2/b"),
        (&[text("/v2/"), Part::Rest], "/v2/b"),
        (&[text("/"), Part::Path], "/a/b"),
        (&[text("/v2/"), Part::Tail(1)], "/v2/b"),
        (
            &[text("https://"), Part::Host, Part::Path],
            "https://example.com/a/b",
        ),
        // An empty host stays empty. There is none where a URL stands in a path.
        (&[text("x-app://"), Part::Path], "x-app:///a/b"),
        (&[text("/fetch/https://"), Part::Path], "/fetch/https://a/b"),
    ] {
        assert_eq!(filled(parts, &values, Place::Uri), expected);
    }
}

#[test]
fn a_location_begins_with_two_slashes_only_if_the_operator_says_so() {
    let values = Values {
        path: b"/",
        rest: b"/",
        matched: b"/",
        query: Some(b"evil.example"),
        ..VALUES
    };
    for (parts, expected) in [
        (&[Part::Path, text("/"), Part::Query][..], "/evil.example"),
        (&[Part::Rest, text("//"), Part::Host], "/example.com"),
        (&[Part::Path], "/"),
        (&[text("/a//"), Part::Host], "/a//example.com"),
        (&[text("//cdn.example"), Part::Path], "//cdn.example/"),
        (
            &[text("https://"), Part::Host, text("//")],
            "https://example.com//",
        ),
    ] {
        let location = template(parts).location(&values);
        assert_eq!(String::from_utf8_lossy(&location), expected);
    }
}

#[test]
fn a_segment_ends_nothing_wherever_it_stands() {
    let hostile = "/shop/a&b=c;d\"e<f>'g\\h\r\nSet-Cookie: x\0y%";
    let values = Values {
        path: hostile.as_bytes(),
        matched: hostile.as_bytes(),
        ..VALUES
    };
    let segment = Part::Segment(1);
    for (before, place, expected) in [
        (
            "/",
            Place::Uri,
            "/a&b=c;d%22e%3Cf%3E'g%5Ch%0D%0ASet-Cookie:%20x%2Fy%25",
        ),
        (
            "/?q=",
            Place::Uri,
            "/?q=a%26b%3Dc%3Bd%22e%3Cf%3E'g%5Ch%0D%0ASet-Cookie:%20x%2Fy%25",
        ),
        (
            "https://",
            Place::Uri,
            "https://a%26b%3Dc%3Bd%22e%3Cf%3E%27g%5Ch%0D%0ASet-Cookie:%20x%2Fy%25",
        ),
        (
            "",
            Place::Field,
            "a&b=c%3Bd%22e%3Cf%3E'g%5Ch%0D%0ASet-Cookie:%20x%2Fy%25",
        ),
        (
            "",
            Place::Markup,
            "a&amp;b=c;d&quot;e&lt;f&gt;&#39;g\\h\r\nSet-Cookie: x/y%",
        ),
        (
            "",
            Place::Json,
            "a\\u0026b=c;d\\u0022e\\u003cf\\u003e\\u0027g\\u005ch\\u000d\\u000aSet-Cookie: x/y%",
        ),
        ("", Place::Text, "a&b=c;d\"e<f>'g\\h\r\nSet-Cookie: x/y%"),
        ("", Place::File, "a&b=c;d\"e<f>'g\\h\r\nSet-Cookie: x\0y%"),
    ] {
        let parts = [text(before), segment.clone()];
        assert_eq!(filled(&parts, &values, place), expected, "{place:?}");
    }
}

#[test]
fn a_path_as_sent_keeps_its_encoding() {
    let values = Values {
        path: b"/a%2fb//%41",
        rest: b"//%41",
        matched: b"/a%2fb//%41",
        is_sent: true,
        ..VALUES
    };
    for (parts, expected) in [
        (&[Part::Path][..], "/a%2fb//%41"),
        (&[text("/x"), Part::Rest], "/x//%41"),
        (&[text("/x/"), Part::Segment(0)], "/x/a%2fb"),
        (&[text("/x/"), Part::Segment(1)], "/x/%41"),
        (&[text("/x/"), Part::Segment(2)], "/x/"),
        (&[text("/x/"), Part::Tail(1)], "/x/%41"),
        (&[text("/x?p="), Part::Path], "/x?p=/a%2fb//%41"),
    ] {
        assert_eq!(filled(parts, &values, Place::Uri), expected);
    }
}

#[test]
fn other_values_are_of_the_request() {
    let values = Values {
        query: Some(b"a=/1&b=\"2"),
        is_https: true,
        client: Some([192, 0, 2, 7].into()),
        ..VALUES
    };
    let parts = [
        Part::Scheme,
        text(" "),
        Part::Method,
        text(" "),
        Part::Client,
        text(" "),
        Part::Host,
        text(" "),
        Part::Query,
    ];
    assert_eq!(
        filled(&parts, &values, Place::Field),
        "https GET 192.0.2.7 example.com a=/1&b=%222"
    );
    assert_eq!(
        filled(&[Part::Query], &values, Place::File),
        "a=\u{0}1&b=\"2"
    );
    let nobody = filled(&[Part::Client], &VALUES, Place::Field);
    assert_eq!(nobody, "", "a client without an address");
    assert_eq!(
        filled(&[text("/s/"), Part::Query], &values, Place::Uri),
        "/s/a=%2F1&b=\"2"
    );
}

#[test]
fn octets_that_are_no_text_are_replaced_in_text() {
    let values = Values {
        matched: b"/\xff",
        ..VALUES
    };
    assert_eq!(
        filled(&[Part::Segment(0)], &values, Place::Text),
        "\u{fffd}"
    );
    assert_eq!(filled(&[Part::Segment(0)], &values, Place::Field), "%FF");
}
