#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gov::doors::fuzz("copies", bytes));
