//! Damage that leaves every header and page checksum right: pages and log lost, doubled or elsewhere,
//! and sums that are wrong. RESTORE and VERIFYONLY tell of it, and the old database stays.

use std::ops::Range;

use mtf::{
    Block, EXTENT_SIZE, Events, MtfError, PAGE_SIZE, PageHeader, Reader, Sset, StreamHeader,
    fill_with_filler, is_filler, stamp_page, stream_id,
};
use rstest::rstest;

use crate::damage::{BACKUPS, Scene};
use crate::devices::{client, list, watched};
use crate::golden::golden;
use crate::server::Fixture;

/// Bytes of a block of log.
const BLOCK: usize = 512;

/// Where a stream has its pages, log and sums.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) extents: Vec<Range<usize>>,
    log: Option<Range<usize>>,
    sums: Vec<usize>,
    set: usize,
}

impl Events for Layout {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        if let Block::Sset(_) = block {
            self.set = at as usize;
        }
        Ok(())
    }

    fn stream(&mut self, header: &StreamHeader, at: u64) -> Result<(), MtfError> {
        let data = at as usize + StreamHeader::SIZE;
        let payload = data + 2..data + header.length as usize;
        match header.id {
            stream_id::MQDA if header.length > 0 => {
                let starts = payload.step_by(EXTENT_SIZE);
                self.extents.extend(starts.map(|at| at..at + EXTENT_SIZE));
            }
            stream_id::MQTL => self.log = Some(payload),
            stream_id::CSUM => self.sums.push(data),
            _ => {}
        }
        Ok(())
    }
}

pub(crate) fn layout(stream: &[u8]) -> Layout {
    let mut layout = Layout::default();
    Reader::new().feed(stream, &mut layout).unwrap();
    layout
}

fn pages(extent: &mut [u8]) -> &mut [[u8; PAGE_SIZE]] {
    extent.as_chunks_mut::<PAGE_SIZE>().0
}

/// Families with what happens to them, and the message that tells of it.
type Damage = (&'static str, u32, fn(&mut [Vec<u8>]));

/// What happens to three families of pages without backup checksums. The last two of them end with
/// filler.
const PAGES: [Damage; 7] = [
    ("an extent lost", 3189, |families| {
        let at = layout(&families[0]).extents[20].clone();
        pages(&mut families[0][at]).iter_mut().for_each(fill_with_filler);
    }),
    ("an extent doubled", 3189, |families| {
        let [from, to] = [0, 2].map(|family| layout(&families[family]).extents);
        let (from, to) = (from[20].clone(), to.last().unwrap().clone());
        assert!(is_filler(families[2][to.clone()].first_chunk().unwrap()));
        let extent = families[0][from].to_vec();
        families[2][to].copy_from_slice(&extent);
    }),
    ("an extent in the place of another", 3189, |families| {
        let extents = layout(&families[1]).extents;
        families[1].copy_within(extents[3].clone(), extents[9].start);
    }),
    ("two pages of an extent exchanged", 3183, |families| {
        let at = layout(&families[0]).extents[9].clone();
        families[0][at][..2 * PAGE_SIZE].rotate_left(PAGE_SIZE);
    }),
    ("two pages of two extents exchanged", 3183, |families| {
        let extents = layout(&families[0]).extents;
        let [one, two] = [9, 10].map(|number| extents[number].start + 3 * PAGE_SIZE);
        let page = families[0][one..one + PAGE_SIZE].to_vec();
        families[0].copy_within(two..two + PAGE_SIZE, one);
        families[0][two..two + PAGE_SIZE].copy_from_slice(&page);
    }),
    ("pages of a file that the set does not list", 3241, |families| {
        let at = layout(&families[0]).extents[9].clone();
        for page in pages(&mut families[0][at]) {
            PageHeader::FILE_ID.write(page, 9);
            stamp_page(page);
        }
    }),
    ("pages behind the end of their file", 3241, |families| {
        let at = layout(&families[0]).extents[9].clone();
        for page in pages(&mut families[0][at]) {
            let number = PageHeader::PAGE_ID.read(page);
            PageHeader::PAGE_ID.write(page, number + (1 << 20));
            stamp_page(page);
        }
    }),
];

/// What happens to the log of this server, of some blocks, in the first family.
const LOG: [Damage; 5] = [
    ("a byte of a record flipped", 3189, |families| {
        let log = layout(&families[0]).log.unwrap();
        families[0][log.start + BLOCK + 30] ^= 4;
    }),
    ("a mark flipped", 3189, |families| {
        let log = layout(&families[0]).log.unwrap();
        families[0][log.start] ^= 1;
    }),
    ("a block dropped", 3189, |families| {
        let log = layout(&families[0]).log.unwrap();
        families[0].copy_within(log.start + BLOCK..log.end, log.start);
    }),
    ("a block doubled", 3189, |families| {
        let log = layout(&families[0]).log.unwrap();
        families[0].copy_within(log.start..log.end - BLOCK, log.start + BLOCK);
    }),
    ("two blocks exchanged", 3189, |families| {
        let log = layout(&families[0]).log.unwrap();
        families[0][log.start..][..2 * BLOCK].rotate_left(BLOCK);
    }),
];

/// The families of a backup as files, damaged in turn.
struct Trial {
    server: Fixture,
    names: &'static [&'static str],
    whole: Vec<Vec<u8>>,
    what: &'static str,
}

impl Trial {
    fn put(&self, families: &[Vec<u8>]) {
        for (name, bytes) in self.names.iter().zip(families) {
            std::fs::write(self.server.backup_file(name), bytes).unwrap();
        }
    }

    fn disks(&self) -> String {
        self.names.iter().map(|name| format!("DISK='{name}'")).collect::<Vec<_>>().join(", ")
    }

    /// Asserts that a damage is told of by every statement that reads it, and changes nothing.
    fn check(&mut self, (damage, number, make): Damage, over_devices: bool) {
        let before = (self.server.instance.server.read().unwrap(), self.server.digest("copy"));
        let mut families = self.whole.clone();
        make(&mut families);
        assert!(families != self.whole, "{damage}");
        self.put(&families);
        let what = self.what;
        for from in [self.disks(), list("set", families.len())] {
            let is_virtual = from.starts_with("VIRTUAL");
            if is_virtual && !over_devices {
                continue;
            }
            for statement in [
                format!("RESTORE {what} copy FROM {from} WITH NORECOVERY"),
                format!("RESTORE VERIFYONLY FROM {from}"),
            ] {
                let client =
                    is_virtual.then(|| client(&self.server.instance, "set", families.clone()));
                assert_eq!(self.server.errors(&statement), [number, 3013], "{damage}: {statement}");
                client.into_iter().for_each(|client| drop(client.join().unwrap()));
            }
        }
        let after = (self.server.instance.server.read().unwrap(), self.server.digest("copy"));
        assert!(after == before, "{damage}: the old database has changed");
    }

    /// Asserts that the families as they were restore.
    fn finish(mut self) {
        self.put(&self.whole);
        let (what, from) = (self.what, self.disks());
        assert_eq!(self.server.errors(&format!("RESTORE VERIFYONLY FROM {from}")), [3262]);
        self.server.succeed(&format!("RESTORE {what} copy FROM {from} WITH NORECOVERY"));
        assert_eq!(self.server.digest("copy"), self.server.digest("pubs"));
    }
}

/// A copy of pubs that waits for more, and a backup that it waits for.
fn trial(statement: &str, names: &'static [&'static str]) -> Trial {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='base'");
    server.succeed("RESTORE DATABASE copy FROM DISK='base' WITH NORECOVERY");
    // Each batch writes blocks of its own.
    (0..3).for_each(|seed| server.succeed(&format!("EXEC vdisim.change pubs, 9, {seed}")));
    let to: Vec<_> = names.iter().map(|name| format!("DISK='{name}'")).collect();
    server.succeed(&format!("{statement} TO {}", to.join(", ")));
    let whole = names.iter().map(|name| std::fs::read(server.backup_file(name)).unwrap()).collect();
    let what = if statement.contains("LOG") { "LOG" } else { "DATABASE" };
    Trial { server, names, whole, what }
}

// Catches: extents of the families not counted together or not against the set's, or filler and the
// same extent twice counted; a page taken for one that was never written because it lies elsewhere;
// VERIFYONLY that knows no files; any of it noticed on files and not on virtual devices.
#[test]
fn pages_are_all_there_and_in_their_places() {
    watched(|| {
        let mut trial = trial("BACKUP DATABASE pubs", &["a", "b", "c"]);
        for (number, damage) in PAGES.into_iter().enumerate() {
            trial.check(damage, number < 2);
        }
        trial.finish();
    });
}

// Catches: log of this server applied that is not what was written, in one family or several; log
// that no family carries.
#[rstest]
fn log_is_whole(#[values(&["a"], &["a", "b"])] names: &'static [&'static str]) {
    watched(move || {
        let mut trial = trial("BACKUP LOG pubs", names);
        for (number, damage) in LOG.into_iter().enumerate() {
            trial.check(damage, number == 0);
        }
        trial.finish();
    });
}

// Catches: an extent of a real backup that can be lost, filler of a real stripe counted, the second
// block of data of SQL Server 2019 not counted for itself.
#[test]
fn a_real_backup_that_lost_an_extent_is_refused() {
    let Some(folder) = golden("a_real_backup_that_lost_an_extent_is_refused") else { return };
    for backup in BACKUPS.iter().filter(|backup| backup.what == "DATABASE") {
        let mut scene = Scene::new(Fixture::new(), &folder, backup);
        for device in 0..scene.streams.len() {
            let stream = scene.streams[device].clone();
            let extents = layout(&stream).extents;
            let is_data =
                |at: &&Range<usize>| !is_filler(stream[(*at).clone()].first_chunk().unwrap());
            for at in [extents.first(), extents.iter().rfind(is_data)].into_iter().flatten() {
                let mut damaged = stream.clone();
                pages(&mut damaged[at.clone()]).iter_mut().for_each(fill_with_filler);
                scene.put(device, &damaged);
                assert_eq!(scene.restore(), [3189, 3013], "{:?} at {at:x?}", backup.families);
                let verify = format!("RESTORE VERIFYONLY FROM {}", scene.devices);
                assert_eq!(scene.execute(&verify), [3189, 3013], "{:?}", backup.families);
            }
            scene.repair(device);
        }
        scene.assert_as_before();
        let verify = format!("RESTORE VERIFYONLY FROM {}", scene.devices);
        assert_eq!(scene.execute(&verify), [3262]);
        assert_eq!(scene.restore(), [0_u32; 0], "{:?}", backup.families);
    }
}

// Catches: a backup checksum that nobody compares, of pages or of log, with pages and places right.
#[test]
fn a_wrong_backup_checksum_is_told() {
    watched(|| {
        let server = Fixture::new();
        let mut trial = Trial { server, names: &["a"], whole: Vec::new(), what: "DATABASE" };
        let server = &mut trial.server;
        server.succeed(
            "EXEC vdisim.change pubs, 9, 1; BACKUP DATABASE pubs TO DISK='a' WITH CHECKSUM",
        );
        server.succeed("RESTORE DATABASE copy FROM DISK='a' WITH NORECOVERY");
        trial.whole = vec![std::fs::read(trial.server.backup_file("a")).unwrap()];
        trial.check(
            ("the sum of the pages", 3189, |families| {
                let sums = layout(&families[0]).sums;
                assert_eq!(sums.len(), 2, "pages and log");
                families[0][sums[0]] ^= 1;
            }),
            true,
        );
        trial.check(
            ("the sum of the log", 3189, |families| {
                let sums = layout(&families[0]).sums;
                families[0][sums[1]] ^= 1;
            }),
            false,
        );
        trial.check(
            ("a page that has lost its own checksum", 3189, |families| {
                let at = layout(&families[0]).extents[4].clone();
                PageHeader::FLAG_BITS.write(&mut pages(&mut families[0][at])[1], 0);
            }),
            false,
        );
        trial.finish();
    });
}

// Catches: families of two media sets, or of two backup sets of one media set, taken for one backup.
#[test]
fn families_of_two_backups_are_refused() {
    watched(|| {
        let mut trial = trial("BACKUP DATABASE pubs", &["a", "b"]);
        trial.server.succeed("BACKUP DATABASE pubs TO DISK='c', DISK='d'");
        trial.check(
            ("a family of another backup set", 3232, |families| {
                let set = layout(&families[1]).set;
                families[1][set + Sset::BACKUP_SET.offset()] ^= 1;
            }),
            true,
        );
        for from in ["DISK='a', DISK='d'", "DISK='d', DISK='a'"] {
            trial.put(&trial.whole);
            for batch in [
                format!("RESTORE DATABASE copy FROM {from} WITH NORECOVERY"),
                format!("RESTORE VERIFYONLY FROM {from}"),
            ] {
                assert_eq!(trial.server.errors(&batch), [3258, 3013], "{batch}");
            }
        }
        trial.finish();
    });
}
