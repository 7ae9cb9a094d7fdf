//! Configuration, buffers, prefix zones and handles.

use std::collections::HashSet;

use rstest::rstest;
use vdi_device::{ClientSet, ServerSet};
use vdi_protocol::{HResult, ServerConfig, VdConfig};
use vdi_region::Backend;

use crate::fixture::{NOTHING, NOW, configured, leave};
use crate::support::{Pair, client_config, environment, objects_left, server_config, watched};

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
