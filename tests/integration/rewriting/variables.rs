//! Variables in redirects, in fields of answers and of requests to upstreams, and in content.

use super::get;
use crate::support::{Site, Upstream, is_tls_wanted, speak_plainly};

/// What `{scheme}` stands for.
fn scheme() -> &'static str {
    if is_tls_wanted() { "https" } else { "http" }
}

#[test]
fn a_redirect_leads_where_the_request_says_and_never_elsewhere() {
    speak_plainly();
    let server = Site::new(
        "'/' = { redirect = '{scheme}://example.com{path}' }\n\
         '/id/{id:int}' = { redirect = '/item/{id}' }\n\
         '/dl/{file...}' = { redirect = '/files/{file}' }\n\
         '/q' = { redirect = '/search?for={rest}&{query}' }\n\
         '/next' = { redirect = '/login?next={path}%3F{query}' }\n\
         '/sub/{name}' = { redirect = 'https://{name}.example.com/' }",
    )
    .start();
    for (target, location) in [
        ("/a?b", "http://example.com/a?b"),
        ("//evil.example/", "http://example.com/evil.example/"),
        ("/id/7?x=1", "/item/7?x=1"),
        ("/id/7/more", "/item/7/more"),
        ("/dl/a/b%2Fc?x", "/files/a/b%2Fc?x"),
        ("/dl/%5C%5Cevil.example", "/files/%5C%5Cevil.example"),
        ("/q/a&b", "/search?for=/a%26b"),
        ("/q/a?x=1", "/search?for=/a&x=1"),
        ("/next?a=1&b=2", "/login?next=/next%3Fa%3D1%26b%3D2"),
        (
            "/sub/evil.example%2F",
            "https://evil.example%2F.example.com/",
        ),
        ("/sub/a@b%3Fc", "https://a%40b%3Fc.example.com/"),
        (
            "/%0d%0aSet-Cookie:x",
            "http://example.com/%0D%0ASet-Cookie:x",
        ),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Location"), Some(location), "{target}");
        assert_eq!((response.status, response.field("Set-Cookie")), (308, None));
    }
}

#[test]
fn fields_say_something_of_each_request_whatever_answers() {
    let site = Site::new(
        "'/u/{id}' = { files = 'www', headers = { X-Id = '{id}', Link = '<{path}>; rel=self' } }\n\
         '/t' = { respond = 't', headers.add = { X-Rest = '{rest}' } }\n\
         '/json' = { respond = 'j', headers = { Report-To = '{\"group\":\"a\"}' } }\n\
         'POST /m' = { respond = 'm' }",
    )
    .server(
        "listen = '127.0.0.1:0'\n\
         headers = { X-Asked = '{method} {scheme}://{host}{path}?{query}', X-Client = '{client}' }",
    );
    let server = site.start();
    for (target, status) in [("/u/7", 404), ("/t/a", 200), ("/gone", 404), ("/m", 405)] {
        let response = server.get(&format!("{target}?q=1"));
        let asked = format!("GET {}://h{target}?q=1", scheme());
        assert_eq!(response.status, status, "{target}");
        assert_eq!(response.field("X-Asked"), Some(&*asked), "{target}");
        assert_eq!(response.field("X-Client"), Some("127.0.0.1"), "{target}");
    }
    let hostile = server.get("/u/a%0d%0aX-Evil:1;b%22,c?q");
    assert_eq!(hostile.field("X-Id"), Some("a%0D%0AX-Evil:1%3Bb%22%2Cc"));
    assert_eq!(hostile.field("X-Evil"), None);
    assert_eq!(
        hostile.field("Link"),
        Some("</u/a%0D%0AX-Evil:1%3Bb%22%2Cc>; rel=self")
    );
    assert_eq!(server.get("/t/a/b").field("X-Rest"), Some("/a/b"));
    assert_eq!(
        server.get("/json").field("Report-To"),
        Some("{\"group\":\"a\"}")
    );
    let unreadable = server.answer("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    assert_eq!(
        (unreadable.status, unreadable.field("X-Asked")),
        (400, None)
    );
}

#[test]
fn content_is_filled_and_encoded_by_its_type() {
    let server = Site::new(
        "'/text/{name}' = { respond = 'hello {name}, {{name}}, {\"a\":{}}' }\n\
         '/html/{name}' = { respond = '<p>{name}', content_type = 'text/html' }\n\
         '/json/{name}' = { respond = '{\"name\":\"{name}\",\"a\":{\"b\":{}}}', content_type = 'application/json' }\n\
         '/really-html/{name}' = { respond = '<p>{name}', headers = { Content-Type = 'text/html' } }\n\
         '/scheme' = { respond = '{scheme} {host} {query}' }",
    )
    .start();
    let name = "%3Cb%3E%22'%26%C3%A9%2F";
    for (target, expected) in [
        (
            "text",
            "hello <b>\"'&\u{e9}/, {name}, {\"a\":{}}".to_owned(),
        ),
        ("html", "<p>&lt;b&gt;&quot;&#39;&amp;\u{e9}/".to_owned()),
        (
            "really-html",
            "<p>&lt;b&gt;&quot;&#39;&amp;\u{e9}/".to_owned(),
        ),
        (
            "json",
            "{\"name\":\"\\u003cb\\u003e\\u0022\\u0027\\u0026\u{e9}/\",\"a\":{\"b\":{}}}"
                .to_owned(),
        ),
    ] {
        let response = server.get(&format!("/{target}/{name}"));
        assert_eq!(
            (response.status, response.text()),
            (200, expected),
            "{target}"
        );
    }
    let told = server.get("/scheme?a=%41").text();
    assert_eq!(told, format!("{} h a=%41", scheme()));
    let mut head = server.connect();
    head.send("HEAD /text/ab HTTP/1.1\r\nHost: h\r\n\r\n");
    let length = "hello ab, {name}, {\"a\":{}}".len();
    assert_eq!(head.response_to_head().content_length(), Some(length));
}

#[test]
fn an_upstream_is_told_what_the_client_asked_for() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let server = Site::new(&format!(
        "'/shop/{{id}}' = {{ proxy = '{}', rewrite = '/item', \
         request_headers = {{ X-Original = '{{path}}?{{query}}', X-Id = '{{id}}', X-Plain = 'a' }} }}",
        upstream.url()
    ))
    .start();
    assert_eq!(get(&server, "/shop/7%3B?a=1").status, 200);
    let requests = upstream.requests();
    let request = requests.last().expect("it was asked");
    assert_eq!(request.line(), "GET /item?a=1 HTTP/1.1");
    assert_eq!(
        request.field("X-Original").as_deref(),
        Some("/shop/7%3B?a=1")
    );
    assert_eq!(request.field("X-Id").as_deref(), Some("7%3B"));
    assert_eq!(request.field("X-Plain").as_deref(), Some("a"));
}
