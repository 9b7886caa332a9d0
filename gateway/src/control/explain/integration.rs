//! What the integration would do with the request, as far as nobody else has to be asked: the worker's own functions,
//! and nothing is sent.

use crate::guard::Permit;
use crate::guard::origin::Via;
use crate::http::RequestHead;
use crate::integrate::{self, Carried, Facts, Integration};
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
            Ok(format!(", which answers {}", answer.status))
        }
        Integration::Http(backend) | Integration::HttpProxy(backend) => {
            let carried = Carried::of(head);
            integrate::write_request(permit, backend, (head, carried), &facts, &mut Vec::new())?;
            Ok(String::new())
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
