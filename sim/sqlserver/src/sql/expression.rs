//! Expressions and SELECT.

use crate::value::{DataType, Value};

/// A name of up to four parts: server, database, schema, object. Parts left out are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The parts, the object last.
    pub parts: Vec<String>,
}

impl ObjectName {
    /// The object.
    pub fn object(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The schema, if it is named.
    pub fn schema(&self) -> Option<&str> {
        self.part_before_last(1)
    }

    /// The database, if it is named.
    pub fn database(&self) -> Option<&str> {
        self.part_before_last(2)
    }

    fn part_before_last(&self, distance: usize) -> Option<&str> {
        let index = self.parts.len().checked_sub(1 + distance)?;
        Some(self.parts[index].as_str()).filter(|part| !part.is_empty())
    }
}

/// As messages show it.
impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

/// A column as an expression names it.
pub type Column = ObjectName;

/// An expression. Conditions are expressions too, with a value of type `bit`.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A literal.
    Literal(Value),
    /// A variable, with its `@`, or a global value, with its `@@`.
    Variable(String),
    /// A column.
    Column(Column),
    /// `*` as the argument of COUNT.
    Star,
    /// A function.
    Call {
        /// Its name.
        name: ObjectName,
        /// Its arguments.
        arguments: Vec<Expression>,
    },
    /// CAST and CONVERT.
    Cast {
        /// What is converted.
        value: Box<Expression>,
        /// To which type.
        data_type: DataType,
        /// CONVERT's style.
        style: Option<Box<Expression>>,
    },
    /// CASE; the operand of its simple form is written into the conditions.
    Case {
        /// WHEN … THEN ….
        branches: Vec<(Expression, Expression)>,
        /// ELSE.
        otherwise: Option<Box<Expression>>,
    },
    /// `-`.
    Negative(Box<Expression>),
    /// NOT.
    Not(Box<Expression>),
    /// Two operands.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Before it.
        left: Box<Expression>,
        /// After it.
        right: Box<Expression>,
    },
    /// IS NULL.
    IsNull(Box<Expression>),
    /// IN with a list.
    In {
        /// What is looked for.
        value: Box<Expression>,
        /// Where.
        list: Vec<Expression>,
    },
    /// IN with a query.
    InQuery {
        /// What is looked for.
        value: Box<Expression>,
        /// Where.
        query: Box<Select>,
    },
    /// EXISTS.
    Exists(Box<Select>),
    /// A query of one value.
    Query(Box<Select>),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the operator of that name")]
pub enum BinaryOperator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
    BitOr,
    BitXor,
}

impl BinaryOperator {
    /// Whether it makes a condition.
    pub fn is_condition(self) -> bool {
        use BinaryOperator::*;
        matches!(
            self,
            Or | And | Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual | Like
        )
    }
}

impl Expression {
    /// Whether it is a condition: true, false or unknown.
    pub fn is_condition(&self) -> bool {
        match self {
            Expression::Binary { operator, .. } => operator.is_condition(),
            Expression::Not(_)
            | Expression::IsNull(_)
            | Expression::In { .. }
            | Expression::InQuery { .. }
            | Expression::Exists(_) => true,
            _ => false,
        }
    }

    /// The expressions that it is made of; a query's are its own.
    pub fn parts(&self) -> Vec<&Expression> {
        match self {
            Expression::Literal(_)
            | Expression::Variable(_)
            | Expression::Column(_)
            | Expression::Star
            | Expression::Exists(_)
            | Expression::Query(_) => Vec::new(),
            Expression::Call { arguments, .. } => arguments.iter().collect(),
            Expression::Cast { value, style, .. } => {
                std::iter::once(&**value).chain(style.as_deref()).collect()
            }
            Expression::Case { branches, otherwise } => {
                let branches = branches.iter().flat_map(|(condition, value)| [condition, value]);
                branches.chain(otherwise.as_deref()).collect()
            }
            Expression::Negative(inner) | Expression::Not(inner) | Expression::IsNull(inner) => {
                vec![inner]
            }
            Expression::Binary { left, right, .. } => vec![left, right],
            Expression::In { value, list } => std::iter::once(&**value).chain(list).collect(),
            Expression::InQuery { value, .. } => vec![value],
        }
    }
}

/// SELECT.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    /// TOP.
    pub top: Option<Box<Expression>>,
    /// DISTINCT.
    pub distinct: bool,
    /// The columns.
    pub items: Vec<SelectItem>,
    /// FROM, the first table; none for a SELECT of expressions.
    pub from: Option<Table>,
    /// The tables joined to it.
    pub joins: Vec<Join>,
    /// WHERE.
    pub condition: Option<Box<Expression>>,
    /// GROUP BY.
    pub group: Vec<Expression>,
    /// HAVING.
    pub having: Option<Box<Expression>>,
    /// ORDER BY.
    pub order: Vec<OrderBy>,
}

/// A column of SELECT.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`, or `table.*`.
    All(Option<String>),
    /// An expression.
    Expression {
        /// What.
        value: Expression,
        /// Its name: AS, or the column's own.
        name: Option<String>,
    },
    /// `@variable = value`.
    Assign {
        /// With its `@`.
        variable: String,
        /// What it is set to.
        value: Expression,
    },
}

/// A table of FROM.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: ObjectName,
    /// What the query calls it.
    pub alias: Option<String>,
    /// Its line in the batch, from 1.
    pub line: u32,
}

/// A joined table.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The table.
    pub table: Table,
    /// Whether rows without a partner are kept: LEFT JOIN.
    pub is_left: bool,
    /// ON; none for CROSS JOIN.
    pub condition: Option<Expression>,
}

/// A column of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// A number of a column, its name, or an expression.
    pub value: Expression,
    /// DESC.
    pub is_descending: bool,
}
