//! Everything that is kept in `tests/corpus`, against its fuzz target: what the fuzzer has found worth keeping
//! (`tests/corpus/fuzz`), the codec's cases, small documents (`tests/corpus/openapi`), and the examples.

#![allow(clippy::unwrap_used)] // all of it is a test

#[path = "../corpus/cases.rs"]
#[allow(dead_code)] // the codec's tests ask more of a case
mod cases;

use cases::cases;
use fuzz::kept;
use gateway::openapi::import;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs the target and says what it was given when it panics.
fn hold(target: &str, place: &str, bytes: &[u8]) {
    let holds = fuzz::target(target).unwrap();
    if std::panic::catch_unwind(|| holds(bytes)).is_err() {
        panic!("{place}: target {target}, {} bytes: {}", bytes.len(), bytes.escape_ascii());
    }
}

fn replay(target: &str) {
    let file = kept::file(root(), target);
    let name = kept::file(Path::new(""), target);
    let name = name.display();
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let inputs = kept::parse(&text).unwrap_or_else(|line| panic!("{name}:{line}: an escape that is none"));
    assert!(inputs.len() > 10, "{name}: {} inputs", inputs.len());
    for input in inputs {
        hold(target, &format!("{name}:{}", input.line), &input.bytes);
    }
}

fn replay_with(target: &str, folder: &str) {
    for case in cases(folder) {
        hold(target, &case.to_string(), &case.bytes);
    }
    replay(target);
}

#[test]
fn request() {
    replay_with("request", "requests");
}

#[test]
fn response() {
    replay_with("response", "responses");
}

#[test]
fn chunked() {
    replay_with("chunked", "chunked");
}

#[test]
fn proxy() {
    replay_with("proxy", "proxy");
}

#[test]
fn target() {
    for case in cases("requests") {
        if let Some(target) = case.bytes.split(|&byte| byte == b' ').nth(1) {
            hold("target", &case.to_string(), target);
        }
    }
    replay("target");
}

/// `accepted` or `refused`.
#[test]
fn openapi() {
    for case in cases("openapi") {
        let found = import(Path::new("api"), str::from_utf8(&case.bytes).unwrap());
        assert_eq!(found.is_err(), case.is_refused(), "{case}: {found:#?}");
        hold("openapi", &case.to_string(), &case.bytes);
    }
    for name in ["petstore.yaml", "petstore.json", "edge-cases.yaml"] {
        hold("openapi", name, &std::fs::read(root().join("examples").join(name)).unwrap());
    }
    replay("openapi");
}

#[test]
fn each_target_has_its_function_and_its_replay() {
    for known in &fuzz::targets::TARGETS {
        assert!(fuzz::target(known.name).is_some(), "{}", known.name);
        assert!(include_str!("replay.rs").contains(&format!("fn {}() {{", known.name)), "{}", known.name);
    }
}
