//! Every real backup damaged in every way, through RESTORE: the server says what is wrong, restores
//! nothing, and the old database stays as it was.

use std::fmt::Display;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fake_sqlserver::catalogue::Catalogue;
use mtf::{Block, BlockHeader, Events, MtfError, Reader, StreamHeader};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rstest::rstest;

use crate::devices::{client, list, watched};
use crate::golden::golden;
use crate::server::Fixture;

/// Places in a stream behind its configuration, where each trial reads the data once more, that are
/// tried of a backup; the ones before are all tried, and all of a small backup.
const SAMPLE: usize = 60;

/// Bytes of a small backup.
const SMALL: usize = 200_000;

/// Place of the backup with several families.
const STRIPED: usize = 4;

/// A kind of backup: what is restored before it, and its families.
pub(crate) struct Backup {
    pub(crate) before: &'static [&'static str],
    pub(crate) what: &'static str,
    pub(crate) families: &'static [&'static str],
}

/// The real backups.
pub(crate) const BACKUPS: [Backup; 11] = [
    full(&["chain-2016/full.bak"]),
    full(&["full-2019.bak"]),
    full(&["checksum-2008r2/full.bak"]),
    full(&["diff-2008r2/full.bak"]),
    full(&["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"]),
    differential(&["chain-2016/full.bak"], &["chain-2016/diff.bak"]),
    differential(&["checksum-2008r2/full.bak"], &["checksum-2008r2/diff.bak"]),
    differential(&["diff-2008r2/full.bak"], &["diff-2008r2/diff.bak"]),
    log(CHAIN.split_at(2).0, &["chain-2016/log1.trn"]),
    log(CHAIN.split_at(3).0, &["chain-2016/log2.trn"]),
    log(CHAIN, &["chain-2016/log3.trn"]),
];

const CHAIN: &[&str] =
    &["chain-2016/full.bak", "chain-2016/diff.bak", "chain-2016/log1.trn", "chain-2016/log2.trn"];

const fn full(families: &'static [&'static str]) -> Backup {
    Backup { before: &[], what: "DATABASE", families }
}

const fn differential(
    before: &'static [&'static str],
    families: &'static [&'static str],
) -> Backup {
    Backup { before, what: "DATABASE", families }
}

const fn log(before: &'static [&'static str], families: &'static [&'static str]) -> Backup {
    Backup { before, what: "LOG", families }
}

/// A server with a database in the state that a backup fits, that backup's families as files to be
/// damaged, and the statement that restores them.
pub(crate) struct Scene {
    pub(crate) server: Fixture,
    pub(crate) backup: &'static Backup,
    /// The families as they are.
    pub(crate) streams: Vec<Vec<u8>>,
    pub(crate) devices: String,
    before: (Catalogue, u64, usize),
}

impl Scene {
    pub(crate) fn new(mut server: Fixture, folder: &Path, backup: &'static Backup) -> Scene {
        let real = |name: &&str| format!("DISK='{}'", folder.join(name).display());
        for name in backup.before {
            let what = if name.ends_with(".trn") { "LOG" } else { "DATABASE" };
            let batch = format!("RESTORE {what} real FROM {} WITH NORECOVERY", real(name));
            assert!(server.errors(&batch).iter().all(|number| *number == 0), "{batch}");
        }
        if backup.before.is_empty() {
            let list: Vec<_> = backup.families.iter().map(real).collect();
            let batch = format!("RESTORE DATABASE real FROM {}", list.join(", "));
            assert!(server.errors(&batch).iter().all(|number| *number == 0), "{batch}");
        }
        std::fs::create_dir_all(server.backup_file("")).unwrap();
        let streams: Vec<_> =
            backup.families.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
        let list: Vec<_> = (0..streams.len()).map(|k| format!("DISK='damaged{k}'")).collect();
        let before = state(&server);
        let scene = Scene { server, backup, streams, devices: list.join(", "), before };
        (0..scene.streams.len()).for_each(|device| scene.repair(device));
        scene
    }

    /// Puts a stream in the place of device `device`.
    pub(crate) fn put(&self, device: usize, bytes: &[u8]) {
        std::fs::write(self.file(device), bytes).unwrap();
    }

    /// Puts the family back in its place.
    pub(crate) fn repair(&self, device: usize) {
        self.put(device, &self.streams[device]);
    }

    /// Cuts a family that is at least so long.
    pub(crate) fn cut(&self, device: usize, size: usize) {
        let file = File::options().write(true).open(self.file(device)).unwrap();
        file.set_len(size as u64).unwrap();
    }

    /// Puts another byte into a family.
    pub(crate) fn set_byte(&self, device: usize, at: usize, byte: u8) {
        let mut file = File::options().write(true).open(self.file(device)).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    }

    fn file(&self, device: usize) -> PathBuf {
        self.server.backup_file(&format!("damaged{device}"))
    }

    /// The statement that restores from these devices.
    pub(crate) fn statement(&self, devices: &str) -> String {
        let what = self.backup.what;
        let batch = format!("RESTORE {what} real FROM {devices} WITH NORECOVERY, REPLACE");
        if what == "LOG" { batch.replace(", REPLACE", "") } else { batch }
    }

    pub(crate) fn restore(&mut self) -> Vec<u32> {
        self.execute(&self.statement(&self.devices))
    }

    /// The numbers of a statement's errors.
    pub(crate) fn execute(&mut self, batch: &str) -> Vec<u32> {
        // A real log, which is not replayed, is told of with number 0.
        self.server.errors(batch).into_iter().filter(|number| *number != 0).collect()
    }

    /// Asserts that nothing has changed.
    #[track_caller]
    pub(crate) fn assert_as_before(&self) {
        assert!(state(&self.server) == self.before, "the old database has changed");
    }

    /// Asserts that the catalogue is as it was, which is quickly done.
    #[track_caller]
    pub(crate) fn assert_catalogue_as_before(&self, damage: &dyn Display) {
        let catalogue = self.server.instance.server.read().unwrap();
        assert!(catalogue == self.before.0, "the catalogue has changed: {damage}");
    }
}

/// The catalogue, the pages of the database, and the number of files with data.
fn state(server: &Fixture) -> (Catalogue, u64, usize) {
    (server.instance.server.read().unwrap(), server.digest("real"), server.data_files())
}

/// Where the blocks and streams of a backup are, and where its data begin.
#[derive(Default)]
pub(crate) struct Places {
    blocks: Vec<usize>,
    streams: Vec<usize>,
    data_at: usize,
    /// The bytes of each block behind its header, which no checksum covers.
    pub(crate) bodies: Vec<std::ops::Range<usize>>,
}

impl Events for Places {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        self.blocks.push(at as usize);
        if matches!(block, Block::Msda(_) | Block::Mstl(_)) && self.data_at == 0 {
            self.data_at = at as usize + BlockHeader::SIZE;
        }
        Ok(())
    }

    fn stream(&mut self, header: &StreamHeader, at: u64) -> Result<(), MtfError> {
        let at = at as usize;
        self.streams.push(at);
        let block = self.blocks.last().copied().unwrap_or(0);
        if self.streams.iter().rev().nth(1).is_none_or(|before| *before < block) {
            self.bodies.push(block + BlockHeader::SIZE..at);
        }
        if [*b"MQCI", *b"RAID", *b"TSMP"].contains(&header.id.0) {
            let data = at + StreamHeader::SIZE;
            self.bodies.push(data..data + header.length as usize);
        }
        Ok(())
    }
}

impl Places {
    pub(crate) fn of(stream: &[u8]) -> Places {
        let mut places = Places::default();
        Reader::new().feed(stream, &mut places).unwrap();
        assert!(places.blocks.len() > 8 && places.data_at > 0);
        places
    }

    /// The bytes of all headers, of blocks and of streams, in order.
    pub(crate) fn headers(&self) -> Vec<usize> {
        let headers = self.blocks.iter().map(|at| (*at, BlockHeader::SIZE));
        let headers = headers.chain(self.streams.iter().map(|at| (*at, StreamHeader::SIZE)));
        let mut bytes: Vec<_> = headers.flat_map(|(at, size)| at..at + size).collect();
        bytes.sort_unstable();
        bytes
    }

    /// Where the last block begins: a filemark, without which the set is complete.
    pub(crate) fn last_block(&self) -> usize {
        self.blocks.last().copied().unwrap_or(0)
    }

    /// The messages that may tell of a stream cut here.
    pub(crate) fn told_of_cut(&self, cut: usize) -> &'static [u32] {
        match cut {
            0 => &[3254],
            cut if cut < self.data_at => &[3208, 3203],
            _ => &[3203, 3256],
        }
    }
}

/// The message that tells of a flipped byte in a header.
pub(crate) fn told_of_flip(at: usize) -> u32 {
    if at < 4 { 3242 } else { 3241 }
}

/// Which bits of a byte are flipped.
pub(crate) fn flip(at: usize) -> u8 {
    [0x01, 0x80, 0xff][at % 3]
}

/// All places before `data_at`, and a sample of the others.
fn sample(mut all: Vec<usize>, data_at: usize, size: usize) -> Vec<usize> {
    let first_late = all.partition_point(|place| *place < data_at);
    if size <= SMALL || all.len() - first_late <= SAMPLE {
        return all;
    }
    let mut late = all.split_off(first_late);
    late.shuffle(&mut StdRng::seed_from_u64(1));
    all.extend(&late[..SAMPLE]);
    all
}

#[rstest]
// Catches: damage that is not noticed, or noticed when some of the pages are in their places
// already; another message than the real one's; files left behind. `sweep` tries all places.
fn a_damaged_backup_restores_nothing(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] number: usize) {
    let Some(folder) = golden("a_damaged_backup_restores_nothing") else { return };
    let mut scene = Scene::new(Fixture::new(), &folder, &BACKUPS[number]);
    let names = scene.backup.families;
    for (device, name) in names.iter().enumerate() {
        let stream = scene.streams[device].clone();
        let places = Places::of(&stream);
        for cut in sample(places.blocks.clone(), places.data_at, stream.len()) {
            if cut == places.last_block() {
                continue;
            }
            scene.put(device, &stream[..cut]);
            let errors = scene.restore();
            let is_expected =
                places.told_of_cut(cut).iter().any(|number| errors == [*number, 3013]);
            assert!(is_expected, "{name} cut at {cut:#x}: {errors:?}");
        }
        scene.repair(device);
        for at in sample(places.headers(), places.data_at, stream.len()) {
            scene.set_byte(device, at, stream[at] ^ flip(at));
            let expected = [told_of_flip(at), 3013];
            assert_eq!(scene.restore(), expected, "{name} flipped at {at:#x}");
            scene.set_byte(device, at, stream[at]);
        }
    }
    scene.assert_as_before();
    // The cut before the last filemark is a whole backup, and so is this.
    assert_eq!(scene.restore(), [0_u32; 0], "{names:?}");
}

// Catches: families of another set taken, one taken for another, or fewer than there are.
#[test]
fn families_of_a_real_backup_must_belong_together() {
    let test = "families_of_a_real_backup_must_belong_together";
    let Some(folder) = golden(test) else { return };
    let mut scene = Scene::new(Fixture::new(), &folder, &BACKUPS[STRIPED]);
    let [one, two] = [0, 1].map(|family| scene.streams[family].clone());
    let other = std::fs::read(folder.join("chain-2016/full.bak")).unwrap();
    for (streams, expected) in
        [([&one, &one], 3227), ([&two, &two], 3227), ([&one, &other], 3231), ([&other, &two], 3231)]
    {
        scene.put(0, streams[0]);
        scene.put(1, streams[1]);
        assert_eq!(scene.restore(), [expected, 3013]);
        scene.assert_as_before();
    }
    scene.devices = "DISK='damaged1'".to_owned();
    scene.put(1, &two);
    assert_eq!(scene.restore(), [3132, 3013]);
    scene.assert_as_before();
    // In another order they are what they were.
    scene.devices = "DISK='damaged1', DISK='damaged0'".to_owned();
    scene.put(0, &one);
    assert_eq!(scene.restore(), [0_u32; 0]);
}

/// Places of each family that are tried over virtual devices.
const DEVICE_SAMPLE: usize = 24;

#[rstest]
// Catches: damage that a virtual device hides, a message that is another one than from DISK; a client
// that is left without an end.
fn damage_is_told_of_over_virtual_devices(
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] number: usize,
) {
    let Some(folder) = golden("damage_is_told_of_over_virtual_devices") else { return };
    watched(move || {
        let mut scene = Scene::new(Fixture::new(), &folder, &BACKUPS[number]);
        let whole = scene.streams.clone();
        let from_devices = scene.statement(&list("set", whole.len()));
        let mut random = StdRng::seed_from_u64(3);
        for device in 0..whole.len() {
            let places = Places::of(&whole[device]);
            let mut cuts: Vec<_> = (0..places.last_block()).step_by(512).collect();
            let mut bytes = places.headers();
            cuts.shuffle(&mut random);
            bytes.shuffle(&mut random);
            let cuts = cuts.into_iter().map(|cut| (cut, None));
            let flips = bytes.into_iter().map(|at| (at, Some(flip(at))));
            let ends = [(0, None), (512, None), (0, Some(1))];
            for (at, flip) in cuts.take(DEVICE_SAMPLE).chain(flips.take(DEVICE_SAMPLE)).chain(ends)
            {
                let mut streams = whole.clone();
                match flip {
                    Some(bits) => streams[device][at] ^= bits,
                    None => streams[device].truncate(at),
                }
                scene.put(device, &streams[device]);
                let from_files = scene.restore();
                let client = client(&scene.server.instance, "set", streams);
                let told = scene.execute(&from_devices);
                client.join().unwrap();
                assert_eq!(told, from_files, "{device} at {at:#x}, {flip:?}");
                assert_eq!(told.last(), Some(&3013));
            }
            scene.repair(device);
        }
        scene.assert_as_before();
        let client = client(&scene.server.instance, "set", whole);
        assert_eq!(scene.execute(&from_devices), [0_u32; 0]);
        client.join().unwrap();
    });
}

// Catches: families swapped, missing or of two sets that are taken over virtual devices.
#[test]
fn families_on_virtual_devices_must_belong_together() {
    let test = "families_on_virtual_devices_must_belong_together";
    let Some(folder) = golden(test) else { return };
    watched(move || {
        let mut scene = Scene::new(Fixture::new(), &folder, &BACKUPS[STRIPED]);
        let [one, two] = [0, 1].map(|family| scene.streams[family].clone());
        let other = std::fs::read(folder.join("chain-2016/full.bak")).unwrap();
        for (streams, expected) in [
            (vec![one.clone(), one.clone()], [3227, 3013].as_slice()),
            (vec![two.clone(), two.clone()], &[3227, 3013]),
            (vec![one.clone(), other.clone()], &[3231, 3013]),
            (vec![two.clone()], &[3132, 3013]),
            // In another order they are what they were.
            (vec![two, one], &[]),
        ] {
            if expected.is_empty() {
                scene.assert_as_before();
            }
            let batch = scene.statement(&list("set", streams.len()));
            let client = client(&scene.server.instance, "set", streams);
            assert_eq!(scene.execute(&batch), expected);
            client.join().unwrap();
        }
    });
}
