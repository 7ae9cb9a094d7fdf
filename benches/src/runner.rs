//! Compares contestants by measuring them in turns.
//!
//! A machine's speed drifts by more than most differences worth knowing, so two numbers are comparable only if they
//! were measured side by side. A round runs every contestant once in order and once in reverse (ABBA for two), which
//! cancels a steady drift; the result is the median of the rounds' ratios with a bootstrap interval. A round during
//! which anything else used the machine is dropped and run again.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::load::Load;

/// The least time of a sample: shorter ones drown in the 10 ms to which the load of the machine is known.
const SAMPLE: Duration = Duration::from_millis(50);

/// One thing to measure. All contestants of an experiment do the same kind of work and answer in the same unit.
#[allow(missing_debug_implementations, reason = "holds a closure")]
pub struct Contestant<'a> {
    /// What reports call it.
    pub name: &'static str,
    /// The other processes that do its work, whose CPU time counts as its own.
    pub other_sides: Vec<u32>,
    /// How much work a sample is, in the unit that CPU time is told for.
    pub work: f64,
    /// Measures once.
    pub sample: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contestant<'a> {
    /// A contestant of this process and the named ones.
    pub fn new(
        name: &'static str,
        other_sides: Vec<u32>,
        sample: impl FnMut() -> Result<f64> + 'a,
    ) -> Contestant<'a> {
        Contestant { name, other_sides, work: 1.0, sample: Box::new(sample) }
    }

    /// The same, where samples of different contestants are of different size.
    pub fn of_work(self, work: f64) -> Contestant<'a> {
        Contestant { work, ..self }
    }
}

/// How much is measured, and what counts as disturbed.
#[derive(Debug, Clone, Copy)]
pub struct Runner {
    /// Rounds to keep.
    pub rounds: usize,
    /// The share of all CPU time that others may use in a round that is kept.
    pub others_at_most: f64,
}

/// What one contestant showed in the two samples of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    /// The mean of the two, in the contestant's unit.
    value: f64,
    /// CPU seconds of all its processes per unit of work.
    cpu: f64,
}

/// The outcome of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounds {
    names: Vec<&'static str>,
    /// One row a round, one column a contestant.
    kept: Vec<Vec<Shown>>,
    dropped: usize,
}

/// A median with the 95 % interval that resampling the rounds gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Runner {
    /// Runs rounds until enough are kept, or twice as many were tried; first one that does not count.
    ///
    /// # Errors
    ///
    /// The first error of a contestant.
    pub fn measure(&self, contestants: &mut [Contestant<'_>]) -> Result<Rounds> {
        let names = contestants.iter().map(|contestant| contestant.name).collect();
        let mut rounds = Rounds { names, kept: Vec::new(), dropped: 0 };
        let pids: Vec<u32> = contestants.iter().flat_map(|one| &one.other_sides).copied().collect();
        round(contestants)?;
        while rounds.kept.len() < self.rounds
            && rounds.kept.len() + rounds.dropped < 2 * self.rounds
        {
            let before = Load::now(&pids)?;
            let row = round(contestants)?;
            if Load::now(&pids)?.others_since(&before) > self.others_at_most {
                rounds.dropped += 1;
                // What disturbs is often short: let it pass.
                std::thread::sleep(Duration::from_millis(100));
            } else {
                rounds.kept.push(row);
            }
        }
        Ok(rounds)
    }
}

/// Every contestant in order, then in reverse order.
fn round(contestants: &mut [Contestant<'_>]) -> Result<Vec<Shown>> {
    let mut shown = vec![Shown { value: 0.0, cpu: 0.0 }; contestants.len()];
    let there = 0..contestants.len();
    for index in there.clone().chain(there.rev()) {
        let contestant = &mut contestants[index];
        let before = Load::now(&contestant.other_sides)?;
        shown[index].value += (contestant.sample)()? / 2.0;
        let cpu = Load::now(&contestant.other_sides)?.own_since(&before);
        shown[index].cpu += cpu / 2.0 / contestant.work;
    }
    Ok(shown)
}

impl Rounds {
    /// Rounds that count.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Rounds that were disturbed.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The contestants.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    /// The contestant's median value, in its unit.
    pub fn value(&self, name: &str) -> Estimate {
        let column = self.column(name);
        estimate(self.kept.iter().map(|row| row[column].value).collect())
    }

    /// The contestant's median CPU seconds per unit of work.
    pub fn cpu(&self, name: &str) -> Estimate {
        let column = self.column(name);
        estimate(self.kept.iter().map(|row| row[column].cpu).collect())
    }

    /// How many times `of`'s value is that of `to`.
    pub fn ratio(&self, of: &str, to: &str) -> Estimate {
        let (of, to) = (self.column(of), self.column(to));
        estimate(self.kept.iter().map(|row| row[of].value / row[to].value).collect())
    }

    /// The same of their CPU time.
    pub fn cpu_ratio(&self, of: &str, to: &str) -> Estimate {
        let (of, to) = (self.column(of), self.column(to));
        estimate(self.kept.iter().map(|row| row[of].cpu / row[to].cpu).collect())
    }

    /// The one of `names` with the greatest median value.
    pub fn greatest<'n>(&self, names: &[&'n str]) -> &'n str {
        let by_median =
            |a: &&&str, b: &&&str| self.value(a).median.total_cmp(&self.value(b).median);
        names.iter().max_by(by_median).expect("at least one name")
    }

    fn column(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).expect("a contestant of this experiment")
    }
}

impl Estimate {
    /// A number that was counted, not sampled.
    pub fn exactly(value: f64) -> Estimate {
        Estimate { median: value, low: value, high: value }
    }

    /// The same in a unit of which one makes `factor` of the new one.
    pub fn times(self, factor: f64) -> Estimate {
        Estimate { median: self.median * factor, low: self.low * factor, high: self.high * factor }
    }
}

/// The median and its interval; NaN when there are no values.
pub fn estimate(values: Vec<f64>) -> Estimate {
    const RESAMPLES: usize = 2_000;
    let mut random = StdRng::seed_from_u64(1);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            median(
                (0..values.len()).map(|_| values[random.random_range(0..values.len())]).collect(),
            )
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Estimate {
        median: median(values),
        low: medians[RESAMPLES / 40],
        high: medians[RESAMPLES - 1 - RESAMPLES / 40],
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The mean number of seconds that `work` says it took, over as many calls as fill a sample.
///
/// # Errors
///
/// The first error of `work`.
pub fn mean_seconds(mut work: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let begun = Instant::now();
    let (mut total, mut times) = (Duration::ZERO, 0);
    while begun.elapsed() < SAMPLE {
        total += work()?;
        times += 1;
    }
    Ok(total.as_secs_f64() / f64::from(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: samples in the same order twice (AB AB), by which a drift would look like a difference.
    #[test]
    fn a_steady_drift_cancels() {
        let clock = std::cell::Cell::new(0.0);
        let drifting = || {
            clock.set(clock.get() + 1.0);
            Ok(100.0 + clock.get())
        };
        let mut contestants = [
            Contestant::new("a", Vec::new(), drifting),
            Contestant::new("b", Vec::new(), drifting),
        ];
        let rounds =
            Runner { rounds: 5, others_at_most: f64::INFINITY }.measure(&mut contestants).unwrap();
        assert_eq!(rounds.kept(), 5);
        assert_eq!(rounds.ratio("a", "b"), Estimate { median: 1.0, low: 1.0, high: 1.0 });
    }

    /// Catches: keeping rounds whatever else the machine did, and trying for ever.
    #[test]
    fn a_disturbed_round_is_dropped_and_the_tries_are_bounded() {
        let mut contestants = [Contestant::new("a", Vec::new(), || Ok(1.0))];
        let rounds = Runner { rounds: 2, others_at_most: f64::NEG_INFINITY }
            .measure(&mut contestants)
            .unwrap();
        assert_eq!((rounds.kept(), rounds.dropped()), (0, 4));
        assert!(rounds.value("a").median.is_nan());
    }

    /// Catches: a mean in place of the median; an interval that leaves the values' range or the median.
    #[test]
    fn the_median_ignores_an_outlier_and_lies_in_its_interval() {
        let values: Vec<f64> =
            (0..21).map(|i| 1.0 + f64::from(i) / 100.0).chain([1000.0]).collect();
        let Estimate { median, low, high } = estimate(values);
        assert!((1.10..=1.11).contains(&median), "{median}");
        assert!(1.0 <= low && low < median && median < high && high < 2.0, "{low} {high}");
    }
}
