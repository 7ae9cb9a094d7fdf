//! T-SQL: from the text of a batch to statements.
//!
//! BACKUP and RESTORE are read in all their forms, and around them what clients and scripts send:
//! variables, SELECT over the catalogue, EXEC, PRINT, IF, SET, USE. What is not read is answered as
//! SQL Server answers a mistake, with number, state and line.
//!
//! The grammar of BACKUP and RESTORE is that of SQL Server's documentation and of Microsoft's
//! published parser (SqlScriptDOM), which also knows VIRTUAL_DEVICE.

mod ast;
mod expression;
mod keyword;
mod lexer;
mod option;
mod parse_backup;
mod parse_batch;
mod parse_execute;
mod parse_expression;
mod parse_select;
mod parser;
mod script;
mod token;

pub use ast::{
    AlterDatabase, Assignment, Backup, BackupKind, Batch, DatabaseOption, Declaration, Device,
    DeviceKind, Execute, ExecuteArgument, Executed, FileSelection, Operand, RecoveryModelName,
    Restore, RestoreKind, SetOption, Statement, StatementKind, TransactionControl,
};
pub use expression::{
    BinaryOperator, Column, Expression, Join, ObjectName, OrderBy, Select, SelectItem, Table,
};
pub use option::{OptionName, OptionValue, WithOption};
pub use parse_batch::{ParseOptions, parse};
pub use parse_execute::parse_declarations;
pub use script::{Inside, ScriptBatch, split_script};
