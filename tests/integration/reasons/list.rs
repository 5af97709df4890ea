//! `tidegate reasons`.

use crate::support::{ended_with, program};

#[test]
fn the_list_is_printed_whole_or_for_one_reason() {
    let print = |arguments: &[&str], status| {
        let output = program().arg("reasons").args(arguments).output();
        ended_with(status, &output.expect("the program starts"))
    };
    let whole = print(&[], 0);
    for reason in super::reasons() {
        let id = reason["id"].as_str().expect("an id");
        assert!(whole.contains(&format!("\n  {id}")), "{id}");
        for field in ["meaning", "remedy", "group"] {
            assert!(
                whole.contains(reason[field].as_str().expect("words")),
                "{id}"
            );
        }
    }
    let one = print(&["no_route"], 0);
    assert!(one.starts_with("  no_route (404 Not Found)\n"), "{one}");
    let none = print(&["no_rout"], 1);
    assert!(none.contains("no reason is called \"no_rout\""), "{none}");
}
