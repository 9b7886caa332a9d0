//! Keys and plans from the store to the data plane, and what the data plane counted back into the store.

use super::Aws;
use crate::aws::{self, PLAN_KINDS};
use crate::control::node::Node;
use crate::control::types::Problem;
use crate::guard::meters::{DAYS_KEPT, Member, MemberName};
use crate::guard::plan::Plans;
use crate::observe::log;
use crate::store::{Change, Failed, KeyValue, NotCommitted, Read};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// As much as a process that is killed may forget, beside the time of one write.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Of these.
const SWEEP_EVERY: u32 = 60;
/// Counts that are written at once.
const WRITES_MAX: usize = 2000;
/// Objects that are read at once.
const CHUNK: usize = 1000;

impl Aws {
    /// Reads keys and plans, if any of them was changed since the last time. True: they were.
    pub(super) fn read_plans(&self) -> Result<bool, Failed> {
        let mut objects = Vec::new();
        let mut hasher = DefaultHasher::new();
        for kind in PLAN_KINDS {
            let mut after = String::new();
            loop {
                let chunk = self.store.scan(kind, &after, CHUNK)?;
                let Some((last, _)) = chunk.last() else { break };
                after.clone_from(last);
                for (key, entry) in chunk {
                    (&key, entry.revision).hash(&mut hasher);
                    objects.push((key, entry.value));
                }
            }
        }
        let digest = hasher.finish();
        if self.plans.borrow().0 == digest {
            return Ok(false);
        }
        let plans = aws::plans(&objects)?;
        *self.plans.borrow_mut() = (digest, Arc::new(plans));
        Ok(true)
    }

    /// Before workers adopt them: keys that nobody counts yet go on with what was written down.
    pub(in crate::control) fn restore_usage(&self, plans: &Plans) -> Result<(), Problem> {
        let read = |name: &MemberName| {
            let days = self.store.scan(&format!("usage/{name}/"), "", 2 * DAYS_KEPT as usize)?;
            Ok(days.iter().filter_map(|(key, entry)| aws::used_on(key, &entry.value)).collect())
        };
        plans.restore(read).map_err(|failed: Failed| {
            let what = format!("what API keys have used cannot be read: {failed}");
            Problem::host(what, "look at the free space and the gateway's log")
        })
    }

    /// Everything that was counted until now is in the store when it is done.
    pub(in crate::control) async fn flush_usage(&self) -> Result<(), Failed> {
        let _turn = self.turn.lock().await;
        self.write_usage().await
    }

    /// The caller holds `turn`.
    pub(super) async fn write_usage(&self) -> Result<(), Failed> {
        let members = self.meters.members();
        let mut unkept = members.iter().flat_map(|(name, member)| {
            member.unkept().into_iter().map(move |counted| (name, member, counted))
        });
        let mut outdated: Vec<String> = Vec::new();
        loop {
            let chunk: Vec<(&MemberName, &Arc<Member>, (u32, u64))> =
                unkept.by_ref().take(WRITES_MAX).collect();
            if chunk.is_empty() && outdated.is_empty() {
                return Ok(());
            }
            let mut change = Change::default();
            for (name, _, (day, used)) in &chunk {
                let key = aws::used_key(&name.to_string(), *day);
                change.writes.insert(key, Some(used.to_string().into_bytes()));
            }
            change.writes.extend(outdated.drain(..).map(|key| (key, None)));
            match self.store.commit(change).await {
                Ok(_) => {}
                Err(NotCommitted::Failed(failed)) => return Err(failed),
                // Nothing was expected, so nothing can differ.
                Err(NotCommitted::Conflict) => return Err(Failed("the store refuses a plain write".into())),
            }
            for (name, member, (day, used)) in chunk {
                let old = member.keep(day, used).into_iter();
                outdated.extend(old.map(|day| aws::used_key(&name.to_string(), day)));
            }
        }
    }
}

/// Writes down what keys have used, as long as the gateway runs.
pub(in crate::control) async fn keep_usage(node: Rc<Node>) {
    let mut known = None;
    for turn in 1_u32.. {
        tokio::time::sleep(WRITE_EVERY).await;
        let failed = node.aws.flush_usage().await.err().map(|failed| failed.0);
        if failed != known
            && let Some(what) = &failed
        {
            log("error", "aws", format_args!("what API keys have used is not written down: {what}"));
        }
        known = failed;
        if turn.is_multiple_of(SWEEP_EVERY) {
            node.aws.meters.sweep(|member| member.unkept().is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::aws::Auth;
    use crate::control::tests::Folder;

    /// What is too old to be told goes with the count that makes it so.
    #[test]
    fn counts_are_written_down_for_as_long_as_they_are_told() {
        let folder = Folder::new();
        let aws = Aws::open(&folder.path(""), Auth::Keys).unwrap();
        let of = |text: &str| text.to_owned();
        let name = MemberName { account: of("1"), region: of("r"), plan: of("p"), key: of("k") };
        let member = aws.meters.member(&name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kept = |day: u32| {
            member.usage.add(None, day, 3);
            runtime.block_on(aws.flush_usage()).unwrap();
            let found = aws.store.scan("usage/", "", 1000).unwrap();
            found.into_iter().filter_map(|(key, entry)| aws::used_on(&key, &entry.value)).collect::<Vec<_>>()
        };
        assert_eq!(kept(20_000), [(20_000, 3)]);
        assert_eq!(kept(20_000), [(20_000, 6)]);
        let newest = 20_000 + DAYS_KEPT - 1;
        assert_eq!(kept(newest), [(20_000, 6), (newest, 3)]);
        assert_eq!(kept(newest + 1), [(newest, 3), (newest + 1, 3)]);
    }
}
