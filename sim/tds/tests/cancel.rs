//! The cancel flag by itself.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use support::watched;
use tds_server::{Cancel, CancelReason};

/// Catches: a waiter that is not woken, a reason that is overwritten, a clone that is another flag.
#[test]
fn a_waiter_is_woken_with_the_first_reason() {
    watched(|| {
        let cancel = Cancel::new();
        assert_eq!(cancel.wait(Duration::from_millis(1)), None);
        let waiter = thread::spawn({
            let cancel = cancel.clone();
            move || cancel.wait(Duration::from_secs(3600))
        });
        cancel.cancel(CancelReason::Attention);
        cancel.cancel(CancelReason::Disconnected);
        assert_eq!(waiter.join().unwrap(), Some(CancelReason::Attention));
        assert_eq!(cancel.reason(), Some(CancelReason::Attention));
    });
}

/// Catches: an action that runs twice, never, after it was taken back, or under the flag's lock.
#[test]
fn actions_run_once() {
    watched(|| {
        let cancel = Cancel::new();
        let count = Arc::new(AtomicUsize::new(0));
        let action = |step: usize| {
            let (count, cancel) = (Arc::clone(&count), cancel.clone());
            move |reason| {
                // Would hang under the lock.
                assert_eq!(cancel.reason(), Some(reason));
                count.fetch_add(step, Ordering::SeqCst);
            }
        };
        let _kept = cancel.on_cancel(action(1));
        drop(cancel.on_cancel(action(100)));
        cancel.cancel(CancelReason::Disconnected);
        cancel.cancel(CancelReason::Attention);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let _late = cancel.on_cancel(action(10));
        assert_eq!(count.load(Ordering::SeqCst), 11);
    });
}
