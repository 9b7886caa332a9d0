//! Events as the ring hands them over: bytes.

use gateway_ebpf::abi::{Address, Event};
use std::mem::offset_of;

#[test]
fn an_event_is_read_from_where_its_fields_lie() {
    let bytes: Vec<u8> = (1..=size_of::<Event>() as u8).collect();
    let at = |offset: usize| &bytes[offset..];
    let event = Event::read(&bytes).unwrap();
    let long = |offset| u64::from_ne_bytes(*at(offset).first_chunk().unwrap());
    let word = |offset| u32::from_ne_bytes(*at(offset).first_chunk().unwrap());
    let address = |offset| Address::from_octets(*at(offset).first_chunk().unwrap());
    assert_eq!(event.at, long(offset_of!(Event, at)));
    assert_eq!(event.weight, long(offset_of!(Event, weight)));
    assert_eq!(event.source, address(offset_of!(Event, source)));
    assert_eq!(event.destination, address(offset_of!(Event, destination)));
    assert_eq!(event.slot, word(offset_of!(Event, slot)));
    assert_eq!(event.reason, word(offset_of!(Event, reason)));
    assert_eq!(event.port, u16::from_ne_bytes(*at(offset_of!(Event, port)).first_chunk().unwrap()));
    assert_eq!(
        [event.protocol, event.dry],
        [bytes[offset_of!(Event, protocol)], bytes[offset_of!(Event, dry)]]
    );
    assert_eq!(event.reserved, word(offset_of!(Event, reserved)));
    for length in 0..bytes.len() {
        assert_eq!(Event::read(&bytes[..length]), None, "{length}");
    }
}
