//! Every interleaving of the lock-free parts, bounded by LOOM_MAX_PREEMPTIONS; run by `scripts/loom`.
//!
//! The models sleep as the device does: on the doorbell's sequence word, with a ticket. A lost wake-up
//! leaves a thread asleep for ever, which loom reports as a deadlock. That the models can fail is shown
//! here by threads whose fences do nothing; each of these was tried in the source, too, and failed:
//! `ring` without fence, `arm` without fence, `announce` without its first fence, `take` without fence,
//! a stamp stored or loaded `Relaxed`, `ring_always` that moves the sequence on before it takes the flag
//! down, and an agent that does not look into the rings whose bits it took.
#![cfg(loom)]
#![allow(missing_docs, reason = "a test")]

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
};

use loom::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU32, fence},
    },
    thread,
};
use vdi_device::signal::{Board, Consumer, Doorbell, Message, Popped, Producer, Slot, Word};

#[derive(Debug)]
struct LoomWord(AtomicU32);

loom::thread_local! {
    /// Whether this thread's fences do nothing.
    static WITHOUT_FENCES: Cell<bool> = Cell::new(false);
}

impl Word for LoomWord {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }

    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.0.fetch_or(bits, order)
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }

    fn fence() {
        if !WITHOUT_FENCES.with(Cell::get) {
            fence(Ordering::SeqCst);
        }
    }
}

fn word(value: u32) -> LoomWord {
    LoomWord(AtomicU32::new(value))
}

/// The kernel's part: compares and sleeps in one step, wakes everybody.
struct Futex {
    queue: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    fn new() -> Self {
        Futex { queue: Mutex::new(()), woken: Condvar::new() }
    }

    fn wait(&self, word: &LoomWord, ticket: u32) {
        let queue = self.queue.lock().unwrap();
        if word.load(Ordering::SeqCst) == ticket {
            drop(self.woken.wait(queue).unwrap());
        }
    }

    fn wake(&self) {
        drop(self.queue.lock().unwrap());
        self.woken.notify_all();
    }
}

/// A doorbell and the kernel behind it.
struct Sleeper {
    bell: Doorbell<LoomWord>,
    futex: Futex,
}

impl Sleeper {
    fn new() -> Self {
        Sleeper { bell: Doorbell::new(word), futex: Futex::new() }
    }

    fn ring(&self) {
        if self.bell.ring() {
            self.futex.wake();
        }
    }

    fn sleep_until(&self, mut ready: impl FnMut() -> bool) {
        while !ready() {
            let ticket = self.bell.arm();
            if ready() {
                return;
            }
            self.futex.wait(self.bell.sequence(), ticket);
        }
    }
}

fn message(n: u32) -> Message {
    std::array::from_fn(|i| n * 10 + i as u32)
}

fn ring<const N: usize>() -> [Slot<LoomWord>; N] {
    std::array::from_fn(|i| Slot::new(i as u32, N as u32, word))
}

/// Commands one way and answers the other, on rings of `N` slots with at most `N` unanswered.
fn answers_come_in_order<const N: usize>(messages: u32) {
    loom::model(move || {
        let rings = Arc::new((ring::<N>(), ring::<N>()));
        let theirs = Arc::clone(&rings);
        let client = thread::spawn(move || {
            let (mut commands, mut answers) = (Consumer::default(), Producer::default());
            for n in 0..messages {
                let command = loop {
                    match commands.pop(&theirs.0) {
                        Popped::Message(command) => break command,
                        Popped::Empty => thread::yield_now(),
                        corrupt => panic!("{corrupt:?}"),
                    }
                };
                assert_eq!(command, message(n));
                answers.push(&theirs.1, &command);
            }
        });
        let (mut commands, mut answers) = (Producer::default(), Consumer::default());
        let mut sent = 0;
        for n in 0..messages {
            while sent < messages && sent - n < N as u32 {
                commands.push(&rings.0, &message(sent));
                sent += 1;
            }
            let answer = loop {
                match answers.pop(&rings.1) {
                    Popped::Message(answer) => break answer,
                    Popped::Empty => thread::yield_now(),
                    corrupt => panic!("{corrupt:?}"),
                }
            };
            assert_eq!(answer, message(n));
        }
        client.join().unwrap();
    });
}

/// Catches: a stamp that does not publish the body, a slot taken for new or for corrupt in its second lap.
#[test]
fn a_ring_of_one_slot_wraps() {
    answers_come_in_order::<1>(3);
}

/// Catches: as above, and messages that overtake each other.
#[test]
fn a_ring_of_two_slots_wraps() {
    answers_come_in_order::<2>(3);
}

/// A publisher of two pieces of work, and `sleepers` threads that each wait for both.
fn nobody_oversleeps(sleepers: usize, publisher_fences: bool, sleeper_fences: bool) {
    loom::model(move || {
        let shared = Arc::new((Sleeper::new(), word(0)));
        let threads: Vec<_> = (0..sleepers)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    WITHOUT_FENCES.with(|f| f.set(!sleeper_fences));
                    let (sleeper, work) = &*shared;
                    for n in 1..=2 {
                        sleeper.sleep_until(|| work.load(Ordering::Acquire) >= n);
                    }
                })
            })
            .collect();
        WITHOUT_FENCES.with(|f| f.set(!publisher_fences));
        for n in 1..=2 {
            shared.1.store(n, Ordering::Release);
            shared.0.ring();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Catches: a fence missing in `ring` or `arm`, a ticket taken too late.
#[test]
fn a_doorbell_loses_no_wake_up() {
    nobody_oversleeps(1, true, true);
}

/// Catches: a ringer that takes the flag of a second sleeper down without waking it.
#[test]
fn a_doorbell_wakes_two_sleepers() {
    nobody_oversleeps(2, true, true);
}

/// Shows that the model fails without the fence in `ring`.
#[test]
#[should_panic(expected = "deadlock")]
fn a_ringer_without_a_fence_is_found() {
    nobody_oversleeps(1, false, true);
}

/// Shows that the model fails without the fence in `arm`.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sleeper_without_a_fence_is_found() {
    nobody_oversleeps(1, true, false);
}

/// Two lanes of completions, their board, and the kernel behind its doorbell.
struct Set {
    lanes: [[Slot<LoomWord>; 1]; 2],
    board: Board<LoomWord>,
    futex: Futex,
}

impl Set {
    fn new() -> Self {
        Set { lanes: [ring(), ring()], board: Board::new(word), futex: Futex::new() }
    }

    /// As CompleteCommand.
    fn complete(&self, lane: usize, completions: &mut Producer, n: u32) {
        completions.push(&self.lanes[lane], &message(n));
        if self.board.announce(lane) {
            self.futex.wake();
        }
    }

    fn has_news(&self, consumers: &[Consumer; 2], lanes: u64) -> bool {
        (0..2).any(|lane| lanes & 1 << lane != 0 && consumers[lane].has_news(&self.lanes[lane]))
    }

    /// As the agent's loop: polls by the board, takes the bits before it sleeps, sleeps.
    fn await_completions(&self, consumers: &mut [Consumer; 2], mut missing: u32) {
        loop {
            let pending = self.board.pending();
            for lane in (0..2).filter(|lane| pending & 1 << lane != 0) {
                while let Popped::Message(_) = consumers[lane].pop(&self.lanes[lane]) {
                    missing -= 1;
                }
            }
            if missing == 0 {
                return;
            }
            let taken = self.board.take();
            if self.has_news(consumers, taken) {
                self.board.put_back(taken);
                continue;
            }
            let ticket = self.board.bell().arm();
            if !self.has_news(consumers, self.board.pending()) {
                self.futex.wait(self.board.bell().sequence(), ticket);
            }
        }
    }
}

/// Two devices complete a command each, and the agent, which has looked at the board before, learns
/// of both.
fn the_agent_misses_nothing(client_fences: bool, agent_fences: bool) {
    loom::model(move || {
        let set = Arc::new(Set::new());
        let clients: Vec<_> = (0..2)
            .map(|lane| {
                let set = Arc::clone(&set);
                thread::spawn(move || {
                    WITHOUT_FENCES.with(|f| f.set(!client_fences));
                    set.complete(lane, &mut Producer::default(), 0);
                })
            })
            .collect();
        WITHOUT_FENCES.with(|f| f.set(!agent_fences));
        set.await_completions(&mut Default::default(), 2);
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// Catches: a fence missing in `announce` or `take`, bits of one device taken down for another.
#[test]
fn two_devices_reach_one_agent() {
    the_agent_misses_nothing(true, true);
}

/// Shows that the model fails without the fences of `announce`.
#[test]
#[should_panic(expected = "deadlock")]
fn a_client_without_fences_is_found() {
    the_agent_misses_nothing(false, true);
}

/// Shows that the model fails without the fences of `take` and `arm`.
#[test]
#[should_panic(expected = "deadlock")]
fn an_agent_without_fences_is_found() {
    the_agent_misses_nothing(true, false);
}

/// One device, a command at a time: the client sleeps on its doorbell, the server on the board, with
/// bits that stay up from one completion to the next.
fn commands_go_to_and_fro(client_fences: bool, server_fences: bool, commands: u32) {
    loom::model(move || {
        let set = Arc::new((Set::new(), ring::<1>(), Sleeper::new()));
        let theirs = Arc::clone(&set);
        let client = thread::spawn(move || {
            WITHOUT_FENCES.with(|f| f.set(!client_fences));
            let (set, ring, sleeper) = &*theirs;
            let (mut consumer, mut completions) = (Consumer::default(), Producer::default());
            for n in 0..commands {
                sleeper.sleep_until(|| consumer.has_news(ring));
                assert_eq!(consumer.pop(ring), Popped::Message(message(n)));
                set.complete(0, &mut completions, n);
            }
        });
        WITHOUT_FENCES.with(|f| f.set(!server_fences));
        let (set, ring, sleeper) = &*set;
        let (mut producer, mut consumers) = (Producer::default(), Default::default());
        for n in 0..commands {
            producer.push(ring, &message(n));
            sleeper.ring();
            set.await_completions(&mut consumers, 1);
        }
        client.join().unwrap();
    });
}

/// Catches: an `announce` that finds its bit up and trusts an agent that is about to take it down.
#[test]
fn the_client_completes_while_the_server_falls_asleep() {
    commands_go_to_and_fro(true, true, 2);
}

/// Shows that the model fails without the client's fences.
#[test]
#[should_panic(expected = "deadlock")]
fn a_handshake_without_the_clients_fences_is_found() {
    commands_go_to_and_fro(false, true, 2);
}

/// Shows that the model fails without the server's fences.
#[test]
#[should_panic(expected = "deadlock")]
fn a_handshake_without_the_servers_fences_is_found() {
    commands_go_to_and_fro(true, false, 2);
}
