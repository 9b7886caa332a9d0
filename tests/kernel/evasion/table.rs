//! The rows of the document by test run, against the oracle, and against the document itself.

use super::{Case, LANES, any_rules, cases, exact_rules, lane, selected};
use crate::verdicts::Bench;
use std::collections::BTreeMap;

#[test]
fn every_row_gets_its_verdict() {
    let Some(mut bench) = Bench::new(exact_rules()) else { return };
    let mut wrong = Vec::new();
    for any in [false, true] {
        if any {
            bench.change(any_rules());
        }
        for case in selected(any) {
            wrong.extend(mistakes(&bench, &case));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn mistakes(bench: &Bench, case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for family in case.families {
        for (number, (name, ..)) in LANES.iter().enumerate() {
            let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
            let frames = (case.frames)(&lane(number, *family, 20_000, case.any, macs));
            let expected = case.passes(number, frames.len());
            for (place, (frame, expected)) in frames.iter().zip(expected).enumerate() {
                let (program, oracle) = bench.verdicts(frame);
                if (program, oracle) != (expected, expected) {
                    wrong.push(format!(
                        "{} {family:?} {name}, frame {place}: expected {expected}, program {program}, oracle {oracle}",
                        case.id
                    ));
                }
            }
        }
    }
    wrong
}

/// (Linux, outside to private, inside to private, outside to public), by the first column.
fn document() -> BTreeMap<String, Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/evasion.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, linux, outside, inside, public, _] = cells[..] else { panic!("seven cells: {line}") };
        let word = linux.split([' ', ',', ';']).next().unwrap();
        let row = [word, outside, inside, public].map(str::to_owned).to_vec();
        assert!(rows.insert(id.trim_matches('`').to_owned(), row).is_none(), "twice: {id}");
    }
    rows
}

#[test]
fn the_document_says_what_the_tests_prove() {
    let proven: BTreeMap<String, Vec<String>> = cases::all()
        .iter()
        .map(|case| {
            let [outside, inside, public] = case.verdicts.map(str::to_owned);
            (case.id.to_owned(), vec![case.linux.word().to_owned(), outside, inside, public])
        })
        .collect();
    assert_eq!(cases::all().len(), proven.len(), "no id stands for two cases");
    let document = document();
    for (id, row) in &proven {
        assert_eq!(document.get(id), Some(row), "row `{id}` of docs/reference/evasion.md");
    }
    let unproven: Vec<&String> = document.keys().filter(|id| !proven.contains_key(*id)).collect();
    assert!(unproven.is_empty(), "rows without a test: {unproven:?}");
}
