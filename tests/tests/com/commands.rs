//! Commands that have no client, on Windows, and what doctor says of a DLL that is not ours.

use std::fs;
use std::path::Path;

use serde_json::Value;
use vdisim_tests::{Scene, artefacts};

use crate::{CLIENTS, Registration, made, reg};

/// Catches: a path, a line's end or a code page that a command takes for Linux's.
#[test]
fn what_is_known_is_shown() {
    let scene = Scene::new();
    let listed = scene.run(scene.vdisim("list client/Create/* --json"));
    let listed: Value = serde_json::from_str(&listed.expect(0).out).unwrap();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|case| &case["id"]).collect();
    assert!(ids.contains(&&Value::from("client/Create/once")), "{ids:?}");
    scene.run(scene.vdisim("explain client/Create/once")).expect(0).says("client/Create/once");
    scene.run(scene.vdisim("explain 0x80770004")).expect(0).says("VD_E_ABORT");
    scene.run(scene.vdisim("explain no-such-thing")).expect(2);

    // A run in two parts, put together.
    let parts = [1, 2].map(|part| {
        let report = scene.path(&format!("part{part}"));
        let mut test = scene.vdisim("test client/Create/* --partition");
        test.arg(format!("{part}/2")).arg("--report").arg(&report);
        scene.run(test).expect(0);
        report
    });
    let whole = scene.path("whole");
    let mut merge = scene.vdisim("report merge");
    scene
        .run({
            merge.args(&parts).arg("--output").arg(&whole);
            merge
        })
        .expect(0);
    for name in ["junit.xml", "results.json", "results.tap", "index.html"] {
        assert!(fs::metadata(whole.join(name)).is_ok_and(|about| about.len() > 0), "{name}");
    }
    let merged: Value =
        serde_json::from_slice(&fs::read(whole.join("results.json")).unwrap()).unwrap();
    let count = |report: &Value| report["runs"][0]["cases"].as_array().unwrap().len();
    let in_parts = parts.map(|part| {
        count(&serde_json::from_slice(&fs::read(part.join("results.json")).unwrap()).unwrap())
    });
    assert_eq!(count(&merged), in_parts.iter().sum::<usize>());
    assert_eq!(count(&merged), ids.len());

    // What happened in a backup.
    let traced = scene.path("trace");
    let mut server = scene.vdisim("backup --set set --size 300000 --raw --trace");
    server.arg(&traced);
    let server = scene.start(server);
    let mut client = scene.vdisim("client backup --set set --file");
    client.arg(scene.path("stored"));
    scene.run(client).expect(0);
    server.wait().expect(0);
    let mut show = scene.vdisim("trace show");
    show.arg(&traced);
    scene.run(show).expect(0).says("configured").says("Write");
}

/// Catches: a doctor that takes any DLL that is registered for ours.
#[test]
fn doctor_names_a_foreign_dll() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (Some(client), Some(foreign)) =
        (made(CLIENTS, "com_client.exe"), made(CLIENTS, "foreign.dll"))
    else {
        return;
    };
    let key = r"HKLM\Software\Classes\CLSID\{40700425-0080-11d2-851f-00c04fc21759}\InprocServer32";
    let register = |dll: &Path| {
        reg(&scene, &["add", key, "/ve", "/d", &dll.display().to_string(), "/f"]);
    };
    register(&foreign);
    let mut doctor = scene.vdisim("doctor --client");
    doctor.arg(client);
    let doctor = scene.run(doctor);
    // Ours again, or nobody would take it away.
    register(&artefacts::drop_in());
    doctor.expect(3).says("foreign.dll, which is not the drop-in.").says("vdisim register --force");
}
