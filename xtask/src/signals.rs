//! Ctrl-C and its kin as a flag, so that every task can clean up before it ends.

use anyhow::{Context as _, Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP end nothing; they only set the flag.
pub(crate) fn catch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut caught = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .into_iter()
            .map(signal)
            .collect::<std::io::Result<Vec<_>>>()
            .context("cannot listen for signals")?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            let [interrupt, terminate, hangup] = caught.as_mut_slice() else { return };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
            ASKED_TO_END.store(true, Ordering::SeqCst);
            // The runtime stays, so that later signals do not kill a cleanup that runs.
            std::future::pending::<()>().await;
        });
    });
    Ok(())
}

pub(crate) fn asked_to_end() -> bool {
    ASKED_TO_END.load(Ordering::SeqCst)
}

/// An error once somebody pressed Ctrl-C: the way out of any loop.
pub(crate) fn check() -> Result<()> {
    if asked_to_end() {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleeps, but not past a Ctrl-C.
pub(crate) fn pause(length: Duration) -> Result<()> {
    const STEP: Duration = Duration::from_millis(20);
    let mut left = length;
    while !left.is_zero() {
        check()?;
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
    check()
}
