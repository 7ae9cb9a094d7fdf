//! What no client should send: each case ends with an error token where the protocol allows one, then the connection
//! is closed, and the server serves the next client.

mod support;

use rstest::rstest;
use support::{
    client::{
        ATTENTION, BATCH, Client, LOGIN, Login, PRELOGIN, RPC, TRANSACTION, Token, packet,
        prelogin, utf16, with_headers,
    },
    config, start, watched,
};
use tds_server::Encryption;

/// How far the client behaves before it does not.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Connect,
    PreLogin,
    /// PRELOGIN came to TLS for everything.
    Agreement,
    Login,
}

/// The numbers of the errors that come before the connection is closed.
fn misbehave(after: After, bytes: &[u8]) -> Vec<i32> {
    let (server, _canned) = start(config(Encryption::Auto));
    let mut client = Client::connect(server.local_addr());
    match after {
        After::Connect => {}
        After::PreLogin | After::Agreement => {
            client.send(PRELOGIN, &prelogin(if after == After::Agreement { 1 } else { 2 }));
            client.packet().unwrap();
            client.take_bytes();
        }
        After::Login => drop(client.handshake(&Login::default())),
    }
    client.send_bytes(bytes);
    let tokens = client.last_words();
    let mut others = Client::log_in(server.local_addr());
    assert!(!others.batch("the server is alive").is_empty());
    for token in &tokens {
        match token {
            Token::Error { class, text, .. } => {
                assert!(*class >= 16, "{token:?}");
                assert!(text.ends_with(|last| ".".contains(last) || char::is_alphanumeric(last)));
            }
            other => assert!(matches!(other, Token::Done { status: 2, .. }), "{other:?}"),
        }
    }
    tokens.iter().filter_map(Token::number).collect()
}

/// A LOGIN7 with some bytes replaced.
fn login_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut login = Login::default().encode();
    login[at..at + bytes.len()].copy_from_slice(bytes);
    packet(LOGIN, 1, &login)
}

fn request(kind: u8, body: &[u8]) -> Vec<u8> {
    packet(kind, 1, &with_headers(body))
}

/// Catches: a decoder that trusts a length, skips a check, or swallows an error, at each place named by a case.
#[rstest]
// Before anything.
#[case::http(After::Connect, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[17828])]
#[case::tls_first(After::Connect, vec![0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], &[17828])]
#[case::zeros(After::Connect, vec![0; 64], &[17828])]
#[case::ones(After::Connect, vec![0xFF; 64], &[17828])]
#[case::short_length(After::Connect, vec![PRELOGIN, 1, 0, 7, 0, 0, 1, 0], &[17828])]
#[case::long_length(After::Connect, vec![PRELOGIN, 1, 0xFF, 0xFF, 0, 0, 1, 0], &[17828])]
#[case::empty_prelogin(After::Connect, packet(PRELOGIN, 1, &[]), &[17828])]
#[case::no_terminator(After::Connect, packet(PRELOGIN, 1, &[0, 0, 6, 0, 0]), &[17828])]
#[case::option_outside(After::Connect, packet(PRELOGIN, 1, &[1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), &[17828])]
#[case::empty_encryption(After::Connect, packet(PRELOGIN, 1, &[1, 0, 6, 0, 0, 0xFF]), &[17828])]
#[case::unknown_encryption(After::Connect, packet(PRELOGIN, 1, &prelogin(9)), &[17828])]
#[case::certificate_encryption(After::Connect, packet(PRELOGIN, 1, &prelogin(0x81)), &[17828])]
#[case::huge_prelogin(After::Connect, packet(PRELOGIN, 1, &[0; 20_000]), &[17828])]
#[case::batch_first(After::Connect, request(BATCH, &utf16("select 1")), &[17832])]
#[case::attention_first(After::Connect, packet(ATTENTION, 1, &[]), &[17832])]
// In place of the TLS handshake that was agreed on.
#[case::login_in_clear(After::Agreement, packet(LOGIN, 1, &Login::default().encode()), &[17828])]
#[case::no_tls_in_tls(After::Agreement, packet(PRELOGIN, 1, b"no TLS record"), &[])]
// In place of the login.
#[case::batch_before_login(After::PreLogin, request(BATCH, &utf16("select 1")), &[17832])]
#[case::empty_login(After::PreLogin, packet(LOGIN, 1, &[]), &[17832])]
#[case::short_login(After::PreLogin, packet(LOGIN, 1, &[94, 0, 0, 0]), &[17832])]
#[case::login_length(After::PreLogin, login_with(0, &[0xFF, 0xFF, 0xFF, 0xFF]), &[17832])]
#[case::login_user_outside(After::PreLogin, login_with(40, &[0xFF, 0xFF, 0xFF, 0xFF]), &[17832])]
#[case::login_password_outside(After::PreLogin, login_with(46, &[0xFF, 0x7F]), &[17832])]
#[case::login_extension_outside(After::PreLogin, login_with(27, &[0x10]), &[17832])]
#[case::login_user_not_utf16(After::PreLogin, login_with(94, &[0x00, 0xD8]), &[17832])]
#[case::huge_login(After::PreLogin, (0..5).flat_map(|_| packet(LOGIN, 0, &[0; 32_000])).collect(), &[17832])]
#[case::mixed_types(
    After::PreLogin,
    [packet(LOGIN, 0, &[0; 8]), packet(BATCH, 1, &[0; 8])].concat(),
    &[17832]
)]
// After the login.
#[case::unknown_type(After::Login, vec![0x63, 1, 0, 8, 0, 0, 1, 0], &[4002])]
#[case::second_login(After::Login, packet(LOGIN, 1, &Login::default().encode()), &[4002])]
#[case::bulk_load(After::Login, packet(7, 1, &[0; 8]), &[4002])]
#[case::larger_than_agreed(After::Login, vec![BATCH, 1, 0x20, 0, 0, 0, 1, 0], &[4002])]
#[case::no_headers(After::Login, packet(BATCH, 1, &[]), &[4002])]
#[case::headers_outside(After::Login, packet(BATCH, 1, &[0xFF, 0xFF, 0xFF, 0x7F, 0, 0]), &[4002])]
#[case::headers_too_short(After::Login, packet(BATCH, 1, &[3, 0, 0, 0]), &[4002])]
#[case::header_of_nothing(After::Login, packet(BATCH, 1, &[8, 0, 0, 0, 0, 0, 0, 0]), &[4002])]
#[case::header_without_type(After::Login, packet(BATCH, 1, &[8, 0, 0, 0, 4, 0, 0, 0]), &[4002])]
#[case::header_outside(After::Login, packet(BATCH, 1, &[10, 0, 0, 0, 0xFF, 0xFF, 0, 0, 2, 0]), &[4002])]
#[case::odd_text(After::Login, request(BATCH, b"odd"), &[4002])]
#[case::lone_surrogate(After::Login, request(BATCH, &[0x00, 0xDC, 0x41, 0x00]), &[4002])]
#[case::empty_call(After::Login, request(RPC, &[]), &[4002])]
#[case::call_number_zero(After::Login, request(RPC, &[0xFF, 0xFF, 0, 0, 0, 0]), &[4002])]
#[case::call_number_unknown(After::Login, request(RPC, &[0xFF, 0xFF, 16, 0, 0, 0]), &[4002])]
#[case::call_name_outside(After::Login, request(RPC, &[0xFE, 0xFF, b'x', 0]), &[4002])]
#[case::parameter_cut(After::Login, request(RPC, &[0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0x26]), &[4002])]
#[case::parameter_outside(
    After::Login,
    request(RPC, &[0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0xE7, 2, 0, 0, 0, 0, 0, 0, 0xFE, 0xFF]),
    &[4002]
)]
#[case::chunk_outside(
    After::Login,
    request(RPC, &[
        0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0xE7, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF,
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    ]),
    &[4002]
)]
#[case::transaction_unknown(After::Login, request(TRANSACTION, &[77, 0]), &[4002])]
#[case::transaction_cut(After::Login, request(TRANSACTION, &[7, 0]), &[4002])]
fn misbehaviour_is_answered_and_ended(
    #[case] after: After,
    #[case] bytes: Vec<u8>,
    #[case] expected: &'static [i32],
) {
    watched(move || assert_eq!(misbehave(after, &bytes), expected));
}

/// Catches: a request kept in memory whatever its size.
#[test]
fn a_request_beyond_the_limit_is_refused() {
    watched(|| {
        let mut config = config(Encryption::Off);
        config.limits.request_bytes = 10_000;
        let (server, _canned) = start(config);
        let mut client = Client::connect(server.local_addr());
        client.handshake(&Login { packet_bytes: 16_000, ..Login::default() });
        client.batch(&"x".repeat(4_900));
        for _ in 0..3 {
            client.send_bytes(&packet(BATCH, 0, &[0; 4_000]));
        }
        assert_eq!(client.last_words().first().and_then(Token::number), Some(4002));
    });
}

/// Catches: a client that sends without reading filling the server's memory, or blocking its own end.
#[test]
fn a_flood_of_requests_is_cut_off() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        for _ in 0..8 {
            client.send(BATCH, &with_headers(&utf16("hang")));
        }
        client.last_words();
        canned.wait_until("the connection is closed", |_| server.connections() == 0);
        assert!(canned.batches.lock().unwrap().len() < 8);
    });
}

/// Catches: a message cut anywhere that makes the server fail or keep the connection.
#[test]
fn connections_that_end_anywhere() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Auto));
        let conversation = [
            packet(PRELOGIN, 1, &prelogin(2)),
            packet(LOGIN, 1, &Login::default().encode()),
            request(BATCH, &utf16("select 1")),
        ]
        .concat();
        for length in 0..conversation.len() {
            Client::connect(server.local_addr()).send_bytes(&conversation[..length]);
        }
        canned.wait_until("all are gone", |_| server.connections() == 0);
        Client::log_in(server.local_addr()).batch("alive");
    });
}
