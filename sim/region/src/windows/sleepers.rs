//! Sleeping on a word of an object, by named events.
//!
//! Windows' own means (WaitOnAddress) do not leave the process. So who sleeps takes one of the
//! object's places, which are words in its header, writes down there which word it sleeps on, and
//! waits for the event of that place; who wakes looks through the places. A place has one sleeper at
//! a time: no wake-up is taken by another who came later, as it would be with an event for each word.
//!
//! | a place holds | means |
//! |---|---|
//! | 0 | free |
//! | offset of the word + 1 | somebody sleeps on that word |
//! | the same with [`WOKEN`] | its event is being set |

use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{WAIT_IO_COMPLETION, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForSingleObjectEx,
};

use super::accounts::Security;
use super::handle::{failed, last, opened};
use super::names::Scope;
use super::rest;
use crate::{RegionError, Wait};

/// More than 64 devices have threads on both sides, with their agents.
pub(crate) const PLACES: usize = 256;

/// Added to a place's content; offsets are multiples of 4 below 2 GiB, so that it is free.
const WOKEN: u32 = 1 << 31;

/// The places of an object as they lie in its header.
#[repr(C)]
pub(crate) struct Places {
    /// No place at or behind this one was ever taken.
    used: AtomicU32,
    places: [AtomicU32; PLACES],
}

/// The events of an object's places, opened at first use.
pub(crate) struct Events {
    scope: Scope,
    generation: u64,
    security: Arc<Security>,
    handles: Box<[OnceLock<OwnedHandle>]>,
}

impl Events {
    pub(crate) fn new(scope: Scope, generation: u64, security: Arc<Security>) -> Events {
        let handles = (0..PLACES).map(|_| OnceLock::new()).collect();
        Events { scope, generation, security, handles }
    }

    /// The event of a place: it wakes one, once.
    fn of(&self, place: usize) -> Result<&OwnedHandle, RegionError> {
        if let Some(event) = self.handles[place].get() {
            return Ok(event);
        }
        let (attributes, name) =
            (self.security.attributes(), self.scope.event(self.generation, place));
        // SAFETY: the name ends in a zero, the attributes live through the call; it returns a handle
        // of ours or 0.
        let event = opened(|| unsafe { CreateEventW(&attributes, 0, 0, name.as_ptr()) })
            .map_err(|error| failed("CreateEvent", "a sleeper", error))?;
        Ok(self.handles[place].get_or_init(|| event))
    }
}

/// Sleeps on `word`, which lies `offset` bytes into the object, for as long as it is `expected`.
///
/// Asynchronous procedure calls of this thread run meanwhile; they do not end the wait and do not
/// lengthen it.
pub(crate) fn wait(
    places: &Places,
    events: &Events,
    word: &AtomicU32,
    offset: usize,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<Wait, RegionError> {
    // A time too long to be added up is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let Some(place) = Place::take(places, offset) else {
        return Ok(look_again(word, expected, deadline));
    };
    let event = events.of(place.index)?;
    loop {
        // The place was taken before this look, and the waker stores before it looks at the places.
        fence(Ordering::SeqCst);
        if word.load(Ordering::Acquire) != expected {
            return Ok(Wait::Woken);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // SAFETY: the handle is open for as long as `events`.
        match unsafe { WaitForSingleObjectEx(event.as_raw_handle(), milliseconds(left), 1) } {
            WAIT_OBJECT_0 => return Ok(Wait::Woken),
            WAIT_IO_COMPLETION => {}
            WAIT_TIMEOUT if left.is_none_or(|left| left > LONGEST) => {}
            // Somebody may have chosen this place at that very moment.
            WAIT_TIMEOUT => return Ok(if place.leave() { Wait::TimedOut } else { Wait::Woken }),
            _ => return Err(last("WaitForSingleObjectEx", "a sleeper")),
        }
    }
}

/// Wakes at most `count` of those who sleep on the word at `offset`.
pub(crate) fn wake(places: &Places, events: &Events, offset: usize, count: u32) {
    fence(Ordering::SeqCst);
    let Some(content) = content_for(offset) else { return };
    let mut left = count;
    let used = places.used.load(Ordering::Acquire).min(PLACES as u32) as usize;
    for (index, place) in places.places[..used].iter().enumerate() {
        let chosen = match place.load(Ordering::Acquire) {
            // Its waker may have died before it set the event; once more does no harm.
            found if found == content | WOKEN => true,
            found if found == content && left > 0 => {
                let (order, order_failed) = (Ordering::AcqRel, Ordering::Acquire);
                let chosen =
                    place.compare_exchange(content, content | WOKEN, order, order_failed).is_ok();
                left -= u32::from(chosen);
                chosen
            }
            _ => false,
        };
        if chosen && let Ok(event) = events.of(index) {
            // SAFETY: the handle is open for as long as `events`.
            unsafe { SetEvent(event.as_raw_handle()) };
        }
    }
}

/// A place that this thread has taken, given back on drop.
struct Place<'p> {
    index: usize,
    content: u32,
    word: &'p AtomicU32,
}

impl<'p> Place<'p> {
    fn take(places: &'p Places, offset: usize) -> Option<Place<'p>> {
        let content = content_for(offset)?;
        places.places.iter().enumerate().find_map(|(index, word)| {
            if word.load(Ordering::Relaxed) != 0 {
                return None;
            }
            let (order, order_failed) = (Ordering::SeqCst, Ordering::Relaxed);
            word.compare_exchange(0, content, order, order_failed).ok()?;
            places.used.fetch_max(index as u32 + 1, Ordering::SeqCst);
            Some(Place { index, content, word })
        })
    }

    /// Gives it back and says whether nobody had chosen it.
    fn leave(self) -> bool {
        let unchosen = self.give_back();
        std::mem::forget(self);
        unchosen
    }

    /// Once only: behind it the place may be somebody else's.
    fn give_back(&self) -> bool {
        self.word.swap(0, Ordering::AcqRel) == self.content
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What a place holds whose sleeper sleeps on the word at `offset`; none beyond 2 GiB.
fn content_for(offset: usize) -> Option<u32> {
    u32::try_from(offset).ok().map(|offset| offset + 1).filter(|content| content & WOKEN == 0)
}

/// No place is free, or none can be named: looks at the word now and then.
fn look_again(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    loop {
        if word.load(Ordering::Acquire) != expected {
            return Wait::Woken;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Wait::TimedOut;
        }
        rest(Duration::from_millis(1));
    }
}

/// The longest wait that the system knows; longer ones are several.
const LONGEST: Duration = Duration::from_millis(INFINITE as u64 - 1);

/// Rounded up, so that a wait is never cut short.
fn milliseconds(left: Option<Duration>) -> u32 {
    left.map_or(INFINITE, |left| {
        u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(INFINITE).min(INFINITE - 1)
    })
}
