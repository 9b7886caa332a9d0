//! A body that is read to its end before anything is done with it.

use super::relay::{RelayError, RelayLimits};
use crate::http::{BodyDecoder, Framing};
use crate::net::{self, Inbound, Size};
use std::io;
use std::time::Duration;

/// Reads one body from `source` to its end. `take` is given each piece of it; while it waits, nothing is read.
pub async fn collect<E: From<RelayError>>(
    source: &mut Inbound,
    framing: Framing,
    limits: RelayLimits,
    mut take: impl AsyncFnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut decoder = BodyDecoder::new(framing);
    let mut carried: u64 = 0;
    let mut waited = Duration::ZERO;
    while !decoder.is_done() {
        if source.is_empty() {
            let size = if carried > 0 { Size::Large } else { Size::Small };
            let begun = net::now();
            let more = net::timeout(limits.patience(carried, waited), source.more(size)).await;
            waited += net::now().saturating_duration_since(begun);
            match more {
                Err(net::Elapsed) => return Err(RelayError::Idle.into()),
                Ok(Err(error)) => return Err(RelayError::Source(error).into()),
                Ok(Ok(true)) => {}
                Ok(Ok(false)) if decoder.end_of_stream() => break,
                Ok(Ok(false)) => {
                    return Err(RelayError::Source(io::ErrorKind::UnexpectedEof.into()).into());
                }
            }
            continue;
        }
        let found = decoder.decode(source.bytes()).map_err(RelayError::Malformed)?;
        carried += found.data.len() as u64;
        if carried > limits.bytes {
            return Err(RelayError::TooLarge.into());
        }
        if let Some(piece) = source.bytes().get(found.data.clone()).filter(|piece| !piece.is_empty()) {
            take(piece).await?;
        }
        source.consume(found.consumed);
    }
    Ok(())
}
