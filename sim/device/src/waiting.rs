//! How a thread waits on a doorbell: look, spin a little, spin longer if a CPU is to spare, sleep.
//!
//! A prompt peer answers within a microsecond; the first look-out of a hundred polls catches it and
//! asks nobody. Spinning on for as long as a sleep costs (some 50 µs) pays only while another CPU is
//! free for the peer, so at most `cpus − 1` waiters of a set do it, counted in the segment. With one
//! CPU nobody spins at all: the peer could not run meanwhile. And it pays only where work comes that
//! soon: a waiter whose spinning was in vain a few times goes to sleep at once (one of 64 devices that
//! takes turns would only keep the CPU from the other 63), until a sleep turns out to be short. Between
//! its looks it lets others of its CPU go first: a client's secondary processes may have no other.

use std::{
    hint,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use vdi_region::{Region, RegionError, Wait};

use crate::{error::Timeout, layout::Spinners, signal::Doorbell};

/// Polls before anybody is asked, the first of them without a pause; about 2 µs.
const GLANCES: u32 = 150;
const GLANCES_AT_ONCE: u32 = 100;
/// Polls of a waiter that has lost its patience.
const GLANCES_IMPATIENT: u32 = 20;
/// What a sleep and a wake-up cost together on a virtual machine; spinning longer never pays.
const SPIN: Duration = Duration::from_micros(50);
/// Polls between two looks at the clock.
const POLLS_PER_CLOCK: u32 = 32;

/// Whether spinning has paid for a waiter lately.
#[derive(Debug)]
pub(crate) struct Patience(AtomicU32);

impl Patience {
    const MOST: u32 = 8;

    pub(crate) const fn new() -> Self {
        Patience(AtomicU32::new(Patience::MOST))
    }

    fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A spin brought something.
    fn paid(&self) {
        if self.0.load(Ordering::Relaxed) != Patience::MOST {
            self.0.store(Patience::MOST, Ordering::Relaxed);
        }
    }

    /// A spin was in vain. Two threads may count at once; it is a hint.
    fn wasted(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(2), Ordering::Relaxed);
    }

    /// A sleep ended after so long: a short one would have been worth a spin.
    fn slept(&self, time: Duration) {
        if time < 2 * SPIN {
            let more = self.0.load(Ordering::Relaxed) + 2;
            self.0.store(more.min(Patience::MOST), Ordering::Relaxed);
        }
    }
}

/// What a waiter looks for.
pub(crate) trait Watchful {
    /// True if there is something to do; cheap, called again and again.
    fn ready(&mut self) -> bool;

    /// A last, thorough look before the thread sleeps.
    fn settle(&mut self) -> bool {
        false
    }
}

impl<F: FnMut() -> bool> Watchful for F {
    fn ready(&mut self) -> bool {
        self()
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    TimedOut,
}

/// A place to wait: the doorbell, and what bounds the spinning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub(crate) region: &'a Region,
    pub(crate) bell: &'a Doorbell<AtomicU32>,
    pub(crate) spinners: &'a Spinners,
    pub(crate) patience: &'a Patience,
    /// CPUs that this process may use.
    pub(crate) cpus: usize,
}

impl Waiting<'_> {
    /// Waits until `watch` is ready or the time is over.
    pub(crate) fn wait(
        &self,
        watch: &mut impl Watchful,
        timeout: Timeout,
    ) -> Result<Waited, RegionError> {
        if timeout == Some(Duration::ZERO) {
            return Ok(if watch.ready() { Waited::Ready } else { Waited::TimedOut });
        }
        if self.look_out(watch) {
            return Ok(Waited::Ready);
        }
        self.wait_on(watch, timeout)
    }

    /// The first look-out, for as long as a prompt peer takes. No clock is read: reading it takes a
    /// good part of a prompt answer's time.
    pub(crate) fn look_out(&self, watch: &mut impl Watchful) -> bool {
        if watch.ready() {
            return true;
        }
        let answered = self.cpus > 1 && glance(watch, self.patience.is_left());
        if answered {
            self.patience.paid();
        }
        answered
    }

    /// [`wait`](Self::wait) for a caller that has just [looked out](Self::look_out) in vain.
    pub(crate) fn wait_on(
        &self,
        watch: &mut impl Watchful,
        timeout: Timeout,
    ) -> Result<Waited, RegionError> {
        let patient = self.patience.is_left();
        let start = Instant::now();
        // A time-out beyond what the clock can express is none.
        let deadline = timeout.and_then(|t| start.checked_add(t));
        if patient && let Some(_permit) = Permit::take(self.spinners, self.cpus) {
            if spin(watch, start + SPIN, deadline) {
                self.patience.paid();
                return Ok(Waited::Ready);
            }
            self.patience.wasted();
        }
        let waited = self.sleep(watch, deadline);
        self.patience.slept(start.elapsed());
        waited
    }

    fn sleep(
        &self,
        watch: &mut impl Watchful,
        deadline: Option<Instant>,
    ) -> Result<Waited, RegionError> {
        loop {
            if watch.settle() {
                return Ok(Waited::Ready);
            }
            let ticket = self.bell.arm();
            if watch.ready() {
                return Ok(Waited::Ready);
            }
            let remaining = match deadline {
                None => None,
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => return Ok(Waited::TimedOut),
                    remaining => remaining,
                },
            };
            let waited = self.region.wait(self.bell.sequence(), ticket, remaining)?;
            if watch.ready() {
                return Ok(Waited::Ready);
            }
            if waited == Wait::TimedOut {
                return Ok(Waited::TimedOut);
            }
        }
    }
}

/// Looks again and again for as long as a prompt peer takes.
fn glance(watch: &mut impl Watchful, patient: bool) -> bool {
    let glances = if patient { GLANCES } else { GLANCES_IMPATIENT };
    for glance in 0..glances {
        if watch.ready() {
            return true;
        }
        if glance >= GLANCES_AT_ONCE {
            hint::spin_loop();
        }
    }
    false
}

fn spin(watch: &mut impl Watchful, until: Instant, deadline: Option<Instant>) -> bool {
    let until = deadline.map_or(until, |d| d.min(until));
    while Instant::now() < until {
        for _ in 0..POLLS_PER_CLOCK {
            if watch.ready() {
                return true;
            }
            hint::spin_loop();
        }
        // On this CPU may be whoever is waited for, or who works for him.
        thread::yield_now();
    }
    false
}

/// The right to spin for long, given back on drop.
struct Permit<'a>(&'a AtomicU32);

impl<'a> Permit<'a> {
    /// A killed spinner never gives its permit back; its set ends soon after, and until then the
    /// others spin less.
    fn take(spinners: &'a Spinners, cpus: usize) -> Option<Permit<'a>> {
        let word = &spinners.0;
        let limit = u32::try_from(cpus.saturating_sub(1)).unwrap_or(u32::MAX);
        if word.load(Ordering::Relaxed) >= limit {
            return None;
        }
        let permit = Permit(word);
        (word.fetch_add(1, Ordering::Relaxed) < limit).then_some(permit)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use vdi_region::{Access, Backend, ObjectName};

    use super::*;

    /// Ready at a poll, and when it is about to sleep.
    struct Answer {
        at: u32,
        polls: u32,
        slept: bool,
    }

    impl Watchful for Answer {
        fn ready(&mut self) -> bool {
            self.polls += 1;
            self.polls > self.at
        }

        fn settle(&mut self) -> bool {
            self.slept = true;
            true
        }
    }

    const PROMPT: u32 = 3;
    const SOON: u32 = GLANCES + 10;

    // Catches: a waiter that sleeps before it has looked out and spun, one that spins where the peer has no
    // other CPU, where another waiter spins already, or where it never paid.
    #[rstest]
    #[case::prompt(PROMPT, 2, 0, true, false)]
    #[case::prompt_without_patience(PROMPT, 2, 0, false, false)]
    #[case::soon(SOON, 2, 0, true, false)]
    #[case::soon_without_patience(SOON, 2, 0, false, true)]
    #[case::soon_beside_a_spinner(SOON, 2, 1, true, true)]
    #[case::soon_on_one_cpu(SOON, 1, 0, true, true)]
    #[case::never(u32::MAX, 2, 0, true, true)]
    fn a_sleep_is_the_last_resort(
        #[case] at: u32,
        #[case] cpus: usize,
        #[case] spinners: u32,
        #[case] patient: bool,
        #[case] sleeps: bool,
    ) {
        let name = format!("t{}-waiting-{at}-{cpus}-{spinners}-{patient}", std::process::id());
        let name = ObjectName::new(&name).unwrap();
        let backend = Backend::platform_default();
        let region = Region::create(backend, &name, 64, Access::Creator, |_| Ok(())).unwrap();
        let (bell, spinners) = (Doorbell::new(AtomicU32::new), Spinners(AtomicU32::new(spinners)));
        // Whoever is kept from its CPU at the wrong time sleeps once all the same.
        let slept = (0..100).all(|_| {
            let patience = Patience(AtomicU32::new(if patient { Patience::MOST } else { 0 }));
            let waiting = Waiting {
                region: &region,
                bell: &bell,
                spinners: &spinners,
                patience: &patience,
                cpus,
            };
            let mut answer = Answer { at, polls: 0, slept: false };
            assert_eq!(waiting.wait(&mut answer, None).unwrap(), Waited::Ready);
            answer.slept
        });
        assert_eq!(slept, sleeps);
        region.unlink().unwrap();
    }
}
