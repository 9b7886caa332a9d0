//! A ZIP archive in memory (APPNOTE.TXT 6.3): deflated files with names of ASCII, all dated 1980-01-01, so that the
//! same files are the same bytes.

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// 2.0: what a reader must know to inflate.
const VERSION: u16 = 20;
const DEFLATED: u16 = 8;
/// In MS-DOS's form.
const MIDNIGHT: u16 = 0;
const YEAR_1980: u16 = 1 << 5 | 1;

/// One file of an archive.
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Err: longer than a plain archive can be (4 GiB, 65,535 files).
pub(super) fn archive(files: &[File]) -> io::Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let at = size(out.len())?;
        let mut crc = Crc::new();
        crc.update(&file.bytes);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&file.bytes)?;
        let packed = encoder.finish()?;
        let mut common = Vec::new();
        for field in [VERSION, 0, DEFLATED, MIDNIGHT, YEAR_1980] {
            common.extend(field.to_le_bytes());
        }
        for field in [crc.sum(), size(packed.len())?, size(file.bytes.len())?] {
            common.extend(field.to_le_bytes());
        }
        common.extend(count(file.name.len())?.to_le_bytes());
        common.extend([0; 2]); // no extra field
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(file.name.as_bytes());
        out.extend(packed);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(file.name.as_bytes());
    }
    let (at, files) = (size(out.len())?, count(files.len())?);
    let length = size(directory.len())?;
    out.extend(directory);
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]); // the first disk, and the only one
    out.extend(files.to_le_bytes());
    out.extend(files.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0; 2]); // no comment
    Ok(out)
}

fn size(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}

fn count(of: usize) -> io::Result<u16> {
    u16::try_from(of).map_err(io::Error::other)
}

/// The files of an archive of ours, read along its directory; for tests.
#[cfg(test)]
pub(super) fn files(archive: &[u8]) -> Vec<File> {
    use std::io::Read;
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(archive[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap());
    let long = |at: usize| usize::try_from(u32_at(at)).unwrap();
    let end = archive.len() - 22;
    assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
    let mut at = long(end + 16);
    let mut files = Vec::new();
    for _ in 0..u16_at(end + 10) {
        assert_eq!(&archive[at..at + 4], b"PK\x01\x02");
        let name = u16_at(at + 28);
        let start = long(at + 42);
        assert_eq!(&archive[start..start + 4], b"PK\x03\x04");
        assert_eq!(archive[start + 4..start + 30], archive[at + 6..at + 32]);
        assert_eq!(archive[start + 30..start + 30 + name], archive[at + 46..at + 46 + name]);
        let packed = &archive[start + 30 + name..start + 30 + name + long(at + 20)];
        let mut bytes = Vec::new();
        flate2::read::DeflateDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        let mut crc = Crc::new();
        crc.update(&bytes);
        assert_eq!((crc.sum(), bytes.len()), (u32_at(at + 16), long(at + 24)));
        let name = String::from_utf8(archive[at + 46..at + 46 + name].to_vec()).unwrap();
        at += 46 + name.len();
        files.push(File { name, bytes });
    }
    assert_eq!(at, end);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_found_again() {
        let file = |name: &str, bytes: Vec<u8>| File { name: name.into(), bytes };
        let packed =
            [file("a/b.txt", b"b".to_vec()), file("a/empty", Vec::new()), file("long", vec![b'x'; 100_000])];
        let archive = archive(&packed).unwrap();
        assert!(archive.len() < 1_000);
        let found = files(&archive);
        assert_eq!(found.len(), 3);
        for (found, packed) in found.iter().zip(&packed) {
            assert_eq!((&found.name, &found.bytes), (&packed.name, &packed.bytes));
        }
    }
}
