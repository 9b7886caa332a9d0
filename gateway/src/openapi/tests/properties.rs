//! Any bytes: an import ends, with an API or with findings that stand inside of the document.

use super::super::*;
use proptest::prelude::*;

const VALID: [&str; 3] = [
    include_str!("../../../../examples/petstore.yaml"),
    include_str!("../../../../examples/petstore.json"),
    include_str!("../../../../examples/edge-cases.yaml"),
];

fn ends_well(text: &str) -> Result<(), TestCaseError> {
    let findings = match import(Path::new("api"), text) {
        Ok(imported) => imported.warnings,
        Err(errors) => {
            prop_assert!(errors.iter().any(|d| d.severity == Severity::Error));
            errors
        }
    };
    // YAML ends lines at lone carriage returns too, and calls the line after the last one the end.
    let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count() + usize::from(text.contains('\r'));
    for finding in findings {
        prop_assert!((1..=lines).contains(&finding.place.line), "{finding}");
        let longest = text.split('\n').map(|l| l.chars().count()).max().unwrap_or(0);
        prop_assert!(text.contains('\r') || (1..=longest + 2).contains(&finding.place.column), "{finding}");
        prop_assert!(!finding.what.is_empty());
    }
    Ok(())
}

/// Cuts, repeats, moves and replaces pieces of a document.
fn mutated() -> impl Strategy<Value = String> {
    let change =
        (any::<prop::sample::Index>(), 0..40usize, any::<prop::sample::Index>(), 0..5u8, any::<char>());
    (0..VALID.len(), prop::collection::vec(change, 1..6)).prop_map(|(which, changes)| {
        let mut text: Vec<char> = VALID[which].chars().collect();
        for (at, len, to, kind, c) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            let end = (at + len).min(text.len());
            let piece: Vec<char> = text[at..end].to_vec();
            match kind {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..at, piece)),
                2 => text[at] = c,
                3 => text[at] = "{}[]:,\"'&*!|>-#\t\n\r \u{0}$\\".chars().nth(len % 22).unwrap_or(' '),
                _ => {
                    let to = to.index(text.len());
                    drop(text.splice(to..to, piece));
                }
            }
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_documents_end_well(text in mutated()) {
        ends_well(&text)?;
    }

    #[test]
    fn any_text_ends_well(text in ".{0,200}") {
        ends_well(&text)?;
    }

    #[test]
    fn json_reads_as_serde_reads_it(text in json()) {
        let node = json::read(&text).unwrap();
        prop_assert_eq!(node.to_json(), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let tree = leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    (tree, any::<bool>())
        .prop_map(|(value, pretty)| if pretty { format!("{value:#}") } else { value.to_string() })
}
