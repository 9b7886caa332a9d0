//! What the integration would do with the request, as far as nobody else has to be asked: the worker's own functions,
//! and nothing is sent.

use crate::guard::Permit;
use crate::guard::origin::Via;
use crate::http::RequestHead;
use crate::integrate::{self, Carried, Conversion, Facts, Integration};
use crate::refusal::Refusal;
use std::net::{IpAddr, SocketAddr};

/// What to say behind the integration's kind, or why the call is refused before any backend hears of it.
pub(super) fn answered(
    permit: &Permit<'_>,
    head: &RequestHead,
    here: (IpAddr, SocketAddr),
) -> Result<String, Refusal> {
    let via = Via::default();
    let facts = asked(&via, here);
    match &permit.method.integration {
        Integration::Mock(mock) => {
            let answer = integrate::mock(permit, mock, head, &facts)?;
            Ok(format!(", which answers {}{}", answer.status, accepted(permit, head)))
        }
        Integration::Http(backend) | Integration::HttpProxy(backend) => {
            let conversion = integrate::request_conversion(permit, head);
            let carried = Carried { conversion, ..Carried::of(head) };
            integrate::write_request(permit, backend, (head, carried), &facts, &mut Vec::new())?;
            let sent = match conversion {
                Conversion::AsIs => "",
                Conversion::Decode => ", which gets the body decoded from base64 (CONVERT_TO_BINARY)",
                Conversion::Encode => ", which gets the body in base64 (CONVERT_TO_TEXT)",
            };
            Ok(format!("{sent}{}", accepted(permit, head)))
        }
        Integration::Unsupported(why) => Err(Refusal::ApiConfiguration(why.clone())),
    }
}

/// Of a request that nobody sends: it has no ids and no moment.
pub(super) fn asked<'v>(via: &'v Via, (source, listener): (IpAddr, SocketAddr)) -> Facts<'v> {
    Facts {
        drawn: 0,
        request_id: "",
        extended_request_id: "",
        source,
        via,
        listener,
        time_ms: 0,
        trace_id: "",
    }
}

/// In which form the client gets the answer, where its `Accept` decides.
fn accepted(permit: &Permit<'_>, head: &RequestHead) -> &'static str {
    match integrate::accepts_binary(permit, head) {
        None => "",
        Some(true) => "; by the first type of Accept and binaryMediaTypes, the answer goes out as binary",
        Some(false) => "; by the first type of Accept and binaryMediaTypes, the answer goes out as text",
    }
}
