//! Reading the families of a backup set from their devices.

use vdi_protocol::Direction;

use super::context::Context;
use super::device;
use super::family_sink::{Brought, Extent, FamilySink, Gate, Head};
use crate::messages::{Message, SeveralMessages};
use crate::session::RestorePlan;
use crate::sql::DeviceKind;
use crate::transfer::Sink;

/// Families with their heads.
pub(super) type Families = Vec<(Head, Brought)>;

/// Reads every device up to `extent`.
pub(super) fn read_families(
    context: &Context<'_>,
    plan: &RestorePlan,
    gate: &dyn Gate,
    extent: Extent,
) -> Result<Families, SeveralMessages> {
    // A number that no set has is not found.
    let wanted = (plan.position != 0).then(|| u16::try_from(plan.position).unwrap_or(u16::MAX));
    let mut sinks: Vec<_> = plan
        .devices
        .iter()
        .enumerate()
        .map(|(index, device)| {
            FamilySink::new(context, gate, index, &device.name, (extent, wanted), &plan.transfer)
        })
        .collect();
    match plan.devices[0].kind {
        DeviceKind::VirtualDevice => {
            let set = device::attach(context, Direction::Restore, &plan.devices, &plan.transfer)?;
            let done = set.restore(sinks.iter_mut().map(|sink| sink as &mut dyn Sink).collect());
            if let Err(error) = done {
                let mut failed = device::transfer_failed(context, &error);
                for sink in sinks {
                    let own = sink.finish().2.into_iter().flat_map(|messages| messages.0);
                    // What is wrong with a set is found on each of its families, and told once.
                    failed.0.extend(
                        own.filter(|message| !failed.0.contains(message)).collect::<Vec<_>>(),
                    );
                }
                return Err(failed);
            }
        }
        DeviceKind::Disk => {
            // All files are opened before any is read.
            let files = plan.devices.iter().map(|device| device::open(context, device));
            let mut files = files.collect::<Result<Vec<_>, _>>()?;
            let mut buffer = vec![0; device::disk_transfer(&plan.transfer)];
            for ((sink, file), device) in sinks.iter_mut().zip(&mut files).zip(&plan.devices) {
                while !sink.is_done() {
                    match device::read(device, file, &mut buffer)? {
                        0 => break,
                        count => sink.feed(&buffer[..count])?,
                    }
                }
                sink.end()?;
            }
        }
        DeviceKind::Tape | DeviceKind::Url => {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            let os_error = device::os_error(&error);
            return Err(Message::new(3201, &[&plan.devices[0].name, &os_error]).into());
        }
    }
    let mut families = Vec::new();
    for (sink, device) in sinks.into_iter().zip(&plan.devices) {
        let (head, brought, _) = sink.finish();
        let head = head.ok_or_else(|| Message::new(3241, &[&device.name]))?;
        families.push((head, brought));
    }
    Ok(families)
}
