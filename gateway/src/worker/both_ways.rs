//! A request's body on its way up while its answer comes down: whichever ends first, and what follows from it.

use super::departure::{Gone, unless_gone, unless_reset};
use super::proxy::Failure;
use crate::http::Version;
use crate::net::{self, Either, Stream};
use crate::upstream::RelayError;
use std::io;
use std::pin::{Pin, pin};

/// How far the request's body has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    Running,
    Done,
    /// The backend took no more of it.
    Broken,
}

/// Waits for the response's head while the body goes up.
pub(super) async fn until_answered<U, A>(
    upload: Pin<&mut U>,
    answered: A,
    (client, version): (&Stream, Version),
) -> Result<Upload, Failure>
where
    U: Future<Output = Result<(), RelayError>>,
    A: Future<Output = Result<(), Failure>>,
{
    let mut answered = pin!(answered);
    match net::race(upload, answered.as_mut()).await {
        Either::Right(answer) => answer.map(|()| Upload::Running),
        Either::Left(Ok(())) => unless_gone(client, version, answered).await?.map(|()| Upload::Done),
        // The backend takes no more: perhaps it has said why.
        Either::Left(Err(RelayError::Sink(_))) => {
            unless_gone(client, version, answered).await?.map(|()| Upload::Broken)
        }
        Either::Left(Err(error)) => Err(error.into()),
    }
}

/// The response goes down while the rest of the request goes up. The response's end ends the exchange.
pub(super) async fn both<U, D, T, E>(
    upload: Pin<&mut U>,
    state: Upload,
    download: D,
    client: &Stream,
) -> (Result<T, E>, Upload)
where
    U: Future<Output = Result<(), RelayError>>,
    D: Future<Output = Result<T, E>>,
    E: From<RelayError>,
{
    let mut download = pin!(download);
    let state = match state {
        Upload::Running => match net::race(upload, download.as_mut()).await {
            Either::Right(downloaded) => return (downloaded, Upload::Running),
            Either::Left(Ok(())) => Upload::Done,
            Either::Left(Err(RelayError::Sink(_))) => Upload::Broken,
            Either::Left(Err(error)) => return (Err(error.into()), Upload::Broken),
        },
        ended => ended,
    };
    let downloaded = unless_reset(client, download).await;
    (
        downloaded.unwrap_or_else(|Gone| Err(RelayError::Sink(io::ErrorKind::ConnectionReset.into()).into())),
        state,
    )
}
