//! An answer that its backend coded is for those who take that coding. Whoever does not has an answer of its own beside
//! it, together with all who take the same codings: what `Vary: Accept-Encoding` says, where it is needed.

use super::Stored;
use crate::coding::Accepts;
use crate::http::RequestHead;

/// No parameter of a key has so many values: what follows is of no other key.
const MARK: [u8; 4] = u32::MAX.to_le_bytes();

/// Is the answer under `key` coded as the request does not take it? Then the key is that of an answer of its own, from
/// here on; what the backend says to it there is taken, however it is coded. The two end together: a new answer under
/// the plain key has others beside it.
pub fn is_another(key: &mut Vec<u8>, stored: &Stored, request: &RequestHead) -> bool {
    const FIELD: &[u8] = b"content-encoding:";
    let lines = stored.head().split(|byte| *byte == b'\n');
    let coded = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(FIELD.len())?;
        name.eq_ignore_ascii_case(FIELD).then_some(value)
    });
    let mut coded = coded.peekable();
    if coded.peek().is_none() {
        return false;
    }
    let accepts = Accepts::of(request.fields_named("accept-encoding"));
    if accepts.takes(coded) {
        return false;
    }
    key.extend_from_slice(&MARK);
    key.extend_from_slice(&stored.number.to_le_bytes());
    key.push(accepts.bits());
    true
}
