//! Names of backends → addresses, off the hot path: before the first request and then again and again. The last good
//! addresses stay in use while a name does not resolve.

use crate::observe::log;
use crate::upstream::Target;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often names are asked again.
pub(super) const REFRESH: Duration = Duration::from_secs(30);
/// How long publishing waits for names that have never resolved.
pub(super) const FIRST_WITHIN: Duration = Duration::from_secs(3);
const REFRESH_WITHIN: Duration = Duration::from_secs(20);
const AT_ONCE_MAX: usize = 8;
/// Of one name.
const ADDRESSES_MAX: usize = 64;

/// Asks for those that have no address yet; says which stay without.
pub(super) async fn first(targets: &[Arc<Target>]) -> Vec<String> {
    let unknown = targets.iter().filter(|target| target.addresses().is_empty());
    resolve(unknown, FIRST_WITHIN).await
}

/// Asks for every name again.
pub(super) async fn refresh(targets: &[Arc<Target>]) -> Vec<String> {
    resolve(targets.iter(), REFRESH_WITHIN).await
}

async fn resolve(targets: impl Iterator<Item = &Arc<Target>>, within: Duration) -> Vec<String> {
    let mut waiting: Vec<Arc<Target>> = targets.filter(|target| target.needs_resolver()).cloned().collect();
    let mut unanswered: BTreeSet<String> = waiting.iter().map(|target| label(target)).collect();
    let mut failures = Vec::new();
    let mut asked = JoinSet::new();
    let all = async {
        loop {
            while asked.len() < AT_ONCE_MAX
                && let Some(target) = waiting.pop()
            {
                asked.spawn(ask(target));
            }
            let Some(answer) = asked.join_next().await else { return };
            let Ok((target, result)) = answer else { continue };
            unanswered.remove(&label(&target));
            if let Err(error) = store(&target, result) {
                failures.push(format!("{}: {error}", label(&target)));
            }
        }
    };
    let late = tokio::time::timeout(within, all).await.is_err();
    if late {
        failures.extend(unanswered.iter().map(|name| format!("{name}: no answer in {} s", within.as_secs())));
    }
    failures.sort();
    failures
}

fn label(target: &Target) -> String {
    format!("{}:{}", target.host, target.port)
}

async fn ask(target: Arc<Target>) -> (Arc<Target>, io::Result<Vec<SocketAddr>>) {
    let found = tokio::net::lookup_host((target.host.clone(), target.port)).await;
    (target, found.map(|addresses| addresses.take(ADDRESSES_MAX).collect()))
}

fn store(target: &Target, result: io::Result<Vec<SocketAddr>>) -> io::Result<()> {
    let mut addresses = result?;
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    // Answers come in any order: only a different set is news.
    let known: BTreeSet<SocketAddr> = target.addresses().iter().copied().collect();
    if known != seen {
        if !known.is_empty() {
            let new: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            log("info", "resolve", format_args!("{} is now at {}", target.host, new.join(", ")));
        }
        target.resolved(addresses);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn target(host: &str) -> Arc<Target> {
        Arc::new(Target::new(host.into(), 8080))
    }

    #[test]
    fn a_name_gets_its_addresses() {
        let name = target("localhost");
        let failures = block_on(first(std::slice::from_ref(&name)));
        assert_eq!(failures, Vec::<String>::new());
        assert!(name.addresses().iter().all(|a| a.ip().is_loopback() && a.port() == 8080));
        assert!(!name.addresses().is_empty());
    }

    #[test]
    fn the_last_good_addresses_stay() {
        let name = target("name.invalid");
        let good: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        name.resolved(vec![good]);
        let failures = block_on(refresh(std::slice::from_ref(&name)));
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].starts_with("name.invalid:8080: "), "{failures:?}");
        assert_eq!(*name.addresses(), vec![good]);
    }

    #[test]
    fn literal_addresses_are_not_asked_for() {
        let literals = [target("127.0.0.1"), target("[::1]")];
        assert_eq!(block_on(refresh(&literals)), Vec::<String>::new());
    }

    #[test]
    fn the_same_set_in_another_order_is_no_news() {
        let name = target("localhost");
        let (a, b): (SocketAddr, SocketAddr) =
            ("127.0.0.1:8080".parse().unwrap(), "127.0.0.2:8080".parse().unwrap());
        store(&name, Ok(vec![a, b, a])).unwrap();
        let before = name.addresses();
        assert_eq!(*before, vec![a, b]);
        store(&name, Ok(vec![b, a])).unwrap();
        assert!(Arc::ptr_eq(&before, &name.addresses()));
        assert!(store(&name, Ok(vec![])).is_err());
        assert_eq!(*name.addresses(), vec![a, b]);
    }
}
