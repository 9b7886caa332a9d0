//! Broken documents, and what their authors are told: `broken.txt` holds both, word for word, parted by `>>>`.

use super::super::*;

#[test]
fn broken_documents_are_told_where_what_and_what_to_write() {
    for case in include_str!("broken.txt").split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (document, expected) = rest.split_once("\n>>>\n").unwrap();
        let findings = match import(Path::new("api.yaml"), &format!("{document}\n")) {
            Ok(imported) => imported.warnings,
            Err(errors) => errors,
        };
        let told: String = findings.iter().map(|d| format!("{d}\n")).collect();
        assert_eq!(told, expected, "{name}: is told\n{told}");
        let lines = document.lines().count() + 1;
        assert!(findings.iter().all(|d| d.place.line <= lines && d.place.column > 0), "{name}: {told}");
    }
}

#[test]
fn what_has_no_bottom_is_refused() {
    let refused = |text: &str, what: &str| {
        let errors = import(Path::new("api.yaml"), text).unwrap_err();
        assert!(errors[0].what.contains(what), "{errors:?}");
    };
    refused(&"[".repeat(100_000), "nested deeper than 64");
    refused(&"{\"a\":".repeat(100_000), "nested deeper than 64");
    refused(&format!("a: {}", "[".repeat(100_000)), "nested deeper than 64");
    refused(&"- ".repeat(100_000), "nested deeper than 64");
    refused(&(0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(), "nested deeper than 64");
    let laughs: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
    refused(&format!("a0: &a0 ha\n{laughs}"), "aliases repeat more than");
    let merged: String =
        (1..40).map(|n| format!("m{n}: &m{n} {{<<: *m{0}, k{n}: *m{0}}}\n", n - 1)).collect();
    refused(&format!("m0: &m0 {{a: b}}\n{merged}"), "aliases repeat more than");
    refused(&" ".repeat(DOCUMENT_BYTES_MAX + 1), "bytes; 6291456 is the most");
}

#[test]
fn findings_beyond_the_bound_are_counted_and_no_error_hides() {
    let paths: String = (0..700).map(|n| format!("  /p{n}:\n    get: {{}}\n")).collect();
    let text = format!("swagger: '2.0'\ninfo: {{title: a}}\npaths:\n{paths}  bad: {{}}\n");
    let errors = import(Path::new("api.yaml"), &text).unwrap_err();
    assert!(errors.iter().any(|d| d.what.contains("does not begin with `/`")));
    assert_eq!(errors.len(), 501);
    assert_eq!(errors[500].what, "and 201 more findings");
}
