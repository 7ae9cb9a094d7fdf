//! Statements written in any legal way are read as what they say; anything else is refused.

use fake_sqlserver::sql::{
    Backup, BackupKind, Device, DeviceKind, Operand, OptionName, OptionValue, ParseOptions,
    Restore, RestoreKind, StatementKind, WithOption, parse, split_script,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z\\]'\" \u{e4}\u{4e2d}-]{1,12}"
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![4 => name().prop_map(Operand::Text), 1 => Just(Operand::Variable("@v".to_owned()))]
}

fn device() -> impl Strategy<Value = Device> {
    use DeviceKind::*;
    let kind = select(vec![None, Some(Disk), Some(Tape), Some(Url), Some(VirtualDevice)]);
    (kind, operand()).prop_map(|(kind, name)| Device { kind, name })
}

fn option(statement: &'static str) -> impl Strategy<Value = WithOption> {
    // What an option takes and which statement knows it is the documentation's, written down
    // once more.
    const NUMBERS: &[&str] = &["BLOCKSIZE", "BUFFERCOUNT", "MAXTRANSFERSIZE", "STATS"];
    const TEXTS: &[&str] = &["MEDIANAME", "PASSWORD", "MEDIAPASSWORD", "STANDBY"];
    const PLAIN: &[&str] = &["CHECKSUM", "NO_CHECKSUM", "NORECOVERY", "SNAPSHOT", "UNLOAD"];
    const BACKUP: &[&str] = &["FORMAT", "INIT", "COPY_ONLY", "DIFFERENTIAL", "COMPRESSION"];
    const RESTORE: &[&str] = &["REPLACE", "RECOVERY", "PARTIAL", "ONLINE", "KEEP_REPLICATION"];
    let own = if statement == "BACKUP" { BACKUP } else { RESTORE };
    let of = |list: &'static [&'static str]| {
        select(list).prop_map(|keyword| OptionName::from_keyword(keyword).unwrap())
    };
    let with = |name, value| WithOption { name, value, line: 1 };
    prop_oneof![
        (of(NUMBERS), -9_i64..99_999).prop_map(move |(name, number)| {
            with(name, OptionValue::Operand(Operand::Integer(number)))
        }),
        (of(TEXTS), operand()).prop_map(move |(name, text)| with(name, OptionValue::Operand(text))),
        of(PLAIN).prop_map(move |name| with(name, OptionValue::None)),
        of(own).prop_map(move |name| with(name, OptionValue::None)),
    ]
}

fn backup() -> impl Strategy<Value = Backup> {
    let kind = select(vec![BackupKind::Database, BackupKind::Log]);
    let mirrors = vec(vec(device(), 1..3), 0..3);
    (kind, operand(), vec(device(), 0..4), mirrors, vec(option("BACKUP"), 0..5)).prop_map(
        |(kind, database, devices, mirrors, options)| Backup {
            kind,
            database,
            files: Vec::new(),
            devices,
            mirrors,
            options,
        },
    )
}

fn restore() -> impl Strategy<Value = Restore> {
    use RestoreKind::*;
    let kinds = vec![Database, Log, FileListOnly, HeaderOnly, LabelOnly, VerifyOnly, RewindOnly];
    (select(kinds), operand(), vec(device(), 1..4), vec(option("RESTORE"), 0..5)).prop_map(
        |(kind, database, devices, options)| Restore {
            kind,
            database: matches!(kind, Database | Log).then_some(database),
            files: Vec::new(),
            pages: None,
            devices,
            snapshot: None,
            options,
        },
    )
}

/// Writes statements, with space, comments, case and quotes chosen by a row of numbers.
struct Scribe<'c> {
    text: String,
    choices: std::iter::Cycle<std::slice::Iter<'c, u8>>,
}

impl Scribe<'_> {
    fn choose(&mut self, count: u8) -> u8 {
        self.choices.next().unwrap() % count
    }

    fn word(&mut self, word: &str) {
        const GAPS: [&str; 5] = [" ", "  ", "\t", "/* ' /* ] */ */", " /**/"];
        let gap = GAPS[usize::from(self.choose(5))];
        self.text.push_str(gap);
        match self.choose(3) {
            0 => self.text.push_str(&word.to_lowercase()),
            _ => self.text.push_str(word),
        }
    }

    fn name(&mut self, name: &Operand) {
        match name {
            Operand::Text(name) if self.choose(2) == 0 => {
                self.text.push_str(&format!(" \"{}\"", name.replace('"', "\"\"")));
            }
            Operand::Text(name) => self.text.push_str(&format!("[{}]", name.replace(']', "]]"))),
            other => self.value(other),
        }
    }

    fn value(&mut self, value: &Operand) {
        match value {
            Operand::Text(text) => {
                let n = ["", "N", " n"][usize::from(self.choose(3))];
                self.text.push_str(&format!(" {n}'{}'", text.replace('\'', "''")));
            }
            Operand::Integer(number) => self.text.push_str(&format!("{number}")),
            Operand::Variable(name) => self.word(name),
        }
    }

    fn devices(&mut self, devices: &[Device]) {
        for (index, device) in devices.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            match device.kind {
                None => self.name(&device.name),
                Some(kind) => {
                    self.word(kind.keyword());
                    self.text.push('=');
                    self.value(&device.name);
                }
            }
        }
    }

    fn options(&mut self, options: &[WithOption]) {
        for (index, option) in options.iter().enumerate() {
            if index == 0 {
                self.word("WITH");
            } else {
                self.text.push(',');
            }
            self.word(option.name.keyword());
            if let OptionValue::Operand(value) = &option.value {
                self.text.push('=');
                self.value(value);
            }
        }
    }

    fn backup(&mut self, backup: &Backup) {
        self.word("BACKUP");
        self.word(if backup.kind == BackupKind::Log { "LOG" } else { "DATABASE" });
        self.name(&backup.database);
        if !backup.devices.is_empty() {
            self.word("TO");
            self.devices(&backup.devices);
        }
        for mirror in &backup.mirrors {
            self.word("MIRROR");
            self.word("TO");
            self.devices(mirror);
        }
        self.options(&backup.options);
    }

    fn restore(&mut self, restore: &Restore) {
        self.word("RESTORE");
        self.word(match restore.kind {
            RestoreKind::Database => "DATABASE",
            RestoreKind::Log => "LOG",
            RestoreKind::FileListOnly => "FILELISTONLY",
            RestoreKind::HeaderOnly => "HEADERONLY",
            RestoreKind::LabelOnly => "LABELONLY",
            RestoreKind::VerifyOnly => "VERIFYONLY",
            RestoreKind::RewindOnly => "REWINDONLY",
        });
        if let Some(database) = &restore.database {
            self.name(database);
        }
        self.word("FROM");
        self.devices(&restore.devices);
        self.options(&restore.options);
    }
}

fn options() -> ParseOptions {
    ParseOptions { variables: vec!["@V".to_owned()], ..ParseOptions::default() }
}

/// A variable in lower case is the same variable.
fn read(text: &str) -> StatementKind {
    let batch = parse(text, &options()).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert_eq!(batch.statements.len(), 1, "{text}");
    batch.statements.into_iter().next().unwrap().kind
}

/// Words and symbols that make something like a batch.
fn soup() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "BACKUP",
        "RESTORE",
        "DATABASE",
        "LOG",
        "TO",
        "FROM",
        "DISK",
        "=",
        "'x'",
        "WITH",
        ",",
        "(",
        ")",
        "MOVE",
        "STATS",
        "10",
        "-",
        "@v",
        "@@VERSION",
        "SELECT",
        "*",
        "WHERE",
        "a",
        ".",
        "[b]",
        "IN",
        "NOT",
        "AND",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "BEGIN",
        "IF",
        "ELSE",
        "EXEC",
        "DECLARE",
        "@w",
        "int",
        ";",
        "\n",
        "SET",
        "ON",
        "LIKE",
        "BETWEEN",
        "JOIN",
        "ORDER",
        "BY",
        "CAST",
        "AS",
        "0x1",
        "1.5",
        "EXISTS",
        "ALTER",
        "MIRROR",
        "FILE",
        "DATABASE_SNAPSHOT",
        "ENCRYPTION",
        "USE",
        "DROP",
        "RAISERROR",
        "FILELISTONLY",
        "COMPRESSION",
        "STOPATMARK",
        "AFTER",
        "N''",
    ];
    vec(select(PARTS), 0..40).prop_map(|parts| parts.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // Catches: a quote, a comment or the case of a word that changes what is read; a part that is
    // lost or stands in the wrong place.
    #[test]
    fn a_backup_is_read_as_it_was_meant(
        backup in backup(),
        choices in vec(any::<u8>(), 1..40),
    ) {
        let mut scribe = Scribe { text: String::new(), choices: choices.iter().cycle() };
        scribe.backup(&backup);
        prop_assert_eq!(read(&scribe.text), StatementKind::Backup(backup), "{}", scribe.text);
    }

    #[test]
    fn a_restore_is_read_as_it_was_meant(
        restore in restore(),
        choices in vec(any::<u8>(), 1..40),
    ) {
        let mut scribe = Scribe { text: String::new(), choices: choices.iter().cycle() };
        scribe.restore(&restore);
        prop_assert_eq!(read(&scribe.text), StatementKind::Restore(restore), "{}", scribe.text);
    }

    // Catches: a panic, an endless loop, a mistake on a line that the batch does not have.
    #[test]
    fn anything_is_read_or_refused(text in prop_oneof![soup(), any::<String>()]) {
        let lines = text.matches('\n').count() as u32 + 1;
        if let Err(mistakes) = parse(&text, &options()) {
            prop_assert!(!mistakes.0.is_empty());
            for mistake in mistakes.0 {
                prop_assert!(mistake.is_error());
                prop_assert!((1..=lines).contains(&mistake.line), "{mistake:?}");
            }
        }
    }

    // Catches: a line of a script that gets lost or belongs to another place.
    #[test]
    fn a_script_keeps_its_lines(batches in vec("[a-z ]{0,9}(\n[a-z ]{0,9}){0,3}", 0..6)) {
        let script = batches.join("\nGO\n");
        let lines: Vec<_> = script.lines().collect();
        for batch in split_script(&script) {
            for (offset, line) in batch.text.lines().enumerate() {
                prop_assert_eq!(line, lines[batch.line - 1 + offset]);
            }
        }
    }
}
