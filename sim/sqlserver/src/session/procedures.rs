//! EXECUTE and the procedures that this server has.

use super::batch::{Flow, Parameter, Session, Stop};
use super::evaluate::convert;
use super::functions::database_property;
use super::instance::pages_out_of_range;
use super::reply::{Client, Command};
use crate::catalogue::{Database, DatabaseFile, FileKind};
use crate::messages::Message;
use crate::sql::{Execute, ExecuteArgument, Executed, ObjectName, parse_declarations};
use crate::value::{DataType, Value};

impl Session {
    pub(super) fn execute_statement(
        &mut self,
        execute: &Execute,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let (name, arguments) = match &execute.executed {
            Executed::Text(text) => {
                let text = self.evaluate(text)?.to_string();
                return Ok(self.nested(&text, &[], client)?.0);
            }
            Executed::Procedure { name, arguments } => (name, arguments),
        };
        let flow = match name.database() {
            Some(database) => {
                self.within(database, |session| session.procedure(name, arguments, client))
            }
            None => self.procedure(name, arguments, client),
        }?;
        if let Some(status) = &execute.status {
            self.assign(status, Value::Int(0))?;
        }
        Ok(flow)
    }

    /// Does `work` with another current database: `database..procedure`.
    fn within<T>(
        &mut self,
        database: &str,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let outer = self.database.clone();
        self.use_database(database)?;
        let done = work(self);
        self.database = outer;
        done
    }

    fn procedure(
        &mut self,
        name: &ObjectName,
        arguments: &[ExecuteArgument],
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let schema = name.schema().unwrap_or_default().to_ascii_lowercase();
        match (schema.as_str(), name.object().to_ascii_lowercase().as_str()) {
            ("" | "sys" | "dbo", "sp_executesql") => self.execute_sql(arguments, client),
            ("" | "sys" | "dbo", "sp_helpfile") => self.help_file(arguments, client),
            ("" | "sys" | "dbo", "sp_helpdb") => self.help_database(arguments, client),
            ("" | "sys" | "dbo", "sp_databases") => self.databases(client),
            ("" | "sys" | "dbo", "sp_datatype_info" | "sp_datatype_info_100") => {
                self.done(Command::OTHER, None, client)
            }
            ("vdisim", "change") => self.change(arguments, client),
            _ => Err(Message::new(2812, &[name]).with_state(62).into()),
        }
    }

    /// `sp_executesql N'text', N'@a int, …', @a = value, …`.
    fn execute_sql(
        &mut self,
        arguments: &[ExecuteArgument],
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let mut rest = arguments.iter();
        let text = match rest.next() {
            Some(argument) => self.argument(argument)?,
            None => {
                let message = Message::new(201, &[&"sp_executesql", &"@statement"]);
                return Err(message.from_procedure("sp_executesql").into());
            }
        };
        let Value::Text(text) = text else {
            let message = Message::new(214, &[&"@statement", &"ntext/nchar/nvarchar"]);
            return Err(message.with_state(2).from_procedure("sp_executesql").into());
        };
        let declarations = match rest.next() {
            Some(argument) => parse_declarations(&self.argument(argument)?.to_string())?,
            None => Vec::new(),
        };
        let values: Vec<_> = rest.collect();
        let mut parameters = Vec::new();
        for (index, declaration) in declarations.iter().enumerate() {
            let name = &declaration.name;
            let same = |argument: &&&ExecuteArgument| {
                argument.parameter.as_ref().is_some_and(|named| named.eq_ignore_ascii_case(name))
            };
            let by_place = || values.get(index).filter(|argument| argument.parameter.is_none());
            let Some(argument) = values.iter().find(same).or_else(by_place) else {
                let missing = Message::new(8178, &[&text, name]);
                return Err(missing.into());
            };
            let data_type = declaration.data_type;
            let value = convert(self.argument(argument)?, data_type, 0)?;
            parameters.push((Parameter { name: name.clone(), data_type, value }, *argument));
        }
        if values.len() > parameters.len() {
            return Err(Message::new(8144, &[&"sp_executesql"]).with_state(2).into());
        }
        let given: Vec<_> = parameters.iter().map(|(parameter, _)| parameter.clone()).collect();
        let (flow, after) = self.nested(&text, &given, client)?;
        for (parameter, argument) in parameters {
            if let (true, Some(crate::sql::Expression::Variable(target))) =
                (argument.is_output, &argument.value)
                && let Some(variable) = after.get(&parameter.name.to_lowercase())
            {
                self.assign(target, variable.value.clone())?;
            }
        }
        Ok(flow)
    }

    fn argument(&self, argument: &ExecuteArgument) -> Result<Value, Stop> {
        match &argument.value {
            Some(value) => Ok(self.evaluate(value)?),
            None => Ok(Value::Null),
        }
    }

    /// The value of a system procedure's one parameter, which may be left out or NULL.
    fn only_argument(
        &self,
        procedure: &str,
        parameter: &str,
        arguments: &[ExecuteArgument],
    ) -> Result<Option<String>, Stop> {
        let argument = match arguments {
            [] => return Ok(None),
            [argument] => argument,
            _ => return Err(Message::new(8144, &[&procedure]).with_state(2).into()),
        };
        match &argument.parameter {
            Some(name) if !name.eq_ignore_ascii_case(parameter) => {
                Err(Message::new(8145, &[name, &procedure]).with_state(2).into())
            }
            _ => {
                let value = self.argument(argument)?;
                Ok((!value.is_null()).then(|| value.to_string()))
            }
        }
    }

    /// `sp_helpfile`: the files of the current database, or the one of this name.
    fn help_file(
        &mut self,
        arguments: &[ExecuteArgument],
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let wanted = self.only_argument("sp_helpfile", "@filename", arguments)?;
        let catalogue = self.instance.catalogue()?;
        let files = catalogue.database(&self.database).map_or(&[][..], |d| &d.files);
        let row = |file: &DatabaseFile| {
            let is_log = file.kind == FileKind::Log;
            vec![
                Value::Text(file.logical_name.clone()),
                Value::SmallInt(i16::try_from(file.id).unwrap_or(i16::MAX)),
                Value::Text(file.physical_name.clone()),
                if is_log { Value::Null } else { Value::Text(file.filegroup.name.clone()) },
                Value::Text(format!("{} KB", file.size / 1024)),
                "Unlimited".into(),
                "65536 KB".into(),
                if is_log { "log only" } else { "data only" }.into(),
            ]
        };
        let is_wanted = |file: &&DatabaseFile| {
            wanted.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&file.logical_name))
        };
        let rows: Vec<_> = files.iter().filter(is_wanted).map(row).collect();
        if let (Some(name), []) = (&wanted, rows.as_slice()) {
            let missing = Message::new(15325, &[&"file", name]);
            return Err(missing.from_procedure("sp_helpfile").into());
        }
        const COLUMNS: &[(&str, DataType)] = &[
            ("name", DataType::NVarChar(Some(128))),
            ("fileid", DataType::SmallInt),
            ("filename", DataType::NVarChar(Some(260))),
            ("filegroup", DataType::NVarChar(Some(128))),
            ("size", DataType::NVarChar(Some(18))),
            ("maxsize", DataType::NVarChar(Some(18))),
            ("growth", DataType::NVarChar(Some(18))),
            ("usage", DataType::NVarChar(Some(9))),
        ];
        self.result_set(COLUMNS, &rows, Command::SELECT, client)
    }

    /// `sp_helpdb`: all databases, or one and its files.
    fn help_database(
        &mut self,
        arguments: &[ExecuteArgument],
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let wanted = self.only_argument("sp_helpdb", "@dbname", arguments)?;
        let catalogue = self.instance.catalogue()?;
        let is_wanted = |database: &&Database| {
            wanted.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&database.name))
        };
        let mut databases: Vec<_> = catalogue.databases.iter().filter(is_wanted).collect();
        databases.sort_by_key(|database| database.name.to_lowercase());
        if let (Some(name), []) = (&wanted, databases.as_slice()) {
            return Err(Message::new(15010, &[name]).from_procedure("sp_helpdb").into());
        }
        const COLUMNS: &[(&str, DataType)] = &[
            ("name", DataType::NVarChar(Some(128))),
            ("db_size", DataType::NVarChar(Some(13))),
            ("owner", DataType::NVarChar(Some(128))),
            ("dbid", DataType::SmallInt),
            ("created", DataType::NVarChar(Some(11))),
            ("status", DataType::NVarChar(Some(600))),
            ("compatibility_level", DataType::TinyInt),
        ];
        let version = self.instance.profile.database_version;
        let rows: Vec<_> = databases.iter().map(|database| help_row(database, version)).collect();
        let flow = self.result_set(COLUMNS, &rows, Command::SELECT, client)?;
        match (wanted, databases.first()) {
            (Some(name), Some(database)) if database.check_open().is_ok() => {
                self.within(&name, |session| session.help_file(&[], client))
            }
            _ => Ok(flow),
        }
    }

    /// `sp_databases`: the databases that can be opened, with their sizes in KiB.
    fn databases(&mut self, client: &mut dyn Client) -> Result<Flow, Stop> {
        const COLUMNS: &[(&str, DataType)] = &[
            ("DATABASE_NAME", DataType::NVarChar(Some(128))),
            ("DATABASE_SIZE", DataType::Int),
            ("REMARKS", DataType::NVarChar(Some(254))),
        ];
        let mut databases = self.instance.catalogue()?.databases;
        databases.retain(|database| database.check_open().is_ok());
        databases.sort_by_key(|database| database.name.to_lowercase());
        let row = |database: &Database| {
            let size = i32::try_from(size(database) / 1024).unwrap_or(i32::MAX);
            vec![Value::Text(database.name.clone()), Value::Int(size), Value::Null]
        };
        let rows: Vec<_> = databases.iter().map(row).collect();
        self.result_set(COLUMNS, &rows, Command::SELECT, client)
    }

    /// `vdisim.change @db, @pages, @seed`: changes pages and writes the log of it.
    fn change(
        &mut self,
        arguments: &[ExecuteArgument],
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        if !self.login.is_sysadmin {
            return Err(Message::new(15247, &[]).from_procedure("change").into());
        }
        const PARAMETERS: [&str; 3] = ["@db", "@pages", "@seed"];
        let mut values = [const { None }; 3];
        for (index, argument) in arguments.iter().enumerate() {
            let place = match &argument.parameter {
                None => Some(index).filter(|index| *index < PARAMETERS.len()),
                Some(name) => {
                    let place = PARAMETERS.iter().position(|p| p.eq_ignore_ascii_case(name));
                    if place.is_none() {
                        return Err(Message::new(8145, &[name, &"change"]).with_state(2).into());
                    }
                    place
                }
            };
            let Some(place) = place else {
                return Err(Message::new(8144, &[&"change"]).with_state(2).into());
            };
            values[place] = Some(self.argument(argument)?);
        }
        let [Some(name), Some(pages), seed] = values else {
            let missing = if values[0].is_none() { PARAMETERS[0] } else { PARAMETERS[1] };
            return Err(Message::new(201, &[&"change", &missing]).with_state(4).into());
        };
        let integer = |value: Value| {
            let number = convert(value, DataType::BigInt, 0)?.integer().unwrap_or(0);
            Ok::<_, Message>(number)
        };
        let pages = integer(pages)?;
        let count = u32::try_from(pages).map_err(|_| pages_out_of_range(pages))?;
        let seed = integer(seed.unwrap_or(Value::Int(1)))? as u64;
        self.instance.change(&name.to_string(), count, seed)?;
        self.done(Command::OTHER, None, client)
    }
}

/// Bytes of a database's files.
fn size(database: &Database) -> u64 {
    database.files.iter().map(|file| file.size).sum()
}

/// A row of `sp_helpdb`. Of the status, only what differs between databases here.
fn help_row(database: &Database, version: u16) -> Vec<Value> {
    let property = |name: &str| database_property(database, version, name).to_string();
    let mut status = format!("Status={}", property("Status"));
    if database.check_open().is_ok() {
        for name in ["Updateability", "UserAccess", "Recovery", "Version", "Collation"] {
            status.push_str(&format!(", {name}={}", property(name)));
        }
    }
    vec![
        Value::Text(database.name.clone()),
        Value::Text(format!("{:>10.2} MB", size(database) as f64 / f64::from(1 << 20))),
        "sa".into(),
        Value::SmallInt(i16::try_from(database.id).unwrap_or(i16::MAX)),
        Value::Text(database.created.strftime("%b %e %Y").to_string()),
        Value::Text(status),
        Value::TinyInt(database.compatibility_level),
    ]
}
