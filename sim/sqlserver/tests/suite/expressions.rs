//! Expressions: operators, functions and types.

use fake_sqlserver::catalogue::Server;
use fake_sqlserver::session::Parameter;
use fake_sqlserver::value::Value;
use proptest::prelude::*;
use rstest::rstest;

use crate::server::Fixture;

// Catches: a product or quotient taken from the right; a sign that binds tighter than SQL Server's.
#[rstest]
#[case("100/10/2, 1024*8/1024, 100*3/2, 1000000/1024/1024", "5|8|150|0")]
#[case("100/10*2, 17%10%4, 7-2-1, 2*7%4, 2-3+4", "20|3|4|2|3")]
#[case("-100/-100*10, 2 - -3 * 4, -2 + 3, 2 * (-3) * 4", "0|14|1|-24")]
fn operators_are_taken_from_the_left(#[case] items: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {items}"))[1], expected);
}

// Catches: a place counted in another text than the one that was searched, a count that begins at 0,
// case that matters, a length or quote that is not refused.
#[rstest]
#[case("CHARINDEX(N'é', N'İéx')", "2")]
#[case("CHARINDEX(N'X', N'İéx')", "3")]
#[case("CHARINDEX('a', 'banana', 3)", "4")]
#[case("CHARINDEX('', 'a')", "0")]
#[case("REPLACE(N'İAa', 'a', 'bc')", "İbcbc")]
#[case("LEFT(N'İé', 1) + RIGHT(N'İé', 1)", "İé")]
#[case("SUBSTRING('abcdef', -1, 4)", "ab")]
#[case("SUBSTRING('abcdef', 5, 9999999999)", "ef")]
#[case("STUFF('abcdef', 2, 3, 'x')", "axef")]
#[case("STUFF('abc', 4, 1, 'x')", "NULL")]
#[case("REPLICATE('ab', 3) + REPLICATE('x', -1)", "NULL")]
#[case("LEN(REPLICATE('ab', 9999999999))", "4000")]
#[case("REVERSE('abc')", "cba")]
#[case("CHAR(65) + NCHAR(960)", "Aπ")]
#[case("CHAR(256)", "NULL")]
#[case("QUOTENAME('a]b')", "[a]]b]")]
#[case("QUOTENAME('it''s', '''')", "'it''s'")]
#[case("QUOTENAME('a', '\"')", "\"a\"")]
#[case("QUOTENAME('a', '(') + QUOTENAME('a}', '{')", "(a){a}}}")]
#[case("QUOTENAME('a', 'x')", "NULL")]
#[case("QUOTENAME(REPLICATE('a', 129))", "NULL")]
fn functions_of_texts_count_characters(#[case] expression: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {expression}"))[1], expected);
}

/// The names of functions in the text of the code: its strings in capitals.
fn functions() -> Vec<String> {
    let code = concat!(
        include_str!("../../src/session/functions.rs"),
        include_str!("../../src/session/texts.rs"),
        include_str!("../../src/session/dates.rs")
    );
    let is_name = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    code.split('"').skip(1).step_by(2).filter(is_name).map(str::to_owned).collect()
}

fn values() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        any::<String>(),
        "[İéßaA ]{0,4}",
        prop::sample::select(vec!["status", "day", "[", "%", "-1", "pubs"]).prop_map(str::to_owned),
    ];
    let numbers = prop_oneof![
        -3_i64..9,
        any::<i64>(),
        prop::sample::select(vec![i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into()]),
    ];
    prop_oneof![
        4 => texts.prop_map(Value::Text),
        4 => numbers.prop_map(|number| Value::from_integer(number.into())),
        1 => Just(Value::Null),
        1 => any::<i128>().prop_map(Value::Numeric),
        1 => any::<f64>().prop_map(Value::Float),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Binary),
        1 => (1_i16..9999, 1_i8..28).prop_map(|(year, day)| {
            Value::DateTime(jiff::civil::date(year, 2, day).at(23, 59, 59, 0))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Catches: a function that panics, whatever its arguments are.
    #[test]
    fn functions_take_any_arguments(
        arguments in prop::collection::vec(values(), 0..5),
        part in prop::sample::select(vec!["year", "qq", "month", "dy", "wk", "dw", "hh", "ms"]),
    ) {
        let mut server = Fixture::on(Server::in_memory);
        let names: Vec<_> = (0..arguments.len()).map(|index| format!("@p{index}")).collect();
        let parameter = |(index, value): (usize, Value)| Parameter {
            name: format!("@p{index}"),
            data_type: value.data_type(),
            value,
        };
        let parameters: Vec<_> = arguments.into_iter().enumerate().map(parameter).collect();
        for function in functions() {
            for from in ["", " FROM sys.databases"] {
                // DATEADD and its like take a word first.
                let part = if function.starts_with("DATE") { format!("{part}, ") } else { "".into() };
                let call = format!("SELECT {function}({part}{}){from}", names.join(", "));
                prop_assert!(!server.run_with(&call, &parameters).is_empty(), "{}", call);
            }
        }
    }
}

// Catches: exact numbers that become floating-point ones, in value or in type; a scale that is not kept.
#[test]
fn numbers_with_a_fraction_are_exact() {
    let mut server = Fixture::new();
    for (expression, expected) in [
        ("1.5", "1.5"),
        ("-0.10 + 0.2", "0.10"),
        ("1.50 * 2", "3.00"),
        ("10 / 4.0", "2.500000"),
        ("CAST(3.14159 AS decimal(5, 2))", "3.14"),
        ("CAST('2.345' AS numeric(9, 2))", "2.35"),
        ("CAST(1 AS money)", "1.0000"),
        ("CAST(2.5 AS int)", "2"),
        ("CAST(2.5 AS numeric)", "3"),
        ("CASE WHEN 0.1 + 0.2 = 0.30 THEN 'same' END", "same"),
        ("1.5e0", "1.5"),
        ("12345678901234567890.12345678 - 0.00000001", "12345678901234567890.12345677"),
    ] {
        assert_eq!(server.run(&format!("SELECT {expression}"))[1], expected, "{expression}");
    }
    let sums = "SELECT SUM(database_id), SUM(database_id / 2.0), SUM(database_id * 1e0), SUM(NULL)
                FROM sys.databases";
    assert_eq!(server.run(sums)[1], "28|14.000000|28|NULL");
    let cases = "SELECT CASE database_id WHEN 5 THEN 1 ELSE 2.25 END FROM sys.databases
                 WHERE database_id IN (5, 6) ORDER BY database_id";
    assert_eq!(server.run(cases)[1..], ["1", "2.25"]);
    for (batch, number) in [
        ("SELECT CAST(123.4 AS decimal(3, 1))", 8115),
        ("SELECT 1.0 / 0", 8134),
        ("DECLARE @d decimal(3, 4)", 1002),
    ] {
        assert_eq!(server.errors(batch), [number], "{batch}");
    }
}

// Catches: a part of a date mistaken for another, days counted where boundaries are, a month that
// overflows into the next.
#[rstest]
#[case("CONVERT(nvarchar(19), DATEADD(month, 1, '2020-01-31'), 120)", "2020-02-29 00:00:00")]
#[case("CONVERT(nvarchar(19), DATEADD(hh, -25, '2020-03-01 12:00'), 120)", "2020-02-29 11:00:00")]
#[case(
    "CONVERT(nvarchar(19), DATEADD(qq, 1, DATEADD(wk, 1, '2020-01-01')), 120)",
    "2020-04-08 00:00:00"
)]
#[case(
    "CONVERT(nvarchar(19), DATEADD(day, DATEDIFF(day, 0, '2020-05-06 07:08'), 0), 120)",
    "2020-05-06 00:00:00"
)]
#[case(
    "CONVERT(nvarchar(23), CAST('2020-05-06' AS datetime) - 1.5, 121)",
    "2020-05-04 12:00:00.000"
)]
#[case("CONVERT(nvarchar(19), 1 + CAST('2020-05-06' AS datetime), 120)", "2020-05-07 00:00:00")]
#[case("DATEDIFF(year, '2019-12-31 23:59', '2020-01-01')", "1")]
#[case("DATEDIFF(hour, '2020-01-01 01:59', '2020-01-01 02:01')", "1")]
#[case("DATEDIFF(minute, '2020-01-02', '2020-01-01')", "-1440")]
#[case("DATEDIFF(week, '2020-01-04', '2020-01-05')", "1")]
#[case("DATEDIFF(day, '1899-12-31 12:00', '1900-01-01')", "1")]
#[case("DATEPART(week, '2020-01-05')", "2")]
#[case("DATEPART(dw, '2020-01-05')", "1")]
#[case("DATEPART(dayofyear, '2020-12-31')", "366")]
#[case("YEAR('2020-05-06') + MONTH('2020-05-06') + DAY('2020-05-06')", "2031")]
#[case("DATENAME(month, '2020-05-06')", "May")]
#[case("DATEADD(day, NULL, GETDATE())", "NULL")]
fn dates_are_counted_in_their_parts(#[case] expression: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {expression}"))[1], expected);
}
