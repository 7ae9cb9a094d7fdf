//! What only Unix has: forks, and users that a test can start a process as.

use std::{os::unix::process::CommandExt, process::Command};

use rstest::rstest;
use vdi_device::{ClientSet, Environment, clean, leftovers};
use vdi_protocol::{CompletionCode, HResult};
use vdi_region::Backend;

use crate::{
    NOTHING, Server,
    peer::Peer,
    support::{client_config, environment, objects_left, watched},
};

/// Catches: a fork of a killed client that keeps its set alive by the lease it has inherited.
#[rstest]
fn a_dead_creator_outranks_the_lease_of_its_child(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let child: i32 = client.ask("leave-child").parse().unwrap();
        client.kill();
        let next = ClientSet::new(environment.clone());
        let created = next.create(b"set", &client_config(1));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::SIGKILL)
            .unwrap();
        created.unwrap();
        next.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a child that uses, ends or releases its parent's set.
#[rstest]
fn a_forked_child_has_no_set(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Server::attach(&environment);
        server.configure();
        server.open_devices();
        client.obey(&["configure", "open 0", "open 1"]);
        let refused = vec![HResult::VD_E_PROTOCOL.to_string(); 10].join("; ");
        assert_eq!(client.ask("fork"), refused);
        server.send(0);
        client.obey(&["get 0", "complete 0"]);
        server
            .set
            .run_agent_until(&mut || !server.answers.lock().unwrap().is_empty(), None)
            .unwrap();
        assert_eq!(*server.answers.lock().unwrap(), [CompletionCode::ERROR_SUCCESS]);
        server.devices.iter().for_each(|device| device.close_device().unwrap());
        client.obey(&["close"]);
        server.set.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// A peer of another user; None if this user may not start one, or it can't reach the executable.
fn peer_of_user(environment: &Environment, uid: u32) -> Option<Peer> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    Peer::start_by(environment, command.uid(uid).gid(uid).current_dir("/")).ok()
}

/// Catches: a set that everybody may open, and a refusal that does not say whose object it is and what
/// to do.
#[rstest]
fn another_users_set_is_denied() {
    watched(|| {
        const NOBODY: u32 = 65534;
        let environment = environment(Backend::platform_default());
        let mut owner = Peer::after(&environment, &["create 1"]);
        let Some(mut other) = peer_of_user(&environment, NOBODY) else {
            eprintln!(
                "SKIP another_users_set_is_denied: only root can start another user's process"
            );
            return;
        };
        let denied = HResult::VD_E_SECURITY.to_string();
        assert_eq!(other.ask("serve"), denied);
        assert_eq!(other.ask("join"), denied);
        owner.kill();
        for ask in ["why-not-create", "why-not-clean"] {
            let answer = other.ask(ask);
            assert!(answer.starts_with(&denied), "{answer}");
            assert!(
                answer.contains("user 0, group 0, mode 0") && answer.contains("rm '"),
                "{answer}"
            );
        }
        for leftover in
            leftovers(Backend::platform_default(), Some(&environment.namespace)).unwrap()
        {
            clean(&leftover).unwrap();
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}
