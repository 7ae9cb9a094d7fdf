//! Calling a procedure without T-SQL text, as clients do by RPC.

use super::batch::{Session, Variable};
use super::cancel::CancelToken;
use super::reply::{Client, Gone};
use crate::sql::{
    Execute, ExecuteArgument, Executed, Expression, ObjectName, Statement, StatementKind,
};
use crate::value::{DataType, Value};

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The parameter's name with its `@`; none if it is passed by position.
    pub name: Option<String>,
    /// Its type.
    pub data_type: DataType,
    /// Its value.
    pub value: Value,
    /// Whether the procedure may change it.
    pub is_output: bool,
}

/// How a call has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// 0, or the number of the error that it ended with.
    pub status: i32,
    /// The values of the arguments afterwards, in order.
    pub values: Vec<(DataType, Value)>,
}

/// The variable that holds an argument; a client's own text cannot have one of this name.
fn variable(index: usize) -> String {
    format!("@argument {index}")
}

impl Session {
    /// Calls a procedure as EXECUTE does. `cancel` ends it, also if it came before.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is; errors of the procedure are sent to it as messages.
    pub fn call_procedure(
        &mut self,
        cancel: CancelToken,
        procedure: &str,
        arguments: Vec<Argument>,
        client: &mut dyn Client,
    ) -> Result<Called, Gone> {
        self.cancel = cancel;
        let outer = std::mem::take(&mut self.variables);
        let count = arguments.len();
        let mut passed = Vec::with_capacity(count);
        for (index, argument) in arguments.into_iter().enumerate() {
            let Argument { name, data_type, value, is_output } = argument;
            self.variables.insert(variable(index), Variable { data_type, value });
            let value = Some(Expression::Variable(variable(index)));
            passed.push(ExecuteArgument { parameter: name, value, is_output });
        }
        let unquoted = |part: &str| part.trim_matches(['[', ']', '"']).to_owned();
        let name = ObjectName { parts: procedure.split('.').map(unquoted).collect() };
        let executed = Executed::Procedure { name, arguments: passed };
        let kind = StatementKind::Execute(Execute { status: None, executed });
        self.last_error = 0;
        let done = self.statements(&[Statement { line: 1, kind }], client);
        let mut inner = std::mem::replace(&mut self.variables, outer);
        done?;
        let status = i32::try_from(self.last_error).unwrap_or(i32::MAX);
        let value = |index| inner.remove(&variable(index)).map(|v| (v.data_type, v.value));
        Ok(Called { status, values: (0..count).filter_map(value).collect() })
    }
}
