//! What goes to standard output and what to standard error.

use std::io::{self, Write};

use serde_json::Value;

/// Prints data on standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints data for a program on standard output.
pub(super) fn print_json(value: &Value) -> io::Result<()> {
    print(&format!("{value:#}"))
}

/// Says something to the person at the terminal.
pub(super) fn say(text: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr().lock(), "vdisim: {text}");
}

/// The same as another program.
pub(super) fn say_as(program: &str, text: &str) {
    let _ = writeln!(io::stderr().lock(), "{program}: {text}");
}
