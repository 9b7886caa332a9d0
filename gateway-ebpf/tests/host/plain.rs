//! The short way to read a frame reads what the long way reads.

use crate::frames::{CUSTOMER_TAG, ESP, Extension, Frame, SERVICE_TAG, TCP, UDP};
use crate::random::Random;
use gateway_ebpf::packet::{self, Kind, Packet};
use gateway_ebpf::plain;

/// As the program does it.
fn plain(frame: &[u8]) -> Option<Packet> {
    let packet = head::<{ plain::HEAD_V4 }>(frame).as_ref().and_then(plain::v4);
    packet.or_else(|| head::<{ plain::HEAD_V6 }>(frame).as_ref().and_then(plain::v6))
}

fn head<const N: usize>(frame: &[u8]) -> Option<[u16; N]> {
    let bytes = frame.get(..2 * N)?;
    Some(std::array::from_fn(|at| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])))
}

/// What the module promises to read, in the words of the RFCs.
fn looks_plain(frame: &[u8]) -> bool {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, ip @ ..] if ip.len() >= 20 + 14 => {
            let (more_fragments, offset) = (ip[6] & 0x20 != 0, (ip[6] & 0x1f, ip[7]));
            ip[0] == 0x45 && !more_fragments && offset == (0, 0) && matches!(ip[9], TCP | UDP)
        }
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ip @ ..] if ip.len() >= 40 + 14 => {
            ip[0] & 0xf0 == 0x60 && matches!(ip[6], TCP | UDP)
        }
        _ => false,
    }
}

fn fill(bytes: &mut [u8], random: &mut Random) {
    for byte in bytes {
        *byte = random.next() as u8;
    }
}

/// Everything random that may be so in a plain frame.
fn plain_frame(random: &mut Random) -> Vec<u8> {
    let v6 = random.once_in(2);
    let (source, destination) = if v6 { ("::1", "::2") } else { ("0.0.0.1", "0.0.0.2") };
    let mut frame = Frame::syn(source, destination, random.next() as u16).bytes();
    fill(&mut frame[..12], random);
    let mut header = [0; 54];
    fill(&mut header, random);
    let protocol = *random.of(&[TCP, UDP]);
    if v6 {
        header[0] = 0x60 | header[0] & 0x0f;
        header[6] = protocol;
        if random.once_in(8) {
            header[8..20].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        }
        frame[14..68].copy_from_slice(&header);
    } else {
        header[0] = 0x45;
        (header[6], header[7], header[9]) = (header[6] & 0xc0, 0, protocol);
        frame[14..48].copy_from_slice(&header[..34]);
    }
    frame
}

#[test]
fn every_plain_frame_is_read_at_once_and_at_every_length_as_the_long_way_does() {
    let mut random = Random::new(1);
    for round in 0..100_000 {
        let frame = plain_frame(&mut random);
        let needed = if frame[12] == 8 { 48 } else { 68 };
        let packet = packet::parse(frame.as_slice());
        assert_eq!(packet.kind, Kind::Flow);
        assert_eq!(plain(&frame), Some(packet), "{frame:02x?}");
        // Each length every now and then, the lengths around the bound always.
        let lengths = if round % 32 == 0 { 0..=frame.len() } else { needed - 1..=needed };
        for length in lengths {
            let cut = &frame[..length];
            let expected = (length >= needed).then(|| packet::parse(cut));
            assert_eq!(plain(cut), expected, "{length} of {frame:02x?}");
        }
    }
}

fn odd_frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (source, destination) in [("192.0.2.9", "10.0.0.5"), ("2001:db8::9", "fd00::5")] {
        let base = Frame::syn(source, destination, 443);
        let changed = |change: &dyn Fn(&mut Frame)| {
            let mut frame = base.clone();
            change(&mut frame);
            frame.bytes()
        };
        frames.extend([
            changed(&|_| {}),
            changed(&|frame| frame.protocol = UDP),
            changed(&|frame| frame.protocol = ESP),
            changed(&|frame| frame.tags = vec![CUSTOMER_TAG]),
            changed(&|frame| frame.tags = vec![SERVICE_TAG, CUSTOMER_TAG]),
            changed(&|frame| frame.options = vec![131, 7, 4, 1, 2, 3, 4]),
            changed(&|frame| frame.fragment = 0x2000),
            changed(&|frame| frame.fragment = 0x0001),
            changed(&|frame| frame.extensions = vec![Extension::HopByHop(0), Extension::Destination(0)]),
            changed(&|frame| frame.extensions = vec![Extension::Authentication(0)]),
        ]);
        for extension in [
            Extension::Routing { segments_left: 1 },
            Extension::Fragment { offset: 0, more: true },
            Extension::Fragment { offset: 3, more: false },
        ] {
            if base.source.is_ipv6() {
                frames.push(changed(&|frame| frame.extensions = vec![extension]));
            }
        }
    }
    frames.push([[0xff; 12].as_slice(), &[8, 6], &[0; 60]].concat());
    frames
}

#[test]
fn a_million_mutated_frames_are_read_the_same_or_left_to_the_long_way() {
    let mut random = Random::new(2);
    let originals: Vec<Vec<u8>> = odd_frames();
    let (mut read, mut left) = (0, 0);
    let mut frame = Vec::new();
    for _ in 0..1_000_000 {
        frame.clear();
        frame.extend_from_slice(random.of::<Vec<u8>>(&originals));
        for _ in 0..random.below(4) {
            // Most changes where they count: types, versions, lengths, fragments, protocols.
            let at = match random.below(4) {
                0 => *random.of(&[12, 13, 14, 16, 20, 21, 23]),
                _ => random.below(frame.len() as u64) as usize,
            };
            frame[at] = match random.below(3) {
                0 => frame[at] ^ 1 << random.below(8),
                1 => *random.of(&[0x00, 0x45, 0x60, 0x08, 0x86, 0xdd, 0x81, 0x88, TCP, UDP]),
                _ => random.next() as u8,
            };
        }
        if random.once_in(8) {
            frame.truncate(random.below(frame.len() as u64 + 1) as usize);
        }
        let packet = plain(&frame);
        assert_eq!(packet.is_some(), looks_plain(&frame), "{frame:02x?}");
        match packet {
            Some(packet) => {
                read += 1;
                assert_eq!(packet, packet::parse(frame.as_slice()), "{frame:02x?}");
            }
            None => left += 1,
        }
    }
    assert!(read > 100_000 && left > 100_000, "{read} read, {left} left");
}

#[test]
fn noise_is_never_read_otherwise() {
    let mut random = Random::new(3);
    let mut frame = [0; 80];
    for _ in 0..100_000 {
        fill(&mut frame, &mut random);
        let ethertype: [u8; 2] = *random.of(&[[0x08, 0x00], [0x86, 0xdd]]);
        frame[12..14].copy_from_slice(&ethertype);
        frame[14] = *random.of(&[0x45, 0x46, 0x60, 0x6f, frame[14]]);
        if random.once_in(2) {
            (frame[20], frame[21]) = (frame[20] & 0xe0, 0);
            (frame[20], frame[23]) = (if frame[14] >> 4 == 6 { TCP } else { frame[20] }, UDP);
        }
        assert_eq!(plain(&frame).is_some(), looks_plain(&frame), "{frame:02x?}");
        if let Some(packet) = plain(&frame) {
            assert_eq!(packet, packet::parse(frame.as_slice()), "{frame:02x?}");
        }
    }
}
