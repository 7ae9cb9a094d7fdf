//! What is written where COM looks, through `vdisim` and through the functions that the DLL exports.

use std::process::Command;

use rstest::rstest;
use vdisim_tests::{Ended, Scene, artefacts};

use crate::{Registration, client, reg};

const CLIENT_CLASS: &str = "{40700425-0080-11d2-851f-00c04fc21759}";
const SERVER_CLASS: &str = "{b5e7a132-a7bd-11d1-84c2-00c04fc21759}";

/// HRESULT_FROM_WIN32(ERROR_ALREADY_REGISTERED).
const ALREADY_REGISTERED: &str = "0x800704DA";

/// For whom: the root of the registry, the words for `vdisim`, those for `DllInstall`.
#[derive(Clone, Copy)]
struct Whom {
    root: &'static str,
    option: &'static str,
    words: Option<&'static str>,
}

const EVERYBODY: Whom = Whom { root: "HKLM", option: "", words: None };
const ONE_USER: Whom = Whom { root: "HKCU", option: "--user", words: Some("user") };

impl Whom {
    fn class(self, class: &str) -> String {
        format!(r"{}\Software\Classes\CLSID\{class}", self.root)
    }

    /// All that the registry has of a class; None if there is no such key.
    fn of_class(self, scene: &Scene, class: &str) -> Option<String> {
        let mut query = Command::new("reg");
        query.args(["query", &self.class(class), "/s"]);
        let ended = scene.run(query);
        (ended.code() == Some(0)).then(|| ended.out.clone())
    }
}

fn call(scene: &Scene, words: &[&str]) -> Option<Ended> {
    let mut registrar = client(scene, "registrar")?;
    registrar.arg(artefacts::drop_in()).args(words);
    Some(scene.run(registrar))
}

/// Registers what another program would have: a path to be expanded, another model, values and keys that are not ours.
fn register_another(scene: &Scene, whom: Whom, class: &str) {
    let class = whom.class(class);
    let server = format!(r"{class}\InprocServer32");
    let add = |key: &str, words: &[&str]| reg(scene, &[&["add", key], words, &["/f"]].concat());
    add(&class, &["/ve", "/d", "Another's virtual device set"]);
    add(&class, &["/v", "AppID", "/d", "{00000000-0000-0000-0000-00000000abcd}"]);
    add(&format!(r"{class}\ProgID"), &["/ve", "/d", "Another.Set.1"]);
    add(&server, &["/ve", "/t", "REG_EXPAND_SZ", "/d", r"%SystemRoot%\another\sqlvdi.dll"]);
    add(&server, &["/v", "ThreadingModel", "/d", "Apartment"]);
    add(&server, &["/v", "Count", "/t", "REG_DWORD", "/d", "7"]);
}

/// Catches: a registration that takes another's away for good, or a part of it, or without being asked; one that forgets a
/// value's type; an `unregister` that leaves something of ours.
#[rstest]
#[case::everybodys(EVERYBODY)]
#[case::a_users(ONE_USER)]
fn anothers_registration_is_left_alone_and_put_back(#[case] whom: Whom) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let run = |line: &str| scene.run(scene.vdisim(&format!("{line} {}", whom.option)));
    run("unregister").expect(0).says("nothing is registered");
    let classes = [CLIENT_CLASS, SERVER_CLASS];
    for class in classes {
        assert_eq!(whom.of_class(&scene, class), None);
        register_another(&scene, whom, class);
    }
    let before = classes.map(|class| whom.of_class(&scene, class));
    assert!(before[0].as_ref().is_some_and(|all| all.contains("REG_EXPAND_SZ")), "{before:?}");
    run("register").expect(3).says(r"%SystemRoot%\another\sqlvdi.dll");
    run("unregister").expect(0).says(r"%SystemRoot%\another\sqlvdi.dll is registered");
    assert_eq!(classes.map(|class| whom.of_class(&scene, class)), before);
    // The second time there is something of ours already, which is nothing to be kept.
    for _ in 0..2 {
        run("register --force").expect(0);
        let ours = whom.of_class(&scene, CLIENT_CLASS).unwrap();
        let path = artefacts::drop_in().display().to_string();
        for text in [path.as_str(), "Both", "Another.Set.1", "AppID", "Count"] {
            assert!(ours.contains(text), "no {text} in {ours}");
        }
    }
    run("unregister").expect(0).says(r"%SystemRoot%\another\sqlvdi.dll is registered");
    assert_eq!(classes.map(|class| whom.of_class(&scene, class)), before);
    for class in classes {
        reg(&scene, &["delete", &whom.class(class), "/f"]);
    }
}

/// Catches: a client's class of ours beside a server's class of another's, by a registration that writes before it has
/// looked at both.
#[test]
fn nothing_is_written_when_one_class_is_anothers() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    scene.run(scene.vdisim("unregister")).expect(0);
    register_another(&scene, EVERYBODY, SERVER_CLASS);
    scene.run(scene.vdisim("register")).expect(3).says(r"another\sqlvdi.dll");
    assert_eq!(EVERYBODY.of_class(&scene, CLIENT_CLASS), None);
    reg(&scene, &["delete", &EVERYBODY.class(SERVER_CLASS), "/f"]);
}

/// Catches: an exported function that writes for somebody else, or fails with a code that says nothing or that hides
/// the failure; one that removes or replaces another's registration.
#[rstest]
#[case::everybodys(EVERYBODY)]
#[case::a_users(ONE_USER)]
fn the_exported_functions_register(#[case] whom: Whom) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    for option in ["", "--user"] {
        scene.run(scene.vdisim(&format!("unregister {option}"))).expect(0);
    }
    let (make, remove): (Vec<&str>, Vec<&str>) = match whom.words {
        None => (vec!["DllRegisterServer"], vec!["DllUnregisterServer"]),
        Some(words) => (vec!["DllInstall", "yes", words], vec!["DllInstall", "no", words]),
    };
    let Some(ended) = call(&scene, &make) else { return };
    ended.expect(0).says("0x00000000");
    for one in [EVERYBODY, ONE_USER] {
        for class in [CLIENT_CLASS, SERVER_CLASS] {
            let there = one.of_class(&scene, class);
            assert_eq!(there.is_some(), one.root == whom.root, "{}: {there:?}", one.root);
            let path = artefacts::drop_in().display().to_string();
            assert!(there.is_none_or(|all| all.contains(&path) && all.contains("Both")));
        }
    }
    // Again, over our own.
    call(&scene, &make).unwrap().expect(0);
    call(&scene, &remove).unwrap().expect(0).says("0x00000000");
    assert_eq!(whom.of_class(&scene, CLIENT_CLASS), None);
    // Where there is nothing, there is nothing to fail at.
    call(&scene, &remove).unwrap().expect(0);

    register_another(&scene, whom, CLIENT_CLASS);
    let before = whom.of_class(&scene, CLIENT_CLASS);
    let refused = call(&scene, &make).unwrap();
    refused.expect(1).says(ALREADY_REGISTERED).says(r"another\sqlvdi.dll");
    call(&scene, &remove).unwrap().expect(0);
    assert_eq!(whom.of_class(&scene, CLIENT_CLASS), before);
    assert_eq!(whom.of_class(&scene, SERVER_CLASS), None);
    reg(&scene, &["delete", &whom.class(CLIENT_CLASS), "/f"]);
}

/// Catches: words that are not understood and are taken for the machine's or a user's registration.
#[test]
fn words_that_mean_nothing_register_nothing() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    scene.run(scene.vdisim("unregister")).expect(0);
    let Some(ended) = call(&scene, &["DllInstall", "yes", "everybody"]) else { return };
    ended.expect(1).says("0x80070057");
    for whom in [EVERYBODY, ONE_USER] {
        assert_eq!(whom.of_class(&scene, CLIENT_CLASS), None);
    }
    // None at all are the machine's.
    call(&scene, &["DllInstall", "yes"]).unwrap().expect(0);
    assert!(EVERYBODY.of_class(&scene, CLIENT_CLASS).is_some());
    call(&scene, &["DllInstall", "no"]).unwrap().expect(0);
    assert_eq!(EVERYBODY.of_class(&scene, CLIENT_CLASS), None);
}

/// Catches: a DLL that Windows' own tool does not get on with.
#[test]
fn regsvr32_registers_and_takes_back() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    scene.run(scene.vdisim("unregister")).expect(0);
    let regsvr32 = |words: &[&str]| {
        let mut command = Command::new("regsvr32");
        command.args(["/s"]).args(words).arg(artefacts::drop_in());
        scene.run(command).code()
    };
    for (whom, make, remove) in [
        (EVERYBODY, &[][..], &["/u"][..]),
        (ONE_USER, &["/n", "/i:user"], &["/u", "/n", "/i:user"]),
    ] {
        assert_eq!(regsvr32(make), Some(0));
        assert!(whom.of_class(&scene, CLIENT_CLASS).is_some(), "{}", whom.root);
        assert_eq!(regsvr32(remove), Some(0));
        assert_eq!(whom.of_class(&scene, CLIENT_CLASS), None);
        register_another(&scene, whom, CLIENT_CLASS);
        assert!(regsvr32(make).is_some_and(|code| code != 0), "{}", whom.root);
        reg(&scene, &["delete", &whom.class(CLIENT_CLASS), "/f"]);
    }
}
