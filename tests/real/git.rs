//! Git over HTTP: `git-http-backend`, which clones and pushes, and cgit, which shows what was pushed. Each
//! is one CGI script that owns a route.

use std::process::Command;

use crate::support::{Directory, Server, Site, pattern};

/// A server of the repositories in `projects`.
fn server(projects: &Directory) -> Server {
    let here = projects.path().display();
    projects.write(
        "cgitrc",
        format!("css=/cgit-assets/cgit.css\nrepo.url=tide\nrepo.path={here}/tide.git\n"),
    );
    Site::new(&format!(
        "'/git' = {{ cgi = '/usr/lib/git-core', script = 'git-http-backend', \
         environment = {{ GIT_PROJECT_ROOT = '{here}', GIT_HTTP_EXPORT_ALL = '1' }}, \
         limits.max_content = '64 MiB' }}\n\
         '/' = {{ cgi = '/usr/lib/cgit', script = 'cgit.cgi', \
         environment = {{ CGIT_CONFIG = '{here}/cgitrc' }} }}\n\
         '/cgit-assets' = {{ files = '/usr/share/cgit', strip_prefix = true }}"
    ))
    .start()
}

/// Runs Git in `directory`, which must succeed. It reads no configuration but ours.
fn git(directory: &Directory, arguments: &[&str]) {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=Keeper",
            "-c",
            "user.email=keeper@example.com",
        ])
        .args(arguments)
        .current_dir(directory.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .expect("git is installed");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "git {arguments:?}: {told}");
}

#[test]
fn a_repository_is_pushed_to_cloned_from_and_shown() {
    let (projects, work) = (Directory::new(), Directory::new());
    git(
        &projects,
        &["init", "--bare", "--initial-branch=main", "tide.git"],
    );
    git(
        &projects,
        &["--git-dir=tide.git", "config", "http.receivepack", "true"],
    );
    let server = server(&projects);
    let remote = format!("http://{}/git/tide.git", server.address());
    git(&work, &["clone", &remote, "first"]);
    // Larger than what Git sends with a length: it comes in chunks.
    work.write("first/large", pattern(0, 3_000_000));
    work.write("first/harbour.txt", "high water at noon\n");
    git(&work, &["-C", "first", "add", "."]);
    git(
        &work,
        &["-C", "first", "commit", "--message=The first tide"],
    );
    git(&work, &["-C", "first", "push", "origin", "HEAD:main"]);
    git(&work, &["clone", &remote, "second"]);
    let large = std::fs::read(work.join("second/large")).expect("it was cloned");
    assert!(large == pattern(0, 3_000_000));
    // A fetch of something new, by the protocol in which the server keeps no state.
    work.write("second/more.txt", "low water at six\n");
    git(&work, &["-C", "second", "add", "."]);
    git(
        &work,
        &["-C", "second", "commit", "--message=The second tide"],
    );
    git(&work, &["-C", "second", "push", "origin", "HEAD:main"]);
    git(
        &work,
        &["-C", "first", "pull", "--ff-only", "origin", "main"],
    );
    assert_eq!(work.read("first/more.txt"), "low water at six\n");
    for (target, expected) in [
        ("/", "href='/tide/'"),
        ("/tide/log/?h=main", "The second tide"),
        ("/tide/plain/harbour.txt?h=main", "high water at noon"),
        ("/cgit-assets/cgit.css", "div#cgit"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let page = server.connect().exchange(request);
        assert_eq!(page.status, 200, "{target}: {:#?}", server.diagnostics());
        assert!(page.text().contains(expected), "{target}: {}", page.text());
    }
}
