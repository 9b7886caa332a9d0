//! Answers whose bodies are converted (`binaryMediaTypes`, `contentHandling`): held as a whole, and sent as what they
//! have become.

use super::both_ways::{Upload, both};
use super::client::After;
use super::local::{Local, Open};
use super::proxy::{Call, Failure, after, cut};
use super::room::{Full, Taken};
use super::whole::{self, Undecoded};
use crate::coding::Coding;
use crate::http::{Framing, RequestHead, ResponseHead};
use crate::integrate::Returned;
use crate::net::{self, Inbound};
use crate::refusal::Refusal;
use crate::upstream::{self, Link, RelayError, RelayLimits, Sink};
use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

const TOO_LONG: Refusal =
    Refusal::ApiConfiguration(Cow::Borrowed("the answer is longer than one that is converted may be"));

impl Call<'_> {
    /// The answer, whose status and fields are in `out`: its body comes, as a whole, and then goes down, while what is
    /// left of the request goes up. As in AWS, it is there before the integration's time is over.
    pub(super) async fn convert(
        &self,
        (local, open): (&Local, &Open),
        (head, response, out): (&RequestHead, &ResponseHead, &mut Vec<u8>),
        mut link: Link,
        returned: Returned,
        (mut upload, uploaded): (Pin<&mut impl Future<Output = Result<(), RelayError>>>, Upload),
    ) -> Result<After, Failure> {
        let made = async {
            let (body, room) = hold(local, &mut link.inbound, response, self.silence).await?;
            let converted = async {
                let (body, room) = uncoded(local, response, body, room).await?;
                whole::convert(returned.conversion, body, room, &local.room).await
            };
            Ok::<_, Failure>(converted.await)
        };
        let made = net::timeout_at(self.deadline, both(upload.as_mut(), uploaded, made, &open.stream));
        let (made, uploaded) = made.await.map_err(|net::Elapsed| Refusal::IntegrationTimeout)?;
        // What came whole leaves its connection to others, whatever becomes of it.
        let converted = made?;
        let reusable = uploaded == Upload::Done && response.keep_alive() && !self.request.last;
        if reusable && link.inbound.stream().is_sent() {
            local.pool.keep(link);
        }
        let (body, _room) = converted?;
        let framing = (Framing::Length(body.len() as u64), &*body);
        let keepable = uploaded == Upload::Done;
        let mut shown = self.write_head((local, open), (head, response), (returned, framing), out, keepable);
        if let Some(mut kept) = shown.kept.take() {
            kept.add(&body);
            self.door.close(*kept);
        }
        let timeout = local.limits.send_timeout;
        let mut sink = Sink::new(&open.stream, std::mem::take(out), shown.framing, timeout);
        if let Some(coder) = &mut shown.coder {
            sink = sink.encoded_by(&mut coder.encoder);
        }
        let sent = whole::send(&mut sink, body.into(), timeout);
        let (sent, uploaded) = both(upload, uploaded, sent, &open.stream).await;
        *out = sink.into_storage();
        Ok(match sent {
            Ok(()) => after(shown.keep, uploaded),
            Err(error) => cut(&error, shown.framing),
        })
    }
}

/// Why a body could not be held.
enum Unheld {
    Backend(RelayError),
    Full,
}

impl From<RelayError> for Unheld {
    fn from(error: RelayError) -> Self {
        Self::Backend(error)
    }
}

impl From<Full> for Unheld {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl From<Unheld> for Refusal {
    fn from(why: Unheld) -> Self {
        match why {
            Unheld::Full => Self::Overloaded,
            Unheld::Backend(RelayError::TooLarge) => TOO_LONG,
            Unheld::Backend(RelayError::Idle) => Self::IntegrationTimeout,
            Unheld::Backend(RelayError::Malformed(_)) => {
                Self::IntegrationBroken("the backend's answer is not HTTP")
            }
            Unheld::Backend(RelayError::Source(_) | RelayError::Sink(_)) => {
                Self::IntegrationBroken("the backend broke off within its answer's body")
            }
        }
    }
}

/// The whole body, and the room that it takes.
async fn hold(
    local: &Local,
    inbound: &mut Inbound,
    response: &ResponseHead,
    silence: Duration,
) -> Result<(Vec<u8>, Taken), Failure> {
    let limits = RelayLimits { idle: silence, rate: 0, bytes: local.limits.body_bytes };
    let length = if let Framing::Length(length) = response.framing() { length } else { 0 };
    if length > limits.bytes {
        return Err(TOO_LONG.into());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (mut room, mut bytes) = (Taken::none(&local.room), Vec::new());
    let collected = upstream::collect(inbound, response.framing(), limits, async |piece: &[u8]| {
        room.extend(&mut bytes, piece.len(), length).await?;
        bytes.extend_from_slice(piece);
        Ok::<(), Unheld>(())
    });
    collected.await.map_err(Refusal::from)?;
    Ok((bytes, room))
}

/// What is converted is the content, not its coding. An empty body has none, whatever is said of it.
async fn uncoded(
    local: &Local,
    response: &ResponseHead,
    body: Vec<u8>,
    room: Taken,
) -> Result<(Vec<u8>, Taken), Refusal> {
    if body.is_empty() {
        return Ok((body, room));
    }
    let coding = Coding::of_content(response.fields_named("content-encoding"));
    let unknown = Refusal::ApiConfiguration(
        "an answer with a coding that is not known here cannot be converted".into(),
    );
    let Some(coding) = coding.map_err(|_| unknown)? else { return Ok((body, room)) };
    let mut decoded_room = Taken::none(&local.room);
    let decoded = whole::decode(coding, &body, local.limits.body_bytes, &mut decoded_room).await;
    let decoded = decoded.map_err(|why| match why {
        Undecoded::Full => Refusal::Overloaded,
        Undecoded::TooLarge => TOO_LONG,
        Undecoded::Broken => Refusal::IntegrationBroken("the answer is not what its Content-Encoding says"),
    })?;
    Ok((decoded, decoded_room))
}
