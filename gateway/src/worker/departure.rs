//! A client that goes away while its answer is waited for: noticed at once, so that nobody works for it any longer.

use crate::http::Version;
use crate::net::{self, Either, End, Outgoing, Stream};
use std::future::pending;
use std::time::Duration;

/// The client will not read an answer.
#[derive(Debug)]
pub(super) struct Gone;

/// A client may end its side and still read; one that has closed the connection looks the same until it is sent
/// something. After so long it is asked.
const ASKED_AFTER: Duration = Duration::from_secs(1);
/// When its reset is looked for, each after the one before.
const LOOKED_AFTER: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// Runs `work` while the client of a request whose answer has not begun is there.
pub(super) async fn unless_gone<F: Future>(
    stream: &Stream,
    version: Version,
    work: F,
) -> Result<F::Output, Gone> {
    match net::race(work, gone(stream, version)).await {
        Either::Left(output) => Ok(output),
        Either::Right(()) => Err(Gone),
    }
}

/// Runs `work`, which sends the answer, while the client has not reset the connection. What it sends tells the rest.
pub(super) async fn unless_reset<F: Future>(stream: &Stream, work: F) -> Result<F::Output, Gone> {
    let reset = async {
        if stream.ended().await == End::Finished {
            pending::<()>().await;
        }
    };
    match net::race(work, reset).await {
        Either::Left(output) => Ok(output),
        Either::Right(()) => Err(Gone),
    }
}

async fn gone(stream: &Stream, version: Version) {
    match stream.ended().await {
        End::Reset => {}
        // A client of HTTP/1.0 must not be sent an interim answer (RFC 9110 §15.2).
        End::Finished if version == Version::Http10 => pending::<()>().await,
        // Boxed: every connection has room for what may be waited for, and few come here.
        End::Finished => Box::pin(proved_gone(stream)).await,
    }
}

/// Ends when a client that has ended its side turns out not to read any more.
async fn proved_gone(stream: &Stream) {
    net::sleep_until(net::now() + ASKED_AFTER).await;
    // Whoever has not asked for it passes over it (RFC 9110 §15.2.1); where nobody reads, it earns a reset.
    if stream.send(Outgoing::Static(b"HTTP/1.1 100 Continue\r\n\r\n")).await.is_err() {
        return;
    }
    for wait in LOOKED_AFTER {
        net::sleep_until(net::now() + wait).await;
        if stream.has_failed() {
            return;
        }
    }
    pending::<()>().await;
}
