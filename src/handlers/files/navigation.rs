//! Navigations: requests of a browser that goes to another page. A single-page application answers those
//! that lead to nothing.

use crate::http::field_list::FieldList;
use crate::http::fields::Known;
use crate::http::media_type;
use crate::http::negotiation;
use crate::message::request::Request;
use crate::message::response::Response;

/// Whether a browser goes to another page, rather than fetching a part of one. Browsers say so in
/// `Sec-Fetch-Mode`, if the page came over TLS or from the same machine. Without that field a request
/// counts that accepts `text/html` by name, as only navigations do, and whose path does not end like
/// the name of a part of a page: `/users/jane.doe` counts, `/logo.png` does not.
pub(super) fn is_navigation(request: &Request<'_>) -> bool {
    if let Some(mode) = request.head.fields.first(Known::SecFetchMode) {
        return mode == b"navigate";
    }
    let accept = request.head.fields.combined(Known::Accept);
    let names_html = |accept: &[u8]| negotiation::names_type(accept, b"text/html");
    accept.as_deref().is_some_and(names_html) && !is_part_of_page(request.path.last_segment())
}

/// Whether a name ends like that of a script, a style sheet, data, a picture, a font, a sound or a
/// video.
fn is_part_of_page(name: &[u8]) -> bool {
    const TYPES: [&str; 5] = [
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/wasm",
    ];
    const KINDS: [&str; 4] = ["image/", "font/", "audio/", "video/"];
    let media_type = media_type::for_path(name);
    let essence = media_type.split(';').next().unwrap_or_default();
    TYPES.contains(&essence) || KINDS.iter().any(|kind| essence.starts_with(kind))
}

/// `response`, which depends on whether the request is a navigation (RFC 9110 §12.5.5). Otherwise a
/// cache would send the application's page in place of a script, or a 404 in place of the page.
pub(super) fn varying_by_navigation(response: Response<'static>) -> Response<'static> {
    let mut fields = FieldList::parse(&response.fields);
    fields.vary_by(b"Accept, Sec-Fetch-Mode");
    Response {
        fields: fields.encode().into(),
        ..response
    }
}
