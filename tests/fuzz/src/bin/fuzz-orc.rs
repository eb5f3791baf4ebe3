//! See `landfall_fuzz::orc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| landfall_fuzz::orc(data));
