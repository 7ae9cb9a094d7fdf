//! Streams whose header checksums are always right, so that the fuzzer gets past them.

#![no_main]
#![expect(clippy::disallowed_methods, reason = "libfuzzer's mutator macro wraps its own buffer")]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use mtf::{BlockHeader, MtfError, Reader, StreamHeader, block_type, stream_id};

struct Nobody;

impl mtf::Events for Nobody {
    type Error = MtfError;

    fn damage(&mut self, _damage: MtfError) -> Result<(), MtfError> {
        Ok(())
    }
}

fuzz_target!(|stream: &[u8]| {
    let mut reader = Reader::new();
    let _ = reader.feed(stream, &mut Nobody).and_then(|_| reader.finish());
    let _ = mtf::describe(stream).to_string();
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    seal(&mut data[..size]);
    size
});

/// Walks the headers of a stream and makes their checksums right.
fn seal(stream: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = stream.get_mut(at..).filter(|rest| rest.len() >= BlockHeader::SIZE) {
        store_checksum(&mut block[..BlockHeader::SIZE]);
        let is_mark = BlockHeader::TYPE.read(block) == block_type::SFMB.0;
        at += usize::from(BlockHeader::FIRST_EVENT.read(block)).max(BlockHeader::SIZE);
        let mut in_streams = !is_mark;
        while in_streams {
            at = at.next_multiple_of(4);
            let Some(header) = stream.get_mut(at..at + StreamHeader::SIZE) else { return };
            store_checksum(header);
            in_streams = header[..4] != stream_id::SPAD.0;
            let length =
                header[8..16].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            let Ok(length) = usize::try_from(length) else { return };
            let Some(end) = at.checked_add(StreamHeader::SIZE + length.min(1 << 30)) else {
                return;
            };
            at = end;
        }
    }
}

/// Stores the exclusive or of the header's words before its last one in that.
fn store_checksum(header: &mut [u8]) {
    let words = header.len() - 2;
    let (low, high) = header[..words]
        .chunks_exact(2)
        .fold((0, 0), |(low, high), word| (low ^ word[0], high ^ word[1]));
    header[words..].copy_from_slice(&[low, high]);
}
