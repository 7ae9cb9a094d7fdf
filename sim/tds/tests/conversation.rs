//! Conversations with the server over a real socket, in the bytes of the protocol.

mod support;

use std::{net::Shutdown, sync::atomic::Ordering, time::Duration};

use rstest::rstest;
use support::{
    client::{
        ATTENTION, BATCH, Client, Login, RPC, TRANSACTION, Token, packet, prelogin, utf16,
        with_headers,
    },
    config, start, watched,
};
use tds_server::{CancelReason, Encryption, Value};

const DONE: u8 = 0xFD;
const DONE_PROC: u8 = 0xFE;
const MORE: u16 = 1;
const ERROR: u16 = 2;
const COUNT: u16 = 0x10;
const ATTN: u16 = 0x20;

fn done(status: u16, command: u16, rows: u64) -> Token {
    Token::Done { token: DONE, status, command, rows }
}

fn numbers(tokens: &[Token]) -> Vec<i32> {
    tokens.iter().filter_map(Token::number).collect()
}

/// Catches: a password compared scrambled, a login answer in another order than clients expect, a lost database.
#[test]
fn a_login_is_welcomed() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::connect(server.local_addr());
        let login = Login { user: "SA", database: "pubs", packet_bytes: 8000, ..Login::default() };
        let tokens = client.handshake(&login);
        assert_eq!(numbers(&tokens), [5701, 5703]);
        let kinds: Vec<u8> = (tokens.iter())
            .filter_map(
                |token| if let Token::Change { kind, .. } = token { Some(*kind) } else { None },
            )
            .collect();
        assert_eq!(kinds, [1, 7, 2, 4]);
        assert!(tokens.contains(&Token::Change {
            kind: 4,
            data: [&[4][..], &utf16("8000"), &[4], &utf16("4096")].concat()
        }));
        assert_eq!(tokens.last(), Some(&done(0, 0, 0)));
        let client = canned.clients.lock().unwrap()[0].clone();
        assert_eq!(
            (client.database.as_str(), client.sysadmin, client.encrypted),
            ("pubs", true, false)
        );
    });
}

/// Catches: a wrong or empty password let in, an unknown user let in, a refusal without its numbers.
#[rstest]
#[case::wrong(Login { password: "wrong", ..Login::default() }, &[18456])]
#[case::case_matters(Login { password: "pässw0rd!", ..Login::default() }, &[18456])]
#[case::empty(Login { password: "", ..Login::default() }, &[18456])]
#[case::unknown(Login { user: "nobody", ..Login::default() }, &[18456])]
#[case::windows(Login { integrated: true, ..Login::default() }, &[18452])]
#[case::database(Login { database: "nowhere", ..Login::default() }, &[4060, 18456])]
#[case::old(Login { version: 0x7100_0001, ..Login::default() }, &[17832])]
fn a_login_is_refused(#[case] login: Login<'static>, #[case] expected: &'static [i32]) {
    watched(move || {
        let (server, _canned) = start(config(Encryption::Off));
        let mut client = Client::connect(server.local_addr());
        let tokens = client.handshake(&login);
        assert_eq!(numbers(&tokens), expected);
        assert_eq!(tokens.last(), Some(&done(ERROR, 0, 0)));
        assert_eq!(client.last_words(), []);
    });
}

/// Catches: no word to a client that is one too many, a place that is never given back.
#[test]
fn one_session_too_many_is_refused_until_one_ends() {
    watched(|| {
        let mut config = config(Encryption::Off);
        config.limits.sessions = 1;
        let (server, canned) = start(config);
        let first = Client::log_in(server.local_addr());
        let refused = Client::connect(server.local_addr()).handshake(&Login::default());
        assert_eq!(numbers(&refused), [17809]);
        drop(first);
        canned.wait_until("the session ends", |canned| canned.ended.load(Ordering::SeqCst) == 1);
        canned.wait_until("the place is free", |_| {
            numbers(&Client::connect(server.local_addr()).handshake(&Login::default())) != [17809]
        });
    });
}

/// Catches: connections beyond the limit on logins kept, or slow logins kept for ever.
#[test]
fn slow_logins_make_room() {
    watched(|| {
        let mut config = config(Encryption::Off);
        config.limits.logins = 2;
        config.limits.login_time = Duration::from_millis(300);
        let (server, canned) = start(config);
        let mut slow = [Client::connect(server.local_addr()), Client::connect(server.local_addr())];
        // A byte now and then does not buy time.
        slow[0].send_bytes(&[PRELOGIN_TYPE]);
        assert_eq!(Client::connect(server.local_addr()).last_words(), []);
        canned.wait_until("the slow ones are gone", |_| server.connections() == 0);
        // Nor do bytes that never stop coming.
        let mut dripping = std::net::TcpStream::connect(server.local_addr()).unwrap();
        let drip = std::thread::spawn(move || {
            while std::io::Write::write_all(&mut dripping, &[PRELOGIN_TYPE]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        drip.join().unwrap();
        canned.wait_until("the dripping one is gone", |_| server.connections() == 0);
        Client::log_in(server.local_addr()).batch("anything");
    });
}
const PRELOGIN_TYPE: u8 = 0x12;

/// Catches: a request that never ends holding its connection for ever.
#[test]
fn half_a_request_does_not_last() {
    watched(|| {
        let mut config = config(Encryption::Off);
        config.limits.request_time = Duration::from_millis(200);
        let (server, canned) = start(config);
        let mut client = Client::log_in(server.local_addr());
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(client.batch("idle connections are kept"), [done(0, 253, 0)]);
        client.send_bytes(&[BATCH, 1, 0]);
        assert_eq!(client.last_words(), []);
        canned.wait_until("the connection is closed", |_| server.connections() == 0);
    });
}

/// Catches: messages kept until the statement ends, a DONE that says "last" too early, a class 10 on the wire.
#[test]
fn progress_is_seen_while_the_statement_runs() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(BATCH, &with_headers(&utf16("progress paced")));
        let info = |text: &str| Token::Info { number: 3211, class: 0, text: text.to_owned() };
        canned.allowed.store(1, Ordering::SeqCst);
        assert_eq!(client.tokens_of_packet(), [info("20 percent processed."), done(MORE, 228, 0)]);
        canned.allowed.store(2, Ordering::SeqCst);
        assert_eq!(client.tokens_of_packet(), [info("40 percent processed."), done(MORE, 228, 0)]);
        canned.allowed.store(5, Ordering::SeqCst);
        let rest = client.answer();
        assert_eq!(numbers(&rest), [3211, 3211, 3211, 3014]);
        assert_eq!(rest.last(), Some(&done(0, 228, 0)));
    });
}

/// Catches: rows lost or torn where packets end, a wrong count, packets larger than agreed.
#[rstest]
#[case(512)]
#[case(4096)]
#[case(32767)]
fn rows_span_packets(#[case] packet_bytes: u32) {
    watched(move || {
        let (server, _canned) = start(config(Encryption::Off));
        let mut client = Client::connect(server.local_addr());
        client.handshake(&Login { packet_bytes, ..Login::default() });
        let tokens = client.batch("rows 20000");
        let rows: Vec<i32> = (tokens.iter())
            .filter_map(|token| match token {
                Token::Row(bytes) => Some(i32::from_le_bytes(bytes.as_slice().try_into().unwrap())),
                _ => None,
            })
            .collect();
        assert_eq!(rows, (0..20_000).collect::<Vec<_>>());
        assert_eq!(tokens.last(), Some(&done(COUNT, 193, 20_000)));
        client.send(BATCH, &with_headers(&utf16("rows 2000")));
        let length = |header: [u8; 8]| u32::from(u16::from_be_bytes([header[2], header[3]]));
        assert!(length(client.packet().unwrap()) <= packet_bytes);
    });
}

/// Catches: a batch in several packets cut or joined wrongly, one that the client takes back executed.
#[test]
fn batches_span_packets_and_can_be_taken_back() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        let text = format!("rows 1 -- {}", "ö".repeat(10_000));
        let message = with_headers(&utf16(&text));
        for (status, piece) in [(0, &message[..4001]), (3, &message[4001..8001])] {
            client.send_bytes(&packet(BATCH, status, piece));
        }
        let last = message.chunks(4000).count() - 1;
        for (index, piece) in message.chunks(4000).enumerate() {
            client.send_bytes(&packet(BATCH, u8::from(index == last), piece));
        }
        assert_eq!(client.answer().last(), Some(&done(COUNT, 193, 1)));
        assert_eq!(*canned.batches.lock().unwrap(), [text]);
    });
}

/// Catches: an error without its line, a DONE without the error bit, an error that sticks to the next batch.
#[test]
fn an_error_is_the_batchs_own() {
    watched(|| {
        let (server, _canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        let text = "Incorrect syntax near 'fail'.".to_owned();
        let error = Token::Error { number: 102, class: 15, text, line: 3 };
        assert_eq!(client.batch("fail"), [error, done(ERROR, 253, 0)]);
        assert_eq!(client.batch("set nocount on"), [done(0, 253, 0)]);
    });
}

/// Catches: a value out of its type's range sent as another number.
#[test]
fn a_value_that_does_not_fit_is_an_error() {
    watched(|| {
        let (server, _canned) = start(config(Encryption::Off));
        let tokens = Client::log_in(server.local_addr()).batch("misfit");
        assert_eq!(numbers(&tokens), [50_000]);
        assert_eq!(tokens.last(), Some(&done(ERROR | COUNT, 193, 0)));
    });
}

/// Catches: an attention that does not reach a running statement, one answer where the protocol has two messages, a
/// cancel that lasts into the next request.
#[test]
fn an_attention_ends_the_running_statement() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(BATCH, &with_headers(&utf16("hang")));
        assert_eq!(numbers(&client.tokens_of_packet()), [3211]);
        client.send(ATTENTION, &[]);
        let tokens = client.answer();
        assert_eq!(numbers(&tokens), [3204, 3013]);
        assert_eq!(tokens.last(), Some(&done(ERROR, 228, 0)));
        assert_eq!(client.answer(), [done(ATTN, 253, 0)]);
        assert_eq!(*canned.cancels.lock().unwrap(), [CancelReason::Attention]);
        assert_eq!(numbers(&client.batch("progress")), [3211, 3211, 3211, 3211, 3211, 3014]);
    });
}

/// Catches: an attention that comes late, or breaks into a request, left without its answer.
#[test]
fn every_attention_is_answered() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(ATTENTION, &[]);
        assert_eq!(client.answer(), [done(ATTN, 253, 0)]);
        client.send_bytes(&packet(BATCH, 0, &with_headers(&utf16("half of a batch"))));
        client.send(ATTENTION, &[]);
        assert_eq!(client.answer(), [done(ATTN, 253, 0)]);
        assert_eq!(client.batch("whole"), [done(0, 253, 0)]);
        assert_eq!(*canned.batches.lock().unwrap(), ["whole"]);
    });
}

/// Catches: a statement that goes on after its client is gone, however it went.
#[rstest]
#[case::closed(false)]
#[case::half_closed(true)]
fn a_dropped_connection_cancels(#[case] half: bool) {
    watched(move || {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(BATCH, &with_headers(&utf16("hang")));
        client.tokens_of_packet();
        if half {
            client.stream.shutdown(Shutdown::Write).unwrap();
        } else {
            drop(client);
        }
        canned.wait_until("the session ends", |canned| canned.ended.load(Ordering::SeqCst) == 1);
        assert_eq!(*canned.cancels.lock().unwrap(), [CancelReason::Disconnected]);
        canned.wait_until("the place is free", |_| server.connections() == 0);
    });
}

/// Catches: a server that cannot be stopped while a statement runs, or leaves it running.
#[test]
fn stopping_ends_statements() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(BATCH, &with_headers(&utf16("hang")));
        client.tokens_of_packet();
        server.stop();
        assert_eq!(*canned.cancels.lock().unwrap(), [CancelReason::Disconnected]);
        assert_eq!(canned.ended.load(Ordering::SeqCst), 1);
    });
}

/// Catches: an engine's panic that takes the server along, or leaves the client waiting.
#[test]
fn a_panicking_engine_costs_its_own_connection_only() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut bystander = Client::log_in(server.local_addr());
        let mut client = Client::log_in(server.local_addr());
        client.send(BATCH, &with_headers(&utf16("panic")));
        client.last_words();
        assert_eq!(bystander.batch("still there"), [done(0, 253, 0)]);
        canned.wait_until("the place is free", |_| server.connections() == 1);
    });
}

fn call(name: &[u8], parameters: &[u8]) -> Vec<u8> {
    [name, &[0, 0], parameters].concat()
}

/// An nvarchar parameter without a name.
fn text_parameter(text: &str) -> Vec<u8> {
    let bytes = utf16(text);
    let length = (bytes.len() as u16).to_le_bytes();
    [&[0, 0, 0xE7, 0xA0, 0x0F, 9, 4, 0xD0, 0, 0x34][..], &length, &bytes].concat()
}

/// Catches: procedures known only by name or only by number, a lost parameter, a missing return status or output
/// value, calls of one message joined.
#[test]
fn procedures_by_number_and_by_name() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        let by_number = call(&[0xFF, 0xFF, 10, 0], &text_parameter("rows 2"));
        let output = [&[2][..], &utf16("@h"), &[1, 0x26, 4, 0]].concat();
        let by_name = call(&[&[4, 0][..], &utf16("sp_x")].concat(), &output);
        client.send(RPC, &with_headers(&[&by_number[..], &[0xFF], &by_name].concat()));
        let tokens = client.answer();
        let expected = [
            Token::Columns(1),
            Token::Row(vec![0, 0, 0, 0]),
            Token::Row(vec![1, 0, 0, 0]),
            Token::Done { token: 0xFF, status: COUNT | MORE, command: 193, rows: 2 },
            Token::ReturnStatus(0),
            Token::Done { token: DONE_PROC, status: MORE, command: 224, rows: 0 },
            Token::ReturnStatus(0),
            Token::ReturnValue(0, vec![42, 0, 0, 0]),
            Token::Done { token: DONE_PROC, status: 0, command: 224, rows: 0 },
        ];
        assert_eq!(tokens, expected);
        let calls = canned.calls.lock().unwrap();
        let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["sp_executesql", "sp_x"]);
        assert_eq!(calls[1].parameters[0].name, "@h");
        assert_eq!(calls[1].parameters[0].value, Value::Null);
    });
}

/// Catches: a parameter of an unknown type that closes the connection, or is guessed at.
#[test]
fn an_unknown_parameter_type_is_an_error_of_the_call() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        client.send(RPC, &with_headers(&call(&[0xFF, 0xFF, 10, 0], &[0, 0, 0xF3, 0])));
        assert_eq!(numbers(&client.answer()), [8009]);
        assert_eq!(client.batch("next"), [done(0, 253, 0)]);
        assert!(canned.calls.lock().unwrap().is_empty());
    });
}

/// Catches: transaction requests without their changes, a descriptor used twice.
#[test]
fn transaction_requests() {
    watched(|| {
        let (server, _canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        let change = |kind: u8, data: &[u8]| Token::Change { kind, data: data.to_vec() };
        client.send(TRANSACTION, &with_headers(&[5, 0, 0, 0]));
        let began = change(8, &[8, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(client.answer(), [began, done(0, 253, 0)]);
        // Commit, and begin the next.
        client.send(TRANSACTION, &with_headers(&[7, 0, 0, 1, 0, 0]));
        let ended = change(9, &[0, 8, 1, 0, 0, 0, 0, 0, 0, 0]);
        let began = change(8, &[8, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(client.answer(), [ended, began, done(0, 253, 0)]);
        client.send(TRANSACTION, &with_headers(&[8, 0, 0, 0]));
        let ended = change(10, &[0, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(client.answer(), [ended, done(0, 253, 0)]);
        client.send(TRANSACTION, &with_headers(&[0, 0]));
        assert_eq!(numbers(&client.answer()), [8501]);
    });
}

/// Catches: a pooled connection that keeps its last user's database, or never says that it was reset.
#[rstest]
#[case(9, false)]
#[case(17, true)]
fn a_reset_goes_before_its_request(#[case] status: u8, #[case] keep_transaction: bool) {
    watched(move || {
        let (server, canned) = start(config(Encryption::Off));
        let mut client = Client::log_in(server.local_addr());
        let database = |new: &str, old: &str| Token::Change {
            kind: 1,
            data: [&[new.len() as u8][..], &utf16(new), &[old.len() as u8], &utf16(old)].concat(),
        };
        assert_eq!(client.batch("use [pubs]")[0], database("pubs", "master"));
        client.send_bytes(&packet(BATCH, status, &with_headers(&utf16("select 1"))));
        let tokens = client.answer();
        assert_eq!(tokens[0], Token::Change { kind: 18, data: vec![0, 0] });
        assert_eq!(tokens[1], database("master", "pubs"));
        assert_eq!(tokens[2], Token::Columns(1));
        assert_eq!(*canned.resets.lock().unwrap(), [keep_transaction]);
    });
}

/// Catches: another answer on encryption than the table of MS-TDS 2.2.6.5.
#[rstest]
#[case(Encryption::Off, 0, 2)]
#[case(Encryption::Off, 1, 2)]
#[case(Encryption::Off, 2, 2)]
#[case(Encryption::Auto, 0, 0)]
#[case(Encryption::Auto, 1, 1)]
#[case(Encryption::Auto, 2, 2)]
#[case(Encryption::Auto, 3, 1)]
#[case(Encryption::Required, 0, 3)]
#[case(Encryption::Required, 1, 1)]
#[case(Encryption::Required, 2, 3)]
fn encryption_is_negotiated(#[case] server: Encryption, #[case] asked: u8, #[case] answered: u8) {
    watched(move || {
        let (handle, _canned) = start(config(server));
        let mut client = Client::connect(handle.local_addr());
        client.send(0x12, &prelogin(asked));
        assert_eq!(client.packet().unwrap()[0], 4);
        let reply = client.take_bytes();
        // VERSION, ENCRYPTION, INSTOPT, THREADID, MARS: 26 bytes of table, then their data.
        assert_eq!((reply[26], reply[27]), (16, 0));
        assert_eq!(reply[32], answered);
        assert_eq!(reply[34], 0, "MARS is refused");
        if (server, asked) == (Encryption::Required, 2) {
            // It logs in all the same, in clear.
            client.send(support::client::LOGIN, &Login::default().encode());
            assert_eq!(client.last_words(), []);
        }
    });
}

/// Catches: a server that lets a login in clear through when it requires TLS.
#[test]
fn required_encryption_cannot_be_skipped() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Required));
        let mut client = Client::connect(server.local_addr());
        client.send(support::client::LOGIN, &Login::default().encode());
        assert_eq!(numbers(&client.answer()), [17835]);
        assert!(canned.clients.lock().unwrap().is_empty());
    });
}

/// Catches: a limit or a thread per connection that does not carry 200 of them, all working.
#[test]
fn two_hundred_connections_at_once() {
    watched(|| {
        let (server, _canned) = start(config(Encryption::Off));
        let mut clients: Vec<_> = (0..200).map(|_| Client::log_in(server.local_addr())).collect();
        assert_eq!(server.connections(), 200);
        for client in &mut clients {
            client.send(BATCH, &with_headers(&utf16("rows 3")));
        }
        for client in &mut clients {
            assert_eq!(client.answer().last(), Some(&done(COUNT, 193, 3)));
        }
    });
}
