//! Real backups: every field that the crate computes must come out as SQL Server computed it.

use mtf::{
    BackupFile, BackupStart, BackupWriter, Block, Configuration, EXTENT_SIZE, Events, Lsn,
    MediaLabel, Mstl, MtfError, PAGE_SIZE, PageHeader, Raid, Reader, Record, Release, Scin,
    SetLabel, SetMap, Sfin, Sset, StreamHeader, Tape, VirtualLogFile, Volb, fill_with_filler,
    is_filler, stream_id,
};
use rstest::rstest;

use crate::support::{Golden, first_difference, golden_files, known_files, read_all, rewrite};

/// Catches: any wrong address, number, checksum, filemark or backup checksum, and any dependence on
/// how the stream is cut.
#[rstest]
#[case(1)]
#[case(512)]
#[case(8191)]
#[case(65536)]
#[case(usize::MAX)]
fn a_backup_written_again_from_its_fields_has_the_same_bytes(#[case] size: usize) {
    for file in golden_files("a_backup_written_again_from_its_fields_has_the_same_bytes") {
        let copy = rewrite(&file.bytes, size).unwrap_or_else(|e| panic!("{:?}: {e}", file.path));
        assert_eq!(first_difference(&copy, &file.bytes), None, "{:?}", file.path);
    }
}

/// What a backup says about itself, collected for the tests below.
#[derive(Default)]
struct Facts {
    tape: Option<Record<Tape>>,
    raid: Option<Record<Raid>>,
    set: Option<(Record<Sset>, u64)>,
    volume: Option<Record<Volb>>,
    configurations: Vec<Configuration>,
    logs: Vec<Record<Mstl>>,
    map: Option<Record<SetMap>>,
    summary_at: u64,
    pages: usize,
    protected: usize,
    fillers: usize,
    checksums: usize,
}

impl Events for Facts {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        match block {
            Block::Tape(tape) => self.tape = Some(tape.clone()),
            Block::Sset(set) => self.set = Some((set.clone(), at)),
            Block::Volb(volume) => self.volume = Some(volume.clone()),
            Block::Mstl(log) => self.logs.push(log.clone()),
            Block::Msls(_) => self.summary_at = at,
            _ => {}
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), MtfError> {
        self.raid = Some(raid.clone());
        Ok(())
    }

    fn configuration(&mut self, configuration: &Configuration) -> Result<(), MtfError> {
        self.configurations.push(configuration.clone());
        Ok(())
    }

    fn pages(&mut self, pages: &[u8]) -> Result<(), MtfError> {
        for page in pages.as_chunks::<PAGE_SIZE>().0 {
            self.pages += 1;
            self.fillers += usize::from(is_filler(page));
            let flags = PageHeader::FLAG_BITS.read(page);
            self.protected += usize::from(flags & PageHeader::HAS_CHECKSUM != 0);
            if is_filler(page) {
                let mut filler = [0; PAGE_SIZE];
                fill_with_filler(&mut filler);
                assert_eq!(page[..PageHeader::SIZE], filler[..PageHeader::SIZE]);
            }
        }
        Ok(())
    }

    fn checksum(&mut self, _checksum: u32) -> Result<(), MtfError> {
        self.checksums += 1;
        Ok(())
    }

    fn set_map(&mut self, map: &Record<SetMap>) -> Result<(), MtfError> {
        self.map = Some(map.clone());
        Ok(())
    }
}

fn facts_of(bytes: &[u8]) -> Facts {
    let (mut reader, mut facts) = (Reader::new(), Facts::default());
    assert_eq!(read_all(&mut reader, bytes, 4096, &mut facts).unwrap(), bytes.len());
    facts
}

/// Catches: a range that starts or ends at the wrong end of a virtual log file, a field of the
/// block at the wrong place, a wrong record size for the release.
#[test]
fn log_blocks_follow_from_the_lsns() {
    for file in known_files("log_blocks_follow_from_the_lsns") {
        let facts = facts_of(&file.bytes);
        let set = facts.configurations.last().unwrap().set();
        let (first, last) = (set.get(Scin::FIRST_LSN), set.get(Scin::LAST_LSN));
        let release = mtf::Release::ALL
            .into_iter()
            .find(|release| release.database_version == set.get(Scin::DATABASE_VERSION));
        for log in &facts.logs {
            let vlf = VirtualLogFile {
                file_id: log.get(Mstl::FILE_ID),
                sequence: log.get(Mstl::VLF_SEQUENCE),
                start: log.get(Mstl::VLF_START),
                size: log.get(Mstl::VLF_SIZE),
                filled: log.get(Mstl::VLF_SIZE),
                parity: log.get(Mstl::VLF_PARITY),
                create_lsn: log.get(Mstl::VLF_CREATE_LSN),
            };
            let built = release.unwrap().log(&vlf, first, last);
            assert_eq!(built.get(Mstl::START), log.get(Mstl::START), "{:?}", file.path);
            assert_eq!(built.get(Mstl::END), log.get(Mstl::END), "{:?}", file.path);
            // The common header and the address fields are filled in by the writer.
            let body = mtf::BlockHeader::SIZE;
            assert_eq!(built.bytes()[body..], log.bytes()[body..], "{:?}", file.path);
        }
    }
}

/// Catches: a wrong formula or a wrong field for the size of a backup.
#[test]
fn backup_sizes_are_the_sum_over_the_families() {
    let files = known_files("backup_sizes_are_the_sum_over_the_families");
    let facts: Vec<Facts> = files.iter().map(|file| facts_of(&file.bytes)).collect();
    for one in &facts {
        let media = one.raid.as_ref().unwrap().get(Raid::MEDIA_SET);
        let families =
            facts.iter().filter(|other| other.raid.as_ref().unwrap().get(Raid::MEDIA_SET) == media);
        let size: u64 = families
            .map(|family| {
                let block: u64 = family.tape.as_ref().unwrap().block_size().into();
                (family.summary_at - family.set.as_ref().unwrap().1 + 1024).next_multiple_of(block)
            })
            .sum();
        let summary = one.configurations.last().unwrap().set();
        assert_eq!(summary.get(Scin::BACKUP_SIZE), size);
        assert_eq!(summary.get(Scin::BACKUP_SIZE_COPY), size);
        assert_eq!(one.map.as_ref().unwrap().get(SetMap::BACKUP_SIZE), size);
    }
}

/// Catches: the reader finding other pages than those that were backed up, or not checking them.
#[test]
fn page_counts_are_those_of_the_configuration() {
    let files = known_files("page_counts_are_those_of_the_configuration");
    for file in &files {
        let facts = facts_of(&file.bytes);
        let families = facts.raid.as_ref().unwrap().get(Raid::FAMILY_COUNT);
        let announced: u32 = facts.configurations[0]
            .files()
            .filter(|file| !file.is_log())
            .map(|file| file.get(mtf::Sfin::PAGE_COUNT))
            .sum();
        if families == 1 {
            let again = facts.configurations[1]
                .files()
                .filter(|_| facts.configurations[1].set().get(Scin::SOFTWARE_MAJOR) == 15)
                .filter(|file| file.get(mtf::Sfin::FILE_ID) == 1)
                .map(|file| file.get(mtf::Sfin::PAGE_COUNT))
                .sum::<u32>();
            let expected = (announced + again) as usize;
            assert_eq!(facts.pages - facts.fillers, expected, "{:?}", file.path);
        } else {
            assert!(facts.pages < announced as usize, "{:?}", file.path);
        }
        assert!(facts.pages == 0 || facts.protected > 0, "{:?}", file.path);
        let checksums = facts.configurations[0].set().get(Scin::FLAGS) & Scin::CHECKSUM != 0;
        assert_eq!(facts.checksums > 0, checksums, "{:?}", file.path);
    }
}

/// Catches: fields that are read from the wrong place.
#[test]
fn the_fields_of_a_known_backup() {
    let files = known_files("the_fields_of_a_known_backup");
    let Some(file) = files.iter().find(|file| file.path.ends_with("full-2019.bak")) else { return };
    let facts = facts_of(&file.bytes);
    let (set, at) = facts.set.as_ref().unwrap();
    assert_eq!(*at, 0x2000);
    assert_eq!(set.text(Sset::NAME), "VetShop-Full Database Backup");
    assert_eq!(set.text(Sset::USER), r"DESKTOP-NVLH5FK\olech");
    assert_eq!(set.get(Sset::BACKUP_SET).to_string(), "5085221c-5e37-4bfc-a439-742c348e71d1");
    assert_eq!(set.get(Sset::DATE).to_string(), "2022-05-03T23:41:03");
    assert_eq!(set.get(Sset::TIME_ZONE), 12);
    assert_eq!(facts.tape.as_ref().unwrap().text(Tape::SOFTWARE), "Microsoft SQL Server");
    assert_eq!(facts.volume.as_ref().unwrap().text(Volb::VOLUME), "Windows ");
    let [before, after] = &facts.configurations[..] else { panic!("MSCI and MSLS") };
    assert_eq!(before.set().text(Scin::DATABASE_NAME), "VetShop");
    assert_eq!(before.set().text(Scin::SERVER_NAME), "DESKTOP-NVLH5FK");
    assert_eq!(before.set().get(Scin::FIRST_LSN), Lsn { vlf: 37, block: 3288, slot: 178 });
    assert!(before.set().get(Scin::FINISHED).is_unknown());
    assert_eq!(after.set().get(Scin::FINISHED).to_string(), "2022-05-03T23:41:03");
    let log = before.files().nth(1).unwrap();
    assert_eq!(log.text(mtf::Sfin::LOGICAL_NAME), "VetShop_log");
    assert_eq!(log.get(mtf::Sfin::MAX_SIZE), 2_199_023_255_552);
    assert_eq!(before.filegroups().next().unwrap().text(mtf::Sfgi::NAME), "PRIMARY");
}

/// Catches: any length of padding, a set map, an end of set or an order of blocks that differs from
/// the server's, when nothing but the start, the payloads and the final configuration are given.
#[test]
fn a_backup_written_from_its_parts_has_the_same_bytes() {
    for file in known_files("a_backup_written_from_its_parts_has_the_same_bytes") {
        let mut parts = Parts::default();
        read_all(&mut Reader::new(), &file.bytes, 100_000, &mut parts).unwrap();
        let facts = facts_of(&file.bytes);
        let [before, after] = &facts.configurations[..] else { panic!("MSCI and MSLS") };
        let start = BackupStart {
            tape: facts.tape.unwrap(),
            raid: facts.raid.unwrap(),
            set: facts.set.unwrap().0,
            volume: facts.volume.unwrap(),
            configuration: before.clone(),
            checksums: before.set().get(Scin::FLAGS) & Scin::CHECKSUM != 0,
        };
        let mut writer = BackupWriter::begin(Vec::new(), start).unwrap();
        for part in parts.0 {
            match part {
                Part::Data(streams) => {
                    writer.begin_data().unwrap();
                    for pages in streams {
                        writer.begin_extents((pages.len() / EXTENT_SIZE) as u64).unwrap();
                        writer.payload(&pages).unwrap();
                        writer.end_payload().unwrap();
                    }
                    writer.end_data().unwrap();
                }
                Part::Log(block, log) if log.is_empty() => writer.log_elsewhere(&block).unwrap(),
                Part::Log(block, log) => {
                    writer.begin_log(&block).unwrap();
                    writer.payload(&log).unwrap();
                    writer.end_log().unwrap();
                }
            }
        }
        let written = writer.finish(after, after.set().get(Scin::BACKUP_SIZE)).unwrap();
        assert_eq!(first_difference(&written, &file.bytes), None, "{:?}", file.path);
    }
}

/// Catches: log listed on the families that do not carry it, pages of one family missed.
#[test]
fn a_description_tells_what_each_family_carries() {
    for file in known_files("a_description_tells_what_each_family_carries") {
        let description = mtf::describe(&file.bytes[..]);
        assert!(description.complete && description.damage_count == 0, "{description}");
        assert_eq!(description.size, file.bytes.len() as u64);
        let (set, name) = (&description.sets[0], file.path.file_name().unwrap());
        let log: u64 = set.log.iter().map(|log| log.end - log.start).sum();
        match name.to_str().unwrap() {
            "family1.bak" => assert_eq!((log, set.pages.count, set.pages.fillers), (35_840, 96, 8)),
            "family2.bak" => assert_eq!((log, set.pages.count, set.pages.fillers), (0, 96, 0)),
            _ => {
                let summary = set.summary.as_ref().unwrap();
                let log_file = summary.files.iter().find(|file| file.is_log).unwrap();
                assert_eq!(log, log_file.backup_size, "{:?}", file.path);
            }
        }
    }
}

/// The payloads of a backup.
#[derive(Default)]
struct Parts(Vec<Part>);

enum Part {
    Data(Vec<Vec<u8>>),
    Log(Record<Mstl>, Vec<u8>),
}

impl Events for Parts {
    type Error = MtfError;

    fn block(&mut self, block: &Block, _at: u64) -> Result<(), MtfError> {
        match block {
            Block::Msda(_) => self.0.push(Part::Data(Vec::new())),
            Block::Mstl(log) => self.0.push(Part::Log(log.clone(), Vec::new())),
            _ => {}
        }
        Ok(())
    }

    fn stream(&mut self, stream: &StreamHeader, _at: u64) -> Result<(), MtfError> {
        if let Some(Part::Data(streams)) = self.0.last_mut()
            && stream.id == stream_id::MQDA
            && stream.length > 0
        {
            streams.push(Vec::new());
        }
        Ok(())
    }

    fn pages(&mut self, pages: &[u8]) -> Result<(), MtfError> {
        let Some(Part::Data(streams)) = self.0.last_mut() else { panic!("pages in MSDA only") };
        streams.last_mut().unwrap().extend_from_slice(pages);
        Ok(())
    }

    fn log(&mut self, bytes: &[u8]) -> Result<(), MtfError> {
        let Some(Part::Log(block, log)) = self.0.last_mut() else { panic!("log in MSTL only") };
        log.extend_from_slice(bytes);
        log.truncate(block.log_size() as usize);
        Ok(())
    }
}

/// Catches: a constant, a size or the order of strings that differs from the server's in the
/// records that a new backup is made of.
#[test]
fn new_records_are_those_of_the_server() {
    for file in known_files("new_records_are_those_of_the_server") {
        let facts = facts_of(&file.bytes);
        let (tape, set) = (facts.tape.unwrap(), facts.set.unwrap().0);
        let label = MediaLabel {
            family_id: tape.get(Tape::FAMILY_ID),
            block_size: tape.block_size(),
            name: &tape.text(Tape::NAME),
            description: &tape.text(Tape::DESCRIPTION),
            password: None,
            date: tape.get(Tape::DATE),
        };
        let new_tape = Record::<Tape>::new(&label).unwrap();
        assert_same_but(&padded(new_tape.bytes()), tape.bytes(), &[HEADER], &file);

        let raid = facts.raid.unwrap();
        let (count, family) = (raid.get(Raid::FAMILY_COUNT), raid.get(Raid::FAMILY));
        assert_eq!(Record::<Raid>::new(raid.get(Raid::MEDIA_SET), count, family), raid);

        let label = SetLabel {
            password: None,
            attributes: set.get(Sset::ATTRIBUTES),
            backup_set: set.get(Sset::BACKUP_SET),
            name: &set.text(Sset::NAME),
            description: &set.text(Sset::DESCRIPTION),
            user: &set.text(Sset::USER),
            date: set.get(Sset::DATE),
            time_zone: set.get(Sset::TIME_ZONE),
            expiration: set.get(Sset::EXPIRATION),
            software: (set.get(Sset::SOFTWARE_MAJOR), set.get(Sset::SOFTWARE_MINOR)),
        };
        let new_set = Record::<Sset>::new(&label).unwrap();
        assert_same_but(&padded(new_set.bytes()), set.bytes(), &[HEADER, 80..88], &file);

        let volume = facts.volume.unwrap();
        let new_volume = Record::<Volb>::new(
            &volume.text(Volb::DEVICE),
            &volume.text(Volb::VOLUME),
            &volume.text(Volb::MACHINE),
            volume.get(Volb::DATE),
        );
        assert_same_but(&padded(new_volume.unwrap().bytes()), volume.bytes(), &[HEADER], &file);
        check_new_chunks(&facts.configurations[0], &file);
    }
}

/// The computed part of the common header: first event, address, number, checksum.
const HEADER: std::ops::Range<usize> = 8..52;

fn check_new_chunks(configuration: &Configuration, file: &Golden) {
    let set = configuration.set();
    let version = set.get(Scin::DATABASE_VERSION);
    let release = Release::ALL.into_iter().find(|release| release.database_version == version);
    let release = release.unwrap();
    let new = release.set(&set.text(Scin::DATABASE_NAME), &set.text(Scin::SERVER_NAME)).unwrap();
    // Flags and filegroups; remains of memory; build; LSNs, dates and type; sort order;
    // compatibility, id; size; ids of all kinds; collation; family, options; LSNs; size.
    let given = [
        0x08..0x10,
        0x14..0x1a,
        0x20..0x59,
        0x5b..0x5e,
        0x60..0x68,
        0x7c..0xd8,
        0xdc..0xdd,
        0xe0..0xf0,
        0xf2..0xf6,
        0xf8..0x160,
    ];
    assert_same_but(new.bytes(), set.bytes(), &given, file);
    for group in configuration.filegroups() {
        let id = group.get(mtf::Sfgi::FILEGROUP_ID);
        let new = release.filegroup(id, &group.text(mtf::Sfgi::NAME)).unwrap();
        let lsns = if new.bytes().len() > 0x90 { 0x34..0xd4 } else { 0..0 };
        assert_same_but(new.bytes(), group.bytes(), &[lsns], file);
    }
    for chunk in configuration.files() {
        let backup_file = BackupFile {
            id: chunk.get(Sfin::FILE_ID),
            filegroup: chunk.get(Sfin::FILEGROUP_ID),
            is_log: chunk.is_log(),
            size: chunk.get(Sfin::FILE_SIZE),
            logical_name: &chunk.text(Sfin::LOGICAL_NAME),
            physical_name: &chunk.text(Sfin::PHYSICAL_NAME),
            unique_id: chunk.get(Sfin::UNIQUE_ID),
        };
        let new = release.file(&backup_file).unwrap();
        // Flags; pages; sector size; growth; initial size; differential base; LSNs, size, time.
        let given =
            [0x08..0x0c, 0x18..0x1c, 0x20..0x24, 0x5e..0x66, 0x72..0x7a, 0x9e..0xba, 0xca..0x10e];
        assert_same_but(new.bytes(), chunk.bytes(), &given, file);
    }
}

/// A block as it is written: padded to a multiple of 4.
fn padded(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    block.resize(block.len().next_multiple_of(4), 0);
    block
}

/// Asserts that two records differ only in the given ranges.
fn assert_same_but(new: &[u8], real: &[u8], ranges: &[std::ops::Range<usize>], file: &Golden) {
    let mut different = (0..new.len().max(real.len())).filter(|at| new.get(*at) != real.get(*at));
    let outside = different.find(|at| !ranges.iter().any(|range| range.contains(at)));
    assert_eq!(outside, None, "{:?}: {new:02x?} {real:02x?}", file.path);
}
