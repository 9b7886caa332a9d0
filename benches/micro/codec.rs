//! The codec: heads of requests and responses, the chunked coding, encoding. `httparse`, which only splits a head into
//! its fields, runs beside as the measure for the parsers.

use benches::{REQUEST, RESPONSE, SMALL_REQUEST};
use criterion::{Criterion, Throughput};
use gateway::http::{
    BodyDecoder, Framing, HeadLimits, LAST_CHUNK, Method, Parsed, RequestHead, ResponseHead,
    write_chunk_size, write_content_length, write_field, write_request_line, write_status_line,
};
use std::hint::black_box;

pub(crate) fn heads(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    for (name, input) in [("request", REQUEST), ("request, small", SMALL_REQUEST)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(input.len() as u64));
        let mut head = RequestHead::new();
        group.bench_function("parse", |bencher| {
            bencher.iter(|| {
                assert!(matches!(head.parse(black_box(input), &limits), Ok(Parsed::Complete { .. })));
            });
        });
        group.bench_function("httparse", |bencher| {
            bencher.iter(|| {
                let mut fields = [httparse::EMPTY_HEADER; 32];
                assert!(
                    httparse::Request::new(&mut fields)
                        .parse(black_box(input))
                        .is_ok_and(|s| s.is_complete())
                );
            });
        });
        group.finish();
    }

    let mut group = criterion.benchmark_group("response");
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    let mut head = ResponseHead::new();
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            let parsed = head.parse(black_box(RESPONSE), Method::Get, &limits);
            assert!(matches!(parsed, Ok(Parsed::Complete { .. })));
        });
    });
    group.bench_function("httparse", |bencher| {
        bencher.iter(|| {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            assert!(
                httparse::Response::new(&mut fields)
                    .parse(black_box(RESPONSE))
                    .is_ok_and(|s| s.is_complete())
            );
        });
    });
    group.finish();
}

pub(crate) fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked, 64 KiB");
    group.throughput(Throughput::Bytes(64 * 1024));
    for size in [16, 1024, 16 * 1024] {
        let body = chunked_body(size);
        group.bench_function(format!("decode chunks of {size}"), |bencher| {
            bencher.iter(|| {
                let mut decoder = BodyDecoder::new(Framing::Chunked);
                let mut at = 0;
                while let Ok(found) = decoder.decode(black_box(&body[at..])) {
                    at += found.consumed;
                    if found.done {
                        break;
                    }
                }
                assert_eq!(at, body.len());
            });
        });
    }
    group.finish();
}

/// A parsed head is written again, as a proxy does with every message.
pub(crate) fn encode(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("encode");
    let mut out = Vec::with_capacity(4096);

    let mut request = RequestHead::new();
    assert!(matches!(request.parse(REQUEST, &limits), Ok(Parsed::Complete { .. })));
    group.bench_function("request head", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_request_line(&mut out, request.method(), request.path_and_query());
            copy_fields(&mut out, request.fields().filter(|(name, _)| !request.is_hop_by_hop(name)));
            black_box(&out);
        });
    });

    let mut response = ResponseHead::new();
    assert!(matches!(response.parse(RESPONSE, Method::Get, &limits), Ok(Parsed::Complete { .. })));
    group.bench_function("response head", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_status_line(&mut out, response.status());
            write_content_length(&mut out, 128);
            copy_fields(&mut out, response.fields().filter(|(name, _)| !response.is_hop_by_hop(name)));
            black_box(&out);
        });
    });
    group.finish();
}

fn copy_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a str, &'a [u8])>) {
    for (name, value) in fields {
        assert!(write_field(out, name, value).is_ok());
    }
    out.extend_from_slice(b"\r\n");
}

/// 64 KiB in chunks of `size` bytes, the last chunk included.
fn chunked_body(size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..(64 * 1024) / size {
        write_chunk_size(&mut body, size);
        body.resize(body.len() + size, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(LAST_CHUNK);
    body
}
