//! phpMyAdmin, as Debian packages it, on PHP-FPM below a prefix: much of it consists of links to the
//! packages of others, which lead out of its root.

use crate::php::PhpFpm;
use crate::support::{Response, Server, Site};

fn get(server: &Server, target: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    server.connect().exchange(request)
}

/// The style sheets and scripts that a page names.
fn assets(page: &str) -> Vec<&str> {
    let quoted = page
        .split("href=\"")
        .skip(1)
        .chain(page.split("src=\"").skip(1));
    let named = quoted.filter_map(|rest| rest.split('"').next());
    let is_asset = |target: &&str| {
        let path = target.split('?').next().unwrap_or_default();
        path.ends_with(".css") || path.ends_with(".js")
    };
    named.filter(is_asset).collect()
}

#[test]
fn every_asset_of_its_first_page_is_sent() {
    let site = Site::new(
        "'/phpmyadmin' = { fastcgi = 'unix:php.sock', root = '/usr/share/phpmyadmin', \
         links = ['/usr/share/javascript'] }",
    );
    let _fpm = PhpFpm::start(&site, 2);
    let server = site.start();
    let slash = get(&server, "/phpmyadmin");
    assert_eq!(slash.field("Location"), Some("phpmyadmin/"));
    let page = get(&server, "/phpmyadmin/");
    let text = page.text();
    assert!(
        page.status == 200 && text.contains("<title>phpMyAdmin"),
        "{text}"
    );
    let assets = assets(&text);
    assert!(assets.len() > 20, "{assets:?}");
    for asset in assets {
        let asset = asset.trim_start_matches("./");
        assert_eq!(
            get(&server, &format!("/phpmyadmin/{asset}")).status,
            200,
            "{asset}"
        );
    }
    let jquery = get(&server, "/phpmyadmin/js/vendor/jquery/jquery.min.js");
    assert!(
        jquery.text().contains("jQuery"),
        "a link that leads out of the root"
    );
}
