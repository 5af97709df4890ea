//! From a path to a route, among a thousand.

use divan::{Bencher, black_box};
use tidegate::bench::Routes;

/// Paths of fixed segments, and as many that end in one of any name.
fn thousand() -> Routes {
    let fixed = (0..500).map(|number| format!("/area-{}/page-{number}", number % 10));
    let open = (0..500).map(|number| format!("/api/resource-{number}/{{id}}"));
    Routes::new(fixed.chain(open))
}

#[divan::bench(args = ["/area-7/page-347", "/api/resource-347/1234", "/area-7/page-347/below/it", "/nowhere"])]
fn find(bencher: Bencher<'_, '_>, path: &str) {
    let routes = thousand();
    let expected = match path {
        "/nowhere" => None,
        _ if path.starts_with("/api") => Some(847),
        _ => Some(347),
    };
    assert_eq!(routes.find(path.as_bytes()), expected, "{path}");
    bencher.bench_local(|| routes.find(black_box(path.as_bytes())));
}
