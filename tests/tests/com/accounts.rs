//! For whom a client's set is.

use std::process::Command;

use rstest::rstest;
use vdisim_tests::Scene;

use crate::{Registration, client};

const NAMED: &str = "VDISIM_SERVICE_ACCOUNT";

/// Catches: a set that the named account of a server may not open; one that it may although nobody named it.
#[rstest]
#[case::nobody(None, false)]
#[case::by_sid(Some("S-1-5-20"), true)]
#[case::by_name(Some(r"NT AUTHORITY\NETWORK SERVICE"), true)]
fn a_servers_account_can_be_named(#[case] account: Option<&str>, #[case] is_allowed: bool) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (Some(mut lister), Some(mut command)) =
        (client(&scene, "access_list"), client(&scene, "com_client"))
    else {
        return;
    };
    name(&mut command, account);
    command.args(["pipe", "backup", "set"]).arg(scene.path("stored"));
    command.env("COM_CLIENT_STOP", "created");
    let mut client = scene.start(command);
    client.await_line("at created");
    lister.arg(format!("vdisim.{}.Host_set_SQLVDIMemoryName_0", scene.namespace()));
    let list = scene.run(lister);
    client.kill();
    client.wait();
    list.expect(0).says("D:P(").says(";;;BA)");
    assert_eq!(list.out.contains(";;;NS)"), is_allowed, "{}", list.out);
}

/// Catches: a mistyped account that leaves a set which its server cannot open.
#[test]
fn an_account_that_is_none_is_refused() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut command) = client(&scene, "com_client") else { return };
    name(&mut command, Some("no such account"));
    command.args(["pipe", "backup", "set"]).arg(scene.path("stored"));
    // VD_E_SECURITY
    scene.run(command).expect(1).says("Create: 0x80770005");
}

fn name(command: &mut Command, account: Option<&str>) {
    match account {
        Some(account) => command.env(NAMED, account),
        None => command.env_remove(NAMED),
    };
}
