//! BACKUP and RESTORE.

use super::ast::{
    Backup, BackupKind, Device, DeviceKind, FileSelection, Operand, Restore, RestoreKind,
};
use super::option::{OptionName, OptionValue, Takes, WithOption};
use super::parser::{Parsed, Parser};
use super::token::TokenKind;
use crate::messages::Message;

/// Which of the two statements is read; it decides about options and stands in message 155.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Backup,
    Restore,
}

impl Parser {
    /// BACKUP, behind its first word.
    pub(super) fn backup(&mut self) -> Parsed<Backup> {
        let kind = if self.accept_word("DATABASE") {
            BackupKind::Database
        } else if self.accept_any(&["LOG", "TRAN", "TRANSACTION"]).is_some() {
            BackupKind::Log
        } else {
            return Err(self.unexpected());
        };
        let database = self.name_or_variable()?;
        let files = self.file_selections()?;
        let devices = match self.accept_word("TO") {
            true => self.list(Self::device)?,
            false => Vec::new(),
        };
        let mut mirrors = Vec::new();
        while self.accept_words(&["MIRROR", "TO"]) {
            mirrors.push(self.list(Self::device)?);
        }
        let options = self.with_options(Which::Backup)?;
        Ok(Backup { kind, database, files, devices, mirrors, options })
    }

    /// RESTORE, behind its first word.
    pub(super) fn restore(&mut self) -> Parsed<Restore> {
        let Some(kind) = self.restore_kind() else { return Err(self.unexpected()) };
        let mut restore = Restore {
            kind,
            database: None,
            files: Vec::new(),
            pages: None,
            devices: Vec::new(),
            snapshot: None,
            options: Vec::new(),
        };
        let shows_only = !matches!(kind, RestoreKind::Database | RestoreKind::Log);
        if !shows_only {
            restore.database = Some(self.name_or_variable()?);
            if self.peek().is_word("PAGE") && self.peek_behind(1).is_symbol("=") {
                self.next();
                self.next();
                restore.pages = Some(self.text_or_variable()?);
            } else {
                restore.files = self.file_selections()?;
            }
        }
        if shows_only || self.peek().is_word("FROM") {
            self.expect_word("FROM")?;
            if kind == RestoreKind::Database && self.accept_word("DATABASE_SNAPSHOT") {
                self.expect_symbol("=")?;
                restore.snapshot = Some(self.text_or_variable()?);
            } else {
                restore.devices = self.list(Self::device)?;
            }
        }
        restore.options = self.with_options(Which::Restore)?;
        Ok(restore)
    }

    fn restore_kind(&mut self) -> Option<RestoreKind> {
        const KINDS: &[&str] = &[
            "DATABASE",
            "LOG",
            "TRAN",
            "TRANSACTION",
            "FILELISTONLY",
            "HEADERONLY",
            "LABELONLY",
            "VERIFYONLY",
            "REWINDONLY",
        ];
        Some(match self.accept_any(KINDS)? {
            "DATABASE" => RestoreKind::Database,
            "FILELISTONLY" => RestoreKind::FileListOnly,
            "HEADERONLY" => RestoreKind::HeaderOnly,
            "LABELONLY" => RestoreKind::LabelOnly,
            "VERIFYONLY" => RestoreKind::VerifyOnly,
            "REWINDONLY" => RestoreKind::RewindOnly,
            _ => RestoreKind::Log,
        })
    }

    fn file_selections(&mut self) -> Parsed<Vec<FileSelection>> {
        let begins = |parser: &Self| {
            ["FILE", "FILEGROUP", "READ_WRITE_FILEGROUPS"]
                .iter()
                .any(|word| parser.peek().is_word(word))
        };
        let mut files = Vec::new();
        if begins(self) {
            for part in self.list(Self::file_selection)? {
                files.extend(part);
            }
        }
        Ok(files)
    }

    /// `FILE = name` or `FILE = (name, …)`, and so for FILEGROUP.
    fn file_selection(&mut self) -> Parsed<Vec<FileSelection>> {
        if self.accept_word("READ_WRITE_FILEGROUPS") {
            return Ok(vec![FileSelection::ReadWriteFileGroups]);
        }
        let selection: fn(Operand) -> FileSelection = match self.accept_any(&["FILE", "FILEGROUP"])
        {
            Some("FILE") => FileSelection::File,
            Some(_) => FileSelection::FileGroup,
            None => return Err(self.unexpected()),
        };
        self.expect_symbol("=")?;
        let names = if self.accept_symbol("(") {
            let names = self.list(Self::text_or_variable)?;
            self.expect_symbol(")")?;
            names
        } else {
            vec![self.text_or_variable()?]
        };
        Ok(names.into_iter().map(selection).collect())
    }

    /// `DISK = 'file'` and the like, or the name of a logical device.
    fn device(&mut self) -> Parsed<Device> {
        if !self.peek_behind(1).is_symbol("=") && !self.peek().is_word("DISK") {
            return Ok(Device { kind: None, name: self.name_or_variable()? });
        }
        let word = self.peek().clone();
        if word.kind != TokenKind::Word {
            return Err(self.unexpected());
        }
        let Some(kind) = DeviceKind::from_keyword(&word.text) else {
            return Err(Message::new(155, &[&word.text, &"Device Type"]).at_line(word.line));
        };
        self.next();
        self.expect_symbol("=")?;
        Ok(Device { kind: Some(kind), name: self.text_or_variable()? })
    }

    fn with_options(&mut self, which: Which) -> Parsed<Vec<WithOption>> {
        if !self.accept_word("WITH") {
            return Ok(Vec::new());
        }
        self.list(|parser| parser.with_option(which))
    }

    fn with_option(&mut self, which: Which) -> Parsed<WithOption> {
        let word = self.peek().clone();
        if word.kind != TokenKind::Word {
            return Err(self.unexpected());
        }
        let known = OptionName::from_keyword(&word.text).filter(|name| match which {
            Which::Backup => name.statements().backup,
            Which::Restore => name.statements().restore,
        });
        let Some(name) = known else {
            let statement = match which {
                Which::Backup => "BACKUP",
                Which::Restore => "RESTORE",
            };
            return Err(Message::new(155, &[&word.text, &statement]).at_line(word.line));
        };
        self.next();
        Ok(WithOption { name, value: self.option_value(name.takes())?, line: word.line })
    }

    fn option_value(&mut self, takes: Takes) -> Parsed<OptionValue> {
        match takes {
            Takes::Nothing => Ok(OptionValue::None),
            Takes::Number => {
                self.expect_symbol("=")?;
                self.number_or_variable().map(OptionValue::Operand)
            }
            Takes::OptionalNumber => match self.accept_symbol("=") {
                true => self.number_or_variable().map(OptionValue::Operand),
                false => Ok(OptionValue::None),
            },
            Takes::Text => {
                self.expect_symbol("=")?;
                self.text_or_variable().map(OptionValue::Operand)
            }
            Takes::Mark => self.mark(),
            Takes::Move => {
                let logical = self.text_or_variable()?;
                self.expect_word("TO")?;
                let physical = self.text_or_variable()?;
                Ok(OptionValue::Move { logical, physical })
            }
            Takes::List => self.option_list(),
            Takes::OptionalList => match self.peek().is_symbol("(") {
                true => self.option_list(),
                false => Ok(OptionValue::None),
            },
        }
    }

    fn mark(&mut self) -> Parsed<OptionValue> {
        self.expect_symbol("=")?;
        let mark = self.text_or_variable()?;
        let after = match self.accept_word("AFTER") {
            true => Some(self.text_or_variable()?),
            false => None,
        };
        Ok(OptionValue::Mark { mark, after })
    }

    /// `( NAME = value, SERVER CERTIFICATE = name, … )`.
    fn option_list(&mut self) -> Parsed<OptionValue> {
        self.expect_symbol("(")?;
        let list = self.list(|parser| {
            let mut words = Vec::new();
            while parser.peek().kind == TokenKind::Word {
                words.push(parser.next().text.to_ascii_uppercase());
            }
            if words.is_empty() {
                return Err(parser.unexpected());
            }
            let value = match parser.accept_symbol("=") {
                false => None,
                true if parser.is_at_name() => Some(Operand::Text(parser.name()?)),
                true => Some(parser.text_or_variable()?),
            };
            Ok((words.join(" "), value))
        })?;
        self.expect_symbol(")")?;
        Ok(OptionValue::List(list))
    }
}
