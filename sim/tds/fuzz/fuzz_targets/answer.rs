//! Whatever a server answers is read or refused by the client, and read the same in any pieces. The first
//! byte says how large those are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tds_server::client::count_tokens;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, answer)) = bytes.split_first() else { return };
    let whole = count_tokens(answer, answer.len());
    let pieces = count_tokens(answer, usize::from(*piece));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("{whole:?} as a whole, {pieces:?} in pieces of {piece}"),
    }
});
