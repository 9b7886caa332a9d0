//! AWS's content type conversions: whether a body is binary or text, and what becomes of it on its way to the backend
//! and back. Source: *Content type conversions in API Gateway*.

use crate::model::ContentHandling;
use crate::refusal::Refusal;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// RFC 4648 §4. It takes a text without its padding, and no byte of another alphabet: AWS answers 500 to a text with
/// spaces.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An API's `binaryMediaTypes`: bodies of these types are binary, all others text.
#[derive(Debug, Default)]
pub struct BinaryMediaTypes {
    /// `*/*` is among them: whatever there is, also without a type.
    all: bool,
    /// Type and subtype; that may be `*`.
    types: Box<[(Box<str>, Box<str>)]>,
}

impl BinaryMediaTypes {
    pub fn new(list: &[String]) -> Self {
        let pieces = |entry: &String| {
            let (kind, subtype) = split(entry)?;
            Some((kind.into(), subtype.into()))
        };
        let types: Box<[(Box<str>, Box<str>)]> = list.iter().filter_map(pieces).collect();
        Self { all: types.iter().any(|(kind, subtype)| &**kind == "*" && &**subtype == "*"), types }
    }

    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Is `*/*` among them?
    pub fn has_all(&self) -> bool {
        self.all
    }

    /// Is the first media type of a `Content-Type` or an `Accept` one of them?
    pub fn has(&self, field: Option<&[u8]>) -> bool {
        if self.all || self.types.is_empty() {
            return self.all;
        }
        let Some((kind, subtype)) = field.and_then(|value| split(std::str::from_utf8(value).ok()?)) else {
            return false;
        };
        let is = |known: &str, asked: &str| known.eq_ignore_ascii_case(asked);
        self.types.iter().any(|(known, sub)| is(known, kind) && (&**sub == "*" || is(sub, subtype)))
    }
}

/// Type and subtype of the first media type, without its parameters.
fn split(text: &str) -> Option<(&str, &str)> {
    text.split([',', ';']).next()?.trim().split_once('/')
}

/// What becomes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    AsIs,
    /// From base64.
    Decode,
    /// To base64.
    Encode,
}

impl Conversion {
    /// Of a request's body. `is_binary`: its `Content-Type` is one of `binaryMediaTypes`.
    pub fn of_request(is_binary: bool, handling: Option<ContentHandling>) -> Self {
        match (is_binary, handling) {
            (false, Some(ContentHandling::ConvertToBinary)) => Self::Decode,
            (true, Some(ContentHandling::ConvertToText)) => Self::Encode,
            (_, None)
            | (true, Some(ContentHandling::ConvertToBinary))
            | (false, Some(ContentHandling::ConvertToText)) => Self::AsIs,
        }
    }

    /// Of an answer's body. `is_binary`: the `Content-Type` that came with it is one of `binaryMediaTypes`;
    /// `is_accepted`: the first type of its client's `Accept` is.
    pub fn of_answer(is_binary: bool, is_accepted: bool, handling: Option<ContentHandling>) -> Self {
        match (is_binary, is_accepted, handling) {
            (true, _, Some(ContentHandling::ConvertToText)) | (true, false, None) => Self::Encode,
            (false, _, Some(ContentHandling::ConvertToBinary)) | (false, true, None) => Self::Decode,
            (true, _, Some(ContentHandling::ConvertToBinary))
            | (false, _, Some(ContentHandling::ConvertToText))
            | (true, true, None)
            | (false, false, None) => Self::AsIs,
        }
    }

    /// The most bytes that a body of `length` bytes can become.
    pub fn length_max(self, length: usize) -> usize {
        match self {
            Self::AsIs | Self::Decode => length,
            Self::Encode => length.div_ceil(3).saturating_mul(4),
        }
    }

    /// The whole body, converted.
    pub fn apply(self, body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::AsIs => Ok(body),
            Self::Encode => Ok(BASE64.encode(body).into_bytes()),
            Self::Decode => BASE64
                .decode(body)
                .map_err(|_| Refusal::ApiConfiguration("the body to be decoded is not base64".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Conversion::{AsIs, Decode, Encode};

    const NONE: Option<ContentHandling> = None;
    const BINARY: Option<ContentHandling> = Some(ContentHandling::ConvertToBinary);
    const TEXT: Option<ContentHandling> = Some(ContentHandling::ConvertToText);

    /// Row by row as AWS's page has them; without a list nothing matches.
    #[test]
    fn requests() {
        for (is_binary, handling, expected) in [
            (false, NONE, AsIs),
            (false, BINARY, Decode),
            (false, TEXT, AsIs),
            (true, NONE, AsIs),
            (true, BINARY, AsIs),
            (true, TEXT, Encode),
        ] {
            assert_eq!(Conversion::of_request(is_binary, handling), expected, "{is_binary} {handling:?}");
        }
    }

    #[test]
    fn answers() {
        for (is_binary, is_accepted, handling, expected) in [
            (false, false, NONE, AsIs),
            (false, false, BINARY, Decode),
            (false, false, TEXT, AsIs),
            (false, true, NONE, Decode),
            (false, true, BINARY, Decode),
            (false, true, TEXT, AsIs),
            (true, false, NONE, Encode),
            (true, false, BINARY, AsIs),
            (true, false, TEXT, Encode),
            (true, true, NONE, AsIs),
            (true, true, BINARY, AsIs),
            (true, true, TEXT, Encode),
        ] {
            let found = Conversion::of_answer(is_binary, is_accepted, handling);
            assert_eq!(found, expected, "{is_binary} {is_accepted} {handling:?}");
        }
    }

    #[test]
    fn the_first_media_type_counts() {
        let of = |list: &[&str]| {
            BinaryMediaTypes::new(&list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
        };
        for (list, field, expected) in [
            (&[][..], Some("image/png"), false),
            (&[], None, false),
            (&["image/png"], Some("image/png"), true),
            (&["Image/PNG"], Some("IMAGE/png ; q=0.5, text/html"), true),
            (&["image/png"], Some("text/html, image/png"), false),
            (&["image/png"], Some("image/webp,image/*,*/*;q=0.8"), false),
            (&["image/png"], Some("*/*"), false),
            (&["image/png", "image/*"], Some("image/webp"), true),
            (&["image/*"], Some("imagex/webp"), false),
            (&["multipart/form-data; boundary=x"], Some("multipart/form-data; boundary=y"), true),
            (&["image/png"], Some("image"), false),
            (&["image/png"], Some(""), false),
            (&["image/png"], None, false),
            (&["image/png", "*/*"], Some("text/plain"), true),
            (&["*/*"], Some("nonsense"), true),
            (&["*/*"], None, true),
        ] {
            assert_eq!(of(list).has(field.map(str::as_bytes)), expected, "{list:?} {field:?}");
        }
        assert!(BinaryMediaTypes::new(&["\u{e9}".to_owned()]).is_empty());
        assert!(!of(&["image/png"]).has(Some(b"image/\xff")));
    }

    #[test]
    fn there_and_back() {
        for length in 0..70usize {
            let body: Vec<u8> = (0..length).map(|n| (n * 97) as u8).collect();
            let text = Encode.apply(body.clone()).unwrap();
            assert!(text.len() <= Encode.length_max(length) && length <= Decode.length_max(text.len()));
            assert_eq!(Decode.apply(text.clone()).unwrap(), body);
            let bare = text.iter().copied().filter(|byte| *byte != b'=').collect();
            assert_eq!(Decode.apply(bare).unwrap(), body);
            assert_eq!(AsIs.apply(body.clone()).unwrap(), body);
        }
        for broken in ["a", "ab==c", "aGk=aGk=", "aGk=\n", "aG k=", "a-_b", "this is text", "\u{e9}"] {
            let refused = Decode.apply(broken.into());
            assert!(matches!(refused, Err(Refusal::ApiConfiguration(_))), "{broken:?} {refused:?}");
        }
    }
}
