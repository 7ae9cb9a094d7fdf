//! Distributions of times: what the drop-in has recorded, made into stages.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;
use sqlvdi::times::CommandTimes;
use vdi_protocol::CommandCode;

use super::results::Latencies;

/// The parts of a distribution that are kept for plots.
const QUANTILES: [f64; 15] =
    [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// Nanoseconds, exact to a part in a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        // From 1 ns to an hour; three digits are always possible.
        let bounds = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
        Times(bounds.expect("bounds that hdrhistogram takes"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    pub(crate) fn add(&mut self, others: &Times) {
        // All have the same bounds, so this cannot fail.
        let _ = self.0.add(&others.0);
    }

    pub(crate) fn latencies(&self) -> Option<Latencies> {
        if self.0.is_empty() {
            return None;
        }
        let micros = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        Some(Latencies {
            count: self.0.len(),
            mean: self.0.mean() / 1000.0,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: micros(self.0.max()),
            quantiles: QUANTILES.iter().map(|&quantile| (quantile, at(quantile))).collect(),
        })
    }
}

/// What the client's side shows of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientTimes {
    pub(crate) get_command: Times,
    pub(crate) client_work: Times,
    pub(crate) complete_to_next: Times,
    /// Of all transfers together.
    pub(crate) work_nanoseconds: u64,
    /// Transfers that were recorded.
    pub(crate) transfers: u64,
}

impl ClientTimes {
    /// Reads the file that the drop-in wrote.
    pub(crate) fn read(path: &Path) -> io::Result<ClientTimes> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        // A process that was killed may have written a part of a record last.
        let (records, _) = bytes.as_chunks::<{ CommandTimes::BYTES }>();
        Ok(ClientTimes::of(records.iter().map(CommandTimes::from_bytes)))
    }

    /// Adds another run of the same cell.
    pub(crate) fn add(&mut self, other: &ClientTimes) {
        self.get_command.add(&other.get_command);
        self.client_work.add(&other.client_work);
        self.complete_to_next.add(&other.complete_to_next);
        self.work_nanoseconds += other.work_nanoseconds;
        self.transfers += other.transfers;
    }

    fn of(records: impl Iterator<Item = CommandTimes>) -> ClientTimes {
        let mut all = ClientTimes::default();
        let mut devices: HashMap<(u32, u32), Vec<CommandTimes>> = HashMap::new();
        for record in records {
            devices.entry((record.process, record.device)).or_default().push(record);
        }
        for records in devices.values_mut() {
            records.sort_unstable_by_key(|record| record.asked);
            all.device(records);
        }
        all
    }

    /// The records of one device, in the order of their GetCommands.
    fn device(&mut self, records: &[CommandTimes]) {
        for (place, record) in records.iter().enumerate() {
            let code = CommandCode(record.code);
            if code != CommandCode::READ && code != CommandCode::WRITE {
                continue;
            }
            let work = record.answered.saturating_sub(record.given);
            self.get_command.record(record.given.saturating_sub(record.asked));
            self.client_work.record(work);
            self.work_nanoseconds += work;
            self.transfers += 1;
            // A client that asked for the next one before it answered has no such stage.
            let next = records.get(place + 1).filter(|next| next.asked >= record.answered);
            if let Some(next) = next {
                self.complete_to_next.record(next.asked - record.answered);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(device: u32, code: CommandCode, times: [u64; 4]) -> CommandTimes {
        let [asked, given, answered, taken] = times;
        CommandTimes { process: 1, device, code: code.0, asked, given, answered, taken }
    }

    // Catches: stages with their ends swapped, devices mixed up, a Flush that counts as a transfer, and
    // a wait between commands that overlap.
    #[test]
    fn stages_lie_between_the_calls() {
        let write = CommandCode::WRITE;
        let times = ClientTimes::of(
            [
                record(1, write, [0, 100, 150, 160]),
                // Answered first, recorded last: a client with two threads.
                record(2, write, [40, 50, 2050, 2060]),
                record(1, write, [170, 370, 440, 450]),
                record(2, write, [60, 70, 90, 100]),
                record(1, CommandCode::FLUSH, [460, 500, 900, 910]),
            ]
            .into_iter(),
        );
        assert_eq!((times.transfers, times.work_nanoseconds), (4, 50 + 70 + 2000 + 20));
        let next = times.complete_to_next.latencies().unwrap();
        assert_eq!((next.count, next.max), (2, 0.02));
        assert_eq!(times.get_command.latencies().unwrap().max, 0.2);
        assert_eq!(times.client_work.latencies().unwrap().max, 2.0);
        assert!(Times::default().latencies().is_none());
    }
}
