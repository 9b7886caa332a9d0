//! Bytes ↔ HTTP/1.1 messages (RFC 9110, RFC 9112), strict and sans-IO: no socket, no clock, no configuration.

mod authority;
mod body;
mod encode;
mod fields;
mod framing;
mod head;
mod malformed;
mod method;
mod parse;
mod proxy;
mod scan;
mod target;

#[cfg(test)]
mod tests;

pub use authority::is_authority;
pub use body::{BodyDecoder, Decoded};
pub use encode::{
    LAST_CHUNK, reason, write_chunk_size, write_content_length, write_date, write_decimal, write_field,
    write_request_line, write_status_line,
};
pub use fields::FieldLine;
pub use framing::Framing;
pub use head::{Parsed, RequestHead, ResponseHead};
pub use malformed::{HeadLimits, Malformed};
pub use method::{Method, Version};
pub use proxy::{ProxyAddresses, ProxyHeader, proxy_header};
pub(crate) use target::has_dot_segment;
