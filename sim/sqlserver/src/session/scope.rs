//! The rows that an expression sees.

use crate::messages::Message;
use crate::sql::ObjectName;
use crate::value::{DataType, Value};

/// A column of the tables of a query.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    /// What the query calls the table.
    pub(super) table: String,
    pub(super) name: String,
    pub(super) data_type: DataType,
}

/// The columns of a query's tables, side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) columns: Vec<ScopeColumn>,
}

impl Scope {
    /// The place of the column that `name` means.
    pub(super) fn find(&self, name: &ObjectName) -> Result<usize, Message> {
        let same = |left: &str, right: &str| left.eq_ignore_ascii_case(right);
        let mut found = self.columns.iter().enumerate().filter(|(_, column)| {
            same(&column.name, name.object())
                && name.schema().is_none_or(|table| same(&column.table, table))
        });
        match (found.next(), found.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(Message::new(209, &[&name.object()])),
            (None, _) if name.parts.len() > 1 => Err(Message::new(4104, &[name])),
            (None, _) => Err(Message::new(207, &[&name.object()])),
        }
    }
}

/// What columns and aggregates stand for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'a> {
    /// There are none.
    None,
    /// One row.
    One(&'a Scope, &'a [Value]),
    /// All rows, for aggregates.
    All(&'a Scope, &'a [Vec<Value>]),
}
