//! Measures what the interface costs against bare baselines in the same run: a table on stderr, JSON on stdout.

use anyhow::Result;
use clap::Parser;
use vdisim_benches::runner::Runner;
use vdisim_benches::{measures, process};

/// What the interface costs against bare baselines, measured in turns with them.
#[derive(Debug, Parser)]
struct Arguments {
    /// A look: a third of the rounds.
    #[arg(long)]
    quick: bool,
    /// The share of all CPU time that other programs may use during a round that counts.
    #[arg(long, default_value_t = 0.06)]
    others_at_most: f64,
}

fn main() -> Result<()> {
    if process::run_if_other_side()? {
        return Ok(());
    }
    let Arguments { quick, others_at_most } = Arguments::parse();
    let report = measures::all(&Runner { rounds: if quick { 7 } else { 21 }, others_at_most })?;
    eprint!("{report}");
    println!("{}", report.to_json());
    Ok(())
}
