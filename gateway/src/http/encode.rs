//! Writes messages (RFC 9112). Nothing that is passed in here can end a line before its time.

use super::Malformed::{self, Syntax};
use super::Method;
use super::parse::is_token;
use super::scan::find_control;

/// `GET /path?query HTTP/1.1\r\n`
///
/// Bytes that no target may contain (controls, space, `#`, DEL, non-ASCII) are percent-encoded, so a captured or
/// mapped parameter cannot end the line.
pub fn write_request_line(out: &mut Vec<u8>, method: Method, target: &str) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    if target.as_bytes().iter().all(fits) {
        out.extend_from_slice(target.as_bytes());
    } else {
        for byte in target.bytes() {
            if fits(&byte) {
                out.push(byte);
            } else {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK\r\n` with the registered reason phrase, or none. `status` is 100..=999.
pub fn write_status_line(out: &mut Vec<u8>, status: u16) {
    debug_assert!((100..=999).contains(&status));
    if status == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `Name: value\r\n`. A name that is no token, and controls other than HTAB in the value, are refused: nothing can
/// split a message. `out` is untouched then.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), Malformed> {
    if !is_token(name.as_bytes()) {
        return Err(Syntax("field name that is no token"));
    }
    if find_control(value, 0).is_some() {
        return Err(Syntax("control byte in a field value"));
    }
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `Content-Length: 1234\r\n`
pub fn write_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    write_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// `1f4\r\n`; the data and `\r\n` follow. The last chunk is `LAST_CHUNK`: a size of 0 here would end the body.
pub fn write_chunk_size(out: &mut Vec<u8>, size: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    debug_assert!(size > 0);
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(HEX[(size >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A number in decimal digits.
pub fn write_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 §5.6.7) for seconds since 1970, up to the year 9999.
pub fn write_date(out: &mut Vec<u8>, unix_seconds: u64) {
    const LAST: u64 = 253_402_300_799; // 9999-12-31T23:59:59Z
    const DAYS: [&[u8; 5]; 7] = [b"Thu, ", b"Fri, ", b"Sat, ", b"Sun, ", b"Mon, ", b"Tue, ", b"Wed, "];
    const MONTHS: [&[u8; 5]; 12] = [
        b" Jan ", b" Feb ", b" Mar ", b" Apr ", b" May ", b" Jun ", b" Jul ", b" Aug ", b" Sep ", b" Oct ",
        b" Nov ", b" Dec ",
    ];
    let seconds = unix_seconds.min(LAST);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    out.extend_from_slice(DAYS[(days % 7) as usize]);
    two_digits(out, day);
    out.extend_from_slice(MONTHS[(month - 1) as usize]);
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    for (lead, part) in [(b' ', time / 3600), (b':', time / 60 % 60), (b':', time % 60)] {
        out.push(lead);
        two_digits(out, part);
    }
    out.extend_from_slice(b" GMT");
}

fn two_digits(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

/// Days since 1970 → year, month, day in the Gregorian calendar. Years begin in March here, so that the leap day is
/// their last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // since 0000-03-01
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let era = days / DAYS_IN_400_YEARS;
    let of_era = days % DAYS_IN_400_YEARS;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let turn = u64::from(month >= 10);
    (era * 400 + year + turn, if turn == 1 { month - 9 } else { month + 3 }, day)
}

/// IANA's registry of status codes; "" for what is not in it.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        500..=599 => server_error(status),
        _ => client_error(status),
    }
}

fn client_error(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

fn server_error(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn start_lines_have_their_form() {
        assert_eq!(written(|out| write_request_line(out, Method::Get, "/a?b")), "GET /a?b HTTP/1.1\r\n");
        assert_eq!(written(|out| write_status_line(out, 200)), "HTTP/1.1 200 OK\r\n");
        assert_eq!(written(|out| write_status_line(out, 504)), "HTTP/1.1 504 Gateway Timeout\r\n");
        assert_eq!(written(|out| write_status_line(out, 299)), "HTTP/1.1 299 \r\n");
    }

    #[test]
    fn a_target_cannot_end_its_line() {
        let line = written(|out| write_request_line(out, Method::Get, "/a b\r\nX: é#\x7f"));
        assert_eq!(line, "GET /a%20b%0D%0AX:%20%C3%A9%23%7F HTTP/1.1\r\n");
    }

    #[test]
    fn a_field_cannot_end_its_line() {
        let mut out = b"before".to_vec();
        for bad in ["", "a b", "a:", "a\r", "a\n", "é", "a\0", "a\x7f"] {
            assert!(write_field(&mut out, bad, b"value").is_err(), "{bad:?}");
        }
        for bad in ["a\rb", "a\nb", "a\0b", "\x1b", "\x7f", "long enough for a word\r"] {
            assert!(write_field(&mut out, "name", bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(out, b"before");
        write_field(&mut out, "X-Name", b"a\tb \xff").unwrap();
        assert_eq!(out, b"beforeX-Name: a\tb \xff\r\n");
    }

    #[test]
    fn numbers_are_what_std_writes() {
        for value in [0, 7, 10, 99, 100, 65_536, u64::MAX] {
            assert_eq!(written(|out| write_decimal(out, value)), value.to_string());
        }
        for size in [1, 15, 16, 500, 0x1000, usize::MAX] {
            assert_eq!(written(|out| write_chunk_size(out, size)), format!("{size:x}\r\n"));
        }
        assert_eq!(written(|out| write_content_length(out, 12)), "Content-Length: 12\r\n");
    }

    #[test]
    fn dates_are_in_the_fixed_form() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(written(|out| write_date(out, seconds)), date);
        }
    }
}
