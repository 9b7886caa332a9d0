//! Bodies from one connection to another: the framing comes off, is checked, and goes on anew; constant memory.

use crate::coding::Encoder;
use crate::http::{self, BodyDecoder, Framing, Malformed};
use crate::net::{self, Inbound, Outgoing, Pipe, Size, Stream};
use std::io;
use std::time::Duration;

/// Pieces up to this size are gathered into one send; larger ones go out from the buffer they came in.
const GATHER_BYTES: usize = 4096;
/// Gathered bytes are sent once there are this many.
const FLUSH_BYTES: usize = 16 * 1024;
/// A body that has shown itself longer than this is read through large buffers.
const LARGE_AFTER_BYTES: u64 = 16 * 1024;

/// Pieces in which a body goes out that is held as a whole.
const WHOLE_PIECE_BYTES: usize = 64 * 1024;

/// Why a body did not get through.
#[derive(Debug)]
pub enum RelayError {
    /// The source failed or ended in the middle of its message.
    Source(io::Error),
    /// The source broke the framing.
    Malformed(Malformed),
    /// Nothing came for too long.
    Idle,
    /// More bytes than allowed.
    TooLarge,
    /// The sink failed, or took nothing for too long.
    Sink(io::Error),
}

#[derive(Clone, Copy, Debug)]
pub struct RelayLimits {
    /// The longest silence.
    pub idle: Duration,
    /// Bytes a second that the source must keep up while it is waited for, `idle` beside; 0: none.
    pub rate: u32,
    pub bytes: u64,
}

impl RelayLimits {
    /// How long the source may be waited for now. Only waiting counts: what the sink keeps us from reading does not.
    pub(super) fn patience(&self, carried: u64, waited: Duration) -> Duration {
        let Some(earned) = carried.checked_mul(1000).and_then(|milli| milli.checked_div(self.rate.into()))
        else {
            return self.idle;
        };
        let all = self.idle.saturating_add(Duration::from_millis(earned));
        self.idle.min(all.saturating_sub(waited))
    }
}

/// The writing half of a message: the head goes out together with the first bytes of the body.
pub struct Sink<'a> {
    stream: &'a Stream,
    framing: Framing,
    pending: Vec<u8>,
    timeout: Duration,
    /// Is shown the body as it comes.
    witness: Option<&'a mut Witness<'a>>,
    /// Codes what is written.
    encoder: Option<&'a mut Encoder>,
}

/// Is shown each piece of a body.
pub(super) type Witness<'a> = dyn FnMut(&[u8]) + 'a;

impl<'a> Sink<'a> {
    /// `head` is the finished head of the message that `framing` delimits.
    pub fn new(stream: &'a Stream, head: Vec<u8>, framing: Framing, timeout: Duration) -> Self {
        Self { stream, framing, pending: head, timeout, witness: None, encoder: None }
    }

    /// Shows `witness` each piece of the body that is written.
    pub fn witnessed_by(mut self, witness: &'a mut Witness<'a>) -> Self {
        self.witness = Some(witness);
        self
    }

    /// What is written goes out coded. The framing must not tell its length.
    pub fn encoded_by(mut self, encoder: &'a mut Encoder) -> Self {
        self.encoder = Some(encoder);
        self
    }

    /// May a body of that framing pass without being brought into user space?
    fn passes_unseen(&self, framing: Framing) -> bool {
        self.framing == framing && self.witness.is_none() && self.encoder.is_none()
    }

    async fn write(&mut self, piece: Outgoing, last: bool) -> Result<(), RelayError> {
        if let Some(witness) = &mut self.witness {
            witness(piece.as_slice());
        }
        let Some(encoder) = &mut self.encoder else { return self.put(piece, last).await };
        let mut coded = encoder.code(piece.as_slice()).map_err(RelayError::Sink)?;
        drop(piece);
        if last {
            coded.extend(encoder.finish().map_err(RelayError::Sink)?);
        }
        match coded.is_empty() {
            // A chunk without bytes would be the last one.
            true => Ok(()),
            false => self.put(Outgoing::Vec(coded), last).await,
        }
    }

    /// Puts the piece into the message, as it is.
    async fn put(&mut self, piece: Outgoing, last: bool) -> Result<(), RelayError> {
        let bytes = piece.as_slice();
        let chunked = self.framing == Framing::Chunked;
        if chunked {
            http::write_chunk_size(&mut self.pending, bytes.len());
        }
        let tail: &'static [u8] = match (chunked, last) {
            (false, _) => b"",
            (true, false) => b"\r\n",
            (true, true) => b"\r\n0\r\n\r\n",
        };
        if bytes.len() > GATHER_BYTES {
            let head = Outgoing::Vec(std::mem::take(&mut self.pending));
            let [head, ..] = self.send([head, piece, Outgoing::Static(tail)]).await?;
            self.keep(head);
            return Ok(());
        }
        self.pending.extend_from_slice(bytes);
        self.pending.extend_from_slice(tail);
        if last || self.pending.len() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// The message ends without further data.
    async fn finish(&mut self) -> Result<(), RelayError> {
        if let Some(encoder) = &mut self.encoder {
            let coded = encoder.finish().map_err(RelayError::Sink)?;
            if !coded.is_empty() {
                return self.put(Outgoing::Vec(coded), true).await;
            }
        }
        if self.framing == Framing::Chunked {
            self.pending.extend_from_slice(http::LAST_CHUNK);
        }
        self.flush().await
    }

    /// Sends what is gathered, and the pipe's bytes behind it.
    async fn write_pipe(&mut self, pipe: Pipe) -> Result<(), RelayError> {
        let head = Outgoing::Vec(std::mem::take(&mut self.pending));
        match net::timeout(self.timeout, self.stream.send_pipe(head, pipe)).await {
            Ok(Ok(head)) => {
                self.keep(head);
                Ok(())
            }
            Ok(Err(error)) => Err(RelayError::Sink(error)),
            Err(net::Elapsed) => Err(RelayError::Sink(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends all that there is, also what an encoder holds back.
    async fn release(&mut self) -> Result<(), RelayError> {
        if let Some(encoder) = &mut self.encoder {
            let coded = encoder.flush().map_err(RelayError::Sink)?;
            if !coded.is_empty() {
                self.put(Outgoing::Vec(coded), false).await?;
            }
        }
        self.flush().await
    }

    /// Sends what is gathered: before waiting for the source, nothing is held back.
    async fn flush(&mut self) -> Result<(), RelayError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let head = Outgoing::Vec(std::mem::take(&mut self.pending));
        let [head, ..] = self.send([head, Outgoing::Empty, Outgoing::Empty]).await?;
        self.keep(head);
        Ok(())
    }

    /// Sends a whole body, a piece at a time.
    pub async fn send_whole(&mut self, mut body: bytes::Bytes) -> Result<(), RelayError> {
        while body.len() > WHOLE_PIECE_BYTES {
            self.write(Outgoing::Shared(body.split_to(WHOLE_PIECE_BYTES)), false).await?;
        }
        match body.is_empty() {
            true => self.finish().await,
            false => self.write(Outgoing::Shared(body), true).await,
        }
    }

    async fn send(&self, parts: [Outgoing; 3]) -> Result<[Outgoing; 3], RelayError> {
        match net::timeout(self.timeout, self.stream.send_parts(parts)).await {
            Ok(sent) => sent.map_err(RelayError::Sink),
            Err(net::Elapsed) => Err(RelayError::Sink(io::ErrorKind::TimedOut.into())),
        }
    }

    fn keep(&mut self, sent: Outgoing) {
        if let Outgoing::Vec(mut storage) = sent {
            storage.clear();
            self.pending = storage;
        }
    }

    /// The head's storage, for the next message.
    pub fn into_storage(mut self) -> Vec<u8> {
        self.pending.clear();
        self.pending
    }
}

/// Carries one body from `source` to `sink`, to its end. With no body it only sends the sink's head.
pub async fn relay(
    source: &mut Inbound,
    framing: Framing,
    sink: &mut Sink<'_>,
    limits: RelayLimits,
) -> Result<(), RelayError> {
    let mut decoder = BodyDecoder::new(framing);
    let mut carried: u64 = 0;
    let mut waited = Duration::ZERO;
    let long = matches!(framing, Framing::Length(n) if n > LARGE_AFTER_BYTES);
    let spliced = match framing {
        Framing::Length(length) if long && sink.passes_unseen(framing) && length <= limits.bytes => {
            Some(length)
        }
        _ => None,
    };
    while !decoder.is_done() {
        if source.is_empty() {
            if let Some(length) = spliced
                && let Some(moved) = splice(
                    source.stream(),
                    sink,
                    length - carried,
                    limits.patience(carried, waited),
                    &mut waited,
                )
                .await?
            {
                carried += moved;
                decoder = BodyDecoder::new(Framing::Length(length - carried));
                continue;
            }
            sink.release().await?;
            let size = if long || carried > LARGE_AFTER_BYTES { Size::Large } else { Size::Small };
            let begun = net::now();
            let more = net::timeout(limits.patience(carried, waited), source.more(size)).await;
            waited += net::now().saturating_duration_since(begun);
            match more {
                Err(net::Elapsed) => return Err(RelayError::Idle),
                Ok(Err(error)) => return Err(RelayError::Source(error)),
                Ok(Ok(true)) => {}
                Ok(Ok(false)) if decoder.end_of_stream() => break,
                Ok(Ok(false)) => return Err(RelayError::Source(io::ErrorKind::UnexpectedEof.into())),
            }
            continue;
        }
        let found = decoder.decode(source.bytes()).map_err(RelayError::Malformed)?;
        let length = found.data.len();
        carried += length as u64;
        if carried > limits.bytes {
            return Err(RelayError::TooLarge);
        }
        if length == 0 {
            source.consume(found.consumed);
            continue;
        }
        source.consume(found.data.start);
        let piece = source.take(length);
        source.consume(found.consumed - found.data.end);
        sink.write(piece, found.done).await?;
        if found.done {
            return Ok(());
        }
    }
    sink.finish().await
}

/// One piece from socket to socket, of which nothing needs to be looked at. None: only receiving tells what is next.
async fn splice(
    source: &Stream,
    sink: &mut Sink<'_>,
    left: u64,
    patience: Duration,
    waited: &mut Duration,
) -> Result<Option<u64>, RelayError> {
    let most = usize::try_from(left).unwrap_or(usize::MAX);
    let arrived = match net::at_once(source.recv_pipe(most)) {
        Some(arrived) => arrived,
        None => {
            sink.flush().await?;
            let begun = net::now();
            let arrived = net::timeout(patience, source.recv_pipe(most)).await;
            *waited += net::now().saturating_duration_since(begun);
            arrived.map_err(|net::Elapsed| RelayError::Idle)?
        }
    };
    let Some(pipe) = arrived else { return Ok(None) };
    let moved = pipe.len() as u64;
    sink.write_pipe(pipe).await?;
    Ok(Some(moved))
}

/// Reads a body and throws it away, up to `limits.bytes`: true when it ended within them.
pub async fn discard(source: &mut Inbound, framing: Framing, limits: RelayLimits) -> bool {
    let mut decoder = BodyDecoder::new(framing);
    let mut dropped: u64 = 0;
    if matches!(framing, Framing::Length(n) if n > limits.bytes) {
        return false;
    }
    while !decoder.is_done() {
        if source.is_empty() {
            match net::timeout(limits.idle, source.more(Size::Small)).await {
                Ok(Ok(true)) => continue,
                _ => return false,
            }
        }
        let Ok(found) = decoder.decode(source.bytes()) else {
            return false;
        };
        dropped += found.consumed as u64;
        source.consume(found.consumed);
        if dropped > limits.bytes {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_up_its_rate_while_it_is_waited_for() {
        let seconds = Duration::from_secs;
        let limits = RelayLimits { idle: seconds(30), rate: 500, bytes: u64::MAX };
        for (carried, waited, expected) in [
            (0, 0, 30),
            (0, 30, 0),
            (0, 31, 0),
            (5_000, 0, 30),
            (5_000, 25, 15),
            (5_000, 40, 0),
            (u64::MAX, u64::MAX, 30),
        ] {
            assert_eq!(limits.patience(carried, seconds(waited)), seconds(expected), "{carried} {waited}");
        }
        assert_eq!(RelayLimits { rate: 0, ..limits }.patience(1, seconds(1_000)), seconds(30));
    }
}
