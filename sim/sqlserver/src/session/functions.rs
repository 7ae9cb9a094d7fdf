//! Functions and global values.

use vdi_protocol::profile::ServerVersion;

use super::batch::Session;
use super::clock::now;
use super::dates::date_function;
use super::evaluate::{Evaluated, compare, convert};
use super::scope::Rows;
use super::texts::text_function;
use crate::catalogue::{Database, DatabaseState};
use crate::messages::Message;
use crate::sql::{Expression, ObjectName};
use crate::value::{DataType, Decimal, Value};

/// The value of `@@name`.
pub(super) fn global(session: &Session, name: &str) -> Option<Value> {
    Some(match name.to_ascii_uppercase().as_str() {
        "@@VERSION" => Value::Text(version(session)),
        "@@SERVERNAME" => Value::Text(session.instance.name.clone()),
        "@@SERVICENAME" => "MSSQLSERVER".into(),
        "@@SPID" => Value::SmallInt(i16::try_from(session.id).unwrap_or(i16::MAX)),
        "@@ERROR" => Value::Int(i32::try_from(session.last_error).unwrap_or(i32::MAX)),
        "@@ROWCOUNT" => Value::Int(i32::try_from(session.row_count).unwrap_or(i32::MAX)),
        "@@TRANCOUNT" => Value::Int(i32::try_from(session.transactions).unwrap_or(i32::MAX)),
        "@@LANGUAGE" => "us_english".into(),
        "@@LANGID" => Value::SmallInt(0),
        "@@MAX_PRECISION" => Value::TinyInt(38),
        "@@MICROSOFTVERSION" => {
            let version = session.instance.profile.version;
            let number = i32::from(version.major) << 24
                | i32::from(version.minor) << 16
                | i32::from(version.build);
            Value::Int(number)
        }
        "@@OPTIONS" => Value::Int(5496),
        "@@LOCK_TIMEOUT" => Value::Int(-1),
        "@@NESTLEVEL" => Value::Int(0),
        "@@DATEFIRST" => Value::TinyInt(7),
        "@@TEXTSIZE" => Value::Int(i32::MAX),
        "@@MAX_CONNECTIONS" => Value::Int(32767),
        _ => return None,
    })
}

/// `@@VERSION`; it says that this is no real server.
fn version(session: &Session) -> String {
    let profile = session.instance.profile;
    format!(
        "{} - {}.0 (X64) \n\tvdisim, a simulated SQL Server, version {}\n",
        profile.product,
        profile.version,
        env!("CARGO_PKG_VERSION")
    )
}

/// SERVERPROPERTY.
fn server_property(session: &Session, name: &str) -> Value {
    let profile = session.instance.profile;
    let machine = session.instance.name.split('\\').next().unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "productversion" => Value::Text(format!("{}.0", profile.version)),
        "productmajorversion" => Value::Text(profile.version.major.to_string()),
        "productminorversion" => Value::Text(profile.version.minor.to_string()),
        "productbuild" => Value::Text(profile.version.build.to_string()),
        "productlevel" => product_level(profile.version).into(),
        "edition" => "Developer Edition (64-bit)".into(),
        "engineedition" => Value::Int(3),
        "editionid" => Value::BigInt(-2_117_995_310),
        "servername" => Value::Text(session.instance.name.clone()),
        "machinename" | "computernamephysicalnetbios" => machine.into(),
        "instancename" => session.instance.name.split_once('\\').map(|(_, i)| i.to_owned()).into(),
        "collation" | "sqlcharsetname" => "SQL_Latin1_General_CP1_CI_AS".into(),
        "isclustered"
        | "ishadrenabled"
        | "issingleuser"
        | "isintegratedsecurityonly"
        | "isfulltextinstalled"
        | "isxtpsupported"
        | "isadvancedanalyticsinstalled" => Value::Int(0),
        "processid" => Value::Int(i32::try_from(std::process::id()).unwrap_or(0)),
        "instancedefaultdatapath" | "instancedefaultlogpath" | "instancedefaultbackuppath" => {
            Value::Text(session.instance.server.folder().display().to_string())
        }
        _ => Value::Null,
    }
}

/// The service pack that a build is of; no profile's has a cumulative update. Source: SQL Server's
/// documentation, "Latest updates and version history".
fn product_level(version: ServerVersion) -> &'static str {
    match (version.major, version.build) {
        (13, 5026..) => "SP2",
        _ => "RTM",
    }
}

/// DATABASEPROPERTYEX.
pub(super) fn database_property(database: &Database, version: u16, name: &str) -> Value {
    match name.to_ascii_lowercase().as_str() {
        "status" => shown_state(&database.state).1.into(),
        "recovery" => database.recovery_model.description().into(),
        "updateability" => {
            let writable = database.state == DatabaseState::Online && !database.read_only;
            if writable { "READ_WRITE" } else { "READ_ONLY" }.into()
        }
        "useraccess" => access_name(database).into(),
        "isinstandby" => Value::Int(matches!(database.state, DatabaseState::Standby(_)).into()),
        "collation" => "SQL_Latin1_General_CP1_CI_AS".into(),
        "version" if database.check_open().is_ok() => Value::Int(version.into()),
        _ => Value::Null,
    }
}

/// A database's state as catalogue views number and name it.
pub(super) fn shown_state(state: &DatabaseState) -> (u8, &'static str) {
    match state {
        DatabaseState::Online | DatabaseState::Standby(_) => (0, "ONLINE"),
        DatabaseState::Restoring(_) => (1, "RESTORING"),
        DatabaseState::Offline => (6, "OFFLINE"),
    }
}

/// Who may use a database, as catalogue views show it.
pub(super) fn access_name(database: &Database) -> &'static str {
    use crate::catalogue::Access;
    match database.access {
        Access::MultiUser => "MULTI_USER",
        Access::SingleUser => "SINGLE_USER",
        Access::RestrictedUser => "RESTRICTED_USER",
    }
}

impl Session {
    /// A call of a function.
    pub(super) fn call(
        &self,
        name: &ObjectName,
        arguments: &[Expression],
        rows: Rows<'_>,
    ) -> Evaluated<Value> {
        let function = name.object().to_ascii_uppercase();
        if let Some(value) = self.aggregate(&function, arguments, rows)? {
            return Ok(value);
        }
        let values = arguments.iter().map(|argument| self.value(argument, rows));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        match self.function(&function, &values)? {
            Some(value) => Ok(value),
            None => Err(Message::new(195, &[&name.object(), &"built-in function name"])
                .with_state(10)
                .into()),
        }
    }

    fn function(&self, function: &str, values: &[Value]) -> Evaluated<Option<Value>> {
        let count = values.len();
        let expect = |expected: usize| match count == expected {
            true => Ok(()),
            false => Err(Message::new(174, &[&function.to_lowercase(), &expected])),
        };
        let text = |index: usize| values.get(index).map_or_else(String::new, Value::to_string);
        let null = values.first().is_some_and(Value::is_null);
        Ok(Some(match function {
            "DB_NAME" | "DB_ID" | "DATABASEPROPERTYEX" | "HAS_DBACCESS" => {
                return self.database_function(function, values);
            }
            "SERVERPROPERTY" => {
                expect(1)?;
                server_property(self, &text(0))
            }
            "GETDATE" | "SYSDATETIME" | "GETUTCDATE" => Value::DateTime(now()),
            "NEWID" => Value::Guid(uuid::Uuid::new_v4()),
            "SUSER_SNAME" | "SUSER_NAME" | "ORIGINAL_LOGIN" | "SYSTEM_USER" => {
                Value::Text(self.login.name.clone())
            }
            "USER_NAME" | "USER" | "SESSION_USER" | "SCHEMA_NAME" => "dbo".into(),
            "HOST_NAME" => Value::Text(self.login.host.clone()),
            "APP_NAME" => Value::Text(self.login.program.clone()),
            "IS_SRVROLEMEMBER" | "IS_MEMBER" | "IS_ROLEMEMBER" => {
                Value::Int(self.login.is_sysadmin.into())
            }
            "HAS_PERMS_BY_NAME" => Value::Int(1),
            "OBJECT_ID" | "CONNECTIONPROPERTY" | "FULLTEXTSERVICEPROPERTY" => Value::Null,
            "ISNULL" => {
                expect(2)?;
                values[usize::from(null)].clone()
            }
            "COALESCE" => {
                values.iter().find(|value| !value.is_null()).cloned().unwrap_or(Value::Null)
            }
            "NULLIF" => {
                expect(2)?;
                let equal =
                    !null && !values[1].is_null() && compare(&values[0], &values[1])?.is_eq();
                if equal { Value::Null } else { values[0].clone() }
            }
            "CONCAT" => Value::Text(values.iter().map(Value::to_string).collect()),
            _ => match text_function(function, values)? {
                Some(value) => value,
                None => return Ok(date_function(function, values)?),
            },
        }))
    }

    fn database_function(&self, function: &str, values: &[Value]) -> Evaluated<Option<Value>> {
        let catalogue = self.instance.catalogue()?;
        let database = match values.first() {
            None => catalogue.database(&self.database),
            Some(value) => match value.integer() {
                Some(id) => {
                    catalogue.databases.iter().find(|database| i128::from(database.id) == id)
                }
                None => catalogue.database(&value.to_string()),
            },
        };
        Ok(Some(match (function, database) {
            (_, None) => Value::Null,
            ("DB_NAME", Some(database)) => Value::Text(database.name.clone()),
            ("DB_ID", Some(database)) => {
                Value::SmallInt(i16::try_from(database.id).unwrap_or(i16::MAX))
            }
            ("HAS_DBACCESS", Some(database)) => Value::Int(database.check_open().is_ok().into()),
            (_, Some(database)) => {
                let name = values.get(1).map_or_else(String::new, Value::to_string);
                database_property(database, self.instance.profile.database_version, &name)
            }
        }))
    }

    /// COUNT, MIN, MAX and SUM over all rows; none if this is no aggregate.
    fn aggregate(
        &self,
        function: &str,
        arguments: &[Expression],
        rows: Rows<'_>,
    ) -> Evaluated<Option<Value>> {
        let (Rows::All(scope, all), [argument]) = (rows, arguments) else { return Ok(None) };
        if !is_aggregate(function) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for row in all {
            let value = self.value(argument, Rows::One(scope, row))?;
            if !value.is_null() {
                values.push(value);
            }
        }
        let mut best = Value::Null;
        match function {
            "COUNT" => return Ok(Some(Value::from_integer(values.len() as i128))),
            "COUNT_BIG" => {
                return Ok(Some(Value::BigInt(i64::try_from(values.len()).unwrap_or(i64::MAX))));
            }
            "SUM" => return Ok(Some(total(&values)?)),
            _ => {}
        }
        for value in values {
            let better = best.is_null() || {
                let order = compare(&value, &best)?;
                if function == "MAX" { order.is_gt() } else { order.is_lt() }
            };
            if better {
                best = value;
            }
        }
        Ok(Some(best))
    }
}

/// Whether a function takes all rows.
pub(super) fn is_aggregate(function: &str) -> bool {
    ["COUNT", "COUNT_BIG", "MIN", "MAX", "SUM"]
        .iter()
        .any(|name| function.eq_ignore_ascii_case(name))
}

/// The sum of numbers, NULL if there are none: a float if one of them is, else exact.
fn total(values: &[Value]) -> Result<Value, Message> {
    let is_float = |value: &Value| matches!(value, Value::Float(_));
    let mut scale = None;
    for value in values {
        match value {
            Value::Decimal(number) => scale = scale.max(Some(number.scale)),
            value if is_float(value) || value.integer().is_some() => {}
            other => return Err(Message::new(8117, &[&other.data_type(), &"sum"])),
        }
    }
    if values.iter().any(is_float) {
        let mut sum = 0.0;
        for value in values {
            if let Value::Float(number) = convert(value.clone(), DataType::Float, 0)? {
                sum += number;
            }
        }
        return Ok(Value::Float(sum));
    }
    let exact = DataType::Decimal { precision: 38, scale: scale.unwrap_or(0) };
    let mut sum = Decimal { unscaled: 0, precision: 38, scale: scale.unwrap_or(0) };
    for value in values {
        if let Value::Decimal(number) = convert(value.clone(), exact, 0)? {
            let unscaled = sum.unscaled.checked_add(number.unscaled);
            let fitted =
                unscaled.and_then(|unscaled| Decimal { unscaled, ..sum }.fit(38, sum.scale));
            sum = fitted.ok_or_else(|| Message::new(8115, &[&"expression", &"numeric"]))?;
        }
    }
    Ok(match (values, scale) {
        ([], _) => Value::Null,
        (_, None) => Value::from_integer(sum.unscaled),
        (_, Some(_)) => Value::Decimal(sum),
    })
}
