//! What is shown while it is measured: on a terminal a bar with the cell; failures as they come.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::rounds::Listener;
use super::sweep::{Cell, bytes_text};

/// Shows a run on standard error.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
}

impl Default for Live {
    fn default() -> Self {
        Live::new()
    }
}

impl Live {
    /// A display without anything.
    pub fn new() -> Live {
        if !std::io::stderr().is_terminal() {
            return Live { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new_spinner();
        // Drawn between runs only: nothing here ticks while a stream is timed.
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        bar.set_message("finding out how fast the client is");
        bar.tick();
        Live { bar }
    }

    /// Takes the display off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Listener for Live {
    fn planned(&self, runs: usize, bytes: u64) {
        self.bar.set_length(runs as u64);
        let template = "{bar:30} {pos} of {len} runs, {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.suspend(|| eprintln!("vdisim: {runs} runs of {} each.", bytes_text(bytes)));
    }

    fn begins(&self, cell: &Cell) {
        self.bar.set_message(cell.to_string());
    }

    fn ended(&self) {
        self.bar.inc(1);
    }

    fn failed(&self, cell: &Cell, why: &str) {
        self.bar.suspend(|| eprintln!("vdisim: failed: {cell}: {why}"));
    }

    fn second_look(&self, cells: usize) {
        let text = format!("{cells} cells look worse than allowed and are measured once more.");
        self.bar.suspend(|| eprintln!("vdisim: {text}"));
    }
}
