//! The page that lists a directory, in Chromium: what its script makes of it, and what it is without.

use crate::browser::chromium;
use crate::support::{Site, ended_with};

#[test]
fn chromium_shows_local_times_and_the_readme() {
    let site = Site::new(
        "'/' = { files = 'www', listing = true }\n\
         '/strict' = { files = 'www', listing = true, strip_prefix = true, headers = { \
         Content-Security-Policy = \"default-src 'self'; style-src 'unsafe-inline'; img-src data:\" } }\n\
         '/closed' = { files = 'www', listing = true, strip_prefix = true }\n\
         '/closed/README.md' = { respond = 'closed', status = 403 }",
    )
    .file("a.txt", "a")
    .file("README.md", "Tides & <b>times</b>");
    let server = site.start();
    let shown = |path: &str| {
        let mut chromium = chromium(server.directory());
        chromium.env("TZ", "Asia/Kolkata");
        chromium.args(["--virtual-time-budget=10000", "--dump-dom"]);
        chromium.arg(format!("http://{}{path}", server.address()));
        ended_with(0, &chromium.output().expect("chromium is installed"))
    };
    let text = "<pre>Tides &amp; &lt;b&gt;times&lt;/b&gt;</pre>";
    let page = shown("/");
    assert!(page.contains("Modified (Calcutta)"), "{page}");
    assert!(page.contains(" UTC\">"), "{page}");
    assert!(page.contains(text), "{page}");
    // Whatever the server does not send, the page does not show.
    let page = shown("/closed/");
    assert!(
        page.contains("./README.md") && !page.contains("<pre>"),
        "{page}"
    );
    // Where no script may run, the page is there all the same.
    let page = shown("/strict/");
    assert!(page.contains("Modified (UTC)"), "{page}");
    assert!(
        page.contains("./README.md") && !page.contains("<pre>"),
        "{page}"
    );
}
