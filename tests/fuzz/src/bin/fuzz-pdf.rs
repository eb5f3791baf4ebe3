//! See `landfall_fuzz::pdf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| landfall_fuzz::pdf(data));
