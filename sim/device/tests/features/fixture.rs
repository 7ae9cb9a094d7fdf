//! What these tests begin and end with.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use vdi_device::{ClientSet, Completed, CompletionRoutine, Environment, Request, ServerSet};
use vdi_protocol::{CommandCode, HResult};

use crate::support::{Pair, objects_left, server_config};

pub(crate) const NOTHING: Vec<String> = Vec::new();
pub(crate) const NOW: Option<Duration> = Some(Duration::ZERO);

pub(crate) fn ignored() -> CompletionRoutine {
    Arc::new(|_| {})
}

pub(crate) fn flush(routine: CompletionRoutine) -> Request {
    let code = CommandCode::FLUSH;
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine }
}

/// A routine and what it is told.
pub(crate) fn told() -> (CompletionRoutine, mpsc::Receiver<Completed>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(move |completed| sender.send(completed).unwrap()), receiver)
}

/// Configures with one buffer of 64 KiB and lets the client have it.
pub(crate) fn configured(environment: &Environment, name: &[u8], client: &ClientSet) -> ServerSet {
    let server = ServerSet::open(environment, None, name).unwrap();
    server.begin_configuration(&server_config()).unwrap();
    server.request_buffers(65536, 0, 1).unwrap();
    server.end_configuration().unwrap();
    client.get_configuration(None).unwrap();
    server
}

/// Ends a pair in which nothing is open any more.
pub(crate) fn leave(pair: Pair) {
    for device in &pair.server_devices {
        device.close_device().unwrap();
    }
    for device in &pair.client_devices {
        assert_eq!(device.get_command(None), Err(HResult::VD_E_CLOSE));
    }
    pair.client.close().unwrap();
    pair.server.close().unwrap();
    assert_eq!(objects_left(&pair.environment), NOTHING);
}
