//! The head of a backend's response: the final one, behind those that are passed over.

use super::proxy::Failure;
use crate::http::{HeadLimits, Method, Parsed, ResponseHead};
use crate::net::{Inbound, Size};
use crate::refusal::Refusal;

/// Interim responses (1xx) that are passed over before the final one.
const INTERIM_MAX: usize = 8;

/// Reads the final response's head; interim ones are passed over.
pub(super) async fn read_head(
    inbound: &mut Inbound,
    head: &mut ResponseHead,
    method: Method,
) -> Result<(), Failure> {
    let limits = HeadLimits::default();
    let mut interim = 0;
    let mut untouched = true;
    loop {
        if !inbound.is_empty() {
            untouched = false;
            match head.parse(inbound.bytes(), method, &limits) {
                Ok(Parsed::Complete { consumed }) => {
                    inbound.consume(consumed);
                    if head.status() >= 200 || head.status() == 101 {
                        return Ok(());
                    }
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(Refusal::IntegrationBroken("interim responses without end").into());
                    }
                    continue;
                }
                Ok(Parsed::Partial) => {}
                Err(_) => return Err(Refusal::IntegrationBroken("the backend's answer is not HTTP").into()),
            }
        }
        match inbound.more(Size::Small).await {
            Ok(true) => {}
            Ok(false) | Err(_) if untouched => return Err(Failure::Stale),
            Ok(false) | Err(_) => {
                return Err(
                    Refusal::IntegrationBroken("the backend broke off within its answer's head").into()
                );
            }
        }
    }
}
