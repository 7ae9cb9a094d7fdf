//! What the halves promise beside the state tables: names, limits, buffers, handles, threads, time.

mod support;

use std::{
    collections::HashSet,
    sync::{Arc, Barrier, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;
use support::{
    Pair, client_config, device_name, environment, objects_left, server_config, watched,
};
use vdi_device::{
    AbortKind, ClientSet, Completed, CompletionRoutine, Environment, Request, ServerSet, leftovers,
};
use vdi_protocol::{CommandCode, CompletionCode, HResult, ServerConfig, VdConfig};
use vdi_region::{Access, Backend, ObjectName, Region};

const NOTHING: Vec<String> = Vec::new();
const NOW: Option<Duration> = Some(Duration::ZERO);

fn ignored() -> CompletionRoutine {
    Arc::new(|_| {})
}

fn flush(routine: CompletionRoutine) -> Request {
    let code = CommandCode::FLUSH;
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine }
}

/// A routine and what it is told.
fn told() -> (CompletionRoutine, mpsc::Receiver<Completed>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(move |completed| sender.send(completed).unwrap()), receiver)
}

/// Configures with one buffer of 64 KiB and lets the client have it.
fn configured(environment: &Environment, name: &[u8], client: &ClientSet) -> ServerSet {
    let server = ServerSet::open(environment, None, name).unwrap();
    server.begin_configuration(&server_config()).unwrap();
    server.request_buffers(65536, 0, 1).unwrap();
    server.end_configuration().unwrap();
    client.get_configuration(None).unwrap();
    server
}

/// Catches: a name that is cut, folded to lower case, taken as a path or as a pattern, or that can't be
/// opened by the server under the same bytes.
#[rstest]
fn names_of_every_kind(#[values(Backend::platform_default(), Backend::Portable)] backend: Backend) {
    watched(move || {
        let environment = environment(backend);
        let long = |c: char| c.to_string().repeat(10_000).into_bytes();
        let mut names = vec![
            b"a".to_vec(),
            b"A".to_vec(),
            b"..".to_vec(),
            b".".to_vec(),
            b"../../etc/passwd".to_vec(),
            b"/dev/shm/x".to_vec(),
            b"%2F".to_vec(),
            b"/".to_vec(),
            b"{1b00a6e6-8afd-4ca4-a23b-c44bd8b33808}".to_vec(),
            "База 数据 🦀\u{1f3fd}".into(),
            b"line\nfeed\ttab".to_vec(),
            vec![0xff, 0xfe, b'a'],
            vec![0xff, 0xfd, b'a'],
            long('x'),
            long('/'),
            long('🦀'),
        ];
        // Differs from the one before in its last character only.
        let mut other = long('x');
        other[9_999] = b'y';
        names.push(other);
        let clients: Vec<_> = (names.iter())
            .map(|name| {
                let client = ClientSet::new(environment.clone());
                client.create(name, &client_config(1)).unwrap();
                client
            })
            .collect();
        assert_eq!(objects_left(&environment).len(), names.len());
        for (name, client) in names.iter().zip(&clients) {
            let taken = ClientSet::new(environment.clone()).create(name, &client_config(1));
            assert_eq!(taken.unwrap_err().status(), HResult::VD_E_PROTOCOL);
            let server = configured(&environment, name, client);
            assert_eq!(server.name(), name);
            let device = server.open_device(name).unwrap();
            let opened = client.open_device(name).unwrap();
            device.close_device().unwrap();
            assert_eq!(opened.get_command(None), Err(HResult::VD_E_CLOSE));
            client.close().unwrap();
            server.close().unwrap();
        }
        let client = ClientSet::new(environment.clone());
        for bad in [&b""[..], b"\\", b"a\\b", &[b'x'; 65_537]] {
            let refused = client.create(bad, &client_config(1)).unwrap_err();
            assert_eq!(refused.status(), HResult::VD_E_INVALID, "{refused}");
            let refused = client.open_in_secondary(bad).unwrap_err();
            assert_eq!(refused.status(), HResult::VD_E_INVALID, "{refused}");
            let refused = ServerSet::open(&environment, None, bad).unwrap_err();
            assert_eq!(refused.status(), HResult::VD_E_INVALID, "{refused}");
        }
        let refused = client.create_ex(Some(b"HOST\\SQL"), b"a", &client_config(1)).unwrap_err();
        assert_eq!(refused.status(), HResult::VD_E_INSTANCE_NAME);
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: device names that are cut at a word's end, found by prefix, or compared without their case.
#[rstest]
fn device_names_are_found_by_all_their_bytes(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        let names: [&[u8]; 6] =
            [b"set", b"dev", b"Dev", b"devi", "dé/..🦀".as_bytes(), &[b'n'; 1024]];
        client.create(b"set", &client_config(7)).unwrap();
        let server = configured(&environment, b"set", &client);
        let status = |name| server.open_device(name).unwrap_err().status();
        assert_eq!(status(b"dev"), HResult::VD_E_INVALID, "the first is named as the set");
        for name in names {
            assert_eq!(server.open_device(name).unwrap().name(), name);
        }
        for bad in [&b"set"[..], b"dev", b"", b"a\\b", &[b'n'; 1025]] {
            assert_eq!(status(bad), HResult::VD_E_INVALID);
        }
        server.open_device(b"last").unwrap();
        let unknown = |name| client.open_device(name).unwrap_err().status();
        for name in [&b"de"[..], b"DEV", b"device", b"", &[b'n'; 1023]] {
            assert_eq!(unknown(name), HResult::VD_E_INVALID);
        }
        // In any order; the index is the clause's.
        for (index, name) in names.iter().enumerate().rev() {
            assert_eq!(client.open_device(name).unwrap().index(), index);
            assert_eq!(unknown(name), HResult::VD_E_PROTOCOL);
        }
        assert_eq!(client.open_device(b"last").unwrap().index(), 6);
        assert_eq!(unknown(b"dev"), HResult::VD_E_OPEN);
        assert_eq!(client.close().unwrap_err().status(), HResult::VD_E_OPEN);
        let _ = server.close();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a limit off by one, a field that is checked although the server fills it, a limit of the
/// server's answered with the client's code.
#[rstest]
fn configurations_at_and_beyond_their_limits(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let one = client_config(1);
        let accepted = [
            client_config(64),
            VdConfig { features: u32::MAX, ..one },
            VdConfig { prefix_zone_size: 65536, ..one },
            VdConfig { prefix_zone_size: 1, ..one },
            VdConfig { alignment: 1, ..one },
            VdConfig { alignment: 65536, ..one },
            VdConfig { soft_file_mark_block_size: 65536, ..one },
            VdConfig { eom_warning_size: u32::MAX, ..one },
            VdConfig { server_time_out: u32::MAX, ..one },
            VdConfig { block_size: 3, max_io_depth: 99, ..one },
            VdConfig { max_transfer_size: u32::MAX, buffer_area_size: u32::MAX, ..one },
        ];
        for config in accepted {
            let client = ClientSet::new(environment.clone());
            client.create(b"set", &config).unwrap();
            let server = ServerSet::open(&environment, None, b"set").unwrap();
            assert_eq!(server.get_configuration().unwrap(), config);
            server.begin_configuration(&server_config()).unwrap();
            server.end_configuration().unwrap();
            let decided = client.get_configuration(None).unwrap();
            assert_eq!((decided.block_size, decided.max_io_depth), (512, 4));
            assert_eq!(decided.max_transfer_size, 65536);
            assert_eq!(decided.device_count, config.device_count);
            assert!(decided.alignment >= config.alignment.max(512), "{decided:?}");
            client.close().unwrap();
            let _ = server.close();
        }
        let refused = [
            VdConfig { device_count: 0, ..one },
            VdConfig { device_count: 65, ..one },
            VdConfig { device_count: u32::MAX, ..one },
            VdConfig { prefix_zone_size: 65537, ..one },
            VdConfig { alignment: 3, ..one },
            VdConfig { alignment: 131_072, ..one },
            VdConfig { soft_file_mark_block_size: 65537, ..one },
        ];
        for config in refused {
            let error = ClientSet::new(environment.clone()).create(b"set", &config).unwrap_err();
            assert_eq!(error.status(), HResult::VD_E_NOTSUPPORTED, "{config:?}: {error}");
        }
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &one).unwrap();
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        let good = server_config();
        let refused = [
            ServerConfig { block_size: 256, ..good },
            ServerConfig { block_size: 513, ..good },
            ServerConfig { block_size: 131_072, ..good },
            ServerConfig { alignment: 256, ..good },
            ServerConfig { alignment: 131_072, ..good },
            ServerConfig { max_transfer_size: 65535, ..good },
            ServerConfig { max_transfer_size: 0, ..good },
        ];
        for config in refused {
            let error = server.begin_configuration(&config).unwrap_err();
            assert_eq!(error.status(), HResult::VD_E_INVALID, "{config:?}: {error}");
        }
        server.begin_configuration(&good).unwrap();
        for (size, alignment) in [(0, 0), (512, 3), (512, 513)] {
            let error = server.request_buffers(size, alignment, 1).unwrap_err();
            assert_eq!(error.status(), HResult::VD_E_INVALID, "{error}");
        }
        client.close().unwrap();
        let _ = server.close();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: more memory than there is answered otherwise than VD_E_MEMORY, a set that cannot be
/// configured more modestly afterwards, a half-made segment left behind.
#[rstest]
fn too_many_buffers_can_be_asked_for_again(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(1)).unwrap();
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        server.begin_configuration(&server_config()).unwrap();
        for (size, count) in [(u32::MAX, 65536), (1, 65537), (1, u32::MAX)] {
            server.request_buffers(size, 0, count).unwrap();
            let error = server.end_configuration().unwrap_err();
            assert_eq!(error.status(), HResult::VD_E_MEMORY, "{error}");
            assert_eq!(client.get_configuration(NOW).unwrap_err().status(), HResult::VD_E_TIMEOUT);
            assert_eq!(server.query_available_buffers(1, 0).unwrap(), 0);
        }
        server.request_buffers(65536, 0, 2).unwrap();
        server.request_buffers(4096, 0, 3).unwrap();
        server.end_configuration().unwrap();
        assert_eq!(server.query_available_buffers(4097, 0).unwrap(), 2);
        assert_eq!(server.query_available_buffers(1, 0).unwrap(), 5);
        let config = client.get_configuration(None).unwrap();
        assert!(config.buffer_area_size >= 2 * 65536 + 3 * 4096, "{config:?}");
        // Up to the limit of areas, one call each.
        let mut areas = 2;
        let full = loop {
            match server.request_buffers(512, 0, 1) {
                Ok(()) => areas += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.status(), HResult::VD_E_MEMORY, "{full}");
        assert!(areas >= 64, "{areas}");
        client.close().unwrap();
        let _ = server.close();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: an alignment that holds for the zone instead of the data, or in one process only; a zone
/// that reaches into another buffer's data, is not mapped in the client, or is not kept.
#[rstest]
fn prefix_zones_and_alignments(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(0, 1, 100, 4096, 65536)] prefix_zone_size: u32,
    #[values(0, 1024, 65536)] alignment: u32,
) {
    // The portable backend maps at pages and says so; see below.
    let possible = backend == Backend::platform_default() || alignment <= 4096;
    watched(move || {
        let config = VdConfig { prefix_zone_size, alignment, ..client_config(1) };
        if !possible {
            return refuses_the_alignment(backend, &config);
        }
        let pair = Pair::new(backend, config, 3);
        let decided = pair.client.get_configuration(None).unwrap();
        assert!(decided.alignment >= alignment.max(512) && decided.alignment.is_power_of_two());
        let sibling = ClientSet::new(pair.environment.clone());
        sibling.open_in_secondary(b"set").unwrap();
        // An area added now is met by both clients when they first see its handle.
        pair.server.request_buffers(700, 2048, 2).unwrap();
        let buffers: Vec<_> = (0..3)
            .map(|_| pair.server.allocate_buffer(65536, 0).unwrap())
            .chain((0..2).map(|_| pair.server.allocate_buffer(700, 2048).unwrap()))
            .collect();
        let mut spans = Vec::new();
        for buffer in &buffers {
            let least =
                if buffer.len() == 700 { decided.alignment.max(2048) } else { decided.alignment };
            for address in [
                buffer.as_ptr(),
                pair.client.map_buffer_handle(buffer.handle()).unwrap(),
                sibling.map_buffer_handle(buffer.handle()).unwrap(),
            ] {
                assert_eq!(address.addr() % least as usize, 0);
            }
            let client = pair.client.map_buffer_handle(buffer.handle()).unwrap().addr();
            spans.push((client - prefix_zone_size as usize, client + buffer.len()));
        }
        // Same areas lie in one mapping each: neither zones nor data overlap.
        spans.sort_unstable();
        assert!(spans.windows(2).all(|w| w[0].1 <= w[1].0), "{spans:?}");
        for (index, buffer) in buffers.iter().enumerate() {
            buffer.slice().fill(index as u8 + 1);
        }
        for (index, buffer) in buffers.iter().enumerate() {
            let mapped = sibling.map_buffer(buffer.handle()).unwrap();
            let mut bytes = vec![0; buffer.len()];
            mapped.slice().unwrap().copy_to(0, &mut bytes).unwrap();
            assert!(bytes.iter().all(|byte| *byte == index as u8 + 1));
        }
        sibling.close().unwrap();
        leave(pair);
    });
}

fn refuses_the_alignment(backend: Backend, config: &VdConfig) {
    let environment = environment(backend);
    let client = ClientSet::new(environment.clone());
    client.create(b"set", config).unwrap();
    let server = ServerSet::open(&environment, None, b"set").unwrap();
    server.begin_configuration(&server_config()).unwrap();
    server.request_buffers(65536, 0, 1).unwrap();
    let error = server.end_configuration().unwrap_err();
    assert_eq!(error.status(), HResult::VD_E_NOTSUPPORTED, "{error}");
    client.close().unwrap();
    let _ = server.close();
    assert_eq!(objects_left(&environment), NOTHING);
}

/// Ends a pair in which nothing is open any more.
fn leave(pair: Pair) {
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

/// Catches: handles that are guessed, foreign, stale or bent and lead somewhere; a handle that changes;
/// two live sets with one tag; a lookup that answers another code than the state asks for.
#[rstest]
fn handles_of_every_kind(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        assert_eq!(client.map_buffer_handle(1 << 23), Err(HResult::VD_E_PROTOCOL));
        assert_eq!(client.get_buffer_handle(std::ptr::null()), Err(HResult::VD_E_PROTOCOL));
        client.create(b"set", &client_config(1)).unwrap();
        assert_eq!(client.get_buffer_handle(std::ptr::null()), Err(HResult::VD_E_INVALID));
        for tag in 0..512_u32 {
            assert_eq!(client.map_buffer_handle(tag << 23), Err(HResult::VD_E_INVALID));
        }
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        server.begin_configuration(&server_config()).unwrap();
        server.request_buffers(65536, 0, 3).unwrap();
        server.end_configuration().unwrap();
        client.get_configuration(None).unwrap();
        let foreign = ClientSet::new(environment.clone());
        foreign.create(b"other", &client_config(1)).unwrap();
        let foreign_server = configured(&environment, b"other", &foreign);
        let theirs = foreign_server.allocate_buffer(512, 0).unwrap();
        let buffers: Vec<_> = (0..3).map(|_| server.allocate_buffer(512, 0).unwrap()).collect();
        let mut seen = HashSet::new();
        for buffer in &buffers {
            let handle = buffer.handle();
            assert!(seen.insert(handle) && handle != 0 && handle >> 31 == 0);
            assert_ne!(handle >> 23, theirs.handle() >> 23, "two live sets, one tag");
            let address = client.map_buffer_handle(handle).unwrap();
            assert_eq!(client.get_buffer_handle(address), Ok(handle));
            for offset in [1, 511, 512, 65535] {
                let inside = address.wrapping_add(offset);
                assert_eq!(client.get_buffer_handle(inside), Err(HResult::VD_E_INVALID));
            }
            assert_eq!(client.get_buffer_handle(buffer.as_ptr()), Err(HResult::VD_E_INVALID));
            assert!(server.is_shared_buffer(buffer.as_ptr()));
            assert!(!server.is_shared_buffer(buffer.as_ptr().wrapping_add(1)));
            assert!(!server.is_shared_buffer(address));
        }
        let good = buffers[0].handle();
        let bent = [
            0,
            u32::MAX,
            good | 1 << 31,
            good | 0xffff,
            good | 0x7f << 16,
            good ^ 1 << 23,
            theirs.handle(),
        ];
        for handle in bent {
            assert_eq!(client.map_buffer_handle(handle), Err(HResult::VD_E_INVALID), "{handle:#x}");
        }
        // A pure function of the slot, for clients that cache it.
        let cached = client.map_buffer_handle(good).unwrap();
        drop(buffers);
        let again: Vec<_> = (0..3).map(|_| server.allocate_buffer(512, 0).unwrap()).collect();
        assert_eq!(again.iter().map(|b| b.handle()).collect::<HashSet<_>>(), seen);
        server.signal_abort();
        assert_eq!(client.map_buffer_handle(good), Ok(cached), "in Abort until Close");
        assert_eq!(client.get_buffer_handle(cached), Ok(good));
        client.close().unwrap();
        assert_eq!(client.map_buffer_handle(good), Err(HResult::VD_E_PROTOCOL));
        assert_eq!(client.get_buffer_handle(cached), Err(HResult::VD_E_PROTOCOL));
        drop(again);
        server.close().unwrap();
        // The object's next set does not know the handles of the last.
        client.create(b"set", &client_config(1)).unwrap();
        let server = configured(&environment, b"set", &client);
        let handle = server.allocate_buffer(512, 0).unwrap().handle();
        if handle >> 23 != good >> 23 {
            assert_eq!(client.map_buffer_handle(good), Err(HResult::VD_E_INVALID));
        }
        client.map_buffer_handle(handle).unwrap();
        client.close().unwrap();
        foreign.close().unwrap();
        drop((server, foreign_server, theirs));
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: two live sets with one tag, also when they are made at the same moment.
#[rstest]
fn tags_of_live_sets_differ(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let barrier = Arc::new(Barrier::new(24));
        let sets: Vec<_> = (0..24)
            .map(|n| {
                let (environment, barrier) = (environment.clone(), Arc::clone(&barrier));
                thread::spawn(move || {
                    let client = ClientSet::new(environment);
                    barrier.wait();
                    client.create(format!("set{n}").as_bytes(), &client_config(1)).unwrap();
                    client
                })
            })
            .collect();
        let clients: Vec<_> = sets.into_iter().map(|set| set.join().unwrap()).collect();
        let tags: HashSet<_> = (0..24)
            .map(|n| {
                let name = format!("set{n}");
                let server = configured(&environment, name.as_bytes(), &clients[n]);
                server.allocate_buffer(512, 0).unwrap().handle() >> 23
            })
            .collect();
        assert_eq!(tags.len(), 24);
        clients.iter().for_each(|client| client.close().unwrap());
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a byte count beyond the command's that reaches the server as bytes, or is lost as a claim.
#[rstest]
fn more_bytes_than_asked_for(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        for (claimed, bytes) in
            [(0, 0), (511, 511), (512, 512), (513, 512), (1 << 32, 512), (u64::MAX, 512)]
        {
            let (routine, completed) = told();
            let buffer = Some(pair.server.allocate_buffer(512, 0).unwrap());
            let (code, size, position) = (CommandCode::WRITE, 512, u64::MAX - 1);
            let request = Request { code, size, position, buffer, context: claimed, routine };
            pair.server_devices[0].send_command(request).unwrap();
            let command = pair.client_devices[0].get_command(None).unwrap();
            assert_eq!((command.size, command.position), (512, u64::MAX - 1));
            let code = CompletionCode::ERROR_SUCCESS;
            pair.client_devices[0].complete_command(command.id, code, claimed, 1 << 63).unwrap();
            let again = pair.client_devices[0].complete_command(command.id, code, claimed, 0);
            assert_eq!(again, Err(HResult::VD_E_INVALID));
            let mut told = None;
            pair.server
                .run_agent_until(
                    &mut || {
                        told = told.take().or_else(|| completed.try_recv().ok());
                        told.is_some()
                    },
                    None,
                )
                .unwrap();
            let told = told.unwrap();
            assert_eq!((told.bytes, told.claimed, told.context), (bytes, claimed, claimed));
            assert_eq!((told.position, told.code, told.size), (1 << 63, CommandCode::WRITE, 512));
            assert!(told.buffer.is_some());
        }
        leave(pair);
    });
}

/// Catches: two threads that get one command, a thread that Close leaves asleep, completions that only
/// the thread may send which took the command.
#[rstest]
fn many_threads_on_one_device(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let agent = pair.agent();
        let count = 2000;
        let answered = Arc::new(Mutex::new(Vec::new()));
        let (taken, to_complete) = mpsc::channel::<u32>();
        let device = pair.client_devices[0].clone();
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let (device, taken) = (device.clone(), taken.clone());
                thread::spawn(move || {
                    loop {
                        match device.get_command(None) {
                            Ok(command) => taken.send(command.id).unwrap(),
                            Err(status) => return status,
                        }
                    }
                })
            })
            .collect();
        drop(taken);
        let completers = {
            let device = device.clone();
            thread::spawn(move || {
                let mut waiting: Vec<u32> = Vec::new();
                for id in &to_complete {
                    waiting.push(id);
                    // In another order than they came.
                    if waiting.len() > 2 {
                        let id = waiting.remove(1);
                        device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                    } else {
                        let id = waiting.remove(0);
                        device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                    }
                }
            })
        };
        for context in 0..count {
            let answered = Arc::clone(&answered);
            let routine: CompletionRoutine = Arc::new(move |c: Completed| {
                assert_eq!(c.completion, CompletionCode::ERROR_SUCCESS);
                answered.lock().unwrap().push(c.context);
            });
            while pair.server_devices[0].outstanding() == 64 {
                thread::yield_now();
            }
            pair.server_devices[0].send_command(Request { context, ..flush(routine) }).unwrap();
        }
        while answered.lock().unwrap().len() < count as usize {
            thread::sleep(Duration::from_millis(1));
        }
        let mut contexts = answered.lock().unwrap().clone();
        contexts.sort_unstable();
        assert_eq!(contexts, (0..count).collect::<Vec<_>>());
        // All four sleep now; the set is open, so that Close aborts it.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(pair.client.close().unwrap_err().status(), HResult::VD_E_OPEN);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), HResult::VD_E_ABORT);
        }
        completers.join().unwrap();
        assert_eq!(device.get_command(None), Err(HResult::VD_E_PROTOCOL));
        assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
        let _ = pair.server.close();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a time-out that is not kept because the agent slept when the command came, fires after one
/// interval, is not restarted by a completion, or blames nobody.
#[rstest]
fn the_server_time_out(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] short_waits: bool,
) {
    watched(move || {
        let interval = Duration::from_millis(60);
        let config = VdConfig { server_time_out: 60, ..client_config(2) };
        let pair = Pair::new(backend, config, 1);
        // Either the agent's thread, asleep before the first command comes, or a server thread that
        // looks again and again and never waits as long as the client may.
        let agent = if short_waits {
            let server = pair.server.clone();
            thread::spawn(move || {
                loop {
                    let waited =
                        server.run_agent_until(&mut || false, Some(Duration::from_millis(7)));
                    match waited {
                        Err(error) if error.status() == HResult::VD_E_TIMEOUT => {}
                        other => return other,
                    }
                }
            })
        } else {
            pair.agent()
        };
        thread::sleep(Duration::from_millis(30));
        let sent = Instant::now();
        let (routine, completed) = told();
        pair.server_devices[0].send_command(flush(ignored())).unwrap();
        pair.server_devices[1].send_command(flush(Arc::clone(&routine))).unwrap();
        // One interval and a half later a completion sets the clock back.
        thread::sleep(interval * 3 / 2);
        let command = pair.client_devices[0].get_command(None).unwrap();
        let code = CompletionCode::ERROR_SUCCESS;
        pair.client_devices[0].complete_command(command.id, code, 0, 0).unwrap();
        let restarted = Instant::now();
        let ended = agent.join().unwrap().unwrap_err();
        assert!(sent.elapsed() >= interval * 3, "{:?}", sent.elapsed());
        assert!(restarted.elapsed() >= interval * 2 - Duration::from_millis(5));
        assert_eq!(ended.status(), HResult::VD_E_ABORT);
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        let cause = pair.server.abort_cause().unwrap();
        assert_eq!((cause.kind, cause.detail), (AbortKind::TimedOut, 60));
        assert_eq!((cause.device, cause.command), (Some(1), Some(CommandCode::FLUSH)));
        assert_eq!(pair.client_devices[1].get_command(None), Err(HResult::VD_E_ABORT));
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

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

/// Catches: a race in which both or neither create, an object that cannot create again after Close.
#[rstest]
fn creates_racing_for_a_name(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let clients: Vec<_> =
            (0..3).map(|_| Arc::new(ClientSet::new(environment.clone()))).collect();
        for _ in 0..50 {
            let barrier = Arc::new(Barrier::new(3));
            let created: Vec<_> = (clients.iter().cloned())
                .map(|client| {
                    let barrier = Arc::clone(&barrier);
                    thread::spawn(move || {
                        barrier.wait();
                        client.create(b"set", &client_config(1))
                    })
                })
                .collect();
            let created: Vec<_> = created.into_iter().map(|c| c.join().unwrap()).collect();
            assert_eq!(created.iter().filter(|c| c.is_ok()).count(), 1, "{created:?}");
            for (client, created) in clients.iter().zip(created) {
                match created {
                    Ok(()) => client.close().unwrap(),
                    Err(error) => {
                        assert_eq!(error.status(), HResult::VD_E_PROTOCOL, "{error}");
                        let not_open = client.close().unwrap_err();
                        assert_eq!(not_open.status(), HResult::VD_E_PROTOCOL);
                    }
                }
            }
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a second server that gets a set which another one serves.
#[rstest]
fn a_set_has_one_server(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(1)).unwrap();
        let servers: Vec<_> = (0..4)
            .map(|_| {
                let environment = environment.clone();
                thread::spawn(move || ServerSet::open(&environment, None, b"set"))
            })
            .collect();
        let opened: Vec<_> = servers.into_iter().map(|s| s.join().unwrap()).collect();
        assert_eq!(opened.iter().filter(|o| o.is_ok()).count(), 1, "{opened:?}");
        for error in opened.iter().filter_map(|o| o.as_ref().err()) {
            assert_eq!(error.status(), HResult::VD_E_INVALID, "{error}");
        }
        let any = ServerSet::wait_open(&environment, None, Some(Duration::from_millis(10)));
        assert_eq!(any.unwrap_err().status(), HResult::VD_E_TIMEOUT);
        client.close().unwrap();
        drop(opened);
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a time-out that is not kept when the agent slept without a clock as the command came.
#[rstest]
fn the_server_time_out_of_a_client_that_never_answers(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, VdConfig { server_time_out: 40, ..client_config(1) }, 1);
        let agent = pair.agent();
        thread::sleep(Duration::from_millis(30));
        let sent = Instant::now();
        let (routine, completed) = told();
        pair.server_devices[0].send_command(flush(routine)).unwrap();
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        assert!(sent.elapsed() >= Duration::from_millis(80), "{:?}", sent.elapsed());
        agent.join().unwrap().unwrap_err();
        assert_eq!(pair.server.abort_cause().unwrap().kind, AbortKind::TimedOut);
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: threads that wait for ever because a leader left and nobody took over. (Hand-overs that
/// cost a follower its second of patience now and then are beyond what a test without a clock can tell.)
#[rstest]
fn leadership_is_never_lost(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for _ in 0..50 {
            let pair = Pair::new(backend, client_config(3), 1);
            thread::scope(|scope| {
                for device in &pair.server_devices {
                    let server = &pair.server;
                    scope.spawn(move || {
                        let _driver = server.drive();
                        device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
                        device.close_device().unwrap();
                    });
                    // The first leads, the others follow in this order.
                    thread::sleep(Duration::from_millis(2));
                }
                let ids = [0, 1, 2].map(|n| pair.client_devices[n].get_command(None).unwrap().id);
                for (device, id) in pair.client_devices.iter().zip(ids) {
                    if device.index() == 2 {
                        thread::sleep(Duration::from_millis(5));
                    }
                    device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                }
            });
            pair.client.close().unwrap();
            pair.server.close().unwrap();
            assert_eq!(objects_left(&pair.environment), NOTHING);
        }
    });
}

/// Catches: an object of another version that is used, removed or hidden instead of reported with both
/// numbers.
#[rstest]
fn another_layout_version(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(1)).unwrap();
        let [name] = &objects_left(&environment)[..] else { panic!() };
        let outside = Region::open(backend, &ObjectName::new(name).unwrap()).unwrap();
        let version = outside.word(8).unwrap();
        let known = version.swap(77, std::sync::atomic::Ordering::SeqCst);
        let server = ServerSet::open(&environment, None, b"set").unwrap_err();
        let secondary = ClientSet::new(environment.clone()).open_in_secondary(b"set").unwrap_err();
        for error in [server, secondary] {
            assert_eq!(error.status(), HResult::VD_E_UNEXPECTED, "{error}");
            let text = error.to_string();
            assert!(text.contains("77") && text.contains(&known.to_string()), "{text}");
        }
        // Its owner lives: neither a Create nor a clean-up takes the name away.
        let next = ClientSet::new(environment.clone()).create(b"set", &client_config(1));
        assert!(next.is_err());
        for leftover in leftovers(backend, Some(&environment.namespace)).unwrap() {
            vdi_device::clean(&leftover).unwrap();
        }
        assert_eq!(objects_left(&environment).len(), 1);
        client.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: something else under a set's name that is used, or that brings the process down.
#[rstest]
fn an_object_that_is_no_set(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let object =
            format!("vdisim.{}.Host_set_SQLVDIMemoryName_0", environment.namespace.as_str());
        let object = ObjectName::new(&object).unwrap();
        for len in [1, 64, 4096, 1 << 20] {
            let stranger =
                Region::create(backend, &object, len, Access::Creator, |_| Ok(())).unwrap();
            let server = ServerSet::open(&environment, None, b"set").unwrap_err();
            assert_eq!(server.status(), HResult::VD_E_UNEXPECTED, "{server}");
            let client = ClientSet::new(environment.clone());
            let taken = client.create(b"set", &client_config(1)).unwrap_err();
            assert_eq!(taken.status(), HResult::VD_E_PROTOCOL, "{taken}");
            stranger.unlink().unwrap();
            drop(stranger);
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}
