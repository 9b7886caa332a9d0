//! The rate algorithm that the XDP program and the workers' thresholds share.

use criterion::Criterion;
use gateway_ebpf::gcra::{Rate, charge};
use std::hint::black_box;

pub(crate) fn gcra(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gcra");
    let rate = Rate::new(1000, 1_000_000_000, 100);
    group.bench_function("charge, admitted", |bencher| {
        let (mut due, mut now) = (0, 0);
        bencher.iter(|| {
            now += rate.interval;
            let charged = charge(black_box(due), black_box(now), black_box(rate));
            assert!(charged.is_ok());
            due = charged.unwrap_or_default();
        });
    });
    group.bench_function("charge, refused", |bencher| {
        let due = 10 * rate.tolerance;
        bencher.iter(|| assert!(charge(black_box(due), black_box(0), black_box(rate)).is_err()));
    });
    group.finish();
}
