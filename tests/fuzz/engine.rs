//! What libFuzzer runs: the target that `FUZZ_TARGET` names. `cargo xtask fuzz` builds and starts it.

#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        match fuzz::target(&name) {
            Some(target) => drop(TARGET.set(target)),
            None => {
                eprintln!("FUZZ_TARGET=`{name}` names no target; `cargo xtask fuzz` sets it");
                std::process::exit(2);
            }
        }
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(bytes);
        }
    }
);
