//! The bytes of the protocol without a network: what is encoded decodes to the same, and nothing makes a decoder
//! panic.

mod support;

use proptest::prelude::*;
use rstest::rstest;
use support::client::{self, Login, Token, utf16, with_headers};
use tds_server::{
    ColumnType, DateTime, Value,
    wire::{
        Malformed, collation,
        data::Misfit,
        login::{Login7, unscramble},
        packet::{MAX_PACKET_BYTES, PacketHeader, PacketType},
        prelogin::{EncryptionWord, PreLogin},
        request::{self, TransactionRequest},
        rpc,
        token::{self, Notice},
    },
};

/// A column's type with a value it can hold.
fn typed_value() -> impl Strategy<Value = (ColumnType, Value)> {
    let decimal = (1_u8..=38).prop_flat_map(|precision| {
        let most = 10_i128.pow(precision.into()) - 1;
        (0..=precision, -most..=most).prop_map(move |(scale, unscaled)| {
            (ColumnType::Decimal { precision, scale }, Value::Decimal { unscaled, scale })
        })
    });
    let datetime = (-53_690..2_958_464_i32, 0..25_920_000_u32).prop_map(|(days, ticks)| {
        (ColumnType::DateTime, Value::DateTime(DateTime { days, ticks }))
    });
    let latin = "[ -~\u{a0}-\u{ff}€]{0,100}";
    prop_oneof![
        any::<bool>().prop_map(|bit| (ColumnType::Bit, Value::Bit(bit))),
        any::<i16>().prop_map(|number| (ColumnType::SmallInt, Value::Int(number.into()))),
        any::<u8>().prop_map(|number| (ColumnType::TinyInt, Value::Int(number.into()))),
        any::<i32>().prop_map(|number| (ColumnType::Int, Value::Int(number.into()))),
        any::<i64>().prop_map(|number| (ColumnType::BigInt, Value::Int(number))),
        any::<f64>()
            .prop_filter("equal to itself", |number| !number.is_nan())
            .prop_map(|number| (ColumnType::Float, Value::Float(number))),
        decimal,
        datetime,
        any::<[u8; 16]>().prop_map(|guid| (ColumnType::UniqueIdentifier, Value::Guid(guid))),
        any::<String>().prop_map(|text| (ColumnType::NVarCharMax, Value::Text(text))),
        "\\PC{0,64}".prop_map(|text| (ColumnType::NVarChar(128), Value::Text(text))),
        latin.prop_map(|text| (ColumnType::VarChar(100), Value::Text(text))),
        any::<Vec<u8>>().prop_map(|bytes| (ColumnType::VarBinary(8000), Value::Bytes(bytes))),
        any::<Vec<u8>>().prop_map(|bytes| (ColumnType::VarBinaryMax, Value::Bytes(bytes))),
        Just((ColumnType::Int, Value::Null)),
        Just((ColumnType::NVarChar(1), Value::Null)),
        Just((ColumnType::NVarCharMax, Value::Null)),
    ]
}

/// A call of sp_executesql with these parameters, encoded as columns are: both directions share the layout.
fn call(parameters: &[(ColumnType, Value)]) -> Vec<u8> {
    let mut body = vec![0xFF, 0xFF, 10, 0, 0, 0];
    for (kind, value) in parameters {
        body.push(2);
        body.extend(utf16("@p"));
        body.push(0);
        kind.encode(&mut body);
        kind.encode_value(value, &mut body).unwrap();
    }
    with_headers(&body)
}

/// Every decoder on the same bytes.
fn decode_all(bytes: &[u8]) {
    // Only that they return matters here.
    let _ = PreLogin::decode(bytes);
    let _ = Login7::decode(bytes);
    let _ = request::decode_batch(bytes);
    let _ = request::decode_transaction(bytes);
    let _ = rpc::decode(bytes);
    if let Some((header, _)) = bytes.split_first_chunk() {
        let _ = PacketHeader::decode(*header, MAX_PACKET_BYTES);
    }
}

proptest! {
    /// Catches: a length, sign, scale or byte order that differs between writing and reading, in any type.
    #[test]
    fn values_survive(parameters in prop::collection::vec(typed_value(), 0..8)) {
        let calls = rpc::decode(&call(&parameters)).unwrap();
        prop_assert_eq!(calls.len(), 1);
        let values: Vec<_> = calls[0].parameters.iter().map(|parameter| parameter.value.clone()).collect();
        prop_assert_eq!(values, parameters.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    }

    /// Catches: a decoder that indexes or multiplies without a check.
    #[test]
    fn garbage_is_only_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        decode_all(&bytes);
        decode_all(&with_headers(&bytes));
        decode_all(&with_headers(&[&[0xFF, 0xFF, 10, 0, 0, 0, 0, 0][..], &bytes].concat()));
    }

    /// Catches: the same, behind the checks that garbage does not pass.
    #[test]
    fn damage_is_only_refused(
        parameters in prop::collection::vec(typed_value(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut message in [call(&parameters), Login::default().encode(), client::prelogin(1)] {
            let at = at.index(message.len());
            message[at] = byte;
            decode_all(&message);
            decode_all(&message[..cut.index(message.len())]);
        }
    }

    /// Catches: fields of the login taken for one another, a password unscrambled in the wrong order.
    #[test]
    fn logins_survive(user in "\\PC{0,60}", password in "\\PC{0,60}", database in "\\PC{0,60}") {
        let sent = Login { user: &user, password: &password, database: &database, ..Login::default() };
        let login = Login7::decode(&sent.encode()).unwrap();
        prop_assert_eq!(&login.user, &user);
        prop_assert_eq!(&login.password, &password);
        prop_assert_eq!(&login.database, &database);
        prop_assert_eq!((login.host.as_str(), login.application.as_str()), ("host", "app"));
    }

    /// Catches: text changed on its way, in either direction; a message longer than its token can count.
    #[test]
    fn text_survives(text in any::<String>(), repeated in 1_usize..4000) {
        prop_assert_eq!(&request::decode_batch(&with_headers(&utf16(&text))).unwrap(), &text);
        let long = text.repeat(repeated.min(40_000 / text.len().max(1)));
        let notice = Notice {
            number: 3211, state: 1, class: 16, text: &long, server: &text, procedure: &text, line: 7,
        };
        let mut bytes = Vec::new();
        token::notice(&notice, &mut bytes);
        match &client::tokens(&bytes)[..] {
            [Token::Error { text, line: 7, .. }] => {
                prop_assert!(long.starts_with(text.as_str()));
                prop_assert!(text.encode_utf16().count() >= long.encode_utf16().count().min(7_999));
            }
            tokens => prop_assert!(false, "{:?}", tokens),
        }
    }

    /// Catches: a header field in the wrong place or order.
    #[test]
    fn headers_survive(status in any::<u8>(), length in 8_u16..=32767, spid in any::<u16>(), id in any::<u8>()) {
        let header = PacketHeader { kind: PacketType::Rpc, status, length, spid, id };
        prop_assert_eq!(PacketHeader::decode(header.encode(), 32767), Ok(header));
    }
}

/// Catches: values of clients that have types of their own read as something else. The bytes are those of a type, its
/// length and a value, by MS-TDS 2.2.5.4 and 2.2.5.5.
#[rstest]
#[case::money(&[0x6E, 8, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0xF0, 0xD8, 0xFF, 0xFF], Value::Decimal { unscaled: -10_000, scale: 4 })]
#[case::smallmoney(&[0x6E, 4, 4, 0x10, 0x27, 0, 0], Value::Decimal { unscaled: 10_000, scale: 4 })]
#[case::real(&[0x6D, 4, 4, 0, 0, 0x20, 0xC1], Value::Float(-10.0))]
#[case::old_int(&[0x38, 0xFE, 0xFF, 0xFF, 0xFF], Value::Int(-2))]
#[case::old_bit(&[0x32, 1], Value::Bit(true))]
#[case::untyped_null(&[0x1F], Value::Null)]
#[case::smalldatetime(&[0x6F, 4, 4, 1, 0, 60, 0], Value::DateTime(DateTime { days: 1, ticks: 3600 * 300 }))]
// 1900-01-02 is day 693,596 of the calendar that starts on 0001-01-01.
#[case::date(&[0x28, 3, 0x5C, 0x95, 0x0A], Value::DateTime(DateTime { days: 1, ticks: 0 }))]
#[case::time(&[0x29, 0, 3, 10, 0, 0], Value::DateTime(DateTime { days: 0, ticks: 3000 }))]
// One second after midnight, in 10^-7 s.
#[case::datetime2(&[0x2A, 7, 8, 0x80, 0x96, 0x98, 0, 0, 0x5C, 0x95, 0x0A], Value::DateTime(DateTime { days: 1, ticks: 300 }))]
// The last 10^-7 s of a day rounds up to the next.
#[case::datetime2_rounds(&[0x2A, 7, 8, 0xFF, 0xBF, 0x69, 0x2A, 0xC9, 0x5C, 0x95, 0x0A], Value::DateTime(DateTime { days: 2, ticks: 0 }))]
// 00:00:01 UTC at an hour behind is 23:00:01 the day before.
#[case::datetimeoffset(&[0x2B, 0, 8, 1, 0, 0, 0x5C, 0x95, 0x0A, 0xC4, 0xFF], Value::DateTime(DateTime { days: 0, ticks: (23 * 3600 + 1) * 300 }))]
#[case::varchar(&[0xA7, 5, 0, 9, 4, 0xD0, 0, 0x34, 1, 0, 0x80], Value::Text("€".into()))]
#[case::varchar_utf8(&[0xA7, 5, 0, 9, 4, 0xD0, 4, 0x34, 2, 0, 0xC3, 0xA9], Value::Text("é".into()))]
#[case::ntext(&[0x63, 0, 0, 0, 0, 9, 4, 0xD0, 0, 0x34, 2, 0, 0, 0, 0x41, 0], Value::Text("A".into()))]
#[case::image_null(&[0x22, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], Value::Null)]
#[case::two_chunks(
    &[0xA5, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 7, 1, 0, 0, 0, 8, 0, 0, 0, 0],
    Value::Bytes(vec![7, 8])
)]
fn types_of_clients(#[case] bytes: &[u8], #[case] expected: Value) {
    let message = with_headers(&[&[0xFF, 0xFF, 10, 0, 0, 0, 0, 0][..], bytes].concat());
    assert_eq!(rpc::decode(&message).unwrap()[0].parameters[0].value, expected);
}

/// Catches: a value sent although its column cannot hold it.
#[rstest]
#[case(ColumnType::TinyInt, Value::Int(-1))]
#[case(ColumnType::Int, Value::Int(1 << 31))]
#[case(ColumnType::Int, Value::Text("1".into()))]
#[case(ColumnType::NVarChar(2), Value::Text("abc".into()))]
#[case(ColumnType::NChar(1), Value::Text("😀".into()))]
#[case(ColumnType::VarChar(1), Value::Text("ab".into()))]
#[case(ColumnType::VarBinary(1), Value::Bytes(vec![1, 2]))]
#[case(ColumnType::Decimal { precision: 3, scale: 0 }, Value::Decimal { unscaled: 1000, scale: 0 })]
#[case(ColumnType::Decimal { precision: 3, scale: 2 }, Value::Decimal { unscaled: 100, scale: 0 })]
#[case(ColumnType::Decimal { precision: 38, scale: 0 }, Value::Decimal { unscaled: 15, scale: 1 })]
fn misfits(#[case] column: ColumnType, #[case] value: Value) {
    let mut out = Vec::new();
    assert!(matches!(column.encode_value(&value, &mut out), Err(Misfit { .. })));
    assert!(out.is_empty());
}

/// Catches: a code page that loses letters, or an unmappable one that is dropped or spelled out.
#[test]
fn code_page_1252() {
    assert_eq!(collation::encode("aé€😀z"), b"a\xE9\x80?z");
    assert_eq!(collation::decode(collation::COLLATION, b"a\xE9\x80z"), "aé€z");
}

/// Catches: nibbles swapped and XORed in the wrong order. "a" is 0x61: swapped 0x16, XORed 0xB3.
#[test]
fn passwords_are_unscrambled() {
    assert_eq!(unscramble(&[0xB3, 0xA5]), b"a\0");
}

/// Catches: a password in a log.
#[test]
fn passwords_are_not_shown() {
    let login = Login7::decode(&Login { password: "opensesame", ..Login::default() }.encode());
    assert!(!format!("{:?}", login.unwrap()).contains("opensesame"));
}

/// Catches: options read from the wrong offset, a missing option taken for another.
#[test]
fn prelogin_options() {
    let bare = PreLogin { encryption: EncryptionWord::NotSupported, asks_fed_auth: false };
    assert_eq!(PreLogin::decode(&[0xFF]), Ok(bare));
    let message = [6, 0, 11, 0, 1, 1, 0, 12, 0, 1, 0xFF, 1, 3];
    let both = PreLogin { encryption: EncryptionWord::Required, asks_fed_auth: true };
    assert_eq!(PreLogin::decode(&message), Ok(both));
}

/// Catches: flags read where the name still goes on; a request without flags refused.
#[test]
fn transaction_bodies() {
    let decode = |body: &[u8]| request::decode_transaction(&with_headers(body));
    let commit = |then_begin| Ok(TransactionRequest::Commit { then_begin });
    assert_eq!(decode(&[7, 0, 0, 0]), commit(false));
    assert_eq!(decode(&[7, 0, 1, 1, 0, 1, 2, 0]), commit(true));
    assert_eq!(decode(&[8, 0, 0]), Ok(TransactionRequest::Rollback { then_begin: false }));
    assert!(matches!(decode(&[7, 0, 2, 1, 0]), Err(Malformed::Short { .. })));
}
