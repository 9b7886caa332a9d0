//! Which coding is chosen, what an answer says of it, and that nothing is lost in it.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

#[test]
fn the_coding_is_the_one_that_the_client_likes_best() {
    use Coding::{Deflate, Gzip};
    for (fields, expected) in [
        (&["gzip"][..], Some(Gzip)),
        (&["deflate"], Some(Deflate)),
        (&["gzip, deflate, br"], Some(Gzip)),
        (&["br", "GZip;q=0.5"], Some(Gzip)),
        (&["x-gzip"], Some(Gzip)),
        (&["gzip;q=0.2, deflate;q=0.3"], Some(Deflate)),
        (&["gzip;q=0"], None),
        (&["gzip; q=0.000"], None),
        (&["identity"], None),
        (&["identity, gzip"], Some(Gzip)),
        (&["identity;q=1, gzip;q=0.5"], None),
        (&["identity;q=0, gzip;q=0.001"], Some(Gzip)),
        (&["identity;q=0"], None),
        (&["*"], Some(Gzip)),
        (&["*;q=0"], None),
        (&["gzip;q=0, *"], Some(Deflate)),
        (&["identity;q=0, *;q=0.5"], Some(Gzip)),
        (&["br"], None),
        (&[""], None),
        (&[], None),
        (&["gzip;q=2"], None),
        (&["gzip;q=0.1234"], None),
        (&["gzip;q=x"], None),
        (&["gzip;level=9;q=0.4, deflate;q=0.3"], Some(Gzip)),
    ] {
        assert_eq!(accepted(fields.iter().map(|field| field.as_bytes())), expected, "{fields:?}");
    }
}

#[test]
fn what_a_body_is_coded_with() {
    let of = |fields: &[&str]| Coding::of_content(fields.iter().map(|field| field.as_bytes()));
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&["identity"]), Ok(None));
    assert_eq!(of(&["X-GZIP"]), Ok(Some(Coding::Gzip)));
    assert_eq!(of(&["identity, deflate"]), Ok(Some(Coding::Deflate)));
    for wrong in [&["br"][..], &["gzip, gzip"], &["gzip", "deflate"], &["gzip;q=1"]] {
        assert_eq!(of(wrong), Err(Undecodable::Coding), "{wrong:?}");
    }
}

const WISH: Wish = Wish { coding: Some(Coding::Gzip), no_transform: false, minimum: 10 };

/// The fields afterwards, and the coding.
fn negotiated(fields: &str, status: u16, length: Option<u64>, wish: Wish) -> (String, Option<Coding>) {
    let mut head = format!("HTTP/1.1 {status} X\r\n{fields}").into_bytes();
    let coding = negotiate(&mut head, status, length, wish);
    let head = String::from_utf8(head).unwrap();
    (head.split_once("\r\n").unwrap().1.to_owned(), coding)
}

#[test]
fn an_answer_is_coded_and_says_so() {
    let vary = "Vary: Accept-Encoding\r\n";
    let coded = "Content-Encoding: gzip\r\n";
    let gzip = Some(Coding::Gzip);
    let plain = Wish { coding: None, ..WISH };
    for (fields, status, length, wish, after, coding) in [
        ("A: b\r\n", 200, Some(10), WISH, format!("A: b\r\n{vary}{coded}"), gzip),
        ("A: b\r\n", 500, None, WISH, format!("A: b\r\n{vary}{coded}"), gzip),
        ("", 200, Some(9), WISH, String::new(), None),
        ("", 200, Some(0), Wish { minimum: 0, ..WISH }, String::new(), None),
        ("", 200, Some(1), Wish { minimum: 0, ..WISH }, format!("{vary}{coded}"), gzip),
        // Another client would have got it coded: caches must know.
        ("", 200, Some(10), plain, vary.to_owned(), None),
        (
            "vary: origin, ACCEPT-encoding\r\n",
            200,
            None,
            plain,
            "vary: origin, ACCEPT-encoding\r\n".into(),
            None,
        ),
        ("Vary: *\r\n", 200, None, WISH, format!("Vary: *\r\n{coded}"), gzip),
        ("", 200, None, Wish { no_transform: true, ..WISH }, String::new(), None),
        ("content-encoding: br\r\n", 200, None, WISH, "content-encoding: br\r\n".into(), None),
        ("Content-Encoding: identity\r\n", 200, None, WISH, format!("{vary}{coded}"), gzip),
        (
            "Cache-Control: max-age=1, No-Transform\r\n",
            200,
            None,
            WISH,
            "Cache-Control: max-age=1, No-Transform\r\n".into(),
            None,
        ),
        ("Content-MD5: x\r\n", 200, None, WISH, "Content-MD5: x\r\n".into(), None),
        ("", 204, None, WISH, String::new(), None),
        ("Content-Range: bytes 0-1/2\r\n", 206, None, WISH, "Content-Range: bytes 0-1/2\r\n".into(), None),
        ("Content-Range: bytes */2\r\n", 416, None, WISH, "Content-Range: bytes */2\r\n".into(), None),
        // Other bytes have another tag, and no ranges.
        (
            "ETag: \"a\"\r\nAccept-Ranges: bytes\r\nB: \"c\"\r\n",
            200,
            None,
            WISH,
            format!("ETag: W/\"a\"\r\nB: \"c\"\r\n{vary}{coded}"),
            gzip,
        ),
        ("etag: W/\"a\"\r\n", 200, None, WISH, format!("etag: W/\"a\"\r\n{vary}{coded}"), gzip),
        ("ETag: \"a\"\r\n", 200, Some(1), WISH, "ETag: \"a\"\r\n".into(), None),
        ("ETag: \"a\"\r\n", 304, None, WISH, "ETag: W/\"a\"\r\n".into(), None),
        ("ETag: \"a\"\r\n", 304, None, plain, "ETag: \"a\"\r\n".into(), None),
    ] {
        let found = negotiated(fields, status, length, wish);
        assert_eq!(found, (after, coding), "{fields:?} {status} {length:?} {wish:?}");
    }
}

fn decoded(coding: Coding, body: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let mut decoder = Decoder::new(coding, body);
    let mut out = Vec::new();
    while decoder.step(&mut out)? {}
    Ok(out)
}

#[test]
fn what_is_coded_piece_by_piece_is_decoded_again() {
    let body: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7 % 251).to_le_bytes()).collect();
    for coding in [Coding::Gzip, Coding::Deflate] {
        let mut encoder = Encoder::new(coding);
        let mut coded = Vec::new();
        for (at, piece) in body.chunks(9_973).enumerate() {
            coded.extend(encoder.code(piece).unwrap());
            if at % 5 == 0 {
                coded.extend(encoder.flush().unwrap());
                assert!(encoder.flush().unwrap().is_empty(), "nothing new is held back");
            }
        }
        coded.extend(encoder.finish().unwrap());
        assert!(coded.len() < body.len() / 10, "{}", coded.len());
        assert!(decoded(coding, &coded).unwrap() == body);
        // Whatever is missing of it, or comes behind it, is noticed.
        for cut in [0, 1, 9, coded.len() / 2, coded.len() - 1] {
            assert_eq!(decoded(coding, &coded[..cut]), Err(Undecodable::Broken), "{coding:?} {cut}");
        }
        let mut behind = coded.clone();
        behind.extend_from_slice(b"x");
        assert_eq!(decoded(coding, &behind), Err(Undecodable::Broken));
        let mut wrong = coded.clone();
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        assert_eq!(decoded(coding, &wrong), Err(Undecodable::Broken), "the sum is checked");
        let none = Encoder::whole(coding, b"").unwrap();
        assert_eq!(decoded(coding, &none), Ok(Vec::new()));
    }
    let mut two = Encoder::whole(Coding::Gzip, b"a").unwrap();
    two.extend(Encoder::whole(Coding::Gzip, b"b").unwrap());
    assert_eq!(decoded(Coding::Gzip, &two), Ok(b"ab".to_vec()));
}

/// What is flushed can be read before the end is there.
#[test]
fn nothing_is_held_back_when_it_is_flushed() {
    let mut encoder = Encoder::new(Coding::Gzip);
    let mut coded = encoder.code(b"data: 1\n\n").unwrap();
    coded.extend(encoder.flush().unwrap());
    let mut decoder = Decoder::new(Coding::Gzip, &coded);
    let mut out = Vec::new();
    assert_eq!(decoder.step(&mut out), Ok(true));
    assert_eq!(out, b"data: 1\n\n");
}

#[test]
fn a_step_of_a_bomb_is_small() {
    let bomb = Encoder::whole(Coding::Deflate, &vec![0; 10 << 20]).unwrap();
    let mut decoder = Decoder::new(Coding::Deflate, &bomb);
    let mut out = Vec::new();
    assert_eq!(decoder.step(&mut out), Ok(true));
    assert!(out.len() <= 32 * 1024, "{}", out.len());
}

#[test]
fn members_of_a_byte_each_have_an_end() {
    let members = |count: usize| Encoder::whole(Coding::Gzip, b"x").unwrap().repeat(count);
    assert_eq!(decoded(Coding::Gzip, &members(1000)), Ok(vec![b'x'; 1000]));
    assert_eq!(decoded(Coding::Gzip, &members(1100)), Err(Undecodable::Broken));
}

proptest! {
    /// Whatever is sent as a coded body: it ends, in steps that are small, and what was coded comes back.
    #[test]
    fn any_bytes_are_decoded_or_refused(
        body in proptest::collection::vec(any::<u8>(), 0..5_000),
        cuts in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        gzip in any::<bool>(),
    ) {
        let coding = if gzip { Coding::Gzip } else { Coding::Deflate };
        let mut coded = Encoder::whole(coding, &body).unwrap();
        prop_assert!(decoded(coding, &coded).as_deref() == Ok(&body));
        for (at, byte) in &cuts {
            let at = at.index(coded.len());
            coded[at] = *byte;
        }
        // The sums make it improbable that other bytes pass for whole ones.
        if let Ok(other) = decoded(coding, &coded) {
            prop_assert_eq!(&other, &body);
        }
        let _ = decoded(coding, &body);
    }
}

#[test]
fn who_may_be_sent_what_is_coded() {
    for (accept, content, takes, bits) in [
        ("", "gzip", false, 0),
        ("gzip", "gzip", true, 1),
        ("GZIP", "x-gzip", true, 1),
        ("x-gzip;q=0.1", "gzip", true, 1),
        ("gzip;q=0, *", "gzip", false, 0b11_1110),
        ("*;q=0", "br", false, 0),
        ("br, gzip", "gzip, br", true, 0b101),
        ("br", "gzip, br", false, 0b100),
        ("gzip", "identity", true, 1),
        ("", "", true, 0),
        ("gzip", "aes128gcm", false, 1),
        ("aes128gcm", "aes128gcm", true, 0b10_0000),
        ("identity, aes128gcm;q=0", "aes128gcm", false, 0),
        ("*", "aes128gcm", true, 0b11_1111),
        ("identity", "deflate", false, 0),
    ] {
        let accepts = Accepts::of(std::iter::once(accept.as_bytes()));
        assert_eq!(accepts.takes(std::iter::once(content.as_bytes())), takes, "{accept} {content}");
        assert_eq!(accepts.bits(), bits, "{accept}");
    }
}
