//! The stage cache: looking up what is kept, one answer again and again and many in an order that jumps.

use criterion::Criterion;
use gateway::cache::{KeyWriter, Lookup, Stage, Store};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ANSWERS: usize = 10_000;
const FRESH_FOR: Duration = Duration::from_secs(3600);

fn key(item: usize) -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key, "items/{item}", "GET").parameter([item.to_string()].iter());
    key
}

fn keep(stage: &Arc<Stage>, key: &[u8], now: Instant) {
    let Lookup::Miss(slot) = stage.lookup(key, now) else { panic!("an empty cache has nothing") };
    let Some(mut recording) = slot.record(b"HTTP/1.1 200 OK\r\n") else { panic!("there is room") };
    recording.add(&[b'x'; 128], now);
    recording.finish(b"Content-Length: 128\r\n", FRESH_FOR, now);
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
pub(crate) fn lookup(criterion: &mut Criterion) {
    let now = Instant::now();
    let stage = Store::new(1 << 30).stage("bench00000", "prod", 1 << 28);
    let keys: Vec<Vec<u8>> = (0..ANSWERS).map(key).collect();
    for key in &keys {
        keep(&stage, key, now);
    }
    let mut group = criterion.benchmark_group("cache");
    for (name, step) in [("a hit, one answer", 0), ("a hit, 10,000 answers", 37)] {
        group.bench_function(name, |bencher| {
            let mut at = 0;
            bencher.iter(|| {
                at = (at + step) % ANSWERS;
                let found = stage.lookup(black_box(&keys[at]), black_box(now));
                assert!(matches!(found, Lookup::Hit(_)));
                found
            });
        });
    }
    group.finish();
}
