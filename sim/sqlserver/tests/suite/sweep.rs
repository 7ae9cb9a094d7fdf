//! Real backups damaged in every place there is: the minutes that `scripts/sweep` takes.

use std::path::Path;

use fake_sqlserver::catalogue::Server;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rstest::rstest;

use crate::damage::{BACKUPS, Backup, Places, Scene, flip, told_of_flip};
use crate::golden::golden;
use crate::server::Fixture;

/// Bytes of the smallest block that media may have.
const BLOCK: usize = 512;

/// Bytes outside of the headers that are tried of each family.
const BODY_SAMPLE: usize = 400;

/// A scene whose files are in memory.
fn scene(folder: &Path, backup: &'static Backup) -> Scene {
    Scene::new(Fixture::on(Server::in_memory), folder, backup)
}

#[rstest]
#[ignore = "takes minutes: scripts/sweep"]
// Catches: a place behind which a cut is not noticed, or is told of by another message; a database
// that a stream without its end has changed.
fn cut_at_every_block(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] number: usize) {
    let Some(folder) = golden("cut_at_every_block") else { return };
    let mut scene = scene(&folder, &BACKUPS[number]);
    for (device, name) in scene.backup.families.iter().enumerate() {
        let stream = scene.streams[device].clone();
        let places = Places::of(&stream);
        // Backwards, so that each cut takes a block off the file. A set is complete without its last
        // filemark.
        for cut in (0..places.last_block()).step_by(BLOCK).rev() {
            scene.cut(device, cut);
            let errors = scene.restore();
            let is_expected =
                places.told_of_cut(cut).iter().any(|number| errors == [*number, 3013]);
            assert!(is_expected, "{name} cut at {cut:#x}: {errors:?}");
            scene.assert_catalogue_as_before(&format_args!("{name} cut at {cut:#x}"));
        }
        scene.repair(device);
        scene.assert_as_before();
    }
    assert_eq!(scene.restore(), [0_u32; 0]);
}

#[rstest]
#[ignore = "takes minutes: scripts/sweep"]
// Catches: a byte of a header, of a block or a stream, before or behind the data, that no check covers.
fn every_header_byte_flipped(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] number: usize) {
    let Some(folder) = golden("every_header_byte_flipped") else { return };
    let mut scene = scene(&folder, &BACKUPS[number]);
    for (device, name) in scene.backup.families.iter().enumerate() {
        let stream = scene.streams[device].clone();
        for at in Places::of(&stream).headers() {
            scene.set_byte(device, at, stream[at] ^ flip(at));
            let expected = [told_of_flip(at), 3013];
            assert_eq!(scene.restore(), expected, "{name} flipped at {at:#x}");
            scene.assert_catalogue_as_before(&format_args!("{name} flipped at {at:#x}"));
            scene.set_byte(device, at, stream[at]);
        }
        scene.assert_as_before();
    }
    assert_eq!(scene.restore(), [0_u32; 0]);
}

#[rstest]
#[ignore = "takes minutes: scripts/sweep"]
// Catches: a field without a checksum of its own (of a block's body, the configuration, the set map)
// whose damage ends in anything but a whole restore or none: a panic, a hang, a database half there.
fn fields_without_checksums_flipped(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] number: usize) {
    let Some(folder) = golden("fields_without_checksums_flipped") else { return };
    let backup = &BACKUPS[number];
    let mut scene = self::scene(&folder, backup);
    let mut refused = 0;
    for (device, name) in backup.families.iter().enumerate() {
        let stream = scene.streams[device].clone();
        let mut places: Vec<_> = Places::of(&stream).bodies.into_iter().flatten().collect();
        places.shuffle(&mut StdRng::seed_from_u64(2));
        for at in places.into_iter().take(BODY_SAMPLE) {
            scene.set_byte(device, at, stream[at] ^ flip(at));
            match scene.restore().as_slice() {
                [] => scene = self::scene(&folder, backup),
                [.., 3013] => {
                    refused += 1;
                    scene.assert_as_before();
                    scene.set_byte(device, at, stream[at]);
                }
                other => panic!("{name} flipped at {at:#x}: {other:?}"),
            }
        }
    }
    assert!(refused > 0, "no damage was ever noticed");
}
