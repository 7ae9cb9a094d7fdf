//! A backup goes to a client and comes back, byte for byte.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rstest::rstest;
use vdisim_tests::{Scene, golden};

/// Names of `count` devices of the set `set`.
fn devices(count: usize) -> Vec<String> {
    (0..count).map(|k| if k == 0 { "set".to_owned() } else { format!("set{k}") }).collect()
}

/// Backs the files up, one a device, compares what the client stored, and restores it.
fn round_trip(files: &[PathBuf], client: &str, server: &str, backend: &str) {
    let scene = Scene::new();
    let devices = devices(files.len());
    let with_devices = |line: &str| -> Command {
        let mut command = scene.vdisim(line);
        command.args(["--set", "set"]).args(devices.iter().flat_map(|name| ["--device", name]));
        command.env("VDISIM_BACKEND", backend);
        command
    };
    let stored: Vec<_> = (0..files.len()).map(|k| scene.path(&format!("stored{k}"))).collect();
    let with_files = |mut command: Command, option: &str, files: &[PathBuf]| {
        command.arg(option).args(files);
        command
    };

    let mut command = with_files(with_devices("client backup"), "--file", &stored);
    command.args(client.split_whitespace());
    let storing = scene.start(command);
    let mut command = with_files(with_devices("backup"), "--from", files);
    command.args(server.split_whitespace());
    scene.run(command).expect(0).says("BACKUP DATABASE successfully processed");
    storing.wait().expect(0);
    for (sent, stored) in files.iter().zip(&stored) {
        // Not assert_eq: nobody wants to read the bytes.
        assert!(fs::read(sent).unwrap() == fs::read(stored).unwrap(), "{} differs", sent.display());
    }

    let mut command = with_files(with_devices("client restore"), "--file", &stored);
    command.args(client.split_whitespace());
    let returning = scene.start(command);
    let mut command = with_files(with_devices("restore"), "--compare", files);
    command.args(server.split_whitespace());
    scene.run(command).expect(0).says("RESTORE DATABASE successfully processed");
    returning.wait().expect(0);
    assert_eq!(scene.objects(), Vec::<String>::new());
}

// Catches: a byte lost, doubled or moved in any arrangement of processes, on either backend.
#[rstest]
#[case::pipe("", "")]
#[case::complete("--features RequestComplete", "")]
#[case::tape("--features LikeTape", "")]
#[case::disk("--features LikeDisk", "")]
#[case::by_handle("--by-handle", "")]
#[case::processes("--processes", "")]
#[case::small_transfers("", "--maxtransfersize 65536 --buffercount 2")]
#[case::one_buffer("", "--buffercount 1")]
#[case::prefix("--prefix-zone 512 --alignment 4096", "--blocksize 4096")]
fn a_full_backup_on_one_device(
    #[case] client: &str,
    #[case] server: &str,
    #[values("posix", "portable")] backend: &str,
) {
    let Some(file) = golden::golden("full-2019.bak") else { return };
    round_trip(&[file], client, server, backend);
}

// Catches: streams that end up on another device, and devices that starve for buffers.
#[rstest]
#[case::threads("", "")]
#[case::processes("--processes", "")]
#[case::by_handle("--by-handle", "")]
#[case::two_buffers("", "--buffercount 2")]
fn four_backups_on_four_devices(#[case] client: &str, #[case] server: &str) {
    let names = [
        "full-2019.bak",
        "chain-2016/full.bak",
        "checksum-2008r2/full.bak",
        "diff-2008r2/diff.bak",
    ];
    let Some(files) = golden::goldens(&names) else { return };
    round_trip(&files, client, server, "posix");
}

// Catches: mixing the families of a stripe set.
#[rstest]
#[case::threads("")]
#[case::processes("--processes")]
#[case::by_handle("--by-handle")]
fn the_families_of_a_stripe_set(#[case] client: &str) {
    let names = ["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"];
    let Some(files) = golden::goldens(&names) else { return };
    round_trip(&files, client, "", "posix");
}

// Catches: `--set '*'` that needs a name, or numbers the devices in another way.
#[test]
fn the_next_set_is_taken_with_all_its_devices() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set any --device any any1 any2 --file");
    let stored: Vec<_> = (0..3).map(|k| scene.path(&format!("stored{k}"))).collect();
    command.args(&stored);
    let client = scene.start(command);
    scene.run(scene.vdisim("backup --set * --size 100000 --seed 7")).expect(0);
    client.wait().expect(0);
    let first = fs::read(&stored[0]).unwrap();
    assert_eq!(first.len(), 100_000);
    assert!(first != fs::read(&stored[1]).unwrap(), "two devices carry the same bytes");
}

// Catches: a restore that writes other bytes than it read, or under another name.
#[test]
fn a_restore_into_a_folder_names_files_as_devices() {
    let scene = Scene::new();
    let sent = scene.file("sent", &(0..100_003u32).map(|i| i as u8).collect::<Vec<_>>());
    fs::create_dir(scene.path("into")).unwrap();
    let mut command = scene.vdisim("client restore --set a/b --file");
    command.arg(&sent);
    let client = scene.start(command);
    let mut command = scene.vdisim("restore --set a/b --into");
    command.arg(scene.path("into"));
    scene.run(command).expect(0);
    client.wait().expect(0);
    assert!(fs::read(scene.path("into/a%2Fb")).unwrap() == fs::read(&sent).unwrap());
}
