//! The client half over a segment in which rings, tables and state hold anything.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vdi_device::ClientSet;
use vdi_device_fuzz::{DEVICES, Place, Scribble, Stage};
use vdi_protocol::CompletionCode;

#[derive(Debug, Arbitrary)]
enum Step {
    Scribble(Place, Scribble),
    Send(u8, u8),
    Get(u8),
    Complete(u8, u8, u8),
    Map(u32),
    GetConfiguration,
    OpenDevice(u8),
    Join,
    CloseDevice(u8),
    Abort,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut stage = Stage::set();
    let at_once = Some(Duration::ZERO);
    stage.send(0, 2);
    for step in steps.iter().take(200) {
        match step {
            Step::Scribble(place, scribble) => stage.scribble(*place, *scribble),
            Step::Send(device, code) => stage.send(*device, *code),
            Step::Get(device) => {
                let device = &stage.client_devices[usize::from(*device) % DEVICES];
                if let Ok(command) = device.get_command(at_once) {
                    let _ = stage.client.get_buffer_handle(command.buffer);
                }
            }
            Step::Complete(device, id, code) => {
                let device = &stage.client_devices[usize::from(*device) % DEVICES];
                let code = CompletionCode((*code).into());
                let _ = device.complete_command((*id).into(), code, u64::MAX, 0);
            }
            Step::Map(handle) => touch(&stage.client, *handle),
            Step::GetConfiguration => drop(stage.client.get_configuration(at_once)),
            Step::OpenDevice(name) => {
                // All names are known, so that no unknown one is waited for.
                let names = [&b"set"[..], b"set1"];
                drop(stage.client.open_device(names[usize::from(*name) % 2]));
            }
            Step::Join => {
                let sibling = ClientSet::new(stage.client.environment().clone());
                if sibling.open_in_secondary(b"set").is_ok() {
                    touch(&sibling, 0x0080_0000);
                }
            }
            Step::CloseDevice(device) => {
                let _ = stage.server_devices[usize::from(*device) % DEVICES].close_device();
            }
            Step::Abort => drop(stage.client.signal_abort()),
        }
    }
    stage.leave();
});

/// Reads the buffer behind a handle, if it leads to one.
fn touch(set: &ClientSet, handle: u32) {
    if let Ok(buffer) = set.map_buffer(handle)
        && let Ok(slice) = buffer.slice()
    {
        let mut bytes = [0; 16];
        let len = slice.len().min(16);
        slice.copy_to(0, &mut bytes[..len]).unwrap();
    }
}
