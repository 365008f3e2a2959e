//! Generated blocks and their hand-written twins do the same in every cycle; the example
//! `twins` compares their speed and area.

use hallux_testbenches::twins::{TwinError, all, verify};
use hallux_verilator::Toolchain;

#[test]
fn generated_and_hand_written_rtl_agree_in_every_output_of_every_cycle() {
    let tools = Toolchain::discover(&mut |line| eprintln!("{line}")).unwrap();
    let twins = all().unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<&str> = twins.iter().map(|twin| twin.name).collect();
    assert_eq!(
        names,
        [
            "skid",
            "checksum",
            "parser",
            "rotator",
            "connection",
            "workers"
        ]
    );
    for twin in &twins {
        verify(twin, &tools).unwrap_or_else(|error| panic!("{}: {error}", twin.name));
    }
}

#[test]
fn a_twin_that_does_something_else_is_found() {
    let tools = Toolchain::discover(&mut |line| eprintln!("{line}")).unwrap();
    let mut twins = all().unwrap_or_else(|errors| panic!("{errors}"));
    let twin = &mut twins[3];
    twin.hand = twin.hand.replace("8 << level", "4 << level");
    let error = verify(twin, &tools).expect_err("it rotates by half as much");
    assert!(
        matches!(&error, TwinError::Differs { name: "rotator", port, .. } if port == "rotated"),
        "{error}"
    );
}
