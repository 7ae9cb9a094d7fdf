//! Statements that clients send, and mistakes with SQL Server's answers.

use fake_sqlserver::messages::SeveralMessages;
use fake_sqlserver::sql::{
    Backup, BackupKind, Batch, DeviceKind, Expression, Operand, OptionName, OptionValue,
    ParseOptions, Restore, RestoreKind, Statement, StatementKind, parse,
};
use proptest::prelude::*;
use rstest::rstest;

fn batch(text: &str) -> Batch {
    parse(text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn statement(text: &str) -> StatementKind {
    let mut batch = batch(text);
    assert_eq!(batch.statements.len(), 1, "{text}");
    batch.statements.remove(0).kind
}

fn backup(text: &str) -> Backup {
    match statement(text) {
        StatementKind::Backup(backup) => backup,
        other => panic!("{other:?}"),
    }
}

fn restore(text: &str) -> Restore {
    match statement(text) {
        StatementKind::Restore(restore) => restore,
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Operand {
    Operand::Text(text.to_owned())
}

// Catches: a form of BACKUP or RESTORE that real clients send and the parser refuses.
#[rstest]
#[case("restore filelistonly from virtual_device=N'{a-b}'")]
#[case("backup database [x] to virtual_device=N'abc' with copy_only")]
#[case(
    "BACKUP DATABASE [a b] TO VIRTUAL_DEVICE='v' WITH BLOCKSIZE=65536, BUFFERCOUNT=4, MAXTRANSFERSIZE=65536"
)]
#[case("BACKUP DATABASE [x] TO VIRTUAL_DEVICE='v' WITH DIFFERENTIAL, BLOCKSIZE=65536")]
#[case("BACKUP LOG [x] TO VIRTUAL_DEVICE='v', VIRTUAL_DEVICE='v1' WITH NO_TRUNCATE, NORECOVERY")]
#[case("BACKUP DATABASE x TO VIRTUAL_DEVICE='a', VIRTUAL_DEVICE='b' WITH SNAPSHOT")]
#[case("RESTORE DATABASE x FROM VIRTUAL_DEVICE='a' WITH SNAPSHOT, REPLACE;")]
#[case(
    "RESTORE DATABASE [x] FROM VIRTUAL_DEVICE='v' WITH REPLACE, NORECOVERY, MOVE 'x' TO 'c:\\x.mdf', MOVE N'l' TO @l"
)]
#[case("RESTORE LOG x FROM VIRTUAL_DEVICE='v' WITH STOPAT = '2016-01-01T12:00:00', RECOVERY")]
#[case(
    "RESTORE LOG x FROM d WITH STOPATMARK = 'lsn:15000000040000037' AFTER '2016-01-01', STANDBY=N'u'"
)]
#[case("RESTORE DATABASE x WITH RECOVERY")]
#[case("RESTORE DATABASE x PAGE='1:57, 1:202' FROM DISK='d' WITH NORECOVERY")]
#[case(
    "RESTORE DATABASE x FILE='a', FILEGROUP=N'b', READ_WRITE_FILEGROUPS FROM DISK='d' WITH PARTIAL"
)]
#[case("RESTORE DATABASE x FROM DATABASE_SNAPSHOT = 's'")]
#[case("RESTORE HEADERONLY FROM DISK='a', DISK='b' WITH FILE=1, NOUNLOAD, PASSWORD='p'")]
#[case("RESTORE LABELONLY FROM TAPE='\\\\.\\tape0'")]
#[case("RESTORE VERIFYONLY FROM URL='https://x/y' WITH CREDENTIAL='c', CHECKSUM, LOADHISTORY")]
#[case("RESTORE REWINDONLY FROM TAPE='t' WITH UNLOAD")]
#[case(
    "BACKUP DATABASE x FILE = ('a','b'), FILEGROUP = 'g' TO logical, @other MIRROR TO DISK='m', DISK='n' WITH FORMAT, STATS"
)]
#[case(
    "BACKUP DATABASE @d TO DISK=@f WITH NAME=@n, DESCRIPTION=N'd', EXPIREDATE='2030-01-01', RETAINDAYS=5"
)]
#[case(
    "BACKUP DATABASE x TO DISK='f' WITH COMPRESSION (ALGORITHM = MS_XPRESS), ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [c]), MEDIANAME='m', INIT, SKIP, STOP_ON_ERROR"
)]
#[case("backup tran x to disk='f'")]
fn forms_that_clients_send(#[case] text: &str) {
    let variables = ["@d", "@f", "@l", "@n", "@other"].map(str::to_owned).to_vec();
    let options = ParseOptions { variables, ..ParseOptions::default() };
    let batch = parse(text, &options).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert!(matches!(
        batch.statements[..],
        [Statement { kind: StatementKind::Backup(_) | StatementKind::Restore(_), line: 1 }]
    ));
}

// Catches: a part of the statement that is read and dropped.
#[test]
fn a_backup_keeps_all_its_parts() {
    let backup = backup(
        "BACKUP LOG [a]]b] TO VIRTUAL_DEVICE = N'{X}', dumps MIRROR TO DISK = 'm', DISK = 'n'
         WITH STATS, BLOCKSIZE = 512, NAME = N'it''s', BUFFERCOUNT = -1",
    );
    assert_eq!((backup.kind, &backup.database), (BackupKind::Log, &text("a]b")));
    assert_eq!(backup.devices[0].kind, Some(DeviceKind::VirtualDevice));
    assert_eq!(backup.devices[0].name, text("{X}"));
    assert_eq!((backup.devices[1].kind, &backup.devices[1].name), (None, &text("dumps")));
    assert_eq!(backup.mirrors[0].len(), 2);
    let options: Vec<_> =
        backup.options.iter().map(|o| (o.name, o.value.clone(), o.line)).collect();
    let operand = OptionValue::Operand;
    assert_eq!(
        options,
        [
            (OptionName::Stats, OptionValue::None, 2),
            (OptionName::BlockSize, operand(Operand::Integer(512)), 2),
            (OptionName::Name, operand(text("it's")), 2),
            (OptionName::BufferCount, operand(Operand::Integer(-1)), 2),
        ]
    );
}

#[test]
fn a_restore_keeps_all_its_parts() {
    let restore = restore("RESTORE DATABASE \"x\" FROM DISK='d' WITH MOVE 'a' TO 'b', FILE = 2");
    assert_eq!((restore.kind, restore.database), (RestoreKind::Database, Some(text("x"))));
    assert_eq!(
        restore.options[0].value,
        OptionValue::Move { logical: text("a"), physical: text("b") }
    );
    assert_eq!(restore.options[1].name, OptionName::File);
}

/// Number, line and text of each mistake.
fn mistakes(text: &str) -> Vec<(u32, u32, String)> {
    let SeveralMessages(messages) = parse(text, &ParseOptions::default()).unwrap_err();
    messages.into_iter().map(|message| (message.number, message.line, message.text)).collect()
}

// Catches: another number or line, or other text near the mistake, than SQL Server names.
#[rstest]
#[case("BACKUP", 102, 1, "Incorrect syntax near 'BACKUP'.")]
#[case(
    "BACKUP DATABASE pubs\nTO FLOPPY='x'",
    155,
    2,
    "'FLOPPY' is not a recognized Device Type option."
)]
#[case(
    "BACKUP DATABASE pubs TO DISK='x' WITH\n\nfoo",
    155,
    3,
    "'foo' is not a recognized BACKUP option."
)]
#[case(
    "RESTORE DATABASE pubs FROM DISK='x' WITH INIT",
    155,
    1,
    "'INIT' is not a recognized RESTORE option."
)]
#[case(
    "BACKUP LOG x WITH TRUNCATE_ONLY",
    155,
    1,
    "'TRUNCATE_ONLY' is not a recognized BACKUP option."
)]
#[case("BACKUP DATABASE pubs TO DISK x", 102, 1, "Incorrect syntax near 'x'.")]
#[case("BACKUP DATABASE pubs TO DISK='x' WITH STATS='y'", 102, 1, "Incorrect syntax near 'y'.")]
#[case("RESTORE HEADERONLY pubs", 102, 1, "Incorrect syntax near 'pubs'.")]
#[case("RESTORE DATABASE FROM DISK='x'", 156, 1, "Incorrect syntax near the keyword 'FROM'.")]
#[case("BACKUP DATABASE @d TO DISK='x'", 137, 1, "Must declare the scalar variable \"@d\".")]
#[case("CREATE DATABASE d\nON PRIMARY", 156, 2, "Incorrect syntax near the keyword 'ON'.")]
#[case("CREATE DATABASE d made", 102, 1, "Incorrect syntax near 'made'.")]
#[case("SELECT 1\nCREATE TABLE t (a int)", 156, 2, "Incorrect syntax near the keyword 'TABLE'.")]
#[case(
    "DECLARE @a int, @A int",
    134,
    1,
    "The variable name '@A' has already been declared. Variable names must be unique within a query batch or stored procedure."
)]
#[case("SET FOO ON", 195, 1, "'FOO' is not a recognized SET option.")]
#[case(
    "SELECT 1 WHERE 1",
    4145,
    1,
    "An expression of non-boolean type specified in a context where a condition is expected, near '1'."
)]
#[case("DELETE FROM t", 156, 1, "Incorrect syntax near the keyword 'DELETE'.")]
#[case("IF 1 = 1", 102, 1, "Incorrect syntax near '1'.")]
fn mistakes_have_the_number_line_and_text_of_sql_server(
    #[case] text: &str,
    #[case] number: u32,
    #[case] line: u32,
    #[case] message: &str,
) {
    assert_eq!(mistakes(text), [(number, line, message.to_owned())]);
}

// Catches: a statement taken for a part of the one before, or the other way round.
#[test]
fn several_statements_stand_in_a_batch_with_and_without_semicolons() {
    let text = "
        USE master;
        DECLARE @d sysname = N'pubs', @f nvarchar(260); SET @f = N'c:\\' + @d + '.bak'
        SET NOCOUNT ON SET TRANSACTION ISOLATION LEVEL READ COMMITTED
        IF DB_ID(@d) IS NOT NULL BEGIN PRINT 'there' END; ELSE RAISERROR('gone', 16, 1) WITH NOWAIT
        SELECT @@VERSION, name AS n FROM sys.databases d WHERE d.state = 0 AND name NOT IN ('a', 'b')
            ORDER BY 1 DESC
        EXEC @r = sp_executesql N'BACKUP DATABASE @d TO DISK=@f', N'@d sysname', @d = @d
        EXEC ('x' + 'y') /* end */";
    let SeveralMessages(messages) = parse(text, &ParseOptions::default()).unwrap_err();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((messages[0].number, messages[0].line), (137, 8));
    let kinds = batch(&text.replace("@r = ", "")).statements;
    let lines: Vec<_> = kinds.iter().map(|statement| statement.line).collect();
    assert_eq!(lines, [2, 3, 3, 4, 4, 5, 6, 8, 9]);
}

// Catches: operators that bind in another order, NOT that takes too much.
#[test]
fn operators_bind_as_in_sql_server() {
    let select = |text: &str| match statement(text) {
        StatementKind::Select(select) => select,
        other => panic!("{other:?}"),
    };
    let same = |left: &str, right: &str| assert_eq!(select(left), select(right), "{left}");
    same("SELECT 1 + 2 * 3 - 4", "SELECT ((1 + (2 * 3)) - 4)");
    same(
        "SELECT 1 WHERE a = 1 OR NOT b = 2 AND c LIKE 'x' + 'y'",
        "SELECT 1 WHERE (a = 1) OR ((NOT (b = 2)) AND (c LIKE ('x' + 'y')))",
    );
    same(
        "SELECT 1 WHERE a NOT BETWEEN 1 AND 2 AND b IS NOT NULL",
        "SELECT 1 WHERE NOT ((a >= 1) AND (a <= 2)) AND (NOT (b IS NULL))",
    );
}

/// A tree of operators, as a text with all brackets, and one with those that the precedence of
/// operators wants.
#[derive(Clone, Debug)]
struct Bracketed {
    all: String,
    needed: String,
    binds: u8,
}

/// How tightly operators bind. Source: SQL Server's documentation, "Operator precedence".
const OR: u8 = 0;
const AND: u8 = 1;
const NOT: u8 = 2;
const COMPARISON: u8 = 3;
const SUM: u8 = 4;
const PRODUCT: u8 = 5;
const OPERAND: u8 = 6;

impl Bracketed {
    /// The text with as few brackets as an operand must have that binds at least as tightly.
    fn at_least(&self, least: u8) -> String {
        if self.binds >= least { self.needed.clone() } else { format!("({})", self.needed) }
    }

    /// All operators are left-associative.
    fn joined(&self, operator: &str, binds: u8, right: &Self) -> Self {
        Bracketed {
            all: format!("({} {operator} {})", self.all, right.all),
            needed: format!("{} {operator} {}", self.at_least(binds), right.at_least(binds + 1)),
            binds,
        }
    }

    /// A word or sign before it, which binds as `binds` does.
    fn behind(&self, word: &str, binds: u8) -> Self {
        Bracketed {
            all: format!("({word} {})", self.all),
            needed: format!("{word} {}", self.at_least(binds + 1)),
            binds,
        }
    }
}

fn numbers() -> impl Strategy<Value = Bracketed> {
    let leaf = (1_u8..9).prop_map(|number| {
        let text = number.to_string();
        Bracketed { all: text.clone(), needed: text, binds: OPERAND }
    });
    leaf.prop_recursive(5, 20, 2, |inner| {
        let products = prop::sample::select(vec!["*", "/", "%"]);
        let sums = prop::sample::select(vec!["+", "-", "&", "|", "^"]);
        prop_oneof![
            3 => (inner.clone(), products, inner.clone())
                .prop_map(|(left, operator, right)| left.joined(operator, PRODUCT, &right)),
            2 => (inner.clone(), sums, inner.clone())
                .prop_map(|(left, operator, right)| left.joined(operator, SUM, &right)),
            1 => inner.prop_map(|operand| operand.behind("-", SUM)),
        ]
    })
}

fn conditions() -> impl Strategy<Value = Bracketed> {
    let comparisons = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = (numbers(), comparisons, numbers())
        .prop_map(|(left, operator, right)| left.joined(operator, COMPARISON, &right));
    leaf.prop_recursive(4, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| left.joined("AND", AND, &right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.joined("OR", OR, &right)),
            inner.prop_map(|operand| operand.behind("NOT", NOT)),
        ]
    })
}

proptest! {
    // Catches: an operator that binds tighter or looser than another, or from the right, in any tree.
    #[test]
    fn brackets_that_change_nothing_may_be_left_out(condition in conditions()) {
        let read = |condition: &str| statement(&format!("SELECT 1 WHERE {condition}"));
        prop_assert_eq!(read(&condition.needed), read(&condition.all));
    }
}

#[test]
fn a_batch_may_start_with_a_procedure() {
    assert!(matches!(statement("sp_helpfile"), StatementKind::Execute(_)));
    assert!(matches!(statement("vdisim.change pubs, 10, @seed = -3"), StatementKind::Execute(_)));
    assert_eq!(mistakes("SELECT 1 sp_helpfile x")[0].0, 102);
}

// Catches: double quotes taken for names whatever the session says.
#[test]
fn double_quotes_follow_quoted_identifier() {
    let text = "RESTORE DATABASE x FROM DISK = \"d\"";
    let options = ParseOptions { quoted_identifier: false, ..ParseOptions::default() };
    assert!(parse(text, &options).is_ok());
    assert_eq!(mistakes(text), [(102, 1, "Incorrect syntax near 'd'.".to_owned())]);
}

// Catches: recursion without a limit, which would end the process.
#[test]
fn nesting_has_a_limit() {
    let nested = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(mistakes(&nested)[0].0, 191);
    assert_eq!(mistakes(&"BEGIN ".repeat(100_000))[0].0, 191);
    assert_eq!(
        mistakes(&format!("SELECT {}1", "-".repeat(99_999).replace("--", "- - ")))[0].0,
        191
    );
    for chain in [" + 1", " * 1", " + (1 + 1)", " + ABS(1 + 1)"] {
        assert_eq!(mistakes(&format!("SELECT 1{}", chain.repeat(100_000)))[0].0, 191, "{chain}");
    }
    for chain in [" OR 1 = 1", " IS NULL"] {
        let condition = format!("IF 1 IS NULL{} PRINT ''", chain.repeat(100_000));
        assert_eq!(mistakes(&condition)[0].0, 191, "{chain}");
    }
    let long = format!("SELECT 1{0}, 1{0}, 1{0}", " + 1".repeat(200));
    assert!(matches!(statement(&long), StatementKind::Select(_)));
    let shallow = format!("SELECT {}1{}", "(".repeat(20), ")".repeat(20));
    assert!(matches!(statement(&shallow), StatementKind::Select(_)));
}

#[test]
fn numbers_become_the_smallest_type_that_holds_them() {
    use fake_sqlserver::sql::SelectItem;
    use fake_sqlserver::value::{Decimal, Value};
    let StatementKind::Select(select) =
        statement("SELECT 2147483647, 2147483648, 99999999999999999999, 0x1F2, 1.5, 15e-1")
    else {
        panic!()
    };
    let values: Vec<_> = select
        .items
        .into_iter()
        .map(|item| match item {
            SelectItem::Expression { value: Expression::Literal(value), .. } => value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        values,
        [
            Value::Int(i32::MAX),
            Value::BigInt(2_147_483_648),
            Value::Numeric(99_999_999_999_999_999_999),
            Value::Binary(vec![1, 0xf2]),
            Value::Decimal(Decimal { unscaled: 15, precision: 2, scale: 1 }),
            Value::Float(1.5),
        ]
    );
}
