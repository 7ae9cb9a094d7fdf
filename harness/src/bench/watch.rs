//! What the server half sees of one run.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{Event, Observer};
use vdi_protocol::CommandCode;

use super::latencies::Times;
use super::usage::{Share, Usage};

/// Listens to one transfer.
pub(crate) struct Watch {
    /// The client's process group.
    group: u32,
    /// One a device.
    lanes: Vec<Mutex<Lane>>,
    outstanding: AtomicU32,
    most_outstanding: AtomicU32,
    /// Commands sent and answered, to see that something moves.
    moves: AtomicU64,
    before: OnceLock<Usage>,
    begun: OnceLock<Instant>,
    ended: OnceLock<(Instant, Share)>,
}

/// What one device's thread has seen.
#[derive(Debug, Default)]
struct Lane {
    transfers: Times,
    commands: u64,
    /// From sending to answering, of all transfers.
    in_flight: Duration,
    flush: Duration,
}

/// What a run amounts to.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) transfers: Times,
    pub(crate) seconds: f64,
    pub(crate) share: Share,
    pub(crate) commands: u64,
    pub(crate) in_flight_seconds: f64,
    pub(crate) in_flight_max: u32,
    pub(crate) flush_seconds: f64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Watch {
    pub(crate) fn new(group: u32, devices: u32) -> Watch {
        let lanes = (0..devices).map(|_| Mutex::default()).collect();
        let (outstanding, most_outstanding, moves) = Default::default();
        let (before, begun, ended) = Default::default();
        Watch { group, lanes, outstanding, most_outstanding, moves, before, begun, ended }
    }

    /// Rises with every command that is sent or answered.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Everything, once the stream has ended.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let (ended, share) = self.ended.get()?;
        let mut seen = Seen {
            transfers: Times::default(),
            seconds: ended.duration_since(*self.begun.get()?).as_secs_f64(),
            share: *share,
            commands: 0,
            in_flight_seconds: 0.0,
            in_flight_max: self.most_outstanding.load(Ordering::Relaxed),
            flush_seconds: 0.0,
        };
        for lane in &self.lanes {
            let lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            seen.transfers.add(&lane.transfers);
            seen.commands += lane.commands;
            seen.in_flight_seconds += lane.in_flight.as_secs_f64();
            seen.flush_seconds = seen.flush_seconds.max(lane.flush.as_secs_f64());
        }
        Some(seen)
    }

    /// Before what comes behind the last transfer.
    fn stream_ended(&self) {
        self.ended.get_or_init(|| {
            let now = Instant::now();
            let before = self.before.get();
            let share = before.map(|before| Usage::now(self.group).since(before));
            (now, share.unwrap_or_default())
        });
    }

    fn completed(&self, device: u32, code: CommandCode, took: Duration) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
        self.moves.fetch_add(1, Ordering::Relaxed);
        let Some(lane) = self.lanes.get(device as usize) else { return };
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.commands += 1;
        match code {
            CommandCode::READ | CommandCode::WRITE => {
                lane.transfers.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                lane.in_flight += took;
            }
            CommandCode::FLUSH => lane.flush += took,
            _ => {}
        }
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Opened => _ = self.before.set(Usage::now(self.group)),
            Event::Sent { code, .. } => {
                self.moves.fetch_add(1, Ordering::Relaxed);
                if matches!(*code, CommandCode::READ | CommandCode::WRITE) {
                    self.begun.get_or_init(Instant::now);
                }
                let outstanding = self.outstanding.fetch_add(1, Ordering::Relaxed) + 1;
                self.most_outstanding.fetch_max(outstanding, Ordering::Relaxed);
            }
            Event::Completed { device, code, took, .. } => self.completed(*device, *code, *took),
            // While the client is there: behind the last device's close it may be gone at once.
            Event::Transferred => self.stream_ended(),
            _ => {}
        }
    }
}
