//! Names, and which set or object stands behind one.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rstest::rstest;
use vdi_device::{ClientSet, ServerSet, leftovers};
use vdi_protocol::HResult;
use vdi_region::{Access, Backend, ObjectName, Region};

use crate::fixture::{NOTHING, configured};
use crate::support::{client_config, environment, objects_left, watched};

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
        assert!(leftovers(backend, Some(&environment.namespace)).unwrap().is_empty());
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

/// Catches: a Create that fails otherwise than by the name's being taken, or without saying by what.
#[cfg(target_os = "linux")]
#[test]
fn a_name_of_something_that_is_no_object() {
    watched(move || {
        let environment = environment(Backend::Posix);
        let folder =
            format!("/dev/shm/vdisim.{}.Host_set_SQLVDIMemoryName_0", environment.namespace);
        std::fs::create_dir(&folder).unwrap();
        let taken = ClientSet::new(environment.clone()).create(b"set", &client_config(1));
        std::fs::remove_dir(&folder).unwrap();
        let taken = taken.unwrap_err();
        assert_eq!(taken.status(), HResult::VD_E_PROTOCOL, "{taken}");
        assert!(taken.to_string().contains("is not a shared memory object"), "{taken}");
    });
}

/// Catches: a name that stays taken for ever because somebody has cut its dead owner's object down to
/// nothing.
#[cfg(target_os = "linux")]
#[rstest]
fn an_object_without_bytes_is_cleaned_up(#[values(false, true)] by_next_create: bool) {
    watched(move || {
        let backend = Backend::Posix;
        let environment = environment(backend);
        let object =
            format!("/dev/shm/vdisim.{}.Host_set_SQLVDIMemoryName_0", environment.namespace);
        std::fs::write(object, b"").unwrap();
        if by_next_create {
            let client = ClientSet::new(environment.clone());
            client.create(b"set", &client_config(1)).unwrap();
            client.close().unwrap();
        } else {
            let found = leftovers(backend, Some(&environment.namespace)).unwrap();
            let [leftover] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(vdi_device::clean(leftover).unwrap(), vdi_device::Cleaned::Removed);
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a server that takes any set and looks at one whose Create is not done, and then never again:
/// nobody tells of the end of a Create.
#[rstest]
fn a_set_that_is_being_created_is_waited_for(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(1)).unwrap();
        let [name] = &objects_left(&environment)[..] else { panic!() };
        let outside = Region::open(backend, &ObjectName::new(name).unwrap()).unwrap();
        // The phase, which is 0 until Create is done.
        let phase = outside.word(128).unwrap();
        let created = phase.swap(0, std::sync::atomic::Ordering::SeqCst);
        let waiting = thread::spawn({
            let environment = environment.clone();
            move || ServerSet::wait_open(&environment, None, None)
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        phase.store(created, std::sync::atomic::Ordering::SeqCst);
        let server = waiting.join().unwrap().unwrap();
        assert_eq!(server.name(), b"set");
        client.close().unwrap();
        drop(server);
        assert_eq!(objects_left(&environment), NOTHING);
    });
}
