//! EXECUTE, DECLARE and types.

use super::ast::{Declaration, Execute, ExecuteArgument, Executed};
use super::expression::Expression;
use super::lexer::tokens;
use super::parser::{Parsed, Parser};
use super::token::TokenKind;
use crate::messages::{Message, SeveralMessages};
use crate::value::{DataType, Value};

/// Reads the parameter definitions of sp_executesql: `@d sysname, @n int = 5`.
///
/// # Errors
///
/// SQL Server's messages about mistakes.
pub fn parse_declarations(text: &str) -> Result<Vec<Declaration>, SeveralMessages> {
    let mut parser = Parser::new(tokens(text, true)?, Default::default());
    if parser.is_at_end() {
        return Ok(Vec::new());
    }
    let declarations = parser.list(|parser| {
        let declaration = parser.declaration()?;
        parser.accept_any(&["OUT", "OUTPUT"]);
        Ok(declaration)
    })?;
    if !parser.is_at_end() {
        return Err(parser.unexpected().into());
    }
    match parser.mistakes {
        mistakes if mistakes.is_empty() => Ok(declarations),
        mistakes => Err(SeveralMessages(mistakes)),
    }
}

impl Parser {
    /// A variable of DECLARE.
    pub(super) fn declaration(&mut self) -> Parsed<Declaration> {
        if !self.is_at_variable() {
            return Err(self.unexpected());
        }
        let (line, name) = (self.line(), self.next().text);
        self.accept_word("AS");
        let data_type = self.data_type()?;
        let value = match self.accept_symbol("=") {
            true => Some(self.expression()?),
            false => None,
        };
        self.declare(&name, line);
        Ok(Declaration { name, data_type, value })
    }

    /// A type with its lengths.
    pub(super) fn data_type(&mut self) -> Parsed<DataType> {
        let line = self.line();
        let name = self.object_name()?;
        let lengths = if self.accept_symbol("(") {
            let lengths = self.list(Self::type_length)?;
            self.expect_symbol(")")?;
            lengths
        } else {
            vec![Some(1)]
        };
        let length = lengths[0];
        Ok(match name.object().to_ascii_lowercase().as_str() {
            "bit" => DataType::Bit,
            "tinyint" => DataType::TinyInt,
            "smallint" => DataType::SmallInt,
            "int" | "integer" => DataType::Int,
            "bigint" => DataType::BigInt,
            "numeric" | "decimal" | "dec" => match (length, lengths.get(1)) {
                (_, None | Some(Some(0) | None)) => DataType::Numeric,
                (precision, Some(Some(scale))) => {
                    let precision = digits(precision.unwrap_or(u16::MAX), 1)
                        .ok_or_else(|| Message::new(1002, &[&line, &scale]).at_line(line))?;
                    let scale = digits(*scale, 0)
                        .filter(|scale| *scale <= precision)
                        .ok_or_else(|| Message::new(1002, &[&line, &scale]).at_line(line))?;
                    DataType::Decimal { precision, scale }
                }
            },
            "money" => DataType::Decimal { precision: 19, scale: 4 },
            "smallmoney" => DataType::Decimal { precision: 10, scale: 4 },
            "float" | "real" => DataType::Float,
            "nvarchar" | "varchar" => DataType::NVarChar(length),
            "sysname" => DataType::NVarChar(Some(128)),
            "ntext" | "text" | "xml" | "sql_variant" => DataType::NVarChar(None),
            "nchar" | "char" => DataType::NChar(length.unwrap_or(1)),
            "datetime" | "datetime2" | "smalldatetime" | "date" | "time" | "datetimeoffset" => {
                DataType::DateTime
            }
            "uniqueidentifier" => DataType::UniqueIdentifier,
            "varbinary" | "binary" | "image" => DataType::VarBinary(length),
            _ => return Err(Message::new(2715, &[&1, &name]).with_state(6).at_line(line)),
        })
    }

    /// A length; `None` is MAX.
    fn type_length(&mut self) -> Parsed<Option<u16>> {
        if self.accept_word("MAX") {
            return Ok(None);
        }
        match self.peek().kind {
            TokenKind::Integer => match self.peek().text.parse() {
                Ok(length) if length <= 8000 => {
                    self.next();
                    Ok(Some(length))
                }
                _ => Err(self.unexpected()),
            },
            _ => Err(self.unexpected()),
        }
    }

    /// EXECUTE, behind its first word.
    pub(super) fn execute(&mut self) -> Parsed<Execute> {
        if self.accept_symbol("(") {
            let executed = Executed::Text(self.expression()?);
            self.expect_symbol(")")?;
            return Ok(Execute { status: None, executed });
        }
        let mut status = None;
        if self.is_at_variable() && self.peek_behind(1).is_symbol("=") {
            status = Some(self.variable()?);
            self.next();
        }
        self.procedure_call(status)
    }

    /// A procedure and its arguments.
    pub(super) fn procedure_call(&mut self, status: Option<String>) -> Parsed<Execute> {
        let name = self.object_name()?;
        let arguments = match self.is_at_argument() {
            true => self.list(Self::argument)?,
            false => Vec::new(),
        };
        Ok(Execute { status, executed: Executed::Procedure { name, arguments } })
    }

    fn is_at_argument(&self) -> bool {
        let token = self.peek();
        match token.kind {
            TokenKind::Symbol => token.text == "-" || token.text == "+",
            TokenKind::End => false,
            TokenKind::Word => {
                self.is_at_name() || token.is_word("NULL") || token.is_word("DEFAULT")
            }
            _ => true,
        }
    }

    fn argument(&mut self) -> Parsed<ExecuteArgument> {
        let mut parameter = None;
        if self.is_at_variable() && self.peek_behind(1).is_symbol("=") {
            parameter = Some(self.next().text);
            self.next();
        }
        let value = match self.accept_word("DEFAULT") {
            true => None,
            false => Some(self.argument_value()?),
        };
        let is_output = self.accept_any(&["OUT", "OUTPUT"]).is_some();
        Ok(ExecuteArgument { parameter, value, is_output })
    }

    /// A literal, a variable, or a word, which stands for itself.
    fn argument_value(&mut self) -> Parsed<Expression> {
        if self.is_at_name() {
            return Ok(Expression::Literal(Value::Text(self.next().text)));
        }
        self.signed_literal()
    }
}

/// A number of digits, from `least` to those of the longest number.
fn digits(number: u16, least: u8) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| (least..=38).contains(number))
}
