//! See `landfall_fuzz::excel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| landfall_fuzz::excel(data));
