//! The scanner never panics on a frame, accepts exactly the inputs that the oracle accepts, and
//! reads the same numbers.
#![no_main]

#[path = "../../crates/book/tests/support/differential.rs"]
mod differential;
#[path = "../../crates/book/tests/support/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| differential::check_frame(bytes));
