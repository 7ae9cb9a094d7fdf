//! The crate's own client against the crate's own server, and against servers that are none.

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use rstest::rstest;
use support::{PASSWORD, USER, canned, config, start, watched};
use tds_server::{
    Column, Encryption, Message, Value,
    client::{ClientError, Connection, Event, Options, Privacy},
};

/// What a batch came to.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Message>,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    counts: Vec<u64>,
}

impl Heard {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Message { message, .. } => self.messages.push(message.clone()),
            Event::Columns(columns) => self.columns = columns.to_vec(),
            Event::Row(values) => self.rows.push(values.to_vec()),
            Event::Done { rows } => self.counts.extend(rows),
        }
    }

    fn numbers(&self) -> Vec<i32> {
        self.messages.iter().map(|message| message.number).collect()
    }
}

fn options(address: SocketAddr) -> Options {
    Options {
        host: address.ip().to_string(),
        port: address.port(),
        instance: String::new(),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: String::new(),
        workstation: "there".to_owned(),
        application: "test".to_owned(),
        packet_bytes: 4096,
        privacy: Privacy::AsServer,
        // Not a bound on the server's speed: a lost answer fails where it is missed.
        login_time: Duration::from_secs(60),
    }
}

fn batch(connection: &mut Connection, text: &str) -> Heard {
    let mut heard = Heard::default();
    connection.batch(text, &mut |event| heard.hear(event)).unwrap();
    heard
}

// Catches: a type that is read otherwise than it is written, NULLs, TLS that stays on or goes off at the wrong time.
#[rstest]
fn every_type_arrives(
    #[values(Encryption::Off, Encryption::Auto, Encryption::Required)] encryption: Encryption,
    #[values(Privacy::AsServer, Privacy::Everything)] privacy: Privacy,
) {
    watched(move || {
        let (server, canned) = start(config(encryption));
        let wanted = Options { privacy, ..options(server.local_addr()) };
        let mut connection = match Connection::log_in(&wanted) {
            Err(ClientError::NoEncryption) if encryption == Encryption::Off => {
                assert_eq!(privacy, Privacy::Everything);
                return;
            }
            connection => connection.unwrap(),
        };
        assert!(encryption != Encryption::Off || privacy == Privacy::AsServer);
        let (columns, mut rows) = canned::table();
        let heard = batch(&mut connection, "table");
        assert_eq!(heard.columns, columns);
        // A fixed length is filled up.
        rows[0][6] = "D  ".into();
        assert_eq!(heard.rows, rows);
        assert_eq!(heard.counts, [2]);
        let clients = canned.clients.lock().unwrap();
        assert_eq!((clients[0].host.as_str(), clients[0].application.as_str()), ("there", "test"));
        let everything = encryption == Encryption::Required || privacy == Privacy::Everything;
        assert_eq!(clients[0].encrypted, everything);
    });
}

// Catches: tokens lost where a packet ends, at any packet size.
#[rstest]
#[case(512)]
#[case(32_767)]
fn answers_of_many_packets(#[case] packet_bytes: u16) {
    watched(move || {
        let (server, _) = start(config(Encryption::Off));
        let wanted = Options { packet_bytes, ..options(server.local_addr()) };
        let mut connection = Connection::log_in(&wanted).unwrap();
        let heard = batch(&mut connection, "rows 20000");
        assert_eq!(heard.rows.len(), 20_000);
        assert!(heard.rows.iter().enumerate().all(|(n, row)| row[..] == [Value::Int(n as i64)]));
        let long = "x".repeat(100_000);
        batch(&mut connection, &format!("use pubs -- {long}"));
    });
}

// Catches: messages that are held back until the statement ends.
#[test]
fn progress_is_heard_while_the_statement_runs() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Auto));
        let mut connection = Connection::log_in(&options(server.local_addr())).unwrap();
        canned.allowed.store(1, Ordering::SeqCst);
        let mut heard = Heard::default();
        connection
            .batch("progress paced", &mut |event| {
                heard.hear(event);
                // The next step is allowed only when this one was heard.
                canned.allowed.store(heard.messages.len() + 1, Ordering::SeqCst);
            })
            .unwrap();
        assert_eq!(heard.numbers(), [3211, 3211, 3211, 3211, 3211, 3014]);
    });
}

// Catches: an attention that is not sent, whose answer is taken for the next batch's, or that is sent while idle.
#[test]
fn an_attention_ends_the_batch_and_not_the_connection() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Auto));
        let mut connection = Connection::log_in(&options(server.local_addr())).unwrap();
        let attention = connection.attention();
        attention.send();
        for _ in 0..3 {
            let mut heard = Heard::default();
            connection
                .batch("hang", &mut |event| {
                    if matches!(event, Event::Message { message, .. } if message.number == 3211) {
                        let attention = attention.clone();
                        thread::spawn(move || attention.send());
                    }
                    heard.hear(event);
                })
                .unwrap();
            assert_eq!(heard.numbers(), [3211, 3204, 3013]);
            attention.send();
            assert_eq!(batch(&mut connection, "rows 1").counts, [1]);
        }
        assert_eq!(canned.cancels.lock().unwrap().len(), 3);
    });
}

// Catches: a batch's error that breaks the connection, or loses its line.
#[test]
fn an_error_is_a_message() {
    watched(|| {
        let (server, _) = start(config(Encryption::Off));
        let mut connection = Connection::log_in(&options(server.local_addr())).unwrap();
        let heard = batch(&mut connection, "fail");
        assert_eq!(heard.numbers(), [102]);
        assert_eq!((heard.messages[0].class, heard.messages[0].line), (15, 3));
        assert_eq!(batch(&mut connection, "rows 1").counts, [1]);
    });
}

// Catches: a refused login that looks like a broken connection, or like success.
#[rstest]
#[case("wrong", "", &[18456])]
#[case(PASSWORD, "nowhere", &[4060, 18456])]
fn a_refused_login_says_why(
    #[case] password: &'static str,
    #[case] database: &'static str,
    #[case] numbers: &'static [i32],
) {
    watched(move || {
        let (server, _) = start(config(Encryption::Auto));
        let wanted = Options {
            password: password.to_owned(),
            database: database.to_owned(),
            ..options(server.local_addr())
        };
        match Connection::log_in(&wanted) {
            Err(ClientError::Refused(messages)) => {
                let said: Vec<_> = messages.iter().map(|message| message.number).collect();
                assert_eq!(said, numbers);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// A server that sends these bytes to whoever connects, then waits, or closes.
fn impostor(bytes: &'static [u8], waits: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(bytes).unwrap();
        if waits {
            // Until the client leaves.
            while stream.read(&mut [0; 512]).is_ok_and(|count| count > 0) {}
        }
    });
    address
}

// Catches: a client that hangs or panics with what is no SQL Server.
#[test]
fn what_is_no_server_is_told_apart() {
    watched(|| {
        let web = impostor(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
        assert!(matches!(Connection::log_in(&options(web)), Err(ClientError::Protocol(_))));
        let mute = impostor(b"", true);
        let wanted = Options { login_time: Duration::from_millis(200), ..options(mute) };
        assert!(matches!(Connection::log_in(&wanted), Err(ClientError::LoginTime { .. })));
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(Connection::log_in(&options(gone)), Err(ClientError::Unreachable { .. })));
    });
}

// Catches: a server that ends in mid-answer and leaves its client waiting.
#[test]
fn a_server_that_ends_is_noticed() {
    watched(|| {
        let (server, canned) = start(config(Encryption::Off));
        let mut connection = Connection::log_in(&options(server.local_addr())).unwrap();
        canned.allowed.store(1, Ordering::SeqCst);
        let server = Arc::new(std::sync::Mutex::new(Some(server)));
        let failed = connection.batch("progress paced", &mut |_| {
            let server = Arc::clone(&server);
            thread::spawn(move || drop(server.lock().unwrap().take()));
        });
        // What the server still says in leaving may come first; the next batch finds nobody.
        let failed = failed.and_then(|()| connection.batch("rows 1", &mut |_| {}));
        assert!(matches!(failed, Err(ClientError::Broken(_))), "{failed:?}");
    });
}
