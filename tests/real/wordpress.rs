//! WordPress, as Debian packages it, on PHP-FPM and a MariaDB of its own, configured as the
//! documents tell: it is installed by its own page, and its administrator logs in.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::browser::Browser;
use crate::php::PhpFpm;
use crate::support::{Site, until};

/// A MariaDB that listens at `db.sock` beside the configuration. It ends when it is dropped.
struct MariaDb {
    child: Child,
    socket: PathBuf,
}

impl MariaDb {
    fn start(directory: &Path) -> Self {
        let data = format!("--datadir={}", directory.join("db").display());
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", &data])
            .args(as_root())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("mariadb-server-core is installed").success());
        let socket = directory.join("db.sock");
        // Every user who can reach the socket is let in: it is in the test's own directory.
        let child = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", "--skip-networking", "--skip-grant-tables"])
            .args([data, format!("--socket={}", socket.display())])
            .arg(format!("--pid-file={}", directory.join("db.pid").display()))
            .args(as_root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadb-server-core is installed");
        let database = Self { child, socket };
        until("MariaDB listens", || {
            UnixStream::connect(&database.socket).ok()
        });
        database
    }

    fn run(&self, statement: &str) {
        let done = Command::new("mariadb")
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.socket.display()))
            .args(["--execute", statement])
            .status();
        assert!(done.expect("mariadb-client-core is installed").success());
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// MariaDB runs as root only if it is told to.
fn as_root() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["--user=root"]
    } else {
        &[]
    }
}

fn installed(site: &Site) {
    let directory = site.directory();
    let _ = std::fs::remove_dir_all(directory.join("wordpress"));
    // Debian's package consists of links in part; the files are copied.
    let copied = Command::new("cp")
        .args(["--recursive", "--dereference", "/usr/share/wordpress"])
        .arg(directory.join("wordpress"))
        .status();
    assert!(
        copied.expect("coreutils").success(),
        "wordpress is installed"
    );
    let configuration = format!(
        "<?php
        define('DB_NAME', 'wordpress'); define('DB_USER', 'root'); define('DB_PASSWORD', '');
        define('DB_HOST', 'localhost:{}'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
        define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true);
        $table_prefix = 'wp_';
        if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
        require_once ABSPATH . 'wp-settings.php';",
        directory.join("db.sock").display()
    );
    let _ = std::fs::remove_file(directory.join("wordpress/wp-config.php"));
    directory.write("wordpress/wp-config.php", configuration);
    directory.write("wordpress/wp-content/uploads/tide.php", "<?php echo 1 + 1;");
}

#[test]
fn it_is_installed_and_its_administrator_logs_in() {
    let site = Site::configured(&crate::documents::wordpress());
    installed(&site);
    let database = MariaDb::start(site.directory().path());
    database.run("CREATE DATABASE wordpress");
    let _fpm = PhpFpm::start(&site, 2);
    let server = site.start();
    let mut browser = Browser::of(&server);
    let first = browser.get("/");
    let location = first.field("Location").unwrap_or_default();
    assert!(location.ends_with("/wp-admin/install.php"), "{first:?}");
    let page = browser.get("/wp-admin/install.php");
    assert!(page.status == 200 && page.text().contains("Installation"));
    let done = browser.post(
        "/wp-admin/install.php?step=2",
        "weblog_title=Tide&user_name=keeper&admin_password=high-water-7&admin_password2=high-water-7\
         &pw_weak=on&admin_email=keeper@example.com&blog_public=0&language=",
    );
    assert!(done.text().contains("<h1>Success!</h1>"), "{}", done.text());
    // The form sets the cookie that WordPress looks for at the login.
    assert_eq!(browser.get("/wp-login.php").status, 200);
    let wrong = browser.post("/wp-login.php", "log=keeper&pwd=low-water&testcookie=1");
    assert!(wrong.status == 200 && wrong.text().contains("login_error"));
    let login = browser.post("/wp-login.php", "log=keeper&pwd=high-water-7&testcookie=1");
    assert_eq!(login.status, 302);
    let dashboard = browser.get("/wp-admin/");
    assert_eq!(dashboard.status, 200);
    assert!(
        dashboard.text().contains("<title>Dashboard"),
        "{}",
        dashboard.text()
    );
    // It offers addresses without `index.php` to servers that it knows by name.
    let addresses = browser.get("/wp-admin/options-permalink.php").text();
    assert!(
        addresses.contains("value=\"/archives/%post_id%\""),
        "{addresses}"
    );
    assert!(!addresses.contains("/index.php/"), "{addresses}");
    let style = browser.get("/wp-includes/css/dashicons.min.css");
    assert_eq!(style.field("Content-Type"), Some("text/css; charset=utf-8"));
    let upload = browser.get("/wp-content/uploads/tide.php");
    assert_eq!(
        upload.text(),
        "<?php echo 1 + 1;",
        "what was uploaded is not run"
    );
    // A path that is no file is WordPress's own, in its own words.
    let missing = browser.get("/2024/05/no-such-post/");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("Tide"), "{}", missing.text());
}
