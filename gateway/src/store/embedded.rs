//! The store of a single node: one file (redb), written whole or not at all, durable when a commit returns.

use super::{
    Change, EVENTS_MAX, Entry, Event, Failed, KEY_BYTES_MAX, KeyValue, NotCommitted, Read, VALUE_BYTES_MAX,
    WRITES_MAX,
};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// key → revision (8 bytes, little endian) and value
const OBJECTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("objects");
const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
const SCHEMA: &str = "schema";

/// Pages of the file that are kept in memory.
const CACHE_BYTES: usize = 16 << 20;

/// Step `n` brings a store of schema `n + 1` to `n + 2`, in one transaction with all others that are due.
type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;
const MIGRATIONS: &[Migration] = &[];

/// Clones share the file.
#[derive(Clone)]
pub struct Embedded {
    /// None: it was closed.
    database: Arc<Mutex<Option<Arc<Database>>>>,
    /// Held from a commit to its event: watchers hear of commits in the order of their revisions.
    telling: Arc<Mutex<()>>,
    events: broadcast::Sender<Event>,
}

impl Embedded {
    /// Opens the file, makes it where it is missing (mode 0600), and brings it to this version's schema.
    pub fn open(file: &Path) -> Result<Self, Failed> {
        let (database, telling) = (Arc::default(), Arc::default());
        let store = Self { database, telling, events: broadcast::channel(EVENTS_MAX).0 };
        store.reopen(file)?;
        Ok(store)
    }

    /// After `close`, on the same file. Watchers go on.
    pub fn reopen(&self, file: &Path) -> Result<(), Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed(format!("{}: {error}", file.display()));
        make_missing(file).map_err(|error| failed(&error))?;
        let length = fs::metadata(file).map_err(|error| failed(&error))?.len();
        if length == 0 {
            return Err(failed(
                &"it is empty: a store never is, so what was in it is lost; if it never had objects, delete it",
            ));
        }
        let database =
            Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(file);
        let database = database.map_err(|error| failed(&error))?;
        migrate(&database, MIGRATIONS).map_err(|error| failed(&error))?;
        *self.lock() = Some(Arc::new(database));
        Ok(())
    }

    /// Lets the file go, so that another process can open it.
    pub fn close(&self) {
        let database = self.lock().take();
        if let Some(database) = database.and_then(Arc::into_inner) {
            // Whatever was acknowledged is on disk already.
            let _ = database.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self) -> Result<Arc<Database>, Failed> {
        self.lock().clone().ok_or_else(|| Failed("the store was closed: another process has it".into()))
    }
}

impl Read for Embedded {
    fn get(&self, key: &str) -> Result<Option<Entry>, Failed> {
        let table = self.database()?.begin_read().map_err(failed)?.open_table(OBJECTS).map_err(failed)?;
        let found = table.get(key).map_err(failed)?;
        found.map(|found| entry(found.value())).transpose()
    }

    fn scan(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Entry)>, Failed> {
        let table = self.database()?.begin_read().map_err(failed)?.open_table(OBJECTS).map_err(failed)?;
        let from = if after > prefix { after } else { prefix };
        let mut found = Vec::new();
        for pair in table.range(from..).map_err(failed)? {
            let (key, value) = pair.map_err(failed)?;
            if !key.value().starts_with(prefix) || found.len() == most {
                break;
            }
            if key.value() != after {
                found.push((key.value().to_owned(), entry(value.value())?));
            }
        }
        Ok(found)
    }

    fn revision(&self) -> Result<u64, Failed> {
        let table = self.database()?.begin_read().map_err(failed)?.open_table(NUMBERS).map_err(failed)?;
        Ok(table.get(REVISION).map_err(failed)?.map_or(0, |number| number.value()))
    }
}

impl KeyValue for Embedded {
    async fn commit(&self, change: Change) -> Result<u64, NotCommitted> {
        let database = self.database().map_err(NotCommitted::Failed)?;
        let (telling, events) = (self.telling.clone(), self.events.clone());
        // The disk may take its time: whoever asked waits, nobody else.
        let written = tokio::task::spawn_blocking(move || {
            let _telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
            let revision = write(&database, &change)?;
            // Nobody may be watching.
            let _ = events.send(Event { revision, keys: change.writes.into_keys().collect() });
            Ok(revision)
        });
        let broken = |error: tokio::task::JoinError| Err(NotCommitted::Failed(Failed(error.to_string())));
        written.await.unwrap_or_else(broken)
    }

    fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// Made beside, and named when it is whole: so a file of that name that is empty or cut is never taken for a new one.
fn make_missing(file: &Path) -> io::Result<()> {
    if file.try_exists()? {
        return Ok(());
    }
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let made = (|| {
        // What an earlier process of that id left may be a second name of a store: it goes, and nothing is cut.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // redb makes files with the process's umask: secrets stand in it.
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        Builder::new().create(&beside).map_err(io::Error::other)?.close().map_err(io::Error::other)?;
        // Unlike a rename it never takes the place of another process's.
        match fs::hard_link(&beside, file) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            // Some file systems have no links. The store's lock keeps other gateways away.
            Err(_) if !file.try_exists()? => fs::rename(&beside, file),
            linked => linked,
        }
    })();
    // A rename has taken it away.
    let removed = fs::remove_file(&beside).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    made?;
    removed?;
    File::open(file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()
}

/// Returns the revision.
fn write(database: &Database, change: &Change) -> Result<u64, NotCommitted> {
    let lost = |error: redb::Error| NotCommitted::Failed(failed(error));
    small_enough(change).map_err(NotCommitted::Failed)?;
    let transaction = database.begin_write().map_err(|error| lost(error.into()))?;
    let mut objects = transaction.open_table(OBJECTS).map_err(|error| lost(error.into()))?;
    for (key, expected) in &change.expects {
        let found = revision_of(&objects, key).map_err(NotCommitted::Failed)?;
        if found != *expected {
            // Dropping the transaction takes it back.
            return Err(NotCommitted::Conflict);
        }
    }
    let revision = (|| {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let revision = numbers.get(REVISION)?.map_or(0, |number| number.value()) + 1;
        numbers.insert(REVISION, revision)?;
        for (key, value) in &change.writes {
            match value {
                None => drop(objects.remove(key.as_str())?),
                Some(value) => {
                    let bytes = [&revision.to_le_bytes()[..], value].concat();
                    objects.insert(key.as_str(), bytes.as_slice())?;
                }
            }
        }
        Ok(revision)
    })()
    .map_err(lost)?;
    drop(objects);
    transaction.commit().map_err(|error| lost(error.into()))?;
    Ok(revision)
}

fn small_enough(change: &Change) -> Result<(), Failed> {
    if change.writes.len() > WRITES_MAX {
        return Err(Failed(format!("{} writes at once; {WRITES_MAX} is the most", change.writes.len())));
    }
    for (key, value) in &change.writes {
        let length = value.as_ref().map_or(0, Vec::len);
        if key.len() > KEY_BYTES_MAX || length > VALUE_BYTES_MAX {
            return Err(Failed(format!("an object of {length} bytes is too large to be stored")));
        }
    }
    Ok(())
}

fn revision_of(table: &Table<'_, &'static str, &'static [u8]>, key: &str) -> Result<u64, Failed> {
    let found = table.get(key).map_err(failed)?;
    Ok(found.map(|found| entry(found.value())).transpose()?.map_or(0, |entry| entry.revision))
}

fn entry(bytes: &[u8]) -> Result<Entry, Failed> {
    let (revision, value) = bytes.split_first_chunk().ok_or_else(|| Failed("an object is cut".into()))?;
    Ok(Entry { revision: u64::from_le_bytes(*revision), value: value.to_vec() })
}

/// A new store gets the newest schema at once; a store of a newer gateway is left alone.
fn migrate(database: &Database, migrations: &[Migration]) -> Result<(), redb::Error> {
    let newest = migrations.len() as u64 + 1;
    let transaction = database.begin_write()?;
    {
        let found = match transaction.open_table(NUMBERS)?.get(SCHEMA)? {
            Some(number) => number.value(),
            None => newest,
        };
        if found > newest {
            let what =
                format!("it has schema {found}, this gateway knows up to {newest}: use a newer gateway");
            return Err(redb::Error::Corrupted(what));
        }
        let due = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
        for step in migrations.get(due..).unwrap_or_default() {
            step(&transaction)?;
        }
        transaction.open_table(NUMBERS)?.insert(SCHEMA, newest)?;
        transaction.open_table(OBJECTS)?;
    }
    transaction.commit()?;
    Ok(())
}

fn failed(error: impl Into<redb::Error>) -> Failed {
    Failed(error.into().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    struct Home(std::path::PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("gateway-store-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> std::path::PathBuf {
            self.0.join("objects.redb")
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_is_its_owners_alone_and_held_by_one() {
        let home = Home::new("held");
        let store = Embedded::open(&home.file()).unwrap();
        let mode = std::fs::metadata(home.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Embedded::open(&home.file()).is_err());
        store.close();
        assert_eq!(store.revision(), Err(Failed("the store was closed: another process has it".into())));
        Embedded::open(&home.file()).unwrap();
    }

    #[test]
    fn an_old_store_is_brought_up_and_a_newer_one_left_alone() {
        let home = Home::new("schema");
        let database = Database::create(home.file()).unwrap();
        migrate(&database, &[]).unwrap();
        let step: Migration = |transaction| {
            transaction.open_table(OBJECTS)?.insert("migrated", &[0_u8; 8][..])?;
            Ok(())
        };
        migrate(&database, &[step]).unwrap();
        migrate(&database, &[step]).unwrap();
        assert!(
            database.begin_read().unwrap().open_table(OBJECTS).unwrap().get("migrated").unwrap().is_some()
        );
        let error = migrate(&database, &[]).unwrap_err().to_string();
        assert!(error.contains("schema 2, this gateway knows up to 1"), "{error}");
    }
    const LOG: &str = "log";

    /// Writes its number down.
    fn step<const NUMBER: u8>(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut log = objects.get(LOG)?.map_or_else(|| vec![0; 8], |found| found.value().to_vec());
        log.push(NUMBER);
        objects.insert(LOG, log.as_slice())?;
        Ok(())
    }

    /// Writes, and cannot go on.
    fn broken(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        step::<99>(transaction)?;
        Err(redb::Error::Corrupted("this step is broken".into()))
    }

    const STEPS: [Migration; 4] = [step::<2>, step::<3>, step::<4>, step::<5>];

    /// Schema, revision and all objects.
    type Contents = (u64, u64, BTreeMap<String, Vec<u8>>);

    fn contents(database: &Database) -> Contents {
        let transaction = database.begin_read().unwrap();
        let numbers = transaction.open_table(NUMBERS).unwrap();
        let number = |name| numbers.get(name).unwrap().map_or(0, |number| number.value());
        let objects = transaction.open_table(OBJECTS).unwrap();
        let objects = objects.range::<&str>(..).unwrap().map(|pair| {
            let (key, value) = pair.unwrap();
            (key.value().to_owned(), value.value().to_vec())
        });
        (number(SCHEMA), number(REVISION), objects.collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// From whichever schema to whichever: each step that is due once, in its order, and all of them or none.
        #[test]
        fn steps_that_are_due_run_once(
            from in 0_usize..=4,
            more in 0_usize..=4,
            breaks in prop::option::of(0_usize..4),
            written in prop::collection::btree_map("[a-k]{1,3}", prop::collection::vec(any::<u8>(), 0..30), 0..20),
        ) {
            let to = (from + more).min(STEPS.len());
            let database = Builder::new().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap();
            migrate(&database, &STEPS[..from]).unwrap();
            let writes = written.into_iter().map(|(key, value)| (key, Some(value))).collect();
            write(&database, &Change { writes, ..Change::default() }).unwrap();
            let before = contents(&database);
            prop_assert_eq!(before.0, from as u64 + 1);
            if let Some(at) = breaks.filter(|at| (from..to).contains(at)) {
                let mut steps = STEPS;
                steps[at] = broken;
                let error = migrate(&database, &steps[..to]).unwrap_err().to_string();
                prop_assert!(error.contains("this step is broken"), "{error}");
                prop_assert_eq!(&contents(&database), &before);
            }
            let mut after = before.clone();
            after.0 = to as u64 + 1;
            if from < to {
                let log = [0; 8].into_iter().chain((from + 2..=to + 1).map(|number| number as u8));
                after.2.insert(LOG.into(), log.collect());
            }
            for _ in 0..2 {
                migrate(&database, &STEPS[..to]).unwrap();
                prop_assert_eq!(&contents(&database), &after);
            }
            for older in 0..to {
                let error = migrate(&database, &STEPS[..older]).unwrap_err().to_string();
                let said = format!("it has schema {}, this gateway knows up to {}", to + 1, older + 1);
                prop_assert!(error.contains(&said), "{error}");
                prop_assert_eq!(&contents(&database), &after);
            }
        }
    }
}
