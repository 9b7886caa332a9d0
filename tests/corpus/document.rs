//! docs/reference/strictness.md against the corpus, and against the tests that it names.

use super::cases::cases;
use super::pieces::decode;
use gateway::http::Framing;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// (what becomes of the request, what becomes of the response, proof), by the first column.
fn document() -> BTreeMap<String, [String; 3]> {
    let text = std::fs::read_to_string(root().join("docs/reference/strictness.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, what, request, response, source, proof] = cells[..] else { panic!("six cells: {line}") };
        assert!(!what.is_empty() && !source.is_empty(), "{line}");
        let row = [request, response, proof].map(str::to_owned);
        assert!(rows.insert(id.trim_matches('`').to_owned(), row).is_none(), "twice: {id}");
    }
    rows
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What the corpus says of each id: of requests, and of responses.
fn proven() -> BTreeMap<String, [String; 2]> {
    let mut seen: BTreeMap<String, [BTreeSet<String>; 2]> = BTreeMap::new();
    for folder in ["requests", "responses", "chunked", "proxy"] {
        for case in cases(folder) {
            assert!(case.id.is_some() || !case.is_refused(), "{case}: no `id:`, so no row of the document");
            let Some(id) = case.id.clone() else { continue };
            let (request, response) = match (folder, case.is_refused()) {
                ("requests", true) => (Some(case.want.clone()), None),
                ("requests" | "proxy", false) => (Some("passes".into()), None),
                ("proxy", true) => (Some("closed".into()), None),
                ("responses", true) => (None, Some("502")),
                (_, false) if folder == "responses" => (None, Some("passes")),
                (_, true) => (
                    Some(decode(Framing::Chunked, &[&case.bytes]).unwrap_err().status().to_string()),
                    Some("cut"),
                ),
                (_, false) => (Some("passes".into()), Some("passes")),
            };
            let [requests, responses] = seen.entry(id).or_default();
            requests.extend(request);
            responses.extend(response.map(str::to_owned));
        }
    }
    let cell = |found: BTreeSet<String>| match found.is_empty() {
        true => "—".to_owned(),
        false => Vec::from_iter(found).join(", "),
    };
    seen.into_iter().map(|(id, found)| (id, found.map(cell))).collect()
}

#[test]
fn the_document_says_what_the_corpus_proves() {
    let (document, proven) = (document(), proven());
    for (id, [request, response]) in &proven {
        let row = [request, response, "corpus"].map(str::to_owned);
        assert_eq!(document.get(id), Some(&row), "row `{id}` of docs/reference/strictness.md");
    }
    for (id, [_, _, proof]) in document.iter().filter(|(id, _)| !proven.contains_key(*id)) {
        assert!(proof != "corpus", "`{id}`: no case of the corpus has that id");
    }
}

/// `tests/e2e/tunnel.rs: name`, several of them with commas between.
#[test]
fn the_tests_that_the_document_names_are_there() {
    for (id, [_, _, proof]) in document().iter().filter(|(_, [.., proof])| proof != "corpus") {
        for one in proof.split(", ") {
            let (file, name) =
                one.trim_matches('`').split_once(": ").unwrap_or_else(|| panic!("`{id}`: {one}"));
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(text.contains(&format!("fn {name}(")), "`{id}`: no test {name} in {file}");
        }
    }
}
