//! Bad snippets that tidy must catch, and good ones that it must leave alone.

use super::check;

fn rules(file: &str, text: &str) -> Vec<(usize, &'static str)> {
    check(file, text).into_iter().map(|finding| (finding.line, finding.rule)).collect()
}

const HTTP: &str = "gateway/src/http/head.rs";

#[test]
fn a_file_that_follows_the_rules_is_left_alone() {
    let good =
        "//! Heads.\nuse std::ops::Range;\npub fn parse(input: &str) -> Range<usize> { 0..input.len() }\n";
    assert_eq!(rules(HTTP, good), []);
}

#[test]
fn a_file_without_opening_words_is_caught() {
    assert_eq!(rules(HTTP, "use std::ops::Range;\n"), [(1, "opening")]);
}

#[test]
fn long_files_and_long_lines_are_caught() {
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(500));
    assert_eq!(rules(HTTP, &long), [(501, "length")]);
    let wide = format!("//! Wide.\n// {}\n", "x".repeat(118));
    assert_eq!(rules(HTTP, &wide), [(2, "width")]);
    let architecture = "line\n".repeat(251);
    assert_eq!(rules("docs/ARCHITECTURE.md", &architecture), [(251, "length")]);
    assert_eq!(rules("docs/other.md", &architecture), []);
}

#[test]
fn empty_words_in_names_are_caught_where_they_are_declared() {
    let bad = "//! X.\npub struct PoolManager;\nenum FooHandler {}\ntrait IoHelper {}\n\
               type ReqContext = u8;\nfn get_pool() {}\n";
    assert_eq!(rules(HTTP, bad), [(2, "name"), (3, "name"), (4, "name"), (5, "name"), (6, "name")]);
    let used =
        "//! X.\nuse aya_ebpf::programs::XdpContext;\nfn target(x: &XdpContext) { x.get_unchecked() }\n";
    assert_eq!(rules(HTTP, used), []);
}

#[test]
fn unfinished_work_is_caught_in_code_and_in_comments() {
    let mark = concat!("FIX", "ME");
    let bad = format!("//! X.\nfn f() {{ todo!() }}\nfn g() {{ dbg!(1); }}\n// {mark}: later\n");
    assert_eq!(rules(HTTP, &bad), [(2, "unfinished"), (3, "unfinished"), (4, "unfinished")]);
    let said = "//! X.\n// the word todo!() in a comment\nconst S: &str = \"todo!() dbg!()\";\n";
    assert_eq!(rules(HTTP, said), []);
}

#[test]
fn anyhow_unsafe_and_the_clock_have_their_places() {
    let bad = "//! X.\nuse anyhow::Result;\nunsafe fn f() {}\nfn g() { std::time::Instant::now(); }\n";
    assert_eq!(rules(HTTP, bad), [(2, "anyhow"), (3, "unsafe"), (4, "clock")]);
    assert_eq!(rules("gateway/src/control/store.rs", bad), [(3, "unsafe")]);
    assert_eq!(rules("gateway/src/net/ring.rs", bad), [(2, "anyhow"), (4, "clock")]);
    assert_eq!(rules("gateway/src/net/timer.rs", bad), [(2, "anyhow")]);
    assert_eq!(rules("tests/e2e/harness.rs", bad), []);
    assert_eq!(rules("benches/xdp/sys.rs", bad), []);
    assert_eq!(rules("benches/xdp/veth.rs", bad), [(3, "unsafe")]);
    let date = "//! X.\nfn f() { std::time::SystemTime::now(); }\n";
    assert_eq!(rules("gateway/src/worker/clock.rs", date), []);
    assert_eq!(rules("gateway/src/worker/exchange.rs", date), [(2, "clock")]);
}

#[test]
fn rooms_use_only_what_the_table_gives_them() {
    assert_eq!(rules(HTTP, "//! X.\nuse crate::net::Runtime;\n"), [(2, "room")]);
    assert_eq!(rules(HTTP, "//! X.\nfn f() { crate::config::load(); }\n"), [(2, "room")]);
    assert_eq!(
        rules("gateway/src/worker/mod.rs", "//! X.\nuse crate::{http::Method, control};\n"),
        [(2, "room")]
    );
    assert_eq!(rules("gateway/src/worker/mod.rs", "//! X.\nuse tokio::net::TcpStream;\n"), [(2, "room")]);
    assert_eq!(rules("gateway/src/worker/mod.rs", "//! X.\nuse crate::{http::{Method, Head}, net};\n"), []);
    assert_eq!(rules("gateway/src/cli/run.rs", "//! X.\nuse crate::control;\n"), []);
}

#[test]
fn unit_tests_may_cross_rooms_but_only_behind_the_mark() {
    let text = "//! X.\nuse crate::http::Method;\n#[cfg(test)]\nmod tests {\n    use crate::config;\n}\n";
    assert_eq!(rules("gateway/src/route/tree.rs", text), []);
    let split = "//! X.\n#[cfg(test)]\nmod tests;\nuse crate::config;\n";
    assert_eq!(rules("gateway/src/route/tree.rs", split), [(4, "room")]);
}

#[test]
fn masking_knows_literals_comments_and_lifetimes() {
    let text = "let a = \"// no \\\" comment\"; // unsafe\nlet b = r#\"unsafe \"quoted\" unsafe\"#; \
                fn f<'a>(x: &'a str) {}\n/* a /* b */ unsafe */ let c = '\"'; let d = b\"unsafe\"; let e = '\\'';";
    let masked = super::mask::mask(text);
    assert!(!masked.contains("unsafe") && !masked.contains("comment"), "{masked}");
    assert_eq!(masked.chars().count(), text.chars().count());
    assert!(masked.contains("fn f<'a>(x: &'a str) {}") && masked.contains("let e = '  ';"), "{masked}");
}
