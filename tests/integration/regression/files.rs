//! Files: validators, links, types, caches, siblings.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{Directory, Server, Site, ended_with, refuse};

/// What `explain` says of a GET of `target` to a server that runs.
fn explained(server: &Server, target: &str) -> String {
    ended_with(
        0,
        &server.command_line(&["explain", "--live", "GET", target]),
    )
}

fn link(site: &Site, target: impl AsRef<std::path::Path>, name: &str) {
    symlink(target, site.directory().join(name)).expect("a link");
}

/// A site with links of every kind beneath `www`, and `options` of its route.
fn linked(options: &str) -> Site {
    let site = Site::new(&format!(
        "'/' = {{ files = 'www', revalidate = '0s', listing = true{options} }}"
    ));
    let site = site.file("a/b.txt", "b").file("index.html", "index");
    site.directory().write("shared/s.txt", "s");
    site.directory().write("outside/o.txt", "o");
    let at = |name: &str| site.directory().join(name);
    link(&site, at("www/a/b.txt"), "www/absolute.txt");
    link(&site, at("www/a"), "www/absolute");
    link(&site, "../www/a", "www/around");
    link(&site, "a", "www/inside");
    link(&site, at("shared"), "www/shared");
    link(&site, "../outside", "www/outside");
    link(&site, "circle", "www/circle");
    site
}

/// Absolute links into the root, and links that leave it on their way back, were 404, and no key could
/// allow a link that leads out.
#[test]
fn a_route_says_where_links_may_lead() {
    let shared = |site: &Site| site.directory().join("shared").display().to_string();
    for (links, expected) in [
        ("", [true, true, false, false]),
        (", links = 'inside'", [true, true, false, false]),
        (", links = 'none'", [true, false, false, false]),
        (", links = ['SHARED']", [true, true, true, false]),
        (", links = ['shared']", [true, true, true, false]),
        (", links = 'anywhere'", [true, true, true, true]),
    ] {
        let site = linked("");
        let links = links.replace("SHARED", &shared(&site));
        let routes = format!("'/' = {{ files = 'www', revalidate = '0s', listing = true{links} }}");
        let server = site.with_routes(&routes).start();
        for (kind, targets) in [
            (0, &["/a/b.txt", "/", "/a/"][..]),
            (
                1,
                &[
                    "/absolute.txt",
                    "/absolute/b.txt",
                    "/around/b.txt",
                    "/inside/b.txt",
                    "/absolute/",
                ],
            ),
            (2, &["/shared/s.txt", "/shared/"]),
            (3, &["/outside/o.txt", "/outside/"]),
        ] {
            for target in targets {
                let status = if expected[kind] { 200 } else { 404 };
                assert_eq!(server.get(target).status, status, "{target}{links}");
            }
        }
        assert_eq!(server.get("/circle").status, 404);
    }
}

/// A link that leads out was 404, and nothing said why: `check` was silent, `explain` said `file none`,
/// the log had no line.
#[test]
fn a_link_that_leads_out_is_told() {
    let site = linked("");
    let outside = site.directory().join("outside").display().to_string();
    let text = ended_with(0, &site.command_line(&["check"]));
    for part in ["`outside` to `", &outside, "`shared` to `", "links = ["] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("absolute"), "{text}");
    ended_with(1, &site.command_line(&["check", "--strict"]));
    let server = site.start();
    for _ in 0..50 {
        assert_eq!(server.get("/outside/o.txt").status, 404);
    }
    let component = server.directory().join("www/outside").display().to_string();
    let line = server.wait_for_line(|line| line.contains("/outside/o.txt"));
    for part in ["404", &component, "`../outside`", "leads out of the root"] {
        assert!(line.contains(part), "{line}");
    }
    let text = explained(&server, "/outside/o.txt");
    assert!(
        text.contains(&component) && text.contains("leads out"),
        "{text}"
    );
    let text = explained(&server, "/circle");
    assert!(text.contains("in a circle"), "{text}");
    let lines = server.stop().0;
    let lines = lines.iter().filter(|line| line.contains("/outside/o.txt"));
    assert!(lines.count() <= 8, "the same line is limited");
}

/// `explain` said `file none` and no more.
#[test]
fn why_no_file_answers_is_explained() {
    let site = Site::new(
        "'/' = { files = 'www' }
         '/strip' = { files = 'www', strip_prefix = true }
         '/cgi' = { cgi = 'www' }
         '/php' = { fastcgi = 'unix:php.sock', root = 'www' }",
    );
    let server = site.file("dir/x.txt", "x").file(".env", "x").start();
    for (target, reason) in [
        ("/missing", "is not there, or not a file"),
        ("/.env", "names that begin with a dot"),
        ("/dir/", "holds no file of `index` (index.html)"),
        ("/dir", "lacks its final slash"),
        ("/strip", "lacks its final slash"),
        ("/cgi/missing", "there is no such script"),
        ("/php/missing.php", "no script and no file is there"),
    ] {
        let text = explained(&server, target);
        assert!(text.contains("file      none"), "{target}: {text}");
        assert!(text.contains(reason), "{target}: {text}");
    }
}

/// The same links before scripts: absolute ones into the root were 404 for `cgi` and `fastcgi`, too.
#[test]
fn scripts_are_found_beneath_links() {
    for (links, expected) in [
        ("", [true, true, false]),
        (", links = 'none'", [true, false, false]),
        (", links = ['shared']", [true, true, true]),
    ] {
        let site = Site::new(&format!(
            "'/cgi' = {{ cgi = 'www'{links} }}
             '/php' = {{ fastcgi = 'unix:php.sock', root = 'www'{links} }}"
        ));
        for script in ["www/a/run.php", "shared/run.php"] {
            site.directory()
                .write(script, "#!/bin/sh\nprintf 'Status: 204\\n\\n'");
            chmod(site.directory(), script, 0o755);
        }
        link(&site, site.directory().join("www/a"), "www/absolute");
        link(&site, "../shared", "www/shared");
        let server = site.start();
        for (directory, is_found) in ["a", "absolute", "shared"].into_iter().zip(expected) {
            let status = if is_found { 204 } else { 404 };
            let target = format!("/cgi/{directory}/run.php");
            let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let answer = server.connect().exchange(request);
            assert_eq!(answer.status, status, "{target}{links}");
            for target in [target, format!("/php/{directory}/run.php")] {
                let text = explained(&server, &target);
                assert_eq!(text.contains("file      none"), !is_found, "{links} {text}");
                assert_eq!(text.contains("is a link to"), !is_found, "{links} {text}");
            }
        }
    }
}

#[test]
fn an_operator_who_says_where_links_lead_is_not_warned() {
    for links in ["'inside'", "'none'", "'anywhere'", "['shared', 'outside']"] {
        let site = linked(&format!(", links = {links}"));
        ended_with(0, &site.command_line(&["check", "--strict"]));
    }
}

/// A root that is a link to a release: after the link was swapped and the server told to reload, it
/// went on with what it had cached, for `revalidate`.
#[test]
fn a_reload_sees_a_root_that_was_swapped() {
    let site = Site::new("'/' = { files = 'current', revalidate = '1h' }");
    for release in ["41", "42"] {
        site.directory()
            .write(format!("releases/{release}/a.txt"), release);
        site.directory()
            .write(format!("releases/{release}/index.html"), release);
    }
    link(&site, "releases/41", "current");
    let server = site.start();
    for target in ["/a.txt", "/"] {
        assert_eq!(server.get(target).text(), "41");
    }
    symlink("releases/42", server.directory().join("next")).expect("a link");
    std::fs::rename(
        server.directory().join("next"),
        server.directory().join("current"),
    )
    .expect("the link is replaced");
    ended_with(0, &server.command_line(&["reload"]));
    for target in ["/a.txt", "/"] {
        assert_eq!(server.get(target).text(), "42", "{target}");
    }
}

fn chmod(directory: &Directory, name: &str, mode: u32) {
    std::fs::set_permissions(directory.join(name), Permissions::from_mode(mode))
        .expect("it is ours");
}

/// A file that the server may not read was 403 without a trace: no line in the log, no reason in
/// `explain`, and nothing said which component it was.
#[test]
fn what_the_server_may_not_read_is_told() {
    let site = Site::new(
        "'/' = { files = 'www', revalidate = '0s', clean_urls = true }
         '/list' = { files = 'www', strip_prefix = true, revalidate = '0s', listing = true }
         '/cgi' = { cgi = 'www' }
         '/php' = { fastcgi = 'unix:php.sock', root = 'www' }",
    );
    let site = site
        .file("file.txt", "x")
        .file("closed/deep/file.txt", "x")
        .file("index/index.html", "x")
        .file("page.html", "x")
        .file("style.css", "x")
        .file("style.css.gz", "x")
        .file("closed/deep/x.php", "x")
        .file("unlisted/file.txt", "x");
    let directory = site.directory();
    for (name, mode) in [
        ("www/file.txt", 0o000),
        ("www/closed", 0o600),
        ("www/index/index.html", 0o000),
        ("www/page.html", 0o000),
        ("www/style.css.gz", 0o000),
        ("www/unlisted", 0o311),
    ] {
        chmod(directory, name, mode);
    }
    let server = site.obeying_permissions().start();
    for (target, status, component, words) in [
        ("/file.txt", 403, "www/file.txt", "may not read"),
        (
            "/closed/deep/file.txt",
            403,
            "www/closed",
            "may not look into the directory",
        ),
        (
            "/closed/",
            403,
            "www/closed",
            "may not look into the directory",
        ),
        ("/index/", 403, "www/index/index.html", "may not read"),
        ("/page", 403, "www/page.html", "may not read"),
        ("/style.css", 200, "www/style.css.gz", "may not read"),
        ("/list/unlisted/", 403, "www/unlisted", "may not read"),
        (
            "/cgi/closed/deep/file.txt",
            403,
            "www/closed",
            "may not look into the directory",
        ),
        (
            "/php/closed/deep/x.php",
            403,
            "www/closed",
            "may not look into the directory",
        ),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
        let component = format!("`{}`", server.directory().join(component).display());
        let is_meant = |line: &str| line.contains(&component) && line.contains(words);
        server.wait_for_line(is_meant);
        let text = explained(&server, target);
        assert!(text.lines().any(is_meant), "{target}: {text}");
        assert!(text.contains("Permission denied"), "{target}: {text}");
    }
    // What is in a directory can be served although its names may not be read.
    assert_eq!(server.get("/unlisted").status, 308);
    assert_eq!(server.get("/unlisted/").status, 404);
    assert_eq!(server.get("/unlisted/file.txt").status, 200);
    chmod(server.directory(), "www/closed", 0o755);
}

/// The same where it is a directory above the root that may not be searched: that was 500 for files and
/// 502 for scripts.
#[test]
fn a_root_that_the_server_may_not_reach_is_told() {
    let site = Site::new(
        "'/' = { files = 'above/www', strip_prefix = true, revalidate = '0s' }
         '/cgi' = { cgi = 'above/www' }
         '/php' = { fastcgi = 'unix:php.sock', root = 'above/www' }
         '= /page' = { files = 'www', revalidate = '0s' }",
    );
    for file in ["above/www/a.txt", "above/www/a.php", "www/page"] {
        site.directory().write(file, "x");
    }
    let server = site.obeying_permissions().start();
    assert_eq!(server.get("/a.txt").status, 200);
    chmod(server.directory(), "above", 0o600);
    let component = format!("`{}`", server.directory().join("above").display());
    for target in ["/a.txt", "/cgi/a.php", "/php/a.php"] {
        assert_eq!(server.get(target).status, 403, "{target}");
        let text = explained(&server, target);
        assert!(text.contains(&component), "{target}: {text}");
    }
    server.wait_for_line(|line| line.contains(&component));
    let refused = ended_with(1, &server.command_line(&["reload"]));
    assert!(refused.contains(&component), "{refused}");
    chmod(server.directory(), "above", 0o755);
    assert_eq!(server.get("/a.txt").status, 200);
}

/// Generators of sites write `blog.html` beside a directory `blog`, which has no index: `/blog` was
/// redirected to `/blog/`, and that was 404.
#[test]
fn a_page_beside_a_directory_of_its_name_answers() {
    let site = Site::new("'/' = { files = 'www', clean_urls = true, revalidate = '0s' }")
        .file("blog.html", "the blog")
        .file("blog/post.html", "a post");
    let server = site.start();
    for (target, content) in [("/blog", "the blog"), ("/blog/post", "a post")] {
        assert_eq!(server.get(target).text(), content, "{target}");
    }
    server.directory().write("www/blog/index.html", "an index");
    assert_eq!(server.get("/blog").field("Location"), Some("blog/"));
    assert_eq!(server.get("/blog/").text(), "an index");
}

/// Profiles of containers refuse `openat2` with errors that a file can have too: every file was 403.
#[test]
fn files_are_served_where_openat2_is_refused() {
    for errno in [
        rustix::io::Errno::PERM,
        rustix::io::Errno::NOSYS,
        rustix::io::Errno::ACCESS,
    ] {
        let start = move || {
            refuse(libc::SYS_openat2, Vec::new(), errno);
            linked("").top("workers = 2").start()
        };
        // The filter holds for this thread and for what it starts.
        let server = std::thread::spawn(start).join().expect("the server starts");
        for (target, status) in [
            ("/", 200),
            ("/a/b.txt", 200),
            ("/inside/b.txt", 200),
            ("/absolute/b.txt", 200),
            ("/outside/o.txt", 404),
            ("/missing", 404),
        ] {
            assert_eq!(server.get(target).status, status, "{target} {errno:?}");
        }
        let lines = server.stop().0;
        let told = lines.iter().filter(|line| line.contains("openat2")).count();
        assert_eq!(told, 1, "{lines:?}");
    }
}
