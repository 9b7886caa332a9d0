//! After 101: bytes both ways between two connections, half-closes passed on, until both ends or neither speaks.

use crate::net::{self, Inbound, Size, Stream};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Carries bytes both ways until both directions have ended, one fails, or nothing moved for `idle`.
pub async fn tunnel(client: &mut Inbound, backend: &mut Inbound, idle: Duration) {
    let moved = Cell::new(net::now());
    let (to_client, to_backend) = (client.stream().clone(), backend.stream().clone());
    let up = one_way(client, &to_backend, &moved, idle);
    let down = one_way(backend, &to_client, &moved, idle);
    let both = async {
        let (up, down) = (std::pin::pin!(up), std::pin::pin!(down));
        // A direction that fails takes the other one with it; one that only ends leaves it running.
        let _ = net::join(
            end_both_on_failure(up, &to_client, &to_backend),
            end_both_on_failure(down, &to_client, &to_backend),
        )
        .await;
    };
    both.await;
}

#[derive(Debug)]
struct Broken;

async fn end_both_on_failure(
    direction: impl Future<Output = Result<(), Broken>>,
    client: &Stream,
    backend: &Stream,
) {
    if direction.await.is_err() {
        client.shutdown();
        backend.shutdown();
    }
}

async fn one_way(
    source: &mut Inbound,
    sink: &Stream,
    moved: &Cell<Instant>,
    idle: Duration,
) -> Result<(), Broken> {
    loop {
        if source.is_empty() {
            match net::timeout_at(moved.get() + idle, source.more(Size::Small)).await {
                // The other direction may have moved meanwhile.
                Err(net::Elapsed) if net::now() < moved.get() + idle => continue,
                Err(net::Elapsed) | Ok(Err(_)) => return Err(Broken),
                Ok(Ok(false)) => break,
                Ok(Ok(true)) => moved.set(net::now()),
            }
            continue;
        }
        let length = source.bytes().len();
        let piece = source.take(length);
        match net::timeout(idle, sink.send(piece)).await {
            Ok(Ok(_)) => moved.set(net::now()),
            _ => return Err(Broken),
        }
    }
    sink.shutdown_write();
    Ok(())
}
