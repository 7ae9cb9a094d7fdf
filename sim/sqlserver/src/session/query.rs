//! SELECT.

use std::cmp::Ordering;

use super::batch::{Flow, Session, Stop};
use super::evaluate::{Evaluated, compare};
use super::functions::is_aggregate;
use super::reply::{Client, Column, Command, Reply};
use super::scope::{Rows, Scope, ScopeColumn};
use super::views::view;
use crate::messages::{Message, SeveralMessages};
use crate::sql::{Expression, Select, SelectItem, Table};
use crate::value::{DataType, Value};

/// A table's rows.
type RowSet = Vec<Vec<Value>>;

impl Session {
    /// SELECT as a statement: a result set, or variables that are set.
    pub(super) fn select(
        &mut self,
        select: &Select,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let assigns = select.items.iter().any(|item| matches!(item, SelectItem::Assign { .. }));
        if assigns {
            return self.select_into_variables(select, client);
        }
        let (columns, rows) = self.query(select)?;
        client.reply(Reply::Columns(&columns))?;
        for row in &rows {
            client.reply(Reply::Row(row))?;
        }
        self.done(Command::SELECT, Some(rows.len() as u64), client)
    }

    /// The last row counts; without rows the variables keep their values.
    fn select_into_variables(
        &mut self,
        select: &Select,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let mut plain = select.clone();
        let mut names = Vec::new();
        for item in &mut plain.items {
            let SelectItem::Assign { variable, value } = item else {
                return Err(Message::new(102, &[&"="]).into());
            };
            names.push(variable.clone());
            *item = SelectItem::Expression { value: value.clone(), name: None };
        }
        let (_, rows) = self.query(&plain)?;
        let count = rows.len();
        if let Some(row) = rows.into_iter().next_back() {
            for (name, value) in names.iter().zip(row) {
                self.assign(name, value)?;
            }
        }
        // No rows went to the client, so none are counted there; @@ROWCOUNT knows of them.
        let flow = self.done(Command::SELECT, None, client)?;
        self.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(flow)
    }

    /// The value of a query of one column and at most one row.
    pub(super) fn single_value(&self, select: &Select) -> Evaluated<Value> {
        let (columns, rows) = self.query(select)?;
        match (columns.len(), rows.len()) {
            (1, 0) => Ok(Value::Null),
            (1, 1) => Ok(rows[0][0].clone()),
            (1, _) => Err(Message::new(512, &[]).into()),
            _ => Err(Message::new(116, &[]).into()),
        }
    }

    /// The columns and rows of a query.
    pub(super) fn query(&self, select: &Select) -> Evaluated<(Vec<Column>, RowSet)> {
        let (scope, mut rows) = self.tables(select)?;
        if let Some(condition) = &select.condition {
            let mut kept = Vec::new();
            for row in rows {
                if self.condition(condition, Rows::One(&scope, &row))? == Some(true) {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        let items = items(select, &scope)?;
        let mut keyed = Vec::new();
        let mut add = |seen: Rows<'_>| {
            let output = self.row(&items, seen)?;
            keyed.push((self.keys(select, &items, &output, seen)?, output));
            Ok::<_, SeveralMessages>(())
        };
        if groups_rows(select, &items) {
            check_groups(select, &items, &scope)?;
            for group in self.groups(select, &scope, rows)? {
                let seen = Rows::All(&scope, &group);
                let is_kept = match &select.having {
                    Some(having) => self.condition(having, seen)? == Some(true),
                    None => true,
                };
                if is_kept {
                    add(seen)?;
                }
            }
        } else {
            for row in &rows {
                add(if select.from.is_some() { Rows::One(&scope, row) } else { Rows::None })?;
            }
        }
        let mut failed = None;
        keyed.sort_by(|(left, _), (right, _)| {
            order(select, left, right).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Ordering::Equal
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        let mut output: RowSet = keyed.into_iter().map(|(_, row)| row).collect();
        if select.distinct {
            let mut seen: RowSet = Vec::new();
            output.retain(|row| {
                let is_new = !seen.contains(row);
                if is_new {
                    seen.push(row.clone());
                }
                is_new
            });
        }
        if let Some(top) = &select.top {
            let count = self.value(top, Rows::None)?.integer().unwrap_or(0);
            output.truncate(usize::try_from(count).unwrap_or(0));
        }
        Ok((self.columns(&items, &scope, &output), output))
    }

    fn row(&self, items: &[(Option<String>, Expression)], rows: Rows<'_>) -> Evaluated<Vec<Value>> {
        items.iter().map(|(_, value)| self.value(value, rows)).collect()
    }

    /// The rows by the values of GROUP BY; all together without it, also if there are none.
    fn groups(&self, select: &Select, scope: &Scope, rows: RowSet) -> Evaluated<Vec<RowSet>> {
        if select.group.is_empty() {
            return Ok(vec![rows]);
        }
        let mut groups: Vec<(Vec<Value>, RowSet)> = Vec::new();
        for row in rows {
            let key = |by: &Expression| self.value(by, Rows::One(scope, &row));
            let key = select.group.iter().map(key).collect::<Result<Vec<_>, _>>()?;
            let mut place = None;
            for (index, (other, _)) in groups.iter().enumerate() {
                if same_values(&key, other)? {
                    place = Some(index);
                    break;
                }
            }
            match place {
                Some(index) => groups[index].1.push(row),
                None => groups.push((key, vec![row])),
            }
        }
        Ok(groups.into_iter().map(|(_, rows)| rows).collect())
    }

    /// The tables of FROM, joined; one empty row without FROM.
    fn tables(&self, select: &Select) -> Evaluated<(Scope, RowSet)> {
        let Some(first) = &select.from else { return Ok((Scope::default(), vec![Vec::new()])) };
        let (mut scope, mut rows) = self.table(first)?;
        for join in &select.joins {
            let (added, partners) = self.table(&join.table)?;
            let width = added.columns.len();
            scope.columns.extend(added.columns);
            let mut joined = Vec::new();
            for row in rows {
                let mut found = false;
                for partner in &partners {
                    let both = [row.as_slice(), partner.as_slice()].concat();
                    let fits = match &join.condition {
                        Some(on) => self.condition(on, Rows::One(&scope, &both))? == Some(true),
                        None => true,
                    };
                    if fits {
                        found = true;
                        joined.push(both);
                    }
                }
                if join.is_left && !found {
                    joined.push([row, vec![Value::Null; width]].concat());
                }
            }
            rows = joined;
        }
        Ok((scope, rows))
    }

    fn table(&self, table: &Table) -> Evaluated<(Scope, RowSet)> {
        let (columns, rows) = view(self, &table.name)?
            .ok_or_else(|| Message::new(208, &[&table.name]).at_line(table.line))?;
        let called = table.alias.clone().unwrap_or_else(|| table.name.object().to_owned());
        let columns = columns
            .iter()
            .map(|(name, data_type)| ScopeColumn {
                table: called.clone(),
                name: (*name).to_owned(),
                data_type: *data_type,
            })
            .collect();
        Ok((Scope { columns }, rows))
    }

    fn keys(
        &self,
        select: &Select,
        items: &[(Option<String>, Expression)],
        output: &[Value],
        rows: Rows<'_>,
    ) -> Evaluated<Vec<Value>> {
        let key = |expression: &Expression| match expression {
            Expression::Literal(Value::Int(place)) => {
                let index = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
                Ok(index.and_then(|index| output.get(index)).cloned().unwrap_or(Value::Null))
            }
            other => match named_item(items, other) {
                Some(index) => Ok(output[index].clone()),
                None => self.value(other, rows),
            },
        };
        select.order.iter().map(|order| key(&order.value)).collect()
    }

    /// Names and types: a table's own for its columns, else what the values are.
    fn columns(
        &self,
        items: &[(Option<String>, Expression)],
        scope: &Scope,
        rows: &RowSet,
    ) -> Vec<Column> {
        let data_type = |index: usize, value: &Expression| {
            let known = self.known_type(value, scope);
            known.unwrap_or_else(|| widest(rows.iter().map(|row| &row[index])))
        };
        let column = |(index, (name, value)): (usize, &(Option<String>, Expression))| Column {
            name: name.clone().unwrap_or_default(),
            data_type: data_type(index, value),
        };
        items.iter().enumerate().map(column).collect()
    }

    /// The type that an expression has whatever its values are, as far as it is known.
    fn known_type(&self, expression: &Expression, scope: &Scope) -> Option<DataType> {
        match expression {
            Expression::Column(column) => {
                Some(scope.find(column).map_or(DataType::Int, |at| scope.columns[at].data_type))
            }
            Expression::Cast { data_type, .. } => Some(*data_type),
            Expression::Variable(name) if !name.starts_with("@@") => {
                let variable = self.variables.get(&name.to_lowercase());
                Some(variable.map_or(DataType::Int, |variable| variable.data_type))
            }
            Expression::Call { name, arguments } if is_least_or_most(name.object()) => {
                self.known_type(arguments.first()?, scope)
            }
            _ => None,
        }
    }
}

/// Whether a query has a row for each group and not for each row.
fn groups_rows(select: &Select, items: &[(Option<String>, Expression)]) -> bool {
    !select.group.is_empty()
        || select.having.is_some()
        || items.iter().any(|(_, value)| has_aggregate(value))
}

/// Refuses a column that need not have one value in a group.
fn check_groups(
    select: &Select,
    items: &[(Option<String>, Expression)],
    scope: &Scope,
) -> Result<(), Message> {
    let check = |expression, number| check_grouped(expression, &select.group, scope, number);
    items.iter().try_for_each(|(_, value)| check(value, 8120))?;
    select.having.iter().try_for_each(|having| check(having, 8121))?;
    let orders = select.order.iter().map(|order| &order.value);
    orders.filter(|order| named_item(items, order).is_none()).try_for_each(|by| check(by, 8127))
}

fn check_grouped(
    expression: &Expression,
    group: &[Expression],
    scope: &Scope,
    number: u32,
) -> Result<(), Message> {
    let is_same = |by: &Expression| match (by, expression) {
        (Expression::Column(by), Expression::Column(name)) => {
            scope.find(name).is_ok_and(|place| scope.find(by) == Ok(place))
        }
        (by, other) => by == other,
    };
    if group.iter().any(is_same) {
        return Ok(());
    }
    match expression {
        Expression::Column(name) => {
            let column = &scope.columns[scope.find(name)?];
            Err(Message::new(number, &[&column.table, &column.name]))
        }
        Expression::Call { name, .. } if is_aggregate(name.object()) => Ok(()),
        other => {
            let mut parts = other.parts().into_iter();
            parts.try_for_each(|part| check_grouped(part, group, scope, number))
        }
    }
}

/// The column of the result that an expression of ORDER BY names.
fn named_item(items: &[(Option<String>, Expression)], expression: &Expression) -> Option<usize> {
    let Expression::Column(column) = expression else { return None };
    let is_named = |name: &String| name.eq_ignore_ascii_case(column.object());
    let mut names = items.iter().map(|(name, _)| name.as_ref().is_some_and(is_named));
    names.position(|named| named && column.parts.len() == 1)
}

/// Whether two rows of values are the same group's. NULLs are.
fn same_values(left: &[Value], right: &[Value]) -> Result<bool, Message> {
    for (left, right) in left.iter().zip(right) {
        let same = match (left.is_null(), right.is_null()) {
            (false, false) => compare(left, right)?.is_eq(),
            (left, right) => left == right,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The type that holds all of the values.
fn widest<'v>(values: impl Iterator<Item = &'v Value>) -> DataType {
    let types = values.filter(|value| !value.is_null()).map(Value::data_type);
    types.reduce(wider).unwrap_or(DataType::Int)
}

/// The type that holds the values of two; the second where none does.
fn wider(left: DataType, right: DataType) -> DataType {
    use DataType::{BigInt, Decimal, Float, Int, NVarChar, Numeric};
    const MOST_DIGITS: u8 = 38;
    match (left, right) {
        (NVarChar(left), NVarChar(right)) => {
            NVarChar(left.zip(right).map(|(left, right)| left.max(right)))
        }
        (Decimal { precision, scale }, Decimal { precision: other, scale: other_scale }) => {
            let whole = (precision - scale).max(other - other_scale);
            let scale = scale.max(other_scale);
            Decimal { precision: (whole + scale).min(MOST_DIGITS), scale }
        }
        (Float, Int | BigInt | Numeric | Decimal { .. }) => Float,
        (Decimal { scale, .. }, Int | BigInt | Numeric)
        | (Int | BigInt | Numeric, Decimal { scale, .. }) => {
            Decimal { precision: MOST_DIGITS, scale }
        }
        (Numeric, _) => Numeric,
        (BigInt, Int) => BigInt,
        (_, right) => right,
    }
}

/// The expressions of SELECT, with `*` written out.
fn items(select: &Select, scope: &Scope) -> Evaluated<Vec<(Option<String>, Expression)>> {
    let mut items = Vec::new();
    for item in &select.items {
        match item {
            SelectItem::Expression { value, name } => items.push((name.clone(), value.clone())),
            SelectItem::Assign { .. } => return Err(Message::new(102, &[&"="]).into()),
            SelectItem::All(table) => {
                let before = items.len();
                for column in &scope.columns {
                    let wanted = table.as_ref();
                    if wanted.is_none_or(|table| table.eq_ignore_ascii_case(&column.table)) {
                        let parts = vec![column.table.clone(), column.name.clone()];
                        let name = crate::sql::ObjectName { parts };
                        items.push((Some(column.name.clone()), Expression::Column(name)));
                    }
                }
                if items.len() == before {
                    let star = table.as_ref().map_or("*".to_owned(), |table| format!("{table}.*"));
                    return Err(Message::new(4104, &[&star]).into());
                }
            }
        }
    }
    Ok(items)
}

fn has_aggregate(expression: &Expression) -> bool {
    let is_one = matches!(expression, Expression::Call { name, .. } if is_aggregate(name.object()));
    is_one || expression.parts().into_iter().any(has_aggregate)
}

fn is_least_or_most(function: &str) -> bool {
    ["MIN", "MAX"].iter().any(|name| function.eq_ignore_ascii_case(name))
}

/// NULL comes first.
fn order(select: &Select, left: &[Value], right: &[Value]) -> Result<Ordering, Message> {
    for ((left, right), by) in left.iter().zip(right).zip(&select.order) {
        let order = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => compare(left, right)?,
        };
        let order = if by.is_descending { order.reverse() } else { order };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}
