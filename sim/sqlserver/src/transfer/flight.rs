//! The commands of one device that are with the client.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::queue::SegQueue;
use vdi_device::Completed;
use vdi_protocol::CommandCode;

use super::cause::PendingCommand;

/// Completions of one device, put there by whichever thread runs the agent's loop.
pub(crate) type Inbox = SegQueue<Completed>;

/// One command under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    n: u64,
    code: CommandCode,
    size: u32,
    since: Instant,
}

/// What a device has under way, and where its completions arrive.
#[derive(Debug)]
pub(crate) struct Flight {
    device: u32,
    name: Arc<str>,
    inbox: Arc<Inbox>,
    sent: Vec<Sent>,
}

impl Flight {
    pub(crate) fn new(device: u32, name: &str, inbox: Arc<Inbox>) -> Self {
        Flight { device, name: name.into(), inbox, sent: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether a completion has arrived.
    pub(crate) fn has_arrived(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(crate) fn departs(&mut self, n: u64, code: CommandCode, size: u32) {
        self.sent.push(Sent { n, code, size, since: Instant::now() });
    }

    /// The next completion, with the command it belongs to.
    pub(crate) fn arrives(&mut self) -> Option<(PendingCommand, Completed)> {
        let completed = self.inbox.pop()?;
        let at = self.sent.iter().position(|sent| sent.n == completed.context)?;
        let sent = self.sent.remove(at);
        Some((self.describe(&sent), completed))
    }

    /// The command that has been with the client longest.
    pub(crate) fn oldest(&self) -> Option<PendingCommand> {
        self.sent.first().map(|sent| self.describe(sent))
    }

    fn describe(&self, sent: &Sent) -> PendingCommand {
        PendingCommand {
            device: self.device,
            name: self.name.clone(),
            n: sent.n,
            code: sent.code,
            size: sent.size,
            age: sent.since.elapsed(),
        }
    }
}
