//! Files that somebody cut or changed: they are refused by their name and left as they are, or read as they were.

use super::properties::Model;
use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A store with some objects, closed as it should be and as a `kill -9` leaves it; and what it holds.
struct Original {
    closed: Vec<u8>,
    killed: Vec<u8>,
    model: Model,
    /// Before the last commit.
    before: Model,
}

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let home = Home::new("original");
        let (mut model, mut before) = (Model::default(), Model::default());
        runtime.block_on(async {
            for round in 0..40_u8 {
                let mut change = Change::default();
                let length = if round % 10 == 0 { 20_000 } else { 200 };
                change.writes.insert(format!("objects/{}", round % 30), Some(vec![round; length]));
                change.writes.insert(format!("objects/{}", (round + 7) % 30), None);
                before = model.clone();
                model.take(&change.writes);
                home.1.commit(change).await.unwrap();
            }
        });
        let killed = std::fs::read(&home.0).unwrap();
        home.1.close();
        Original { closed: std::fs::read(&home.0).unwrap(), killed, model, before }
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Zeroes(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        place().prop_map(Damage::Cut),
        (place(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (place(), 1_usize..9000).prop_map(|(at, length)| Damage::Zeroes(at, length)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let length = bytes.len();
    match damage {
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Flip(at, bits) => bytes[at.index(length)] ^= bits,
        Damage::Zeroes(at, count) => {
            let at = at.index(length);
            bytes[at..length.min(at + count)].fill(0);
        }
    }
    bytes
}

/// Opens a file of these bytes. Err: what is said of it.
fn opened(bytes: &[u8]) -> (PathBuf, Result<Embedded, String>) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("gateway-damage-{}-{number}.redb", std::process::id()));
    std::fs::write(&file, bytes).unwrap();
    let store = Embedded::open(&file).map_err(|error| error.to_string());
    (file, store)
}

/// It is refused, with its name; it is left as it is; nothing stands beside it; and it is refused again.
fn refused(file: &Path, bytes: &[u8], said: &str) {
    assert!(said.starts_with(&format!("{}: ", file.display())), "{said}");
    assert!(std::fs::read(file).unwrap() == bytes, "a damaged file was written to: {said}");
    assert!(Embedded::open(file).is_err(), "refused, and then taken: {said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_file_is_refused_or_reads_as_it_was(damage in damage(), killed in any::<bool>()) {
        let original = original();
        let whole = if killed { &original.killed } else { &original.closed };
        let bytes = damaged(whole.clone(), &damage);
        let (file, store) = opened(&bytes);
        match store {
            Ok(store) => {
                // After a kill, a damaged last commit cannot be told from one that was being written.
                let torn = killed && original.before.is_what(&store);
                prop_assert!(torn || original.model.is_what(&store), "{damage:?} was taken, and something is lost");
                store.close();
            }
            Err(said) => refused(&file, &bytes, &said),
        }
        std::fs::remove_file(&file)?;
    }
}

#[test]
fn an_empty_file_is_no_new_store() {
    let (file, store) = opened(b"");
    let said = store.err().unwrap();
    assert!(said.contains("it is empty: a store never is, so what was in it is lost; if"), "{said}");
    refused(&file, b"", &said);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn what_is_no_store_is_refused() {
    for text in ["{}", "gateway_export: 1\n", &"x".repeat(100_000)] {
        let (file, store) = opened(text.as_bytes());
        refused(&file, text.as_bytes(), &store.err().unwrap());
        std::fs::remove_file(&file).unwrap();
    }
}
