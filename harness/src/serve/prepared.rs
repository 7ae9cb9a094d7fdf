//! Statements that a client prepares and executes by number, as ODBC and JDBC drivers do.

use std::collections::HashMap;

use tds_server::{Call, Parameter, Value};

/// The most statements that one connection may have prepared.
const MOST: usize = 1000;

/// A prepared statement: what `sp_executesql` takes as its first two parameters.
#[derive(Clone, Debug, PartialEq)]
struct Statement {
    text: Value,
    declarations: Value,
}

/// A connection's prepared statements, by their handles.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    statements: HashMap<i64, Statement>,
    last: i64,
}

/// What a call comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// It has nothing to do with prepared statements.
    Plain,
    /// Nothing but what was done here; the handle, if the client gets one.
    Done(Option<i64>),
    /// A call of `sp_executesql`, and the handle of the statement, if it is new.
    Execute(Call, Option<i64>),
    /// There is no statement of this handle (8179).
    Unknown(i64),
    /// There are too many.
    Full,
}

impl Prepared {
    /// Takes a call of `sp_prepare`, `sp_prepexec`, `sp_execute` or `sp_unprepare` apart.
    /// Source: MS-TDS 2.2.6.6; SQL Server, "Cursor Stored Procedures".
    pub(super) fn understand(&mut self, call: &Call) -> Meaning {
        let parameter = |index: usize| call.parameters.get(index).map(|given| &given.value);
        let handle = match parameter(0) {
            Some(Value::Int(handle)) => *handle,
            _ => 0,
        };
        let given = || Statement {
            declarations: parameter(1).cloned().unwrap_or(Value::Null),
            text: parameter(2).cloned().unwrap_or(Value::Null),
        };
        match call.name.to_ascii_lowercase().as_str() {
            "sp_prepare" => match self.keep(given()) {
                Some(handle) => Meaning::Done(Some(handle)),
                None => Meaning::Full,
            },
            "sp_prepexec" => {
                let statement = given();
                let values = call.parameters.get(3..).unwrap_or_default();
                // An older statement of the handle is given up for the new one.
                self.statements.remove(&handle);
                match self.keep(statement.clone()) {
                    Some(handle) => Meaning::Execute(statement.with(values), Some(handle)),
                    None => Meaning::Full,
                }
            }
            "sp_execute" => match self.statements.get(&handle) {
                Some(statement) => {
                    let values = call.parameters.get(1..).unwrap_or_default();
                    Meaning::Execute(statement.with(values), None)
                }
                None => Meaning::Unknown(handle),
            },
            "sp_unprepare" => match self.statements.remove(&handle) {
                Some(_) => Meaning::Done(None),
                None => Meaning::Unknown(handle),
            },
            _ => Meaning::Plain,
        }
    }

    fn keep(&mut self, statement: Statement) -> Option<i64> {
        if self.statements.len() >= MOST {
            return None;
        }
        self.last += 1;
        self.statements.insert(self.last, statement);
        Some(self.last)
    }
}

impl Statement {
    /// The call that executes it with these values.
    fn with(&self, values: &[Parameter]) -> Call {
        let by_place = |value: &Value| {
            let (name, value) = (String::new(), value.clone());
            Parameter { name, value, output: false }
        };
        let mut parameters = vec![by_place(&self.text)];
        if self.declarations != Value::Null {
            parameters.push(by_place(&self.declarations));
            parameters.extend_from_slice(values);
        }
        Call { name: "sp_executesql".to_owned(), parameters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, values: Vec<Value>) -> Call {
        let parameter = |value| Parameter { name: String::new(), value, output: false };
        Call { name: name.to_owned(), parameters: values.into_iter().map(parameter).collect() }
    }

    // Catches: handles that mix statements up, text and declarations in the wrong order, a statement
    // that outlives its sp_unprepare.
    #[test]
    fn a_statement_is_prepared_executed_and_given_up() {
        let mut prepared = Prepared::default();
        let (text, declarations) = (Value::from("SELECT @a"), Value::from("@a int"));
        let prepare = |name, mut more: Vec<Value>| {
            more.splice(0..0, [Value::Null, declarations.clone(), text.clone()]);
            call(name, more)
        };
        let executed =
            |value| call("sp_executesql", vec![text.clone(), declarations.clone(), value]);
        assert_eq!(prepared.understand(&prepare("sp_prepare", vec![])), Meaning::Done(Some(1)),);
        assert_eq!(
            prepared.understand(&prepare("sp_prepexec", vec![Value::Int(5)])),
            Meaning::Execute(executed(Value::Int(5)), Some(2)),
        );
        let execute = call("sp_execute", vec![Value::Int(1), Value::Int(7)]);
        assert_eq!(prepared.understand(&execute), Meaning::Execute(executed(Value::Int(7)), None));
        let unprepare = call("sp_unprepare", vec![Value::Int(1)]);
        assert_eq!(prepared.understand(&unprepare), Meaning::Done(None));
        assert_eq!(prepared.understand(&unprepare), Meaning::Unknown(1));
        assert_eq!(prepared.understand(&execute), Meaning::Unknown(1));
        assert_eq!(prepared.understand(&call("sp_helpfile", vec![])), Meaning::Plain);
    }

    // Catches: a client that prepares without end and takes all memory.
    #[test]
    fn there_is_a_limit() {
        let mut prepared = Prepared::default();
        let prepare = call("sp_prepare", vec![Value::Null, Value::Null, Value::from("SELECT 1")]);
        for _ in 0..MOST {
            assert!(matches!(prepared.understand(&prepare), Meaning::Done(Some(_))));
        }
        assert_eq!(prepared.understand(&prepare), Meaning::Full);
        let unprepare = call("sp_unprepare", vec![Value::Int(3)]);
        assert_eq!(prepared.understand(&unprepare), Meaning::Done(None));
        assert!(matches!(prepared.understand(&prepare), Meaning::Done(Some(_))));
    }
}
