//! DokuWiki, as Debian packages it, on PHP-FPM: its pages by path-info, and by paths of its own that a
//! fallback takes apart.

use std::process::Command;

use crate::php::PhpFpm;
use crate::support::{Server, Site};

/// What rewriting of paths does with other servers: what follows the route is the name of the page.
const FRONT: &str = "<?php
    $path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
    $below = substr($path, strlen(rtrim(dirname($_SERVER['SCRIPT_NAME']), '/')));
    $_GET['id'] = $_REQUEST['id'] = strtr(trim($below, '/'), '/', ':');
    require __DIR__ . '/doku.php';";

/// A wiki with two pages, whose links are made in the form `userewrite`.
fn start(routes: &str, userewrite: u8) -> (Server, PhpFpm) {
    let site = Site::new(routes);
    let directory = site.directory();
    let _ = std::fs::remove_dir_all(directory.join("www"));
    for (from, to) in [("/usr/share/dokuwiki", "www"), ("/etc/dokuwiki", "conf")] {
        let copied = Command::new("cp")
            .args(["--recursive", "--dereference", from])
            .arg(directory.join(to))
            .status();
        assert!(
            copied.expect("coreutils").success(),
            "dokuwiki is installed"
        );
    }
    let (conf, data) = (directory.join("conf"), directory.join("data"));
    for name in [
        "attic",
        "cache",
        "index",
        "locks",
        "log",
        "media",
        "media_attic",
        "media_meta",
        "meta",
        "pages",
        "tmp",
    ] {
        std::fs::create_dir_all(data.join(name)).expect("the directory is ours");
    }
    let _ = std::fs::remove_file(conf.join("local.php"));
    directory.write(
        "conf/local.php",
        format!(
            "<?php $conf['savedir'] = '{}'; $conf['useacl'] = 0; $conf['userewrite'] = {userewrite};
             $conf['useslash'] = 1;",
            data.display()
        ),
    );
    directory.write(
        "www/inc/preload.php",
        format!("<?php define('DOKU_CONF', '{}/');", conf.display()),
    );
    directory.write("www/front.php", FRONT);
    directory.write(
        "data/pages/start.txt",
        "====== Tide ======\nSee [[harbour:times]].",
    );
    directory.write("data/pages/harbour/times.txt", "====== High Water ======");
    let fpm = PhpFpm::start(&site, 2);
    (site.start(), fpm)
}

/// The text of a page, which must be there.
fn page(server: &Server, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = server.connect().exchange(request);
    assert_eq!(
        response.status,
        200,
        "{target}: {:#?}",
        server.diagnostics()
    );
    response.text()
}

#[test]
fn pages_are_found_by_path_info() {
    let (server, _fpm) = start(
        "'/' = { fastcgi = 'unix:php.sock', root = 'www', index = 'doku.php' }",
        2,
    );
    let start = page(&server, "/");
    assert!(start.contains("Tide</h1>"), "{start}");
    assert!(
        start.contains("href=\"/doku.php/harbour/times\""),
        "{start}"
    );
    let times = page(&server, "/doku.php/harbour/times");
    assert!(times.contains("High Water</h1>"), "{times}");
    assert!(page(&server, "/lib/exe/css.php?t=dokuwiki").contains("font-family"));
}

#[test]
fn pages_are_found_by_paths_of_their_own_also_below_a_prefix() {
    for (route, prefix) in [("/", ""), ("/wiki", "/wiki")] {
        let (server, _fpm) = start(
            &format!(
                "'{route}' = {{ fastcgi = 'unix:php.sock', root = 'www', index = 'doku.php', \
                 fallback = 'front.php' }}"
            ),
            1,
        );
        let start = page(&server, &format!("{prefix}/"));
        assert!(start.contains("Tide</h1>"), "{start}");
        let link = format!("{prefix}/harbour/times");
        assert!(start.contains(&format!("href=\"{link}\"")), "{start}");
        assert!(page(&server, &link).contains("High Water</h1>"));
    }
}
