//! SELECT.

use super::expression::{Expression, Join, OrderBy, Select, SelectItem, Table};
use super::parser::{Parsed, Parser};
use super::token::TokenKind;

impl Parser {
    /// SELECT, behind its first word.
    pub(super) fn select(&mut self) -> Parsed<Select> {
        self.deeper(|parser| {
            let distinct = parser.accept_word("DISTINCT");
            let mut select = Select { distinct, ..Select::default() };
            if !select.distinct {
                parser.accept_word("ALL");
            }
            if parser.accept_word("TOP") {
                select.top = Some(Box::new(parser.top()?));
            }
            select.items = parser.list(Self::select_item)?;
            if parser.accept_word("FROM") {
                parser.from(&mut select)?;
            }
            if parser.accept_word("WHERE") {
                select.condition = Some(Box::new(parser.condition()?));
            }
            if parser.accept_words(&["GROUP", "BY"]) {
                select.group = parser.list(Self::expression)?;
            }
            if parser.accept_word("HAVING") {
                select.having = Some(Box::new(parser.condition()?));
            }
            if parser.accept_words(&["ORDER", "BY"]) {
                select.order = parser.list(Self::order_by)?;
            }
            Ok(select)
        })
    }

    fn top(&mut self) -> Parsed<Expression> {
        if self.accept_symbol("(") {
            let count = self.expression()?;
            self.expect_symbol(")")?;
            return Ok(count);
        }
        match self.peek().kind {
            TokenKind::Integer => self.signed_literal(),
            _ => Err(self.unexpected()),
        }
    }

    fn select_item(&mut self) -> Parsed<SelectItem> {
        if self.accept_symbol("*") {
            return Ok(SelectItem::All(None));
        }
        if self.is_at_name()
            && self.peek_behind(1).is_symbol(".")
            && self.peek_behind(2).is_symbol("*")
        {
            let table = self.name()?;
            self.next();
            self.next();
            return Ok(SelectItem::All(Some(table)));
        }
        if self.peek_behind(1).is_symbol("=") {
            if self.is_at_variable() {
                let variable = self.variable()?;
                self.next();
                return Ok(SelectItem::Assign { variable, value: self.expression()? });
            }
            if self.is_at_name() {
                let name = Some(self.name()?);
                self.next();
                return Ok(SelectItem::Expression { value: self.expression()?, name });
            }
        }
        let value = self.expression()?;
        let name = match (self.alias()?, &value) {
            (Some(alias), _) => Some(alias),
            (None, Expression::Column(column)) => Some(column.object().to_owned()),
            (None, _) => None,
        };
        Ok(SelectItem::Expression { value, name })
    }

    /// `AS name`, `name`, or nothing; a string serves as a name too.
    fn alias(&mut self) -> Parsed<Option<String>> {
        let announced = self.accept_word("AS");
        if self.is_at_name() || self.peek().kind == TokenKind::Text {
            return Ok(Some(self.next().text));
        }
        if announced { Err(self.unexpected()) } else { Ok(None) }
    }

    fn from(&mut self, select: &mut Select) -> Parsed<()> {
        select.from = Some(self.table()?);
        loop {
            let (is_left, is_cross) =
                if self.accept_words(&["CROSS", "JOIN"]) || self.accept_symbol(",") {
                    (false, true)
                } else if self.accept_word("JOIN") || self.accept_words(&["INNER", "JOIN"]) {
                    (false, false)
                } else if self.accept_words(&["LEFT", "JOIN"])
                    || self.accept_words(&["LEFT", "OUTER", "JOIN"])
                {
                    (true, false)
                } else {
                    return Ok(());
                };
            let table = self.table()?;
            let condition = if is_cross {
                None
            } else {
                self.expect_word("ON")?;
                Some(self.condition()?)
            };
            select.joins.push(Join { table, is_left, condition });
        }
    }

    fn table(&mut self) -> Parsed<Table> {
        let line = self.line();
        let name = self.object_name()?;
        let alias = self.alias()?;
        if self.accept_word("WITH") {
            self.expect_symbol("(")?;
            self.list(Self::name)?;
            self.expect_symbol(")")?;
        }
        Ok(Table { name, alias, line })
    }

    fn order_by(&mut self) -> Parsed<OrderBy> {
        let value = self.expression()?;
        let is_descending = self.accept_word("DESC");
        if !is_descending {
            self.accept_word("ASC");
        }
        Ok(OrderBy { value, is_descending })
    }
}
