//! Variables of other servers in what a script is told: `params` of `fastcgi` and `environment` of `cgi`.
//!
//! Both are sent as they stand. The lines come from nginx's `fastcgi_params`, and say what this server tells every
//! script by itself.

use std::ops::Range;

use crate::config::model::Variable;
use crate::config::tree::node::Text;
use crate::config::words::request_text::find_foreign_in_free_text;

/// Variables of nginx, and the meta-variable that says the same to every script.
const META_VARIABLES: &[(&str, &str)] = &[
    ("fastcgi_script_name", "SCRIPT_NAME"),
    ("fastcgi_path_info", "PATH_INFO"),
    ("path_info", "PATH_INFO"),
    ("document_root", "DOCUMENT_ROOT"),
    ("realpath_root", "DOCUMENT_ROOT"),
    ("request_filename", "SCRIPT_FILENAME"),
    ("query_string", "QUERY_STRING"),
    ("args", "QUERY_STRING"),
    ("request_method", "REQUEST_METHOD"),
    ("request_uri", "REQUEST_URI"),
    ("document_uri", "REQUEST_URI"),
    ("uri", "REQUEST_URI"),
    ("content_type", "CONTENT_TYPE"),
    ("content_length", "CONTENT_LENGTH"),
    ("server_protocol", "SERVER_PROTOCOL"),
    ("request_scheme", "REQUEST_SCHEME"),
    ("scheme", "REQUEST_SCHEME"),
    ("https", "HTTPS"),
    ("nginx_version", "SERVER_SOFTWARE"),
    ("remote_addr", "REMOTE_ADDR"),
    ("remote_port", "REMOTE_PORT"),
    ("remote_user", "REMOTE_USER"),
    ("server_addr", "SERVER_ADDR"),
    ("server_port", "SERVER_PORT"),
    ("server_name", "SERVER_NAME"),
    ("host", "HTTP_HOST"),
    ("http_host", "HTTP_HOST"),
    ("proxy_add_x_forwarded_for", "HTTP_X_FORWARDED_FOR"),
    ("request_id", "REQUEST_ID"),
    ("ssl_protocol", "SSL_PROTOCOL"),
    ("ssl_cipher", "SSL_CIPHER"),
    ("ssl_client_verify", "SSL_CLIENT_VERIFY"),
    ("ssl_client_s_dn", "SSL_CLIENT_S_DN"),
];

/// Warns of a variable in `text`, the value of `name` in the table `key`.
pub(super) fn warn_of_variable(key: &str, name: &str, text: &Text<'_>) {
    let value = &*text.value;
    let Some(range) = find_nginx(value)
        .or_else(|| find_own(value))
        .or_else(|| find_foreign_in_free_text(value).map(|(range, _)| range))
    else {
        return;
    };
    let variable = &value[range.clone()];
    let message = format!("`{variable}` is sent as it stands: `{key}` has no variables");
    let meant = meta_variable(variable);
    let is_own = META_VARIABLES.iter().any(|(_, own)| *own == name);
    let help = match meant {
        _ if is_own => format!("leave `{name}` out: the server tells it to every script"),
        Some(own) => format!("leave `{name}` out: every script is told this as `{own}`"),
        None => {
            "what the request says reaches scripts by itself, its fields as HTTP_NAME".to_owned()
        }
    };
    text.warn(range, message, help);
}

/// The meta-variable that says what a variable of nginx says.
fn meta_variable(variable: &str) -> Option<String> {
    let name = variable.strip_prefix('$')?;
    let mut known = META_VARIABLES.iter();
    let known = known.find(|(foreign, _)| *foreign == name);
    let of_field = || {
        Some(format!(
            "HTTP_{}",
            name.strip_prefix("http_")?.to_ascii_uppercase()
        ))
    };
    known.map(|(_, own)| (*own).to_owned()).or_else(of_field)
}

/// Where a variable of nginx stands. Another `$`, as of a password, means nothing.
fn find_nginx(value: &str) -> Option<Range<usize>> {
    let mut dollars = value.match_indices('$').map(|(at, _)| at);
    dollars.find_map(|at| {
        let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let rest = &value[at + 1..];
        let length = rest.find(|c| !of_name(c)).unwrap_or(rest.len());
        let range = at..at + 1 + length;
        meta_variable(&value[range.clone()]).map(|_| range)
    })
}

/// Where a variable stands that other texts of a route have: `{host}`.
fn find_own(value: &str) -> Option<Range<usize>> {
    let mut names = Variable::OF_EVERY_REQUEST.iter();
    names.find_map(|(name, _)| {
        let written = format!("{{{name}}}");
        let at = value.find(&written)?;
        Some(at..at + written.len())
    })
}
