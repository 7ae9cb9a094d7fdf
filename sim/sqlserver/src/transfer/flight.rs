//! The commands of one device that are with the client.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::queue::SegQueue;
use vdi_device::Completed;
use vdi_protocol::{CommandCode, CompletionCode};

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

    /// The command that has been with the client longest. One that it has answered is none, though
    /// nobody has looked at the answer yet.
    pub(crate) fn oldest(&self) -> Option<PendingCommand> {
        let arrived: Vec<Completed> = std::iter::from_fn(|| self.inbox.pop()).collect();
        let is_answered = |sent: &&Sent| {
            let answers = |it: &Completed| {
                it.context == sent.n && it.completion != CompletionCode::ERROR_OPERATION_ABORTED
            };
            arrived.iter().any(answers)
        };
        let oldest = self.sent.iter().find(|sent| !is_answered(sent));
        let oldest = oldest.map(|sent| self.describe(sent));
        arrived.into_iter().for_each(|completed| self.inbox.push(completed));
        oldest
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

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a command that the client has answered, told of as the one that it has had for longest; an
    // answer that is lost by looking; an abort's completion that is taken for an answer.
    #[test]
    fn what_was_answered_is_not_with_the_client() {
        let inbox = Arc::new(Inbox::new());
        let mut flight = Flight::new(0, "set", Arc::clone(&inbox));
        (1..=3).for_each(|n| flight.departs(n, CommandCode::WRITE, 512));
        let aborted = CompletionCode::ERROR_OPERATION_ABORTED;
        for (context, completion) in [(1, CompletionCode::ERROR_SUCCESS), (2, aborted)] {
            inbox.push(Completed {
                code: CommandCode::WRITE,
                size: 512,
                completion,
                bytes: 0,
                claimed: 0,
                position: 0,
                buffer: None,
                context,
            });
        }
        assert_eq!(flight.oldest().map(|command| command.n), Some(2));
        assert_eq!(flight.arrives().map(|(command, _)| command.n), Some(1));
        assert_eq!(flight.arrives().map(|(command, _)| command.n), Some(2));
    }
}
