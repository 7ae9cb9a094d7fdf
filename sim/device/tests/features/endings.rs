//! Closing, in every order.

use std::{thread, time::Duration};

use rstest::rstest;
use vdi_device::{AbortKind, ClientSet, Request, ServerSet};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Backend;

use crate::fixture::{NOTHING, configured, flush, ignored, leave, told};
use crate::support::{
    Pair, client_config, device_name, environment, objects_left, server_config, watched,
};

/// Catches: a set whose Close aborts although the server had closed the devices, or does not although
/// the server needs it; a secondary's Close that ends its siblings.
#[rstest]
fn closes_of_every_kind(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        // A secondary that has seen VD_E_CLOSE leaves while the rest goes on.
        let pair = Pair::new(backend, client_config(2), 1);
        let agent = pair.agent();
        leave(pair);
        agent.join().unwrap().unwrap();

        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(2)).unwrap();
        let server = configured(&environment, b"set", &client);
        let devices = [0, 1].map(|n| server.open_device(device_name("set", n).as_bytes()).unwrap());
        let sibling = ClientSet::new(environment.clone());
        sibling.open_in_secondary(b"set").unwrap();
        let theirs = sibling.open_device(b"set1").unwrap();
        let ours = client.open_device(b"set").unwrap();
        devices[1].close_device().unwrap();
        assert_eq!(theirs.get_command(None), Err(HResult::VD_E_CLOSE));
        sibling.close().unwrap();
        assert_eq!(sibling.close().unwrap_err().status(), HResult::VD_E_PROTOCOL);
        devices[0].send_command(flush(ignored())).unwrap();
        let command = ours.get_command(None).unwrap();
        ours.complete_command(command.id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
        server.run_agent_until(&mut || devices[0].outstanding() == 0, None).unwrap();
        devices[0].close_device().unwrap();
        // The server has closed everything: NOERROR, and its result stands, heard of or not.
        client.close().unwrap();
        assert_eq!(client.last_abort(), None);
        assert_eq!(server.abort_cause(), None);
        server.close().unwrap();
        assert_eq!(server.close().unwrap_err().status(), HResult::VD_E_PROTOCOL);

        // A secondary with a device that the server needs takes the set with it.
        client.create(b"set", &client_config(2)).unwrap();
        let server = configured(&environment, b"set", &client);
        sibling.open_in_secondary(b"set").unwrap();
        let _device = sibling.open_device(b"set").unwrap();
        assert_eq!(sibling.close().unwrap_err().status(), HResult::VD_E_OPEN);
        assert_eq!(server.abort_cause().unwrap().kind, AbortKind::ClientClosed);
        client.close().unwrap();
        server.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a server that waits for ever for answers which a client that has closed will never give.
#[rstest]
fn a_close_that_owes_answers(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(0, 1)] taken: usize,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let agent = pair.agent();
        let (routine, completed) = told();
        pair.server_devices[0].send_command(flush(routine)).unwrap();
        pair.server_devices[0].close_device().unwrap();
        for _ in 0..taken {
            pair.client_devices[0].get_command(None).unwrap();
        }
        // The devices are closed, so that it is no VD_E_OPEN; the command is lost all the same.
        pair.client.close().unwrap();
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        agent.join().unwrap().unwrap();
        let _ = pair.server.close();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: routines that are not called because the server closed the set before they could be, and
/// shared memory that stays mapped and named for the buffers of such commands.
#[rstest]
fn the_servers_close_completes_what_is_open(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] devices_closed: bool,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let (routine, completed) = told();
        let buffer = pair.server.allocate_buffer(512, 0).unwrap();
        let request =
            Request { code: CommandCode::WRITE, size: 512, buffer: Some(buffer), ..flush(routine) };
        pair.server_devices[0].send_command(request).unwrap();
        if devices_closed {
            pair.server_devices[0].close_device().unwrap();
        }
        assert_eq!(pair.server.close().is_ok(), devices_closed);
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        drop(told);
        assert_eq!(pair.client_devices[0].get_command(None), Err(HResult::VD_E_ABORT));
        pair.client.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a set that lives on because commands under way keep their buffers, and the buffers the set,
/// when a server forgets to close: a client that is never told, and shared memory that is never freed.
#[rstest]
fn a_server_that_just_lets_go_ends_the_set(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] a_buffer_is_kept: bool,
) {
    watched(move || {
        let Pair { environment, client, server, client_devices, server_devices } =
            Pair::new(backend, client_config(1), 2);
        let (routine, completed) = told();
        let kept = server.allocate_buffer(512, 0).unwrap();
        let buffer = server.allocate_buffer(512, 0).unwrap();
        let request =
            Request { code: CommandCode::WRITE, size: 512, buffer: Some(buffer), ..flush(routine) };
        server_devices[0].send_command(request).unwrap();
        client_devices[0].get_command(None).unwrap();
        let kept = a_buffer_is_kept.then_some(kept);
        drop((server, server_devices));
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        assert_eq!(client_devices[0].get_command(None), Err(HResult::VD_E_ABORT));
        client.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
        if let Some(buffer) = kept {
            buffer.slice().fill(1);
        }
    });
}

/// The buffers are gone with the server; no command ever needed them. Catches: an abort of what has ended
/// well, a set that stays.
#[rstest]
fn a_server_may_have_left_before_a_slow_client_looks(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(1, 2)] devices: u32,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(devices)).unwrap();
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        server.begin_configuration(&server_config()).unwrap();
        server.request_buffers(65536, 0, 1).unwrap();
        server.end_configuration().unwrap();
        let names: Vec<_> = (0..devices as usize).map(|n| device_name("set", n)).collect();
        for name in &names {
            server.open_device(name.as_bytes()).unwrap().close_device().unwrap();
        }
        server.close().unwrap();

        client.get_configuration(None).unwrap();
        let opened = names.iter().map(|name| client.open_device(name.as_bytes()).unwrap());
        for device in opened.collect::<Vec<_>>() {
            assert_eq!(device.get_command(None), Err(HResult::VD_E_CLOSE));
        }
        client.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a thread that waits for a command of a device when it is closed, and is told that it has
/// called at the wrong time because another thread of the same device was told of the close before.
#[rstest]
fn everybody_who_waits_for_a_device_is_told_of_its_close(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let device = &pair.client_devices[0];
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| scope.spawn(|| device.get_command(None).map(drop)));
            thread::sleep(Duration::from_millis(100));
            pair.server_devices[0].close_device().unwrap();
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Err(HResult::VD_E_CLOSE));
            }
        });
        assert_eq!(device.get_command(None), Err(HResult::VD_E_PROTOCOL));
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}
