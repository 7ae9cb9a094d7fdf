//! The connections that are open, and whether there is room for one more.

use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::Limits;

/// The first number of a user's session in SQL Server.
const FIRST_SPID: u16 = 51;
/// Keeps session numbers plentiful.
const MOST: usize = 30_000;

/// All connections of a server.
pub(crate) struct Registry {
    sessions: usize,
    logins: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sockets: HashMap<u16, Arc<TcpStream>>,
    sessions: usize,
    last_spid: u16,
    closed: bool,
}

impl Registry {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            sessions: limits.sessions.min(MOST),
            logins: limits.logins.min(MOST),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Every change is a single statement, so a panicking connection leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; `None` when too many are waiting for their login, or the server stops.
    pub(crate) fn admit(self: &Arc<Self>, socket: Arc<TcpStream>) -> Option<Place> {
        let mut state = self.lock();
        if state.closed || state.sockets.len() - state.sessions >= self.logins {
            return None;
        }
        let mut spid = state.last_spid;
        loop {
            spid = spid.checked_add(1).unwrap_or(FIRST_SPID).max(FIRST_SPID);
            if !state.sockets.contains_key(&spid) {
                break;
            }
        }
        state.last_spid = spid;
        state.sockets.insert(spid, socket);
        Some(Place { registry: Arc::clone(self), spid, is_session: false })
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.lock().sockets.len()
    }

    /// Whether [`Self::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Admits nobody any more and closes every connection; says whether all were gone within `patience`.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        state.closed = true;
        for socket in state.sockets.values() {
            // A socket that is gone already needs no shutdown.
            let _ = socket.shutdown(Shutdown::Both);
        }
        while !state.sockets.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// A connection's place; dropping it gives the place back.
pub(crate) struct Place {
    registry: Arc<Registry>,
    spid: u16,
    is_session: bool,
}

impl Place {
    pub(crate) fn spid(&self) -> u16 {
        self.spid
    }

    /// Makes the connection a session; the limit when there are too many.
    pub(crate) fn become_session(&mut self) -> Result<(), usize> {
        let mut state = self.registry.lock();
        if state.sessions >= self.registry.sessions {
            return Err(self.registry.sessions);
        }
        state.sessions += 1;
        self.is_session = true;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        state.sessions -= usize::from(self.is_session);
        state.sockets.remove(&self.spid);
        self.registry.changed.notify_all();
    }
}
