//! What the compiler says about descriptions outside the subset: each at its place, with a
//! hint. The files of `messages/` and what rustc prints about them stand side by side.

#[test]
fn every_construct_outside_the_subset_is_refused_where_it_stands() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}
