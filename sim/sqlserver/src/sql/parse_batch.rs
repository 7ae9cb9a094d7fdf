//! Batches and the statements around BACKUP and RESTORE.

use super::ast::{
    AlterDatabase, Assignment, Batch, DatabaseOption, RecoveryModelName, SetOption, Statement,
    StatementKind, TransactionControl,
};
use super::expression::{BinaryOperator, Expression};
use super::lexer::tokens;
use super::parser::{Parsed, Parser};
use super::token::TokenKind;
use crate::messages::{Message, SeveralMessages};

/// What the meaning of a batch depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// QUOTED_IDENTIFIER: whether double quotes enclose names and not strings.
    pub quoted_identifier: bool,
    /// Variables that exist before the batch: the parameters of sp_executesql.
    pub variables: Vec<String>,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions { quoted_identifier: true, variables: Vec::new() }
    }
}

/// Reads a batch.
///
/// # Errors
///
/// SQL Server's messages about its mistakes; nothing of such a batch is executed.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Batch, SeveralMessages> {
    let tokens = tokens(text, options.quoted_identifier)?;
    let declared = options.variables.iter().map(|name| name.to_lowercase()).collect();
    let mut parser = Parser::new(tokens, declared);
    let statements = parser.batch();
    let mut mistakes = parser.mistakes;
    match statements {
        Ok(statements) if mistakes.is_empty() => Ok(Batch { statements }),
        Ok(_) => Err(SeveralMessages(mistakes)),
        Err(mistake) => {
            mistakes.push(mistake);
            Err(SeveralMessages(mistakes))
        }
    }
}

/// Session options that SET knows, apart from those of several words.
const SET_OPTIONS: [&str; 38] = [
    "ANSI_DEFAULTS",
    "ANSI_NULLS",
    "ANSI_NULL_DFLT_OFF",
    "ANSI_NULL_DFLT_ON",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ARITHABORT",
    "ARITHIGNORE",
    "CONCAT_NULL_YIELDS_NULL",
    "CONTEXT_INFO",
    "CURSOR_CLOSE_ON_COMMIT",
    "DATEFIRST",
    "DATEFORMAT",
    "DEADLOCK_PRIORITY",
    "DISABLE_DEF_CNST_CHK",
    "FIPS_FLAGGER",
    "FMTONLY",
    "FORCEPLAN",
    "IDENTITY_INSERT",
    "IMPLICIT_TRANSACTIONS",
    "LANGUAGE",
    "LOCK_TIMEOUT",
    "NOCOUNT",
    "NOEXEC",
    "NO_BROWSETABLE",
    "NUMERIC_ROUNDABORT",
    "OFFSETS",
    "PARSEONLY",
    "QUERY_GOVERNOR_COST_LIMIT",
    "QUOTED_IDENTIFIER",
    "REMOTE_PROC_TRANSACTIONS",
    "ROWCOUNT",
    "SHOWPLAN_ALL",
    "SHOWPLAN_TEXT",
    "SHOWPLAN_XML",
    "STATISTICS",
    "TEXTSIZE",
    "XACT_ABORT",
];

/// Words behind SET STATISTICS.
const STATISTICS: [&str; 4] = ["IO", "TIME", "PROFILE", "XML"];

impl Parser {
    fn batch(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        while self.accept_symbol(";") {}
        if self.is_at_name() {
            statements.push(self.procedure_without_execute()?);
            while self.accept_symbol(";") {}
        }
        while !self.is_at_end() {
            statements.push(self.statement()?);
            while self.accept_symbol(";") {}
        }
        Ok(statements)
    }

    /// At the start of a batch, EXECUTE may be left out.
    fn procedure_without_execute(&mut self) -> Parsed<Statement> {
        let line = self.line();
        let kind = StatementKind::Execute(self.procedure_call(None)?);
        Ok(Statement { line, kind })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let line = self.line();
        let kind = self.deeper(Self::statement_kind)?;
        Ok(Statement { line, kind })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        const STARTS: &[&str] = &[
            "BACKUP",
            "RESTORE",
            "DECLARE",
            "SET",
            "USE",
            "SELECT",
            "EXEC",
            "EXECUTE",
            "PRINT",
            "RAISERROR",
            "IF",
            "RETURN",
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "CREATE",
            "ALTER",
            "DROP",
            "CHECKPOINT",
        ];
        match self.accept_any(STARTS) {
            Some("BACKUP") => self.backup().map(StatementKind::Backup),
            Some("RESTORE") => self.restore().map(StatementKind::Restore),
            Some("DECLARE") => self.list(Self::declaration).map(StatementKind::Declare),
            Some("SET") => self.set(),
            Some("USE") => self.name().map(StatementKind::Use),
            Some("SELECT") => self.select().map(StatementKind::Select),
            Some("EXEC" | "EXECUTE") => self.execute().map(StatementKind::Execute),
            Some("PRINT") => self.expression().map(StatementKind::Print),
            Some("RAISERROR") => self.raise_error(),
            Some("IF") => self.if_statement(),
            Some("RETURN") => self.return_statement(),
            Some("BEGIN") => self.begin(),
            Some("COMMIT") => Ok(self.end_transaction(TransactionControl::Commit)),
            Some("ROLLBACK") => Ok(self.end_transaction(TransactionControl::Rollback)),
            Some("CREATE") => self.create(),
            Some("ALTER") => self.alter(),
            Some("DROP") => self.drop_statement(),
            Some("CHECKPOINT") => Ok(StatementKind::Checkpoint),
            _ => Err(self.unexpected()),
        }
    }

    fn set(&mut self) -> Parsed<StatementKind> {
        if self.is_at_variable() {
            return self.assignment().map(StatementKind::Assign);
        }
        if self.accept_words(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
            let names = vec!["TRANSACTION ISOLATION LEVEL".to_owned()];
            let mut value = vec![self.name_like_word()?];
            if self.peek().is_word("COMMITTED")
                || self.peek().is_word("UNCOMMITTED")
                || (value[0] == "REPEATABLE" && self.peek().is_word("READ"))
            {
                value.push(self.name_like_word()?);
            }
            return Ok(StatementKind::SetOption(SetOption { names, value: value.join(" ") }));
        }
        let names = self.list(Self::set_option_name)?;
        let value = self.set_option_value()?;
        Ok(StatementKind::SetOption(SetOption { names, value }))
    }

    fn assignment(&mut self) -> Parsed<Assignment> {
        let variable = self.variable()?;
        let operator = match self.peek().text.as_str() {
            "=" => None,
            "+=" => Some(BinaryOperator::Add),
            "-=" => Some(BinaryOperator::Subtract),
            "*=" => Some(BinaryOperator::Multiply),
            "/=" => Some(BinaryOperator::Divide),
            _ => return Err(self.unexpected()),
        };
        self.next();
        let value = self.expression()?;
        let value = match operator {
            None => value,
            Some(operator) => Expression::Binary {
                operator,
                left: Box::new(Expression::Variable(variable.clone())),
                right: Box::new(value),
            },
        };
        Ok(Assignment { variable, value })
    }

    fn set_option_name(&mut self) -> Parsed<String> {
        let word = self.peek().clone();
        if word.kind != TokenKind::Word {
            return Err(self.unexpected());
        }
        let mut name = word.text.to_ascii_uppercase();
        if !SET_OPTIONS.contains(&name.as_str()) {
            return Err(Message::new(195, &[&word.text, &"SET option"]).at_line(word.line));
        }
        self.next();
        if name == "STATISTICS" {
            let kind = self.accept_any(&STATISTICS).ok_or_else(|| self.unexpected())?;
            name = format!("{name} {kind}");
        } else if name == "IDENTITY_INSERT" {
            self.object_name()?;
        }
        Ok(name)
    }

    /// ON, OFF, a word, a number, a string or a variable.
    fn set_option_value(&mut self) -> Parsed<String> {
        let negative = self.accept_symbol("-");
        let token = self.peek().clone();
        match token.kind {
            TokenKind::Integer if negative => {
                self.next();
                Ok(format!("-{}", token.text))
            }
            _ if negative => Err(self.unexpected()),
            TokenKind::Variable => self.variable(),
            TokenKind::Word
            | TokenKind::Integer
            | TokenKind::Text
            | TokenKind::Binary
            | TokenKind::QuotedName => {
                self.next();
                Ok(token.text.to_ascii_uppercase())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A word that may be a keyword, in upper case.
    fn name_like_word(&mut self) -> Parsed<String> {
        match self.peek().kind {
            TokenKind::Word => Ok(self.next().text.to_ascii_uppercase()),
            _ => Err(self.unexpected()),
        }
    }

    fn raise_error(&mut self) -> Parsed<StatementKind> {
        self.expect_symbol("(")?;
        let arguments = self.list(Self::expression)?;
        self.expect_symbol(")")?;
        if arguments.len() < 3 {
            return Err(self.unexpected());
        }
        if self.accept_word("WITH") {
            self.list(|parser| {
                let option = parser.accept_any(&["NOWAIT", "LOG", "SETERROR"]);
                option.ok_or_else(|| parser.unexpected())
            })?;
        }
        Ok(StatementKind::RaiseError(arguments))
    }

    fn if_statement(&mut self) -> Parsed<StatementKind> {
        let condition = self.condition()?;
        let then = Box::new(self.statement()?);
        // A semicolon before ELSE belongs to the statement.
        let before_else = self.peek().is_symbol(";") && self.peek_behind(1).is_word("ELSE");
        if before_else {
            self.next();
        }
        let otherwise = match self.accept_word("ELSE") {
            true => Some(Box::new(self.statement()?)),
            false => None,
        };
        Ok(StatementKind::If { condition, then, otherwise })
    }

    fn return_statement(&mut self) -> Parsed<StatementKind> {
        if self.peek().kind == TokenKind::Integer {
            return Err(Message::new(178, &[]).at_line(self.line()));
        }
        Ok(StatementKind::Return)
    }

    fn begin(&mut self) -> Parsed<StatementKind> {
        if self.accept_any(&["TRAN", "TRANSACTION"]).is_some() {
            self.skip_transaction_name();
            return Ok(StatementKind::Transaction(TransactionControl::Begin));
        }
        let mut statements = Vec::new();
        while self.accept_symbol(";") {}
        while !self.accept_word("END") {
            statements.push(self.statement()?);
            while self.accept_symbol(";") {}
        }
        if statements.is_empty() {
            Err(self.unexpected())
        } else {
            Ok(StatementKind::Block(statements))
        }
    }

    fn end_transaction(&mut self, control: TransactionControl) -> StatementKind {
        if self.accept_any(&["TRAN", "TRANSACTION", "WORK"]).is_some() {
            self.skip_transaction_name();
        }
        StatementKind::Transaction(control)
    }

    fn skip_transaction_name(&mut self) {
        if self.is_at_name() || self.is_at_variable() {
            self.next();
        }
    }

    fn create(&mut self) -> Parsed<StatementKind> {
        self.expect_word("DATABASE")?;
        self.name().map(StatementKind::CreateDatabase)
    }

    fn drop_statement(&mut self) -> Parsed<StatementKind> {
        self.expect_word("DATABASE")?;
        let if_exists = self.accept_words(&["IF", "EXISTS"]);
        let names = self.list(Self::name)?;
        Ok(StatementKind::DropDatabase { names, if_exists })
    }

    fn alter(&mut self) -> Parsed<StatementKind> {
        self.expect_word("DATABASE")?;
        let name = match self.accept_word("CURRENT") {
            true => None,
            false => Some(self.name()?),
        };
        self.expect_word("SET")?;
        let options = self.list(Self::database_option)?;
        if self.accept_word("WITH") {
            self.termination()?;
        }
        Ok(StatementKind::AlterDatabase(AlterDatabase { name, options }))
    }

    fn database_option(&mut self) -> Parsed<DatabaseOption> {
        const MODELS: &[&str] = &["SIMPLE", "BULK_LOGGED", "FULL"];
        let word = self.name_like_word()?;
        Ok(match word.as_str() {
            "RECOVERY" => DatabaseOption::Recovery(match self.accept_any(MODELS) {
                Some("SIMPLE") => RecoveryModelName::Simple,
                Some("BULK_LOGGED") => RecoveryModelName::BulkLogged,
                Some("FULL") => RecoveryModelName::Full,
                _ => return Err(self.unexpected()),
            }),
            "SINGLE_USER" | "RESTRICTED_USER" | "MULTI_USER" => DatabaseOption::Access(word),
            "READ_ONLY" | "READ_WRITE" => DatabaseOption::ReadOnly(word == "READ_ONLY"),
            "ONLINE" | "OFFLINE" => DatabaseOption::Online(word == "ONLINE"),
            _ => {
                self.accept_symbol("=");
                if !self.at_end_of_statement() && !self.peek().is_word("WITH") {
                    self.set_option_value()?;
                }
                DatabaseOption::Other(word)
            }
        })
    }

    /// WITH ROLLBACK IMMEDIATE, WITH ROLLBACK AFTER n [SECONDS], WITH NO_WAIT.
    fn termination(&mut self) -> Parsed<()> {
        if self.accept_word("NO_WAIT") || self.accept_words(&["ROLLBACK", "IMMEDIATE"]) {
            return Ok(());
        }
        if !self.accept_words(&["ROLLBACK", "AFTER"]) {
            return Err(self.unexpected());
        }
        self.number_or_variable()?;
        self.accept_word("SECONDS");
        Ok(())
    }

    pub(super) fn at_end_of_statement(&self) -> bool {
        self.is_at_end() || self.peek().is_symbol(";") || self.peek().is_symbol(",")
    }
}
