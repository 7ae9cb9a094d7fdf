//! Expressions.

use super::expression::{BinaryOperator, Expression, ObjectName};
use super::parser::{Parsed, Parser};
use super::token::TokenKind;
use crate::messages::Message;
use crate::value::{DataType, Decimal, Value};

/// Operators of an expression with all that it holds. Expressions are walked by recursion, for which the
/// stack has to do.
const MAX_OPERATORS: u32 = 250;

/// How tightly operators bind, from the loosest. Source: SQL Server's documentation, "Operator
/// precedence". A sign binds as a sum does: `-100 / -100 * 10` is `-(100 / -(100 * 10))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    /// No operator binds this tightly: a single operand.
    Operand,
}

impl Parser {
    /// An expression that is no condition.
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        let expression = self.binary(Binding::Sum)?;
        match expression.is_condition() {
            true => Err(self.unexpected()),
            false => Ok(expression),
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self) -> Parsed<Expression> {
        let expression = self.binary(Binding::Or)?;
        if expression.is_condition() { Ok(expression) } else { Err(self.no_condition()) }
    }

    /// Operands joined by operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: Binding) -> Parsed<Expression> {
        if self.expressions == 0 {
            self.operators = 0;
        }
        self.expressions += 1;
        let read = self.deeper(|parser| parser.chain(least));
        self.expressions -= 1;
        read
    }

    fn chain(&mut self, least: Binding) -> Parsed<Expression> {
        let mut left = match self.peek().is_word("NOT") && least <= Binding::Not {
            true => {
                self.next();
                let condition = self.binary(Binding::Not)?;
                self.check_operand(&condition, Binding::Not)?;
                Expression::Not(Box::new(condition))
            }
            false => self.operand()?,
        };
        loop {
            if least <= Binding::Comparison
                && let Some(comparison) = self.word_comparison(&left)?
            {
                self.count_operator()?;
                left = comparison;
                continue;
            }
            let Some((operator, binding)) = self.operator().filter(|(_, b)| *b >= least) else {
                return Ok(left);
            };
            self.count_operator()?;
            self.check_operand(&left, binding)?;
            self.next();
            let right = self.binary(tighter(binding))?;
            self.check_operand(&right, binding)?;
            left = joined(operator, left, right);
        }
    }

    /// A chain of operators is a deep tree, too.
    fn count_operator(&mut self) -> Parsed<()> {
        if self.operators == MAX_OPERATORS {
            return Err(self.too_deep());
        }
        self.operators += 1;
        Ok(())
    }

    /// AND, OR and NOT want conditions, the other operators want none.
    fn check_operand(&self, operand: &Expression, binding: Binding) -> Parsed<()> {
        match (operand.is_condition(), binding <= Binding::Not) {
            (false, true) => Err(self.no_condition()),
            (true, false) => Err(self.unexpected()),
            _ => Ok(()),
        }
    }

    fn no_condition(&self) -> Message {
        let near = self.peek();
        Message::new(4145, &[&near.text]).at_line(near.line)
    }

    fn operator(&self) -> Option<(BinaryOperator, Binding)> {
        use BinaryOperator::*;
        let token = self.peek();
        if token.is_word("OR") {
            return Some((Or, Binding::Or));
        }
        if token.is_word("AND") {
            return Some((And, Binding::And));
        }
        if token.kind != TokenKind::Symbol {
            return None;
        }
        Some(match token.text.as_str() {
            "=" => (Equal, Binding::Comparison),
            "<>" | "!=" => (NotEqual, Binding::Comparison),
            "<" => (Less, Binding::Comparison),
            "<=" | "!>" => (LessOrEqual, Binding::Comparison),
            ">" => (Greater, Binding::Comparison),
            ">=" | "!<" => (GreaterOrEqual, Binding::Comparison),
            "+" => (Add, Binding::Sum),
            "-" => (Subtract, Binding::Sum),
            "&" => (BitAnd, Binding::Sum),
            "|" => (BitOr, Binding::Sum),
            "^" => (BitXor, Binding::Sum),
            "*" => (Multiply, Binding::Product),
            "/" => (Divide, Binding::Product),
            "%" => (Modulo, Binding::Product),
            _ => return None,
        })
    }

    /// IS, IN, LIKE and BETWEEN behind `left`, if one of them comes next.
    fn word_comparison(&mut self, left: &Expression) -> Parsed<Option<Expression>> {
        let left = || Box::new(left.clone());
        if self.accept_word("IS") {
            let not = self.accept_word("NOT");
            self.expect_word("NULL")?;
            return Ok(Some(negated(not, Expression::IsNull(left()))));
        }
        let not = self.peek().is_word("NOT");
        let word = self.peek_behind(usize::from(not));
        if !(word.is_word("IN") || word.is_word("LIKE") || word.is_word("BETWEEN")) {
            return Ok(None);
        }
        if not {
            self.next();
        }
        let comparison = if self.accept_word("IN") {
            self.in_list(left())?
        } else if self.accept_word("LIKE") {
            let right = self.binary(Binding::Sum)?;
            if self.accept_word("ESCAPE") {
                return Err(self.unexpected());
            }
            joined(BinaryOperator::Like, *left(), right)
        } else {
            self.expect_word("BETWEEN")?;
            let low = self.binary(Binding::Sum)?;
            self.expect_word("AND")?;
            let high = self.binary(Binding::Sum)?;
            let above = joined(BinaryOperator::GreaterOrEqual, *left(), low);
            let below = joined(BinaryOperator::LessOrEqual, *left(), high);
            joined(BinaryOperator::And, above, below)
        };
        Ok(Some(negated(not, comparison)))
    }

    fn in_list(&mut self, value: Box<Expression>) -> Parsed<Expression> {
        self.expect_symbol("(")?;
        let expression = if self.accept_word("SELECT") {
            Expression::InQuery { value, query: Box::new(self.select()?) }
        } else {
            Expression::In { value, list: self.list(Self::expression)? }
        };
        self.expect_symbol(")")?;
        Ok(expression)
    }

    /// What a sign stands before.
    fn signed(&mut self) -> Parsed<Expression> {
        let expression = self.binary(Binding::Product)?;
        self.check_operand(&expression, Binding::Product)?;
        Ok(expression)
    }

    fn operand(&mut self) -> Parsed<Expression> {
        if self.accept_symbol("-") {
            return Ok(Expression::Negative(Box::new(self.signed()?)));
        }
        if self.accept_symbol("+") {
            return self.signed();
        }
        if self.accept_symbol("(") {
            let inner = if self.accept_word("SELECT") {
                Expression::Query(Box::new(self.select()?))
            } else {
                self.binary(Binding::Or)?
            };
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        match self.peek().kind {
            TokenKind::Word => self.word_operand(),
            TokenKind::QuotedName => self.column_or_call(),
            _ => self.literal(),
        }
    }

    fn word_operand(&mut self) -> Parsed<Expression> {
        const WORDS: &[&str] = &["NULL", "CASE", "EXISTS", "CAST", "TRY_CAST", "CURRENT_TIMESTAMP"];
        if self.peek_behind(1).is_symbol("(")
            && self.accept_any(&["CONVERT", "TRY_CONVERT"]).is_some()
        {
            return self.convert();
        }
        match self.accept_any(WORDS) {
            Some("NULL") => Ok(Expression::Literal(Value::Null)),
            Some("CASE") => self.case(),
            Some("EXISTS") => {
                self.expect_symbol("(")?;
                self.expect_word("SELECT")?;
                let query = Box::new(self.select()?);
                self.expect_symbol(")")?;
                Ok(Expression::Exists(query))
            }
            Some("CURRENT_TIMESTAMP") => Ok(call("GETDATE", Vec::new())),
            Some(_) => {
                self.expect_symbol("(")?;
                let value = Box::new(self.expression()?);
                self.expect_word("AS")?;
                let data_type = self.data_type()?;
                self.expect_symbol(")")?;
                Ok(Expression::Cast { value, data_type, style: None })
            }
            None => self.column_or_call(),
        }
    }

    /// CONVERT, behind its name.
    fn convert(&mut self) -> Parsed<Expression> {
        self.expect_symbol("(")?;
        let data_type = match self.data_type()? {
            // Without a length, a conversion makes 30 characters.
            DataType::NVarChar(Some(1)) => DataType::NVarChar(Some(30)),
            other => other,
        };
        self.expect_symbol(",")?;
        let value = Box::new(self.expression()?);
        let style = match self.accept_symbol(",") {
            true => Some(Box::new(self.expression()?)),
            false => None,
        };
        self.expect_symbol(")")?;
        Ok(Expression::Cast { value, data_type, style })
    }

    /// CASE, behind its first word.
    fn case(&mut self) -> Parsed<Expression> {
        let operand = match self.peek().is_word("WHEN") {
            true => None,
            false => Some(self.expression()?),
        };
        let mut branches = Vec::new();
        while self.accept_word("WHEN") {
            let condition = match &operand {
                None => self.condition()?,
                Some(operand) => {
                    let value = self.expression()?;
                    joined(BinaryOperator::Equal, operand.clone(), value)
                }
            };
            self.expect_word("THEN")?;
            branches.push((condition, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = match self.accept_word("ELSE") {
            true => Some(Box::new(self.expression()?)),
            false => None,
        };
        self.expect_word("END")?;
        Ok(Expression::Case { branches, otherwise })
    }

    fn column_or_call(&mut self) -> Parsed<Expression> {
        const FUNCTIONS: &[&str] =
            &["COALESCE", "NULLIF", "LEFT", "RIGHT", "USER", "SYSTEM_USER", "SESSION_USER"];
        if let Some(function) = self.accept_any(FUNCTIONS) {
            let without = matches!(function, "USER" | "SYSTEM_USER" | "SESSION_USER");
            let arguments = if without { Vec::new() } else { self.arguments()? };
            return Ok(call(function, arguments));
        }
        let name = self.object_name()?;
        if !self.peek().is_symbol("(") {
            return Ok(Expression::Column(name));
        }
        let wants_part = ["DATEADD", "DATEDIFF", "DATEPART", "DATENAME"];
        let arguments = match wants_part.iter().any(|one| one.eq_ignore_ascii_case(name.object())) {
            true => self.date_arguments(&name)?,
            false => self.arguments()?,
        };
        Ok(Expression::Call { name, arguments })
    }

    /// The arguments of a function whose first names a part of a date.
    fn date_arguments(&mut self, function: &ObjectName) -> Parsed<Vec<Expression>> {
        self.expect_symbol("(")?;
        if !self.is_at_name() {
            let name = function.object().to_lowercase();
            return Err(Message::new(1023, &[&1, &name]).at_line(self.line()));
        }
        let mut arguments = vec![Expression::Literal(Value::Text(self.name()?))];
        if self.accept_symbol(",") {
            arguments.extend(self.list(Self::expression)?);
        }
        self.expect_symbol(")")?;
        Ok(arguments)
    }

    fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        self.expect_symbol("(")?;
        if self.accept_symbol(")") {
            return Ok(Vec::new());
        }
        let arguments = self.list(|parser| match parser.accept_symbol("*") {
            true => Ok(Expression::Star),
            false => parser.expression(),
        })?;
        self.expect_symbol(")")?;
        Ok(arguments)
    }

    /// A literal with or without a sign, or a variable.
    pub(super) fn signed_literal(&mut self) -> Parsed<Expression> {
        match self.accept_symbol("-") {
            true => Ok(Expression::Negative(Box::new(self.literal()?))),
            false => {
                self.accept_symbol("+");
                self.literal()
            }
        }
    }

    fn literal(&mut self) -> Parsed<Expression> {
        let token = self.peek().clone();
        let value = match token.kind {
            TokenKind::Text => Value::Text(token.text),
            TokenKind::Integer => integer(&token.text).ok_or_else(|| self.unexpected())?,
            TokenKind::Decimal => match Decimal::parse(&token.text) {
                Some(number) => Value::Decimal(number),
                // With an exponent, or beyond the digits of a numeric.
                None => Value::Float(token.text.parse().map_err(|_| self.unexpected())?),
            },
            TokenKind::Binary => Value::Binary(bytes(&token.text)),
            TokenKind::Word if token.is_word("NULL") => Value::Null,
            TokenKind::Variable if self.is_at_variable() => {
                return self.variable().map(Expression::Variable);
            }
            TokenKind::Variable => {
                self.next();
                return Ok(Expression::Variable(token.text));
            }
            _ => return Err(self.unexpected()),
        };
        self.next();
        Ok(Expression::Literal(value))
    }
}

/// The number that digits mean, if it has no more digits than a number may have.
fn integer(digits: &str) -> Option<Value> {
    (digits.len() <= 38).then_some(())?;
    digits.parse().ok().map(Value::from_integer)
}

/// The bytes that hexadecimal digits mean; an odd digit at the start is a byte of its own.
fn bytes(digits: &str) -> Vec<u8> {
    let padded =
        if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    let byte = |at| u8::from_str_radix(&padded[at..at + 2], 16).unwrap_or(0);
    (0..padded.len()).step_by(2).map(byte).collect()
}

fn call(name: &str, arguments: Vec<Expression>) -> Expression {
    Expression::Call { name: ObjectName { parts: vec![name.to_owned()] }, arguments }
}

fn joined(operator: BinaryOperator, left: Expression, right: Expression) -> Expression {
    Expression::Binary { operator, left: Box::new(left), right: Box::new(right) }
}

fn negated(not: bool, expression: Expression) -> Expression {
    if not { Expression::Not(Box::new(expression)) } else { expression }
}

/// What the right operand of a left-associative operator must bind at least.
fn tighter(binding: Binding) -> Binding {
    match binding {
        Binding::Or => Binding::And,
        Binding::And => Binding::Not,
        Binding::Not | Binding::Comparison => Binding::Sum,
        Binding::Sum => Binding::Product,
        Binding::Product | Binding::Operand => Binding::Operand,
    }
}
