//! The examples do what they say.

#[path = "../../examples/own_filter.rs"]
mod own_filter;

#[test]
fn a_filter_of_an_embedder_runs_in_a_configuration() {
    assert_eq!(own_filter::redacted("4111111111111111").expect("it compiles"), "************1111");
}
