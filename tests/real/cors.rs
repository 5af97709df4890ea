//! `cors` as a browser reads it: the scripts of a page of one origin ask a server of another.

use std::process::Stdio;

use crate::browser::chromium;
use crate::program::Program;
use crate::support::{Site, Upstream};

/// Asks for each of `cases`, and then tells its own server what a script got to know.
const PAGE: &str = r#"<!doctype html><script>
const cases = [
  ["read", "/open", {}],
  ["field", "/open", {}, r => r.headers.get("X-Total")],
  ["secret", "/open", {}, r => r.headers.get("X-Secret")],
  ["put", "/open", { method: "PUT", body: "a", headers: { "X-A": "1" } }],
  ["delete", "/open", { method: "DELETE" }],
  ["unnamed", "/open", { headers: { "X-B": "1" } }],
  ["gone", "/open/gone", {}],
  ["closed", "/closed", {}],
  ["other", "/other", {}],
  ["any", "/any", {}],
  ["upstream", "/upstream", {}],
  ["with", "/open", { credentials: "include" }],
  ["without", "/any", { credentials: "include" }],
];
async function run() {
  for (const [name, target, options, what] of cases) {
    let got;
    try {
      const response = await fetch("http://THERE" + target, { cache: "no-store", ...options });
      got = what ? what(response) : response.status;
    } catch { got = "refused"; }
    await fetch(`/told/${name}/${got}`);
  }
}
run();
</script>"#;

const EXPECTED: &[(&str, &str)] = &[
    ("read", "200"),
    ("field", "7"),
    ("secret", "null"),
    ("put", "200"),
    ("delete", "refused"),
    ("unnamed", "refused"),
    ("gone", "404"),
    ("closed", "refused"),
    ("other", "refused"),
    ("any", "200"),
    ("upstream", "200"),
    ("with", "200"),
    ("without", "refused"),
];

#[test]
fn chromium_lets_scripts_do_what_the_rules_say() {
    let answer = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://a.test\r\n\
        Content-Length: 2\r\n\r\nok";
    let upstream = Upstream::answering(answer);
    let here = Site::new(
        "'/' = { files = 'www', revalidate = '0s' }\n'/told' = { respond = '', status = 204 }",
    )
    .log("access = '-'\nformat = 'common'")
    .start();
    let origin = format!("http://{}", here.address());
    let rules = format!(
        "cors = {{ origins = '{origin}', methods = ['GET', 'PUT'], headers = 'X-A', \
         expose = 'X-Total', credentials = true, max_age = '1h' }}"
    );
    let there = Site::new(&format!(
        "'/open' = {{ echo = true, headers = {{ X-Total = '7', X-Secret = '8' }}, {rules} }}\n\
         '/open/gone' = {{ files = 'www', {rules} }}\n\
         '/upstream' = {{ proxy = '{}', {rules} }}\n\
         '/closed' = {{ respond = 'ok' }}\n\
         '/other' = {{ respond = 'ok', cors = {{ origins = 'https://a.test' }} }}\n\
         '/any' = {{ respond = 'ok', cors = {{ origins = '*' }} }}",
        upstream.url()
    ))
    .start();
    let page = PAGE.replace("THERE", &there.address().to_string());
    here.directory().write("www/page.html", page);
    let mut chromium = chromium(here.directory());
    chromium.arg(format!("{origin}/page.html"));
    chromium.stdout(Stdio::null()).stderr(Stdio::null());
    let _chromium = Program::start(chromium);
    for (name, expected) in EXPECTED {
        let record = here.wait_for_record(|line| line.contains(&format!("/told/{name}/")));
        assert!(
            record.contains(&format!("/told/{name}/{expected} ")),
            "{record}"
        );
    }
}
