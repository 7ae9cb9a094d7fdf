//! Watching a transfer on a terminal, and several watchers at once.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use fake_sqlserver::transfer::{Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vdi_protocol::CommandCode;

/// A bar with bytes and rate on standard error, or nothing where that is no terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For a transfer of so many bytes, if that is known.
    pub fn new(total: Option<u64>) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden() };
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let template = match total {
            Some(_) => "{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {binary_bytes_per_sec}",
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress { bar }
    }

    /// Takes the bar off the screen while `print` prints.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        if let Event::Completed { code: CommandCode::READ | CommandCode::WRITE, bytes, .. } = event
        {
            self.bar.inc(u64::from(*bytes));
        }
    }
}

/// Tells several observers.
#[derive(Default)]
pub struct Everybody(pub Vec<Arc<dyn Observer>>);

impl std::fmt::Debug for Everybody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Everybody({})", self.0.len())
    }
}

impl Observer for Everybody {
    fn event(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.event(event);
        }
    }
}
