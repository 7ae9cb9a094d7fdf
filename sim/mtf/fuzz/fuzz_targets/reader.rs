//! Any bytes in any pieces: no panic, no endless loop, and the pieces make no difference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mtf::{MtfError, Reader, RewriteError, Rewriter};

/// What comes out of a stream that is fed in pieces of `size`.
fn rewrite(stream: &[u8], size: usize) -> Result<Vec<u8>, MtfError> {
    let (mut reader, mut rewriter) = (Reader::new(), Rewriter::new(Vec::new()));
    for piece in stream.chunks(size) {
        match reader.feed(piece, &mut rewriter) {
            Ok(_) => {}
            Err(RewriteError::Stream(error)) => return Err(error),
            Err(RewriteError::Output(_)) => return Ok(Vec::new()),
        }
    }
    reader.finish()?;
    Ok(rewriter.into_inner())
}

fuzz_target!(|data: &[u8]| {
    let Some(([low, high], stream)) = data.split_first_chunk() else { return };
    let size = usize::from(u16::from_le_bytes([*low, *high])).max(1);
    let copy = rewrite(stream, size);
    assert_eq!(copy, rewrite(stream, usize::MAX));
    if let Ok(copy) = copy
        && !copy.is_empty()
    {
        assert_eq!(rewrite(&copy, size).as_ref(), Ok(&copy), "a copy's copy is the copy");
    }
    let _ = mtf::describe(stream).to_string();
});
