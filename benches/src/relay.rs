//! The way from a client to the third process that reads its buffers, the same for the interface and for the bare ring:
//! a pipe with a number for each buffer, and one with the sum of each.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

/// Starts the reader and sends it `numbers`, each as it comes; `back` is called with every sum, in the same order.
/// Ends when the numbers have ended and all were answered.
///
/// # Panics
///
/// When the reader cannot be started or ends before.
pub(crate) fn forward(
    reader: &mut Command,
    numbers: impl Iterator<Item = u64> + Send,
    mut back: impl FnMut(u64),
) {
    let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a reader");
    let mut there = reader.stdin.take().expect("a pipe");
    let mut answers = reader.stdout.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || {
            numbers.for_each(|it| there.write_all(&it.to_ne_bytes()).expect("a reader"));
        });
        let mut sum = [0; 8];
        while answers.read_exact(&mut sum).is_ok() {
            back(u64::from_ne_bytes(sum));
        }
    });
    assert!(reader.wait().expect("a reader").success(), "the reader failed");
}

/// The reader: answers every number that comes with the sum that `work` makes of its buffer.
pub(crate) fn obey(work: impl Fn(u64) -> u64) {
    let (mut numbers, mut answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut number = [0; 8];
    while numbers.read_exact(&mut number).is_ok() {
        let sum = work(u64::from_ne_bytes(number)).to_ne_bytes();
        // Whoever asked may have been killed, which ends this as well.
        let _ = answers.write_all(&sum).and_then(|()| answers.flush());
    }
}
