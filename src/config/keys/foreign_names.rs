//! Names of other servers that stand for no single key of ours, or for what this server does by itself or not at all.
//! What stands for one key has its name in the entry of that key.

/// A name, the key of ours that is nearest (empty: none), and what to say to an operator who writes the name.
pub(super) const NAMES: &[(&str, &str, &str)] = &[
    ("response_headers", "headers", FIELDS),
    ("header_down", "headers", FIELDS),
    ("customResponseHeaders", "headers", FIELDS),
    (
        "hsts",
        "headers",
        "write headers = { Strict-Transport-Security = \"max-age=31536000\" }",
    ),
    (
        "proxy_hide_header",
        "headers",
        "fields are taken out by headers = { remove = [\"X-Powered-By\"] }",
    ),
    (
        "customRequestHeaders",
        "request_headers",
        "the setting is called `request_headers`, beside `proxy` in a route",
    ),
    (
        "map",
        "when",
        "what depends on the request is an array of routes with `when`: \
         `\"/\" = [{ when = { cookie.canary = \"1\" }, proxy = \"b\" }, { proxy = \"a\" }]`",
    ),
    (
        "geo",
        "allow",
        "networks are named in `allow` and `deny`: allow = [\"10.0.0.0/8\"]",
    ),
    (
        "connect_timeout",
        "timeouts",
        "write timeouts = { connect = \"3s\" } in `[upstreams.NAME]`",
    ),
    (
        "read_timeout",
        "timeouts",
        "write timeouts = { head = \"60s\", read = \"60s\" } in `[upstreams.NAME]`; `timeout` beside `proxy` is both, \
         for one route",
    ),
    (
        "request_body",
        "limits",
        "how long the content of a request may be is limits = { max_content = \"10 MiB\" }",
    ),
    (
        "large_client_header_buffers",
        "limits",
        "how long the head of a request may be is limits = { max_head = \"32 KiB\" }",
    ),
    (
        "merge_slashes",
        "",
        "several slashes in a path count as one; leave the line out",
    ),
    (
        "default_server",
        "hosts",
        "a server without `hosts` answers for the hosts that no other server at its address has",
    ),
    (
        "http2",
        "",
        "this server speaks HTTP/1.1; leave the line out",
    ),
    (
        "http3",
        "",
        "this server speaks HTTP/1.1; leave the line out",
    ),
    (
        "ssl_ciphers",
        "tls",
        "the cipher suites are fixed, and all have forward secrecy; `versions` in `tls` says which versions are spoken",
    ),
    (
        "ssl_prefer_server_ciphers",
        "tls",
        "the cipher suites are fixed, and all have forward secrecy; leave the line out",
    ),
    (
        "ssl_dhparam",
        "tls",
        "no session is made with such parameters; leave the line out",
    ),
    ("ssl_session_cache", "tls", RESUMED),
    ("ssl_session_timeout", "tls", RESUMED),
    ("ssl_session_tickets", "tls", RESUMED),
    (
        "ssl_stapling",
        "tls",
        "there is no OCSP stapling, which CAs give up; leave the line out",
    ),
    (
        "gzip_types",
        "compress",
        "write compress = { types = [\"text/*\", \"application/json\"] }; left out: what becomes smaller",
    ),
    (
        "brotli_static",
        "precompressed",
        "precompressed files (`.gz`, `.br`, `.zst`) beside the originals are served by themselves",
    ),
    (
        "gzip_static",
        "precompressed",
        "precompressed files (`.gz`, `.br`, `.zst`) beside the originals are served by themselves",
    ),
    (
        "real_ip_recursive",
        "trusted_proxies",
        "the client is the last address in the field that is none of the `trusted_proxies`, by itself; leave the line out",
    ),
    (
        "satisfy",
        "auth",
        "`allow` and `auth` of a route both have to hold: there is no `satisfy any`",
    ),
    (
        "auth_request_set",
        "auth",
        "fields of the service's answer reach the application by `copy`: \
         auth = { forward = \"http://127.0.0.1:9091/verify\", copy = [\"Remote-User\"] }",
    ),
    (
        "forwardAuth",
        "auth",
        "write auth = { forward = \"http://127.0.0.1:9091/verify\" }",
    ),
    (
        "forward_auth",
        "auth",
        "write auth = { forward = \"http://127.0.0.1:9091/verify\" }",
    ),
    (
        "basicAuth",
        "auth",
        "write auth = { basic = \"users.htpasswd\" }",
    ),
    (
        "basic_auth",
        "auth",
        "write auth = { basic = \"users.htpasswd\" }",
    ),
    (
        "ipAllowList",
        "allow",
        "the setting is called `allow`: allow = [\"10.0.0.0/8\"]",
    ),
    (
        "ipWhiteList",
        "allow",
        "the setting is called `allow`: allow = [\"10.0.0.0/8\"]",
    ),
    (
        "rateLimit",
        "rate",
        "write rate = \"10/s\" in a server or a route",
    ),
    (
        "addPrefix",
        "rewrite",
        "write rewrite = \"/prefix{path}\" in a route",
    ),
    (
        "redirectScheme",
        "http_redirect",
        "write http_redirect = \":80\" in the server that has `tls`",
    ),
    (
        "entryPoints",
        "listen",
        "the setting is called `listen`, in `[[server]]`",
    ),
    (
        "middlewares",
        "",
        "what holds for a route stands in the route: `auth`, `headers`, `rate`, `strip_prefix`",
    ),
    (
        "limit_except",
        "",
        "the methods of a route stand in its key: `\"GET /api\"`, or in `when`: when = { method = \"GET\" }",
    ),
    (
        "valid_referers",
        "when",
        "write when = { header.Referer = \"https://example.com/*\" } in a route",
    ),
    (
        "proxy_cache",
        "",
        "answers of upstreams are not cached here; leave the line out",
    ),
    (
        "proxy_cache_path",
        "",
        "answers of upstreams are not cached here; leave the line out",
    ),
    ("proxy_redirect", "", PASSED_ON),
    ("proxy_cookie_path", "", PASSED_ON),
    ("proxy_cookie_domain", "", PASSED_ON),
    (
        "proxy_intercept_errors",
        "error_pages",
        "`error_pages` are for errors of this server; those of an upstream go to the client as they are",
    ),
    ("DocumentRoot", "files", FILES),
    ("file_server", "files", FILES),
    (
        "DirectoryIndex",
        "index",
        "the setting is called `index`, beside `files` in a route",
    ),
    (
        "ErrorDocument",
        "error_pages",
        "write error_pages = { 404 = \"404.html\" }",
    ),
    ("ServerName", "hosts", "the setting is called `hosts`"),
    (
        "ServerAlias",
        "hosts",
        "further names stand in `hosts`: hosts = [\"example.com\", \"www.example.com\"]",
    ),
    (
        "ProxyPass",
        "proxy",
        "write `\"/\" = { proxy = \"http://127.0.0.1:8000\" }`",
    ),
    (
        "SSLCertificateFile",
        "tls",
        "write tls = { certificate = \"example.pem\", key = \"example.key\" }",
    ),
    (
        "redir",
        "redirect",
        "write `\"/old\" = { redirect = \"/new\" }`",
    ),
    (
        "php_fastcgi",
        "fastcgi",
        "write `\"/\" = { fastcgi = \"unix:/run/php/php-fpm.sock\", root = \"www\", fallback = \"index.php\" }`",
    ),
    (
        "handle_path",
        "strip_prefix",
        "write strip_prefix = true beside `files` or `proxy`",
    ),
];

const FIELDS: &str = "fields of responses are `headers`: headers = { X-Frame-Options = \"DENY\" }";

const FILES: &str = "the files of a directory are a route: `\"/\" = { files = \"www\" }`";

const RESUMED: &str = "sessions are resumed by tickets, without a setting; leave the line out";

const PASSED_ON: &str = "`Location` and `Set-Cookie` of an upstream go to the client as they are: tell the application its \
                         public address and path";
