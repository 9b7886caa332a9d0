//! The embedded store beside a map in memory: whatever is written, read, watched, closed and opened in whichever order.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast::error::TryRecvError;

type Case = Result<(), TestCaseError>;

/// Neighbours in the order of their bytes, beginnings of each other, and what is no ASCII.
const KEYS: [&str; 9] = ["a", "a/", "a/1", "a/10", "a/2", "ab", "b/\u{e9}", "b/\u{10ffff}", "~"];

/// What the store is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) revision: u64,
    pub(super) objects: BTreeMap<String, (u64, Vec<u8>)>,
}

impl Model {
    fn revision_of(&self, key: &str) -> u64 {
        self.objects.get(key).map_or(0, |(revision, _)| *revision)
    }

    pub(super) fn take(&mut self, writes: &BTreeMap<String, Option<Vec<u8>>>) {
        self.revision += 1;
        for (key, value) in writes {
            match value {
                None => drop(self.objects.remove(key)),
                Some(value) => drop(self.objects.insert(key.clone(), (self.revision, value.clone()))),
            }
        }
    }

    /// As `Read::scan` says it, without its ways.
    fn scan(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, Entry)> {
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let entry = |(key, (revision, value)): (&String, &(u64, Vec<u8>))| {
            (key.clone(), Entry { revision: *revision, value: value.clone() })
        };
        found.take(most).map(entry).collect()
    }

    pub(super) fn is_what(&self, store: &impl Read) -> bool {
        let all = store.scan("", "", usize::MAX);
        store.revision() == Ok(self.revision) && all == Ok(self.scan("", "", usize::MAX))
    }
}

/// A key that is expected at a revision that is right, was right before, or is another's.
#[derive(Clone, Debug)]
struct Expected(usize, i64);

#[derive(Clone, Debug)]
enum Step {
    Get(usize),
    Page(usize, usize, usize),
    Put(usize, Vec<u8>),
    Remove(usize),
}

#[derive(Clone, Debug)]
enum Action {
    Commit(Vec<(usize, Option<Vec<u8>>)>, Vec<Expected>),
    /// The steps of a transaction; after so many of them somebody else writes these keys.
    Transaction(Vec<Step>, usize, Vec<usize>),
    Scan(usize, usize, usize),
    Watch,
    Reopen,
    /// The file as it is while it is open, which is what a `kill -9` leaves.
    Kill,
}

fn key() -> std::ops::Range<usize> {
    0..KEYS.len()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let long = (any::<u8>(), 4000_usize..70_000).prop_map(|(byte, length)| vec![byte; length]);
    prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..20), 1 => long]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => key().prop_map(Step::Get),
        2 => (key(), key(), 0_usize..5).prop_map(|(prefix, after, most)| Step::Page(prefix, after, most)),
        3 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => key().prop_map(Step::Remove),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let writes = prop::collection::vec((key(), prop::option::weighted(0.75, value())), 0..5);
    let lag = prop_oneof![8 => Just(0_i64), 1 => -2_i64..3];
    let expects = prop::collection::vec((key(), lag).prop_map(|(key, lag)| Expected(key, lag)), 0..3);
    let steps = prop::collection::vec(step(), 1..8);
    let others = prop::collection::vec(key(), 0..2);
    prop_oneof![
        6 => (writes, expects).prop_map(|(writes, expects)| Action::Commit(writes, expects)),
        6 => (steps, 0_usize..8, others).prop_map(|(steps, at, keys)| Action::Transaction(steps, at, keys)),
        4 => (key(), key(), 0_usize..6).prop_map(|(prefix, after, most)| Action::Scan(prefix, after, most)),
        1 => Just(Action::Watch),
        1 => Just(Action::Reopen),
        1 => Just(Action::Kill),
    ]
}

/// A watcher, and the events that it has to hear from now on.
struct Watcher(broadcast::Receiver<Event>, Vec<(u64, Vec<String>)>);

impl Watcher {
    fn heard(&mut self) -> Case {
        for (revision, keys) in self.1.drain(..) {
            let event =
                self.0.try_recv().map_err(|error| TestCaseError::fail(format!("{revision}: {error}")))?;
            prop_assert_eq!((event.revision, event.keys), (revision, keys));
        }
        prop_assert!(
            matches!(self.0.try_recv(), Err(TryRecvError::Empty)),
            "heard of a commit that was none"
        );
        Ok(())
    }
}

struct Both {
    home: Home,
    model: Model,
    watchers: Vec<Watcher>,
}

impl Both {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let home = Home::new(&format!("both-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        Self { home, model: Model::default(), watchers: Vec::new() }
    }

    /// Both say the same of a change, and take it or leave it.
    async fn commit(&mut self, change: Change) -> Case {
        let holds = change.expects.iter().all(|(key, revision)| self.model.revision_of(key) == *revision);
        let done = self.home.1.commit(change.clone()).await;
        if !holds {
            prop_assert!(matches!(done, Err(NotCommitted::Conflict)), "{done:?}");
            return Ok(());
        }
        self.model.take(&change.writes);
        prop_assert_eq!(
            done.map_err(|error| TestCaseError::fail(format!("{error:?}")))?,
            self.model.revision
        );
        for watcher in &mut self.watchers {
            watcher.1.push((self.model.revision, change.writes.keys().cloned().collect()));
        }
        Ok(())
    }

    async fn transaction(&mut self, steps: &[Step], at: usize, others: &[usize]) -> Case {
        let store = self.home.1.clone();
        let mut transaction = Transaction::new(&store);
        let (mut seen, mut own) = (BTreeMap::new(), BTreeMap::new());
        for (number, step) in steps.iter().enumerate() {
            if number == at && !others.is_empty() {
                let writes =
                    others.iter().map(|key| (KEYS[*key].to_owned(), Some(b"other".to_vec()))).collect();
                self.commit(Change { writes, ..Change::default() }).await?;
            }
            self.step(&mut transaction, step, &mut seen, &mut own)?;
        }
        prop_assert_eq!(transaction.is_empty(), own.is_empty());
        let change = transaction.into_change();
        prop_assert_eq!(&change, &Change { expects: seen, writes: own });
        self.commit(change).await
    }

    /// What a transaction reads is what is committed now, under what it wrote itself.
    fn step(
        &self,
        transaction: &mut Transaction<'_>,
        step: &Step,
        seen: &mut BTreeMap<String, u64>,
        own: &mut BTreeMap<String, Option<Vec<u8>>>,
    ) -> Case {
        let committed = |key: &str| self.model.objects.get(key).map(|(_, value)| value.clone());
        match step {
            Step::Get(key) => {
                let key = KEYS[*key];
                let known = own.get(key).cloned();
                if known.is_none() {
                    seen.entry(key.to_owned()).or_insert(self.model.revision_of(key));
                }
                prop_assert_eq!(transaction.get(key), Ok(known.unwrap_or_else(|| committed(key))));
            }
            Step::Page(prefix, after, most) => {
                let (prefix, after) = (KEYS[*prefix], KEYS[*after]);
                let mut all: BTreeMap<String, Vec<u8>> =
                    self.model.objects.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect();
                for (key, value) in own.iter() {
                    match value {
                        Some(value) => drop(all.insert(key.clone(), value.clone())),
                        None => drop(all.remove(key)),
                    }
                }
                all.retain(|key, _| key.starts_with(prefix) && key.as_str() > after);
                let more = all.len() > *most;
                let entries = all.into_iter().take(*most).collect();
                prop_assert_eq!(transaction.page(prefix, after, *most), Ok(Page { entries, more }));
            }
            Step::Put(key, value) => {
                transaction.put(KEYS[*key].into(), value.clone());
                own.insert(KEYS[*key].into(), Some(value.clone()));
            }
            Step::Remove(key) => {
                transaction.remove(KEYS[*key].into());
                own.insert(KEYS[*key].into(), None);
            }
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> Case {
        match action {
            Action::Commit(writes, expects) => {
                let writes = writes.into_iter().map(|(key, value)| (KEYS[key].to_owned(), value)).collect();
                let expects = expects.into_iter().map(|Expected(key, lag)| {
                    (KEYS[key].to_owned(), self.model.revision_of(KEYS[key]).saturating_add_signed(lag))
                });
                self.commit(Change { expects: expects.collect(), writes }).await?;
            }
            Action::Transaction(steps, at, others) => self.transaction(&steps, at, &others).await?,
            Action::Scan(prefix, after, most) => {
                let (prefix, after) = (KEYS[prefix], KEYS[after]);
                let found = self.home.1.scan(prefix, after, most);
                prop_assert_eq!(found, Ok(self.model.scan(prefix, after, most)));
            }
            Action::Watch => self.watchers.push(Watcher(self.home.1.watch(), Vec::new())),
            Action::Reopen => {
                self.home.1.close();
                prop_assert!(self.home.1.get("a").is_err() && self.home.1.revision().is_err());
                prop_assert!(matches!(
                    self.home.1.commit(Change::default()).await,
                    Err(NotCommitted::Failed(_))
                ));
                prop_assert_eq!(self.home.1.reopen(&self.home.0), Ok(()));
            }
            Action::Kill => {
                let copy = self.home.0.with_extension("copy");
                std::fs::copy(&self.home.0, &copy)?;
                let store = Embedded::open(&copy).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(self.model.is_what(&store), "a copy of the open file differs");
                store.close();
                std::fs::remove_file(&copy)?;
            }
        }
        for key in KEYS {
            let entry = self.model.objects.get(key);
            let entry = entry.map(|(revision, value)| Entry { revision: *revision, value: value.clone() });
            prop_assert_eq!(self.home.1.get(key), Ok(entry));
        }
        prop_assert!(self.model.is_what(&self.home.1), "the whole store differs");
        self.watchers.iter_mut().try_for_each(Watcher::heard)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn agrees_with_a_map_in_memory(actions in prop::collection::vec(action(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut both = Both::new();
            for action in actions {
                both.act(action).await?;
            }
            Case::Ok(())
        })?;
    }
}

/// Many writers at once: every one is taken once, none sees half of another, and watchers hear them in their order.
#[test]
fn many_writers_count_without_loss_and_are_heard_in_order() {
    const WRITERS: usize = 6;
    const EACH: usize = 12;
    let home = Home::new("writers");
    let mut watch = home.1.watch();
    // How often it came too late.
    let write = |store: &Embedded| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut done, mut conflicts) = (0, 0);
        while done < EACH {
            let mut transaction = Transaction::new(store);
            let count = transaction.get("count").unwrap().map_or(0, |bytes| bytes.len());
            transaction.put("count".into(), vec![0; count + 1]);
            transaction.put("twice".into(), vec![0; 2 * (count + 1)]);
            match runtime.block_on(store.commit(transaction.into_change())) {
                Ok(_) => done += 1,
                Err(NotCommitted::Conflict) => conflicts += 1,
                Err(NotCommitted::Failed(failed)) => panic!("{failed}"),
            }
        }
        conflicts
    };
    let conflicts: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| write(&home.1))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(conflicts > 0, "nobody met anybody: this test says nothing");
    for revision in 1..=(WRITERS * EACH) as u64 {
        assert_eq!(watch.try_recv().unwrap().revision, revision);
    }
    assert!(matches!(watch.try_recv(), Err(TryRecvError::Empty)));
    let length = |key| home.1.get(key).unwrap().unwrap().value.len();
    assert_eq!((length("count"), length("twice")), (WRITERS * EACH, 2 * WRITERS * EACH));
}
