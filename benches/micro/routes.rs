//! The router: host, stage and resource tree, from an `Asked` to a `Match`.

use crate::compiled::{find, request, snapshot};
use criterion::Criterion;
use gateway::http::RequestHead;
use gateway::snapshot::Snapshot;
use std::hint::black_box;

const MOCK: &str = "{type: mock, requestTemplates: {application/json: '{\"statusCode\": 200}'}, responses: {default: \
                    {statusCode: \"200\"}}}";
const APIS: usize = 200;
const ROUTES: usize = 25;
/// Levels of the tree in which each way but the last is a wrong one.
const CHOICES: usize = 6;

/// Requests over all routes in an order that jumps, as `cargo xtask bench proxy` sends them.
pub(crate) fn few_and_many(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for (name, apis, routes) in [("1 route", 1, 1), ("5,000 routes in 200 APIs", APIS, ROUTES)] {
        let path = |_| (0..routes).map(|route| format!("/r{route}/b/{{size}}")).collect::<Vec<_>>();
        let snapshot = snapshot(&(0..apis).map(path).collect::<Vec<_>>(), MOCK, "");
        let heads: Vec<_> = (0..apis * routes)
            .map(|at| request((at * 37) % apis, &format!("/r{}/b/128", (at * 37 / apis) % routes)))
            .collect();
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % heads.len();
                assert!(find(black_box(&snapshot), black_box(&heads[next])).is_ok());
            });
        });
    }
    group.finish();
}

/// One API, and what makes its tree hard to search.
pub(crate) fn shapes(criterion: &mut Criterion) {
    let siblings: Vec<_> = (0..5000).map(|number| format!("/items-{number}")).collect();
    let deep = (0..30).map(|level| format!("/level{level}/{{p{level}}}")).collect::<String>();
    let deep_path = (0..30).map(|level| format!("/level{level}/value{level}")).collect::<String>();
    let greedy_path = format!("/files{}", "/segment".repeat(60));
    let cases = [
        ("60 levels deep, 30 parameters", vec![deep], deep_path, true),
        ("greedy over 60 segments", vec!["/files/{proxy+}".to_owned()], greedy_path, true),
        ("one of 5,000 siblings", siblings, "/items-4321".to_owned(), true),
        ("64 wrong ways, then {proxy+}", wrong_ways(true), "/b".repeat(CHOICES + 1), true),
        ("64 wrong ways, then none", wrong_ways(false), "/b".repeat(CHOICES + 1), false),
    ];
    let mut group = criterion.benchmark_group("route");
    for (name, paths, path, found) in cases {
        let snapshot = snapshot(&[paths], MOCK, "");
        let head = request(0, &path);
        assert_eq!(find(&snapshot, &head).is_ok(), found, "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| one(&snapshot, &head, found)));
    }
    group.finish();
}

fn one(snapshot: &Snapshot, head: &RequestHead, found: bool) {
    assert_eq!(find(black_box(snapshot), black_box(head)).is_ok(), found);
}

/// At each level but the first a literal and a parameter, and at the ends only another method than the one asked for. A
/// way out at the first level may have no parameter beside it.
fn wrong_ways(way_out: bool) -> Vec<String> {
    let way = |number: usize| {
        let segment =
            |level: usize| if number >> level & 1 == 0 { "/b".to_owned() } else { format!("/{{p{level}}}") };
        format!("POST /b{}", (0..CHOICES).map(segment).collect::<String>())
    };
    let mut paths: Vec<_> = (0..1 << CHOICES).map(way).collect();
    if way_out {
        paths.push("/{proxy+}".to_owned());
    }
    paths
}
