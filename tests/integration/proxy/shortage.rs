//! A server that has no descriptor left for a connection to an upstream.

use super::{HELLO, LAST, POST, get, start_with_one_worker};
use crate::support::{Site, Upstream};

/// The lack is this server's: 503, and the upstream is not judged by it.
#[test]
fn a_lack_of_descriptors_is_not_the_upstreams_failure() {
    let upstream = Upstream::answering(LAST);
    let server = Site::new("'/' = { proxy = 'shop' }")
        .top(&format!(
            "workers = 1\nupstreams.shop = {{ servers = ['{}'], failures = {{ max = 1 }} }}",
            upstream.address()
        ))
        .start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 200);
    let restore = server.allow_no_more_files();
    for request in [get("/").as_str(), POST] {
        assert_eq!(client.exchange(request).status, 503, "{request}");
    }
    restore();
    assert_eq!(client.exchange(get("/")).status, 200);
    server.wait_for_reason("upstream_no_descriptor");
    server.wait_for_line(|line| line.contains("Too many open files"));
    let told = server.diagnostics();
    let blames = |line: &String| line.contains("has failed");
    assert!(!told.iter().any(blames), "{told:?}");
}

/// A connection that waits for its next request gives its descriptor up for one that is needed now.
#[test]
fn connections_that_wait_give_up_their_descriptors() {
    let upstream = Upstream::answering(HELLO);
    let server = start_with_one_worker(", buffer = false", &upstream);
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 200);
    let _restore = server.allow_no_more_files();
    // Content that is passed on as it comes needs a connection of its own.
    assert_eq!(client.exchange(POST).status, 200);
    assert_eq!(upstream.connections(), 2);
}
