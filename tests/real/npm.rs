//! npm against `files`: a directory is its registry, also for scoped packages, whose slash npm sends as
//! `%2f`.

use std::process::Command;

use serde_json::json;

use crate::support::{Directory, Site};

/// Runs npm in `directory` against `registry`. It asks no other server and keeps nothing elsewhere.
fn npm(directory: &Directory, registry: &str, arguments: &[&str]) -> String {
    let done = Command::new("npm")
        .args(arguments)
        .args([
            "--registry",
            registry,
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ])
        .args([
            "--fetch-retries=0",
            "--update-notifier=false",
            "--userconfig=/dev/null",
        ])
        .arg(format!("--cache={}", directory.join("cache").display()))
        .env("HOME", directory.path())
        .current_dir(directory.path())
        .output()
        .expect("npm is installed");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "npm {arguments:?}: {told}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn a_scoped_package_is_installed() {
    let server = Site::new(
        "'/npm' = { files = 'www', strip_prefix = true, index = 'index.json', decode_slashes = true }",
    )
    .start();
    let registry = format!("http://{}/npm/", server.address());
    let source = Directory::new();
    let package = json!({ "name": "@harbour/tide", "version": "1.2.3", "main": "index.js" });
    source.write("package.json", package.to_string());
    source.write("index.js", "module.exports = 'high water';\n");
    npm(&source, &registry, &["pack"]);
    let packed = std::fs::read(source.join("harbour-tide-1.2.3.tgz")).expect("npm has packed it");
    let mut version = package;
    version["dist"] = json!({ "tarball": format!("{registry}@harbour/tide/-/tide-1.2.3.tgz") });
    let document = json!({
        "name": "@harbour/tide",
        "dist-tags": { "latest": "1.2.3" },
        "versions": { "1.2.3": version },
    });
    let site = server.directory();
    site.write("www/@harbour/tide/index.json", document.to_string());
    site.write("www/@harbour/tide/-/tide-1.2.3.tgz", packed);
    let work = Directory::new();
    work.write("package.json", "{}");
    let latest = npm(&work, &registry, &["view", "@harbour/tide", "version"]);
    assert_eq!(latest.trim(), "1.2.3");
    npm(&work, &registry, &["install", "@harbour/tide"]);
    let installed = work.read("node_modules/@harbour/tide/index.js");
    assert_eq!(installed, "module.exports = 'high water';\n");
}
