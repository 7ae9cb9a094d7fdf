//! Names that something else has taken.

use rstest::rstest;
use vdisim_tests::Scene;

use crate::{Registration, client, random_file, round_trip};

/// Catches: a panic, a wait, or a set that somebody else could read, where the name belongs to an object that denies
/// access or is of another kind.
#[rstest]
#[case::denied("denied", "0x80770005", 3, "no permission to open")]
#[case::of_another_kind("event", "0x8077000C", 1, "No client created the set 'set'")]
fn a_taken_name(#[case] kind: &str, #[case] status: &str, #[case] code: i32, #[case] why: &str) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (Some(mut squatter), Some(mut com_client)) =
        (client(&scene, "squatter"), client(&scene, "com_client"))
    else {
        return;
    };
    let object = format!("vdisim.{}.Host_set_SQLVDIMemoryName_0", scene.namespace());
    squatter.args([kind, &object]);
    let mut squatter = scene.start(squatter);
    squatter.await_line("made");
    com_client.args(["pipe", "backup", "set"]).arg(scene.path("stored"));
    scene.run(com_client).expect(1).says(&format!("Create: {status}"));
    let server = scene.run(scene.vdisim("backup --set set --size 4096 --raw --wait 0.2"));
    server.expect(code).says(why);
    let doctor = scene.run(scene.vdisim("doctor --clean"));
    if kind == "denied" {
        doctor.says(&object).says("cannot be removed: no permission to open");
    }
    squatter.kill();
    squatter.wait();
    round_trip("pipe", true, &scene, &[random_file(&scene, "sent", 3)]);
}
