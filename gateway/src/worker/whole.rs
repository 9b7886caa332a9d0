//! Bodies that have to be there as a whole before anything goes on: those that a model checks, those whose coding is
//! taken off, and those that are converted. What was checked is what goes on, byte for byte, or converted.

use super::Limits;
use super::client::Client;
use super::local::Body;
use super::room::{Full, Room, Taken};
use crate::coding::{Coding, Decoder, Undecodable};
use crate::guard::Permit;
use crate::http::{Framing, RequestHead};
use crate::integrate::{self, Carried, Conversion};
use crate::net::{self, Outgoing};
use crate::refusal::Refusal;
use crate::upstream::{self, RelayError, RelayLimits, Sink};
use bytes::Bytes;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Bytes a second that such a body must come with, and be taken with, from its beginning to its end, the longest
/// silence beside: while it is held it takes room from all others.
const RATE_MIN: u64 = 32 << 10;

/// A body that was read, and checked where there is a model for it.
pub(super) struct Held {
    length: u64,
    /// Its coding was taken off.
    decoded: bool,
    conversion: Conversion,
    body: Cell<Option<(Bytes, Taken)>>,
}

impl Held {
    /// How it goes on.
    pub(super) fn carried(&self) -> Carried {
        Carried { framing: Framing::Length(self.length), decoded: self.decoded, conversion: self.conversion }
    }

    /// The body, with the room that it takes: that is others' when both are dropped. Once: a body is never sent twice.
    pub(super) fn take(&self) -> Option<(Bytes, Taken)> {
        self.body.take()
    }
}

/// Why there is no body.
pub(super) enum Failure {
    /// The client is gone, or broke off.
    Gone,
    Refused(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Full> for Failure {
    fn from(_: Full) -> Self {
        Self::Refused(Refusal::Overloaded)
    }
}

impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Self {
        Self::Refused(match error {
            RelayError::Source(_) | RelayError::Sink(_) => return Self::Gone,
            RelayError::Malformed(malformed) => Refusal::Malformed(malformed),
            RelayError::Idle => Refusal::ClientTooSlow,
            RelayError::TooLarge => Refusal::BodyTooLarge,
        })
    }
}

impl From<Undecoded> for Failure {
    fn from(why: Undecoded) -> Self {
        Self::Refused(match why {
            Undecoded::Full => Refusal::Overloaded,
            Undecoded::TooLarge => Refusal::BodyTooLarge,
            Undecoded::Broken => Refusal::UnsupportedMediaType,
        })
    }
}

/// Reads, decodes, checks and converts the body, where the method or the API asks for it. None: it goes on as it comes.
pub(super) async fn take(
    client: &mut Client,
    head: &RequestHead,
    permit: &Permit<'_>,
) -> Result<Option<Held>, Failure> {
    let model = permit.body_model(head)?;
    if matches!(head.framing(), Framing::None | Framing::Length(0)) {
        if let Some(model) = model {
            model.check(b"")?;
        }
        return Ok(None);
    }
    let conversion = integrate::request_conversion(permit, head);
    let converts = conversion != Conversion::AsIs;
    let decodes = model.is_some() || converts || permit.minimum_compression_size().is_some();
    let coding = if decodes { Coding::of_content(head.fields_named("content-encoding")) } else { Ok(None) };
    let coding = coding.map_err(|_| Refusal::UnsupportedMediaType)?;
    if model.is_none() && coding.is_none() && !converts {
        return Ok(None);
    }
    let mut room = Taken::none(&client.local.room);
    let mut bytes = read(client, head, &mut room).await?;
    if let Some(coding) = coding {
        let mut decoded_room = Taken::none(&client.local.room);
        bytes = decode(coding, &bytes, client.local.limits.body_bytes, &mut decoded_room).await?;
        room = decoded_room;
    }
    if let Some(model) = model {
        model.check(&bytes)?;
    }
    let (bytes, room) = convert(conversion, bytes, room, &client.local.room).await?;
    let (length, body) = (bytes.len() as u64, Cell::new(Some((bytes.into(), room))));
    Ok(Some(Held { length, decoded: coding.is_some(), conversion, body }))
}

async fn read(client: &mut Client, head: &RequestHead, room: &mut Taken) -> Result<Vec<u8>, Failure> {
    let Client { local, inbound, open, .. } = client;
    open.body.set(Body::Begun);
    if head.expects_continue() && inbound.is_empty() {
        let go_on = Outgoing::Static(b"HTTP/1.1 100 Continue\r\n\r\n");
        inbound.stream().send(go_on).await.map_err(RelayError::Source)?;
    }
    let Limits { body_idle_timeout: idle, body_rate: rate, body_bytes: most, .. } = local.limits;
    let limits = RelayLimits { idle, rate, bytes: most };
    let whole = if let Framing::Length(length) = head.framing() { length } else { 0 };
    let whole = usize::try_from(whole).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    let collected = upstream::collect(inbound, head.framing(), limits, async |piece: &[u8]| {
        room.extend(&mut bytes, piece.len(), whole).await?;
        bytes.extend_from_slice(piece);
        Ok::<(), Failure>(())
    });
    net::timeout(within(limits, head.framing()), collected)
        .await
        .map_err(|net::Elapsed| Refusal::ClientTooSlow)??;
    open.body.set(Body::Read);
    Ok(bytes)
}

/// The time that a body may take from its beginning to its end; one that does not tell its length, as the longest.
fn within(limits: RelayLimits, framing: Framing) -> Duration {
    let expected = match framing {
        Framing::Length(length) => limits.bytes.min(length),
        _ => limits.bytes,
    };
    limits.idle.saturating_add(Duration::from_secs(expected / RATE_MIN))
}

/// Why a coding could not be taken off.
pub(super) enum Undecoded {
    /// There is no room for what comes out.
    Full,
    TooLarge,
    /// It is not what it says.
    Broken,
}

impl From<Full> for Undecoded {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// A bomb is stopped at the size that a body may have.
pub(super) async fn decode(
    coding: Coding,
    coded: &[u8],
    most: u64,
    room: &mut Taken,
) -> Result<Vec<u8>, Undecoded> {
    let mut decoder = Decoder::new(coding, coded);
    let mut bytes = Vec::new();
    loop {
        room.extend(&mut bytes, Decoder::STEP_BYTES, 0).await?;
        match decoder.step(&mut bytes) {
            Ok(true) if bytes.len() as u64 > most => return Err(Undecoded::TooLarge),
            Ok(true) => {}
            Ok(false) => return Ok(bytes),
            Err(Undecodable::Coding | Undecodable::Broken) => return Err(Undecoded::Broken),
        }
    }
}

/// Sends a body that is held, and gives it up when its time is over, however steadily it is taken.
pub(super) async fn send(sink: &mut Sink<'_>, body: Bytes, timeout: Duration) -> Result<(), RelayError> {
    let within = taken_within(timeout, body.len());
    send_within(sink, body, within).await
}

async fn send_within(sink: &mut Sink<'_>, body: Bytes, within: Duration) -> Result<(), RelayError> {
    let sent = net::timeout(within, sink.send_whole(body)).await;
    sent.unwrap_or_else(|net::Elapsed| Err(RelayError::Sink(io::ErrorKind::TimedOut.into())))
}

/// The time that a peer has for a body of that length from its beginning to its end.
fn taken_within(timeout: Duration, length: usize) -> Duration {
    timeout.saturating_add(Duration::from_secs(length as u64 / RATE_MIN))
}

/// The body and the room that it takes, converted.
pub(super) async fn convert(
    conversion: Conversion,
    bytes: Vec<u8>,
    room: Taken,
    all: &Rc<Room>,
) -> Result<(Vec<u8>, Taken), Refusal> {
    if conversion == Conversion::AsIs {
        return Ok((bytes, room));
    }
    let mut converted = Taken::none(all);
    converted.grow(conversion.length_max(bytes.len())).await.map_err(|Full| Refusal::Overloaded)?;
    Ok((conversion.apply(bytes)?, converted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{IoKind, Listener, Runtime};
    use std::io::Read;
    use std::net::SocketAddr;

    #[test]
    fn a_body_that_is_held_has_a_time_by_its_length() {
        let seconds = Duration::from_secs;
        let limits = RelayLimits { idle: seconds(30), rate: 500, bytes: 10 << 20 };
        for (framing, expected) in [
            (Framing::Length(1), 30),
            (Framing::Length((32 << 10) - 1), 30),
            (Framing::Length(32 << 10), 31),
            (Framing::Length(1 << 20), 62),
            // Nobody earns time with more than he may send, nor with a length that he does not tell.
            (Framing::Length(10 << 20), 350),
            (Framing::Length(u64::MAX), 350),
            (Framing::Chunked, 350),
        ] {
            assert_eq!(within(limits, framing), seconds(expected), "{framing:?}");
        }
        assert_eq!(taken_within(seconds(30), 10 << 20), seconds(350));
        let endless = RelayLimits { idle: Duration::MAX, bytes: u64::MAX, ..limits };
        assert_eq!(within(endless, Framing::Chunked), Duration::MAX);
    }
    /// Never silent, and never done.
    #[test]
    fn a_body_that_is_taken_too_slowly_is_given_up() {
        const LONG: Duration = Duration::from_secs(60);
        for io in [IoKind::IoUring, IoKind::Epoll] {
            let mut runtime = Runtime::new(io, net::Limits::default()).unwrap();
            let (sent, reader) = runtime.block_on(async {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                socket.set_send_buffer_size(16 << 10).unwrap();
                socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
                socket.listen(1).unwrap();
                let far = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                far.set_recv_buffer_size(16 << 10).unwrap();
                far.connect(&socket.local_addr().unwrap()).unwrap();
                let (near, _) = Listener::new(socket.into()).unwrap().accept().await.unwrap();
                let reader = std::thread::spawn(move || {
                    let (mut far, mut piece) = (std::net::TcpStream::from(far), [0; 4096]);
                    while matches!(far.read(&mut piece), Ok(1..)) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
                let mut sink = Sink::new(&near, Vec::new(), Framing::Length(2 << 20), LONG);
                let sent = send_within(&mut sink, vec![0; 2 << 20].into(), Duration::from_secs(1)).await;
                (sent, reader)
            });
            drop(runtime);
            reader.join().unwrap();
            let Err(RelayError::Sink(error)) = sent else { panic!("{io:?} {sent:?}") };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }
}
