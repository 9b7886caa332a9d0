//! The store's contract, on the embedded one.

mod damage;
mod properties;

use super::*;
use std::path::PathBuf;

struct Home(PathBuf, Embedded);

impl Home {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("gateway-kv-{}-{name}.redb", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let store = Embedded::open(&file).unwrap();
        Self(file, store)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn writes(pairs: &[(&str, Option<&str>)]) -> Change {
    let mut change = Change::default();
    for (key, value) in pairs {
        change.writes.insert((*key).into(), value.map(|text| text.as_bytes().to_vec()));
    }
    change
}

#[tokio::test]
async fn commits_are_numbered_watched_and_survive() {
    let home = Home::new("numbered");
    let mut watch = home.1.watch();
    assert_eq!(home.1.revision(), Ok(0));
    assert_eq!(home.1.commit(writes(&[("a", Some("1")), ("b", Some("2"))])).await.unwrap(), 1);
    assert_eq!(home.1.commit(writes(&[("a", None), ("c", Some("3"))])).await.unwrap(), 2);
    assert_eq!(watch.recv().await.unwrap().keys, ["a", "b"]);
    assert_eq!(watch.recv().await.unwrap().revision, 2);
    home.1.close();
    home.1.reopen(&home.0).unwrap();
    assert_eq!((home.1.revision(), home.1.get("a")), (Ok(2), Ok(None)));
    assert_eq!(home.1.get("b"), Ok(Some(Entry { revision: 1, value: b"2".to_vec() })));
}

#[tokio::test]
async fn what_was_read_must_still_be_so() {
    let home = Home::new("conflict");
    home.1.commit(writes(&[("a", Some("1"))])).await.unwrap();
    let changed = |expected: u64| {
        let mut change = writes(&[("a", Some("2")), ("b", Some("2"))]);
        change.expects.insert("a".into(), expected);
        change
    };
    for wrong in [0, 2] {
        assert!(matches!(home.1.commit(changed(wrong)).await, Err(NotCommitted::Conflict)));
        assert_eq!(home.1.get("b"), Ok(None), "all or nothing");
    }
    assert_eq!(home.1.commit(changed(1)).await.unwrap(), 2);
}

#[tokio::test]
async fn pages_see_the_transactions_own_writes() {
    let home = Home::new("pages");
    let keys = ["x/1", "x/2", "x/3", "x/4", "y/1"];
    home.1.commit(writes(&keys.map(|key| (key, Some(key))))).await.unwrap();
    let mut transaction = Transaction::new(&home.1);
    transaction.remove("x/2".into());
    transaction.put("x/35".into(), b"new".to_vec());
    let page = |after: &str, most| {
        let page = transaction.page("x/", after, most).unwrap();
        (page.entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page("", 2), (vec!["x/1".into(), "x/3".into()], true));
    assert_eq!(page("x/3", 2), (vec!["x/35".into(), "x/4".into()], false));
    assert_eq!(transaction.get("x/2"), Ok(None));
    assert_eq!(transaction.get("y/1").unwrap(), Some(b"y/1".to_vec()));
    let change = transaction.into_change();
    assert_eq!(change.expects, BTreeMap::from([("y/1".to_owned(), 1)]));
    assert_eq!(change.writes.len(), 2);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let home = Home::new("large");
    let mut change = Change::default();
    change.writes.insert("k".repeat(KEY_BYTES_MAX + 1), Some(Vec::new()));
    assert!(matches!(home.1.commit(change).await, Err(NotCommitted::Failed(_))));
    assert_eq!(home.1.revision(), Ok(0));
}
