//! The server half over a segment in which rings, board and state hold anything.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vdi_device_fuzz::{DEVICES, Place, Scribble, Stage};

#[derive(Debug, Arbitrary)]
enum Step {
    Scribble(Place, Scribble),
    Send(u8, u8),
    Agent,
    CloseDevice(u8),
    RequestBuffers(u16),
    OpenDevice,
    Abort,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut stage = Stage::set();
    stage.send(0, 2);
    for step in steps.iter().take(200) {
        match step {
            Step::Scribble(place, scribble) => stage.scribble(*place, *scribble),
            Step::Send(device, code) => stage.send(*device, *code),
            Step::Agent => stage.agent(),
            Step::CloseDevice(device) => {
                let _ = stage.server_devices[usize::from(*device) % DEVICES].close_device();
            }
            Step::RequestBuffers(size) => {
                let _ = stage.server.request_buffers((*size).into(), 0, 1);
            }
            Step::OpenDevice => drop(stage.server.open_device(b"set2")),
            Step::Abort => stage.server.signal_abort(),
        }
    }
    stage.leave();
});
