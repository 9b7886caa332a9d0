//! Benchmarks of the gateway; see `cargo xtask bench`. Here: the messages that they work on, and what they share.

pub mod about;
pub mod baseline;
pub mod histogram;
pub mod ring;
pub mod stats;
pub mod svg;

/// A browser's request as it reaches an API behind a load balancer.
pub const REQUEST: &[u8] = b"GET /prod/pets/7?type=dog&page=2 HTTP/1.1\r\n\
Host: a1b2c3d4e5.execute-api.us-east-1.amazonaws.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: application/json, text/plain, */*\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Origin: https://shop.example.com\r\n\
Referer: https://shop.example.com/pets\r\n\
X-Forwarded-For: 203.0.113.9\r\n\
X-Forwarded-Proto: https\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\
Connection: keep-alive\r\n\
\r\n";

/// What a load generator sends.
pub const SMALL_REQUEST: &[u8] = b"GET /prod/pets HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// A backend's answer, without its body of 128 bytes.
pub const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Sun, 22 Nov 2026 17:00:00 GMT\r\n\
Content-Type: application/json; charset=utf-8\r\n\
Content-Length: 128\r\n\
Cache-Control: max-age=60\r\n\
ETag: W/\"80-mnk2tYpVjZ0Q0l3x7lMoV4cGm8s\"\r\n\
X-Request-Id: 4f1f6a3e-6a1b-4a58-b9c6-0a7c8d8b7a10\r\n\
Connection: keep-alive\r\n\
\r\n";

/// An answer as the backend and the constant server give it, with a body of `length` bytes that caches may keep.
pub fn answer(length: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\n\
             Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
