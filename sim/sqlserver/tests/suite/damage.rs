//! Every real backup damaged in every way, through RESTORE: the server says what is wrong, restores
//! nothing, and the old database stays as it was.

use std::path::{Path, PathBuf};

use fake_sqlserver::catalogue::Catalogue;
use mtf::{Block, BlockHeader, Events, MtfError, Reader, StreamHeader};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rstest::rstest;

use crate::golden::golden;
use crate::server::Fixture;

/// Places in a stream behind its configuration, where each trial reads the data once more, that are
/// tried of a backup; the ones before are all tried, and all of a small backup.
const SAMPLE: usize = 60;

/// Bytes of a small backup.
const SMALL: usize = 200_000;

/// A server with a database in the state that a backup fits, and the statement that restores it.
struct Scene {
    server: Fixture,
    folder: PathBuf,
    what: &'static str,
    devices: String,
    before: (Catalogue, u64, usize),
}

impl Scene {
    /// Restores `first` and prepares for files named `names` in the folder for backups.
    fn new(folder: &Path, first: &[&str], what: &'static str, names: &[&str]) -> Scene {
        let mut server = Fixture::new();
        let real = |name: &&str| format!("DISK='{}'", folder.join(name).display());
        for name in first {
            let what = if name.ends_with(".trn") { "LOG" } else { "DATABASE" };
            let batch = format!("RESTORE {what} real FROM {} WITH NORECOVERY", real(name));
            assert!(server.errors(&batch).iter().all(|number| *number == 0), "{batch}");
        }
        if first.is_empty() {
            let list: Vec<_> = names.iter().map(real).collect();
            let batch = format!("RESTORE DATABASE real FROM {}", list.join(", "));
            assert!(server.errors(&batch).iter().all(|number| *number == 0), "{batch}");
        }
        let backups = server.backup_file("");
        std::fs::create_dir_all(&backups).unwrap();
        let list: Vec<_> = (0..names.len()).map(|k| format!("DISK='damaged{k}'")).collect();
        let before = state(&server);
        Scene { server, folder: backups, what, devices: list.join(", "), before }
    }

    /// Puts a stream in the place of device `device`.
    fn put(&self, device: usize, bytes: &[u8]) {
        std::fs::write(self.folder.join(format!("damaged{device}")), bytes).unwrap();
    }

    fn restore(&mut self) -> Vec<u32> {
        let Scene { what, devices, .. } = self;
        // A real log, which is not replayed, is told of with number 0.
        let batch = format!("RESTORE {what} real FROM {devices} WITH NORECOVERY, REPLACE");
        let batch = if *what == "LOG" { batch.replace(", REPLACE", "") } else { batch };
        self.server.errors(&batch).into_iter().filter(|number| *number != 0).collect()
    }

    /// Asserts that nothing has changed.
    #[track_caller]
    fn assert_as_before(&self) {
        assert!(state(&self.server) == self.before, "the old database has changed");
    }
}

/// The catalogue, the pages of the database, and the number of files with data.
fn state(server: &Fixture) -> (Catalogue, u64, usize) {
    let files = server.backup_file("../data").read_dir().map_or(0, Iterator::count);
    (server.instance.server.read().unwrap(), server.digest("real"), files)
}

/// Where the blocks and streams of a backup are, and where its data begin.
#[derive(Default)]
struct Places {
    blocks: Vec<usize>,
    streams: Vec<usize>,
    data_at: usize,
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

    fn stream(&mut self, _: &StreamHeader, at: u64) -> Result<(), MtfError> {
        self.streams.push(at as usize);
        Ok(())
    }
}

fn places(stream: &[u8]) -> Places {
    let mut places = Places::default();
    Reader::new().feed(stream, &mut places).unwrap();
    assert!(places.blocks.len() > 8 && places.data_at > 0);
    places
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

/// The backups, each with what is restored before it; families of a set stand together.
#[rstest]
#[case::full(&[], "DATABASE", &["chain-2016/full.bak"])]
#[case::full_2019(&[], "DATABASE", &["full-2019.bak"])]
#[case::checksums(&[], "DATABASE", &["checksum-2008r2/full.bak"])]
#[case::full_2008(&[], "DATABASE", &["diff-2008r2/full.bak"])]
#[case::striped(&[], "DATABASE", &["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"])]
#[case::diff(&["chain-2016/full.bak"], "DATABASE", &["chain-2016/diff.bak"])]
#[case::diff_checksums(&["checksum-2008r2/full.bak"], "DATABASE", &["checksum-2008r2/diff.bak"])]
#[case::diff_2008(&["diff-2008r2/full.bak"], "DATABASE", &["diff-2008r2/diff.bak"])]
#[case::log1(&["chain-2016/full.bak", "chain-2016/diff.bak"], "LOG", &["chain-2016/log1.trn"])]
#[case::log2(
    &["chain-2016/full.bak", "chain-2016/diff.bak", "chain-2016/log1.trn"],
    "LOG",
    &["chain-2016/log2.trn"]
)]
#[case::log3(
    &["chain-2016/full.bak", "chain-2016/diff.bak", "chain-2016/log1.trn", "chain-2016/log2.trn"],
    "LOG",
    &["chain-2016/log3.trn"]
)]
// Catches: damage that is not noticed, or noticed when some of the pages are in their places
// already; another message than the real one's; files left behind.
fn a_damaged_backup_restores_nothing(
    #[case] first: &[&str],
    #[case] what: &'static str,
    #[case] names: &[&str],
) {
    let Some(folder) = golden("a_damaged_backup_restores_nothing") else { return };
    let mut scene = Scene::new(&folder, first, what, names);
    let streams: Vec<_> =
        names.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    streams.iter().enumerate().for_each(|(device, stream)| scene.put(device, stream));
    for (device, stream) in streams.iter().enumerate() {
        let places = places(stream);
        let (data_at, size) = (places.data_at, stream.len());
        for cut in sample(places.blocks.clone(), data_at, size) {
            scene.put(device, &stream[..cut]);
            let errors = scene.restore();
            let expected: &[u32] = match cut {
                0 => &[3254],
                cut if cut < data_at => &[3208, 3203],
                // The last block is a filemark, without which the set is complete; it is left out.
                _ if Some(&cut) == places.blocks.last() => continue,
                _ => &[3203, 3256],
            };
            let is_expected = expected.iter().any(|number| errors == [*number, 3013]);
            assert!(is_expected, "{names:?} {device} cut at {cut:#x}: {errors:?}");
        }
        let headers = places.blocks.iter().map(|at| (*at, BlockHeader::SIZE));
        let headers = headers.chain(places.streams.iter().map(|at| (*at, StreamHeader::SIZE)));
        let mut bytes: Vec<_> = headers.flat_map(|(at, size)| at..at + size).collect();
        bytes.sort_unstable();
        let mut damaged = stream.clone();
        for at in sample(bytes, data_at, size) {
            let flip = [0x01, 0x80, 0xff][at % 3];
            damaged[at] ^= flip;
            scene.put(device, &damaged);
            let expected = if at < 4 { 3242 } else { 3241 };
            assert_eq!(scene.restore(), [expected, 3013], "{names:?} {device} flipped at {at:#x}");
            damaged[at] ^= flip;
        }
        scene.put(device, stream);
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
    let names = ["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"];
    let mut scene = Scene::new(&folder, &[], "DATABASE", &names);
    let [one, two] = names.map(|name| std::fs::read(folder.join(name)).unwrap());
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
