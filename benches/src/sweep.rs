//! The whole field, with few rounds a point: sizes and numbers of buffers, numbers of devices, and what the client does.

use anyhow::Result;

use crate::bare::{Pair, Shape};
use crate::measures::{Bench, RING, gib_per_second};
use crate::report::Report;
use crate::runner::{Contestant, Runner};
use crate::source::Source;
use crate::subject::{Reading, Subject};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SIZES: [usize; 4] = [64 * KIB, 256 * KIB, MIB, 4 * MIB];
const COUNTS: [usize; 6] = [1, 2, 4, 8, 16, 32];
const DEVICES: [usize; 5] = [1, 2, 4, 16, 64];
const READINGS: [(Reading, &str); 3] =
    [(Reading::Sum, "reads"), (Reading::Sink, "copies"), (Reading::Nothing, "completes")];
/// Bytes of the source.
const COLD: usize = 64 * MIB;
/// Rounds a point.
const ROUNDS: usize = 3;

/// Adds a table of the whole field to the report.
///
/// # Errors
///
/// When a contestant fails.
pub fn sweep(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { runner, cpus, sample, .. } = *bench;
    let (runner, sample) = (Runner { rounds: runner.rounds.min(ROUNDS), ..runner }, sample / 2);
    let mut point = |buffers: (usize, usize), devices, (reading, name)| {
        let (count, size) = (buffers.0, buffers.1 / KIB);
        let what = format!("{count} × {size} KiB, {devices} devices, client {name}");
        eprintln!("{what} ...");
        let (source, total) = (Source::new(COLD, buffers.1), sample / buffers.1);
        let ring = Pair::start(Shape { buffers, ..RING }, cpus.1);
        let mut subject = Subject::with_client(cpus, reading, devices, buffers)?;
        let (ours, theirs) = (subject.pids(), vec![ring.pid()]);
        let rounds = runner.measure(&mut [
            Contestant::new("ring", theirs, || {
                Ok(gib_per_second(sample, ring.stream(&source, total)))
            }),
            Contestant::new("ours", ours, || {
                Ok(gib_per_second(sample, subject.stream(&source, total)?))
            }),
        ])?;
        report.add_point(what, rounds.value("ours"), rounds.ratio("ours", "ring"));
        anyhow::Ok(())
    };
    for size in SIZES {
        for count in COUNTS {
            point((count, size), 1, READINGS[0])?;
        }
    }
    for devices in DEVICES {
        READINGS.into_iter().try_for_each(|reading| point((8, MIB), devices, reading))?;
    }
    Ok(())
}
