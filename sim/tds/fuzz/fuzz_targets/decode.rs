//! Whatever a client sends is decoded or refused. The first byte chooses the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tds_server::wire::{
    login::Login7,
    packet::{MAX_PACKET_BYTES, PacketHeader},
    prelogin::PreLogin,
    request, rpc,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, message)) = bytes.split_first() else { return };
    match choice % 6 {
        0 => drop(PreLogin::decode(message)),
        1 => drop(Login7::decode(message)),
        2 => drop(request::decode_batch(message)),
        3 => drop(request::decode_transaction(message)),
        4 => drop(rpc::decode(message)),
        _ => {
            let Some((header, _)) = message.split_first_chunk() else { return };
            if let Ok(decoded) = PacketHeader::decode(*header, MAX_PACKET_BYTES) {
                // The last byte is the window, which is not kept.
                assert_eq!(decoded.encode()[..7], header[..7]);
            }
        }
    }
});
