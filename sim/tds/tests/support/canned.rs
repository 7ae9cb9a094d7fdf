//! An engine with answers out of a can.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tds_server::{
    Call, CancelReason, Client, Column, ColumnType, DateTime, Engine, Message, Reply, Session,
    StatementDone, Transaction, Value,
};

/// What the sessions of one server saw.
#[derive(Debug, Default)]
pub(crate) struct Canned {
    pub(crate) clients: Mutex<Vec<Client>>,
    pub(crate) batches: Mutex<Vec<String>>,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) cancels: Mutex<Vec<CancelReason>>,
    pub(crate) resets: Mutex<Vec<bool>>,
    /// Sessions that were dropped.
    pub(crate) ended: AtomicUsize,
    /// Steps of progress that `progress` was allowed to make.
    pub(crate) allowed: AtomicUsize,
}

/// The numbers SQL Server uses for commands.
pub(crate) const SELECT: u16 = 193;
pub(crate) const BACKUP: u16 = 228;

impl Canned {
    /// Waits until `ready`, or fails.
    pub(crate) fn wait_until(&self, what: &str, ready: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !ready(self) {
            assert!(Instant::now() < end, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A session that knows a few batches by their first word.
struct CannedSession {
    canned: Arc<Canned>,
    database: String,
}

impl Engine for CannedHandle {
    fn log_in(&self, client: &Client) -> Result<Box<dyn Session>, Vec<Message>> {
        self.0.clients.lock().unwrap().push(client.clone());
        if client.database == "nowhere" {
            let text = "Cannot open database \"nowhere\" requested by the login. The login failed.";
            return Err(vec![Message::new(4060, 1, 11, text)]);
        }
        let database = if client.database.is_empty() { "master" } else { client.database.as_str() };
        Ok(Box::new(CannedSession { canned: self.0.clone(), database: database.to_owned() }))
    }
}

/// The engine's side of a shared [`Canned`].
#[derive(Debug)]
pub(crate) struct CannedHandle(pub(crate) Arc<Canned>);

/// A row of each type, and one of NULLs.
pub(crate) fn table() -> (Vec<Column>, Vec<Vec<Value>>) {
    let kinds = [
        ("tiny", ColumnType::TinyInt, Value::Int(255)),
        ("small", ColumnType::SmallInt, Value::Int(-2)),
        ("whole", ColumnType::Int, Value::Int(-70_000)),
        ("big", ColumnType::BigInt, Value::Int(1 << 40)),
        ("wide", ColumnType::NVarChar(128), "Ünïcode 😀".into()),
        ("narrow", ColumnType::VarChar(20), "latin é".into()),
        ("fixed", ColumnType::NChar(3), "D".into()),
        ("long", ColumnType::NVarCharMax, "x".repeat(9000).into()),
        ("truth", ColumnType::Bit, Value::Bit(true)),
        ("moment", ColumnType::DateTime, Value::DateTime(DateTime { days: 45_000, ticks: 300 })),
        (
            "exact",
            ColumnType::Decimal { precision: 25, scale: 0 },
            Value::Decimal { unscaled: 37_000_000_012_800_001, scale: 0 },
        ),
        (
            "money",
            ColumnType::Decimal { precision: 9, scale: 2 },
            Value::Decimal { unscaled: -12_345, scale: 2 },
        ),
        (
            "guid",
            ColumnType::UniqueIdentifier,
            Value::Guid([4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16]),
        ),
        ("raw", ColumnType::VarBinary(20), Value::Bytes(vec![0, 1, 254, 255])),
        ("float", ColumnType::Float, Value::Float(0.5)),
    ];
    let columns: Vec<_> = kinds.iter().map(|(name, kind, _)| Column::new(*name, *kind)).collect();
    let nulls = vec![Value::Null; columns.len()];
    let row = kinds.into_iter().map(|(_, _, value)| value).collect();
    (columns, vec![row, nulls])
}

impl CannedSession {
    /// Messages as a BACKUP sends them; each waits for the test's leave, if `paced`.
    fn progress(&self, paced: bool, reply: &mut dyn Reply) {
        for step in 1..=5_usize {
            while paced && self.canned.allowed.load(Ordering::SeqCst) < step {
                if reply.cancel().wait(Duration::from_millis(5)).is_some() {
                    return self.aborted(reply);
                }
            }
            let text = format!("{} percent processed.", step * 20);
            reply.progress(&Message::new(3211, 1, 10, text), BACKUP);
        }
        let text =
            "BACKUP DATABASE successfully processed 418 pages in 0.100 seconds (32.656 MB/sec).";
        reply.message(&Message::new(3014, 1, 10, text));
        reply.done(StatementDone { command: BACKUP, rows: None });
    }

    /// Works until it is cancelled.
    fn hang(&self, reply: &mut dyn Reply) {
        reply.progress(&Message::new(3211, 1, 10, "10 percent processed."), BACKUP);
        while reply.cancel().wait(Duration::from_secs(60)).is_none() {}
        self.aborted(reply);
    }

    fn aborted(&self, reply: &mut dyn Reply) {
        self.canned.cancels.lock().unwrap().extend(reply.cancel().reason());
        reply.message(&Message::new(3204, 1, 16, "The backup or restore was aborted."));
        let text = "BACKUP DATABASE is terminating abnormally.";
        reply.message(&Message::new(3013, 1, 16, text));
        reply.done(StatementDone { command: BACKUP, rows: None });
    }

    fn rows(&self, count: usize, reply: &mut dyn Reply) {
        reply.columns(&[Column::new("n", ColumnType::Int)]);
        for row in 0..count {
            reply.row(&[Value::Int(row as i64)]);
        }
        reply.done(StatementDone { command: SELECT, rows: Some(count as u64) });
    }

    fn table(&self, reply: &mut dyn Reply) {
        let (columns, rows) = table();
        reply.columns(&columns);
        for row in &rows {
            reply.row(row);
        }
        reply.done(StatementDone { command: SELECT, rows: Some(rows.len() as u64) });
    }

    fn use_database(&mut self, name: &str, reply: &mut dyn Reply) {
        self.database = name.trim_matches(['[', ']', ';']).to_owned();
        reply.database_changed(&self.database);
        let text = format!("Changed database context to '{}'.", self.database);
        reply.message(&Message::new(5701, 2, 0, text));
    }

    fn run(&mut self, text: &str, reply: &mut dyn Reply) {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        match first.to_ascii_lowercase().as_str() {
            "progress" => self.progress(second == "paced", reply),
            "hang" => self.hang(reply),
            "rows" => self.rows(second.parse().unwrap(), reply),
            "table" => self.table(reply),
            "use" => self.use_database(second, reply),
            "fail" => {
                let text = "Incorrect syntax near 'fail'.";
                reply.message(&Message { line: 3, ..Message::new(102, 1, 15, text) });
            }
            "misfit" => {
                reply.columns(&[Column::new("n", ColumnType::TinyInt)]);
                reply.row(&[Value::Int(256)]);
                reply.done(StatementDone { command: SELECT, rows: Some(0) });
            }
            "panic" => panic!("the engine has a bug; this test provokes it"),
            "select" => self.rows(1, reply),
            _ => {}
        }
    }
}

impl Session for CannedSession {
    fn database(&self) -> &str {
        &self.database
    }

    fn batch(&mut self, text: &str, reply: &mut dyn Reply) {
        self.canned.batches.lock().unwrap().push(text.to_owned());
        self.run(text, reply);
    }

    fn procedure(&mut self, call: &Call, reply: &mut dyn Reply) -> i32 {
        self.canned.calls.lock().unwrap().push(call.clone());
        let statement = match call.name.as_str() {
            "sp_executesql" => call.parameters.first(),
            // Behind the handle, which goes back, and the declaration of the parameters.
            "sp_prepexec" => call.parameters.get(2),
            _ => None,
        };
        if let Some(Value::Text(text)) = statement.map(|parameter| &parameter.value) {
            self.run(text, reply);
        }
        for (index, parameter) in call.parameters.iter().enumerate() {
            if parameter.output {
                reply.output(index, ColumnType::Int, &Value::Int(42));
            }
        }
        0
    }

    fn transaction(&mut self, step: Transaction, reply: &mut dyn Reply) {
        reply.transaction(step);
    }

    fn reset(&mut self, keep_transaction: bool, reply: &mut dyn Reply) {
        self.canned.resets.lock().unwrap().push(keep_transaction);
        if self.database != "master" {
            self.database = "master".to_owned();
            reply.database_changed("master");
        }
    }
}

impl Drop for CannedSession {
    fn drop(&mut self) {
        self.canned.ended.fetch_add(1, Ordering::SeqCst);
    }
}
