//! Looks at a client's answers.

use vdi_device::{Buffer, Completed};
use vdi_protocol::{CommandCode, CompletionCode};

use super::{CANARY, Played, Player, Read};
use crate::conformance::record::What;
use crate::conformance::script::Operation;

impl Player<'_> {
    pub(super) fn completed(&mut self, mut completed: Completed) -> Played {
        let n = completed.context;
        if let Some(code) = self.overruled.remove(&n) {
            completed.completion = code;
        }
        let Some(pending) = self.pending.remove(&n) else { return Ok(()) };
        let (k, code) = (pending.device, completed.code);
        let completion = completed.completion;
        self.note(What::Completed {
            device: k as u32,
            n,
            code: code.0,
            size: completed.size,
            completion: completion.0,
            bytes: completed.claimed,
            position: completed.position,
            took: pending.sent.elapsed().as_micros() as u64,
        });
        if completion == CompletionCode::ERROR_OPERATION_ABORTED
            && self.set()?.abort_cause().is_some()
        {
            return Err(self.aborted());
        }
        if !completion.is_success() {
            self.lanes[k].in_error = true;
        }
        if code == CommandCode::GET_POSITION {
            self.lanes[k].position = completed.position;
        }
        if let (Some(at), Some(buffer)) = (pending.at, &completed.buffer) {
            self.look_for_tramples(k as u32, n, completed.size, buffer);
            self.look_around(k as u32, n, buffer);
            if code == CommandCode::READ {
                self.reads.push(Read { device: k, at, completed });
                return Ok(());
            }
            buffer.blank();
        }
        let counted = code != CommandCode::WRITE || completed.claimed == u64::from(completed.size);
        if pending.tolerated || (completion.is_success() && counted) {
            return Ok(());
        }
        Err(self
            .stop(format!("{code} was answered with {completion}, {} bytes", completed.claimed)))
    }

    fn look_for_tramples(&self, device: u32, n: u64, size: u32, buffer: &Buffer) {
        let mut rest = vec![0; buffer.len() - size as usize];
        if buffer.slice().copy_to(size as usize, &mut rest).is_ok()
            && let Some(offset) = rest.iter().position(|byte| *byte != CANARY)
        {
            self.note(What::Trampled { device, n, offset: i64::from(size) + offset as i64 });
        }
    }

    /// Looks at what a Read brought.
    pub(super) fn returned(&mut self, read: &Read) -> Played {
        let Read { device: k, at: sent_at, completed } = read;
        let (device, n) = (*k as u32, completed.context);
        let (claimed, size) = (completed.claimed, u64::from(completed.size));
        if claimed > size {
            return Err(self.stop(format!("VDC_Read of {size} bytes was answered with {claimed}")));
        }
        if self.order.script.operation == Operation::Backup {
            if let Some(buffer) = &completed.buffer {
                buffer.blank();
            }
            return Ok(());
        }
        let at = if self.disk { *sent_at } else { self.lanes[*k].back };
        let length = self.order.script.length;
        let behind = (at + claimed).saturating_sub(length.max(at));
        let mut seen = vec![0; claimed as usize];
        let copied = completed.buffer.as_ref().map(|buffer| buffer.slice().copy_to(0, &mut seen));
        if !matches!(copied, Some(Ok(()))) {
            return Err(self.stop("a buffer is gone"));
        }
        if let Some(buffer) = &completed.buffer {
            buffer.blank();
        }
        let within = (claimed - behind) as usize;
        let mut expected = vec![0; within];
        let mut before = vec![0; seen.len()];
        let code = completed.completion;
        let lane = &mut self.lanes[*k];
        lane.expected.read_at(at, &mut expected);
        lane.expected.read_at(*sent_at, &mut before);
        lane.back = at + claimed;
        lane.ended |= code.ends_data() || claimed == 0;
        if behind > 0 {
            let untouched = (within..seen.len()).all(|i| seen[i] == !before[i]);
            self.note(What::BehindEnd { device, n, bytes: behind, untouched });
        }
        if let Some(i) = (0..within).find(|&i| seen[i] != expected[i]) {
            let (expected, seen, untouched) = (expected[i], seen[i], seen[i] == !before[i]);
            self.note(What::Mismatch { device, n, at: at + i as u64, expected, seen, untouched });
        }
        if code.is_success() || code.ends_data() || code == CompletionCode::ERROR_IO_DEVICE {
            Ok(())
        } else {
            Err(self.stop(format!("VDC_Read was answered with {code}")))
        }
    }
}
