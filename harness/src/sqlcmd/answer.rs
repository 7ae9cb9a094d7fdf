//! A batch's answer, printed as it comes.

use tds_server::client::Event;
use tds_server::{Message, Value};

use super::layout::{Headings, Layout, Table};
use super::options::{Flavour, Options, Redirect};
use super::output::Output;

/// Classes above it are errors.
const INFORMATION: u8 = 10;
/// A state that ends a script, with the message's number as the exit code.
const STATE_EXIT: u8 = 127;

/// What a batch's answer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The highest class of a message.
    pub(super) severity: u8,
    /// The number of a message with state 127.
    pub(super) exit: Option<i32>,
    /// Whether there was a row.
    pub(super) has_row: bool,
    /// The first value of the last row, where it is a number.
    pub(super) number: Option<i64>,
}

impl Outcome {
    /// Whether the server reported an error.
    pub(super) fn is_error(&self) -> bool {
        self.severity > INFORMATION
    }
}

/// Prints an answer.
pub(super) struct Printer<'p> {
    flavour: Flavour,
    layout: &'p Layout,
    redirect: Redirect,
    message_level: i32,
    output: &'p mut Output,
    table: Option<Table>,
    outcome: Outcome,
}

impl<'p> Printer<'p> {
    pub(super) fn new(options: &'p Options, output: &'p mut Output) -> Self {
        Printer {
            flavour: options.flavour,
            layout: &options.layout,
            redirect: options.redirect,
            message_level: options.message_level,
            output,
            table: None,
            outcome: Outcome::default(),
        }
    }

    /// What the answer came to.
    pub(super) fn outcome(self) -> Outcome {
        self.outcome
    }

    /// Whether there is no use in going on.
    pub(super) fn has_failed(&self) -> bool {
        self.output.has_failed()
    }

    /// Prints the next part.
    pub(super) fn print(&mut self, event: Event<'_>) {
        match event {
            Event::Message { message, server } => self.message(message, server),
            Event::Columns(columns) => {
                let table = Table::new(self.layout, columns);
                if self.layout.headings != Headings::Never {
                    self.output.out(&table.heading());
                }
                self.table = Some(table);
            }
            Event::Row(values) => {
                self.outcome.has_row = true;
                self.outcome.number = values.first().and_then(number);
                if let Some(table) = &mut self.table {
                    self.output.out(&table.row(values));
                }
            }
            Event::Done { rows } => {
                self.table = None;
                if let Some(rows) = rows {
                    let unit = match (self.flavour, rows) {
                        (Flavour::Osql, 1) => "row",
                        _ => "rows",
                    };
                    self.output.out(&format!("\n({rows} {unit} affected)\n"));
                }
            }
        }
    }

    fn message(&mut self, message: &Message, server: &str) {
        self.outcome.severity = self.outcome.severity.max(message.class);
        if message.state == STATE_EXIT {
            self.outcome.exit = Some(message.number);
        }
        let is_error = message.class > INFORMATION;
        if is_error && i32::from(message.class) < self.message_level {
            return;
        }
        let text = shown(message, server, self.message_level < 0);
        let to_err = match self.redirect {
            Redirect::Nothing => false,
            Redirect::Errors => is_error,
            Redirect::Messages => true,
        };
        if to_err { self.output.err(&text) } else { self.output.out(&text) }
    }
}

/// A message: its numbers in a line of their own unless it is plain information.
fn shown(message: &Message, server: &str, always_numbers: bool) -> String {
    let Message { number, class, state, line, text, procedure } = message;
    if *class == 0 && !always_numbers {
        return format!("{text}\n");
    }
    let procedure = match procedure.as_str() {
        "" => String::new(),
        name => format!("Procedure {name}, "),
    };
    format!(
        "Msg {number}, Level {class}, State {state}, Server {server}, {procedure}Line {line}\n\
         {text}\n"
    )
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bit(bit) => Some((*bit).into()),
        Value::Decimal { unscaled, scale: 0 } => (*unscaled).try_into().ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
