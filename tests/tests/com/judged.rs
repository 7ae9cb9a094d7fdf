//! `vdisim test` and `vdisim bench` on Windows: with our client, and with one of COM as vendors have it.

use std::fs;

use serde_json::Value;
use vdisim_tests::Scene;

use crate::{CLIENTS, Registration, made};

/// The words after `--client` for the client of COM; a shell would eat the backslashes of a bare path.
fn com_client() -> Option<String> {
    let path = made(CLIENTS, "com_client.exe")?;
    Some(format!("'{}' pipe {{op}} {{set}} {{files}}", path.display()))
}

/// Catches: calls that the judge does not know by their names in COM, handles that the DLL's trace leaves out, a
/// client that nobody can kill, cases that take a shell.
#[test]
fn our_own_client_keeps_the_rules() {
    let scene = Scene::new();
    let mut command = scene.vdisim("test --json");
    command.args(["client/Create/*", "client/Flush/*", "client/handles/mapped-*"]);
    command.args(["client/Write/full-medium", "client/secondary/joins-*"]);
    let ended = scene.run(command);
    ended.expect(0);
    let results: Value = serde_json::from_str(&ended.out).unwrap();
    let cases = results["cases"].as_array().unwrap();
    for case in cases {
        let verdict = case["verdict"].as_str().unwrap();
        assert!(matches!(verdict, "PASS" | "SKIP"), "{case}");
    }
    let passed = cases.iter().filter(|case| case["verdict"] == "PASS").count();
    assert!(passed >= 20, "{passed} of {}", cases.len());
}

/// Catches: a client of COM that is judged by what it never called, or not judged at all.
#[test]
fn a_client_of_com_is_judged() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(client) = com_client() else { return };
    let mut command = scene.vdisim("test");
    command.args(["--client", &client, "client/Create/once", "client/Flush/*"]);
    scene.run(command).expect(0).says("client/Create  1 PASS").says("0 broken rules");
}

/// Catches: figures of the wrong process, none at all, or switches that nobody counted.
#[test]
fn what_a_client_costs_is_measured() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(of_com) = com_client() else { return };
    for client in [None, Some(&of_com)] {
        let json = scene.path("bench.json");
        let mut command = scene.vdisim("bench --maxtransfersize 64K --buffercount 4 --devices 1");
        command.args(["--size", "4M", "--repeats", "3", "--json"]).arg(&json);
        if let Some(client) = client {
            command.args(["--client", client]);
        }
        scene.run(command).expect(0).says("GiB/s").says("nothing about the speed");
        let results: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        let cells = results["cells"].as_array().unwrap();
        assert_eq!(cells.len(), 2);
        for cell in cells {
            assert!(cell["stages"]["getCommand"]["count"].as_u64() > Some(0), "{cell}");
            for run in cell["runs"].as_array().unwrap() {
                assert!(run["seconds"].as_f64() > Some(0.0), "{run}");
                assert_eq!(run["clientContextSwitches"], Value::Null, "{run}");
            }
        }
        // Known to 10 ms only, so of all runs together.
        let runs = || cells.iter().flat_map(|cell| cell["runs"].as_array().unwrap());
        let used = |name: &str| runs().filter_map(|run| run[name].as_f64()).sum::<f64>();
        assert!(used("clientCpuSeconds") > 0.0 && used("serverCpuSeconds") > 0.0, "{cells:?}");
    }
}
