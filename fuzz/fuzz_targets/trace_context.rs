#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate::fuzz::trace_context(input));
