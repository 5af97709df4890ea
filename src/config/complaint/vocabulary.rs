//! What to say about a key that is real, but not here: it belongs elsewhere in the file, another
//! server calls it so, or a later version has it.

use super::suggest::nearest;

/// Settings and the table they belong to.
const HOMES: &[(&str, &str)] = &[
    ("listen", "`[[server]]`"),
    ("hosts", "`[[server]]`"),
    ("routes", "`[[server]]`, as `[server.routes]`"),
    ("workers", "the top of the file"),
    ("blocking", "the top of the file"),
    ("grace", "the top of the file"),
    ("server_field", "the top of the file"),
    ("request", "`[[test]]`"),
    ("expect", "`[[test]]`"),
    ("trusted_proxies", "the top of the file"),
    ("allow", "`[[server]]` or a route"),
    ("deny", "`[[server]]` or a route"),
    ("access", "`[log]`"),
    ("format", "`[log]`"),
    ("level", "`[log]`"),
    ("head_timeout", "`[limits]`"),
    ("idle_timeout", "`[limits]`"),
    ("body_timeout", "`[limits]`"),
    ("send_timeout", "`[limits]`"),
    ("max_head", "`[limits]`"),
    ("max_fields", "`[limits]`"),
    ("max_content", "`limits`"),
    ("max_connections", "`[limits]`"),
    ("files", "a route: `\"/\" = { files = \"www\" }`"),
    ("respond", "a route: `\"/\" = { respond = \"hello\" }`"),
    ("redirect", "a route: `\"/old\" = { redirect = \"/new\" }`"),
    ("index", "a route with `files` or `fastcgi`"),
    ("listing", "a route with `files`"),
    ("spa", "a route with `files`"),
    ("clean_urls", "a route with `files`"),
    ("precompressed", "a route with `files`"),
    ("cache_control", "a route with `files`"),
    ("revalidate", "a route with `files`"),
    ("strip_prefix", "a route with `files`"),
    ("cgi", "a route: `\"/cgi-bin\" = { cgi = \"cgi-bin\" }`"),
    ("timeout", "a route with `handler`, `cgi` or `fastcgi`"),
    ("max_processes", "a route with `cgi`"),
    ("environment", "a route with `cgi`"),
    (
        "fastcgi",
        "a route: `\"/\" = { fastcgi = \"unix:/run/php/php-fpm.sock\", root = \"www\" }`",
    ),
    ("scripts", "a route with `fastcgi`"),
    ("fallback", "a route with `fastcgi`"),
    ("static_files", "a route with `fastcgi`"),
    ("params", "a route with `fastcgi`"),
    ("sendfile", "a route with `fastcgi`"),
];

/// What other servers call it, and what we do.
const TRANSLATIONS: &[(&str, &str)] = &[
    (
        "root",
        "the files of a directory are a route: `\"/\" = { files = \"www\" }`",
    ),
    (
        "alias",
        "the files of a directory are a route: `\"/docs\" = { files = \"docs\", strip_prefix = true }`",
    ),
    (
        "location",
        "routes stand in `[server.routes]`: `\"/docs\" = { files = \"docs\" }`",
    ),
    (
        "autoindex",
        "the setting is called `listing`, beside `files` in a route",
    ),
    (
        "try_files",
        "see `spa` and `clean_urls`, beside `files` in a route, and `fallback`, beside `fastcgi`",
    ),
    (
        "fastcgi_pass",
        "the setting is called `fastcgi`: `\"/\" = { fastcgi = \"unix:/run/php/php-fpm.sock\", root = \"www\" }`",
    ),
    (
        "fastcgi_param",
        "the setting is called `params`, beside `fastcgi` in a route",
    ),
    (
        "fastcgi_index",
        "the setting is called `index`, beside `fastcgi` in a route",
    ),
    (
        "fastcgi_read_timeout",
        "the setting is called `timeout`, beside `fastcgi` in a route",
    ),
    ("expires", "see `cache_control`, beside `files` in a route"),
    (
        "return",
        "see `respond` and `redirect`: `\"/old\" = { redirect = \"/new\" }`",
    ),
    ("server_name", "the setting is called `hosts`"),
    (
        "add_header",
        "the setting is called `headers`: `headers = { X-Frame-Options = \"DENY\" }`",
    ),
    (
        "error_page",
        "the setting is called `error_pages`: `error_pages = { 404 = \"404.html\" }`",
    ),
    (
        "set_real_ip_from",
        "the setting is called `trusted_proxies`, at the top of the file",
    ),
    ("domain", "the setting is called `hosts`"),
    (
        "port",
        "the port is part of `listen`: `listen = \"localhost:8080\"`",
    ),
    ("bind", "the setting is called `listen`"),
    ("address", "the setting is called `listen`"),
    ("worker_processes", "the setting is called `workers`"),
    (
        "threads",
        "the event loops are called `workers`; `blocking = { threads = 32 }` is for what may wait",
    ),
    (
        "worker_connections",
        "the setting is called `max_connections`, in `[limits]`",
    ),
    (
        "keepalive_timeout",
        "the setting is called `idle_timeout`, in `[limits]`",
    ),
    (
        "client_max_body_size",
        "the setting is called `max_content`, in `[limits]`",
    ),
    (
        "max_body",
        "the setting is called `max_content`, in `[limits]`",
    ),
    (
        "client_header_timeout",
        "the setting is called `head_timeout`, in `[limits]`",
    ),
    (
        "client_body_timeout",
        "the setting is called `body_timeout`, in `[limits]`",
    ),
    ("access_log", "the access log is `access` in `[log]`"),
    (
        "error_log",
        "diagnostics go to standard error; how many is `level` in `[log]`",
    ),
    (
        "server_tokens",
        "the setting is called `server_field`: true or false, at the top of the file",
    ),
    (
        "gzip",
        "precompressed files (`.gz`, `.br`, `.zst`) beside the originals are served by themselves",
    ),
];

/// Names that the design has and this version does not.
const NOT_YET: &[&str] = &["upstreams", "include", "tls", "user", "test"];

/// What to say about `key`, where it is not known.
pub(crate) fn explain(key: &str) -> Option<String> {
    look_up(HOMES, key)
        .map(|home| format!("`{key}` belongs in {home}"))
        .or_else(|| look_up(TRANSLATIONS, key).map(str::to_owned))
}

/// What to say about a `key` that resembles no key that could stand there, and may be a slip for
/// one that stands elsewhere.
pub(crate) fn explain_misspelt(key: &str) -> Option<String> {
    let meant = nearest(key, HOMES.iter().map(|(name, _)| *name))?;
    Some(format!(
        "did you mean `{meant}`? It belongs in {}",
        look_up(HOMES, meant)?
    ))
}

/// Whether `key` is one that stands at the top of the main file, and perhaps elsewhere.
pub(crate) fn is_at_top(key: &str) -> bool {
    const ALSO_ELSEWHERE: &[&str] = &["log", "limits", "headers", "error_pages"];
    ALSO_ELSEWHERE.contains(&key)
        || look_up(HOMES, key).is_some_and(|home| home == "the top of the file")
}

/// Whether a later version has `key`.
pub(crate) fn is_not_yet(key: &str) -> bool {
    NOT_YET.contains(&key)
}

fn look_up(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, text)| *text)
}
