//! A body decoded piece by piece: what fuzz targets and the codec's corpus both look at.

use gateway::http::{BodyDecoder, Framing, Malformed};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) data: Vec<u8>,
    pub(crate) consumed: usize,
    pub(crate) done: bool,
}

/// Decodes pieces as a worker does: what one piece leaves over is never lost.
pub(crate) fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<Body, Malformed> {
    let mut decoder = BodyDecoder::new(framing);
    let mut body = Body { data: Vec::new(), consumed: 0, done: decoder.is_done() };
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() && !body.done {
            let found = decoder.decode(input)?;
            assert!(found.consumed > 0 && found.consumed <= input.len(), "{found:?} of {}", input.len());
            assert!(found.data.start <= found.data.end && found.data.end <= found.consumed, "{found:?}");
            body.data.extend_from_slice(&input[found.data]);
            body.consumed += found.consumed;
            body.done = found.done;
            input = &input[found.consumed..];
        }
    }
    assert_eq!(decoder.is_done(), body.done);
    assert_eq!(decoder.end_of_stream(), body.done);
    Ok(body)
}
