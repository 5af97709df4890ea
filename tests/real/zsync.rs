//! zsync against `files`: it asks for the blocks that differ, many ranges in a request.

use std::process::Command;

use crate::support::{Directory, Site, pattern};

#[test]
fn a_file_with_many_differences_is_brought_up_to_date() {
    const BLOCK: usize = 2048;
    let current = pattern(0, 1024 * BLOCK);
    let mut old = current.clone();
    // Every seventeenth block is another one: sixty ranges, with unchanged blocks between.
    for block in (0..1024).step_by(17) {
        old[block * BLOCK..][..BLOCK].fill(b'x');
    }
    let server = Site::new("'/' = { files = 'www' }")
        .file("current", &current)
        .start();
    let work = Directory::new();
    work.write("old", &old);
    let url = format!("http://{}/current", server.address());
    let made = Command::new("zsyncmake")
        .args(["-b", &BLOCK.to_string(), "-u", &url, "-o", "current.zsync"])
        .arg(server.directory().join("www/current"))
        .current_dir(work.path())
        .output()
        .expect("zsync is installed");
    assert!(made.status.success(), "{made:?}");
    std::fs::copy(
        work.join("current.zsync"),
        server.directory().join("www/current.zsync"),
    )
    .expect("both are ours");
    let done = Command::new("zsync")
        .args(["-i", "old", "-o", "new", &format!("{url}.zsync")])
        .current_dir(work.path())
        .output()
        .expect("zsync is installed");
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}");
    assert!(std::fs::read(work.join("new")).expect("it was made") == current);
    // It fetched what differed, and not the whole file.
    let fetched = told
        .split("fetched ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let fetched: usize = fetched
        .and_then(|text| text.trim().parse().ok())
        .expect("it says how much");
    assert!(fetched < current.len() / 4, "{told}");
}
