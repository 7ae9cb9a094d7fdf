//! Backups of the crate's own: what was written is read, whatever the options.

use mtf::{
    BackupFile, BackupStart, BackupWriter, Block, BlockHeader, Configuration, EXTENT_PAGES,
    EXTENT_SIZE, Events, Lsn, MediaDate, MediaLabel, Mstl, MtfError, PAGE_SIZE, PageHeader, Raid,
    Reader, Record, Release, Scin, SetLabel, SetMap, Sfin, Sset, StreamHeader, Tape,
    VirtualLogFile, Volb, describe, fill_with_filler, stamp_page, stream_id,
};
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use crate::support::{first_difference, read_all, rewrite};

/// A backup to be written.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) release: Release,
    pub(crate) block_size: u32,
    pub(crate) checksums: bool,
    pub(crate) copy_only: bool,
    pub(crate) backup_type: u8,
    pub(crate) password: Option<[u8; 16]>,
    pub(crate) media_name: String,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) volume: String,
    pub(crate) family: (u16, u16),
    /// Extents of each MQDA stream of each block of data.
    pub(crate) data: Vec<Vec<u64>>,
    /// Blocks of 512 bytes of log in the virtual log file that has log.
    pub(crate) log_blocks: u32,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            release: Release::SQL_2016,
            block_size: 512,
            checksums: true,
            copy_only: false,
            backup_type: b'D',
            password: None,
            media_name: String::new(),
            name: "Full backup".into(),
            user: r"HOST\user".into(),
            volume: String::new(),
            family: (1, 1),
            data: vec![vec![2]],
            log_blocks: 5,
        }
    }
}

const FIRST: Lsn = Lsn { vlf: 40, block: 24, slot: 1 };
const DATE: (u16, u8, u8, u8, u8, u8) = (2024, 2, 29, 12, 30, 59);

fn date() -> MediaDate {
    let (year, month, day, hour, minute, second) = DATE;
    MediaDate::new(year, month, day, hour, minute, second).unwrap()
}

impl Sample {
    fn last(&self) -> Lsn {
        Lsn { block: FIRST.block + self.log_blocks, ..FIRST }
    }

    fn configuration(&self) -> Configuration {
        let mut set = self.release.set("Sales", r"HOST\SQL").unwrap();
        let flags = Scin::ALWAYS
            | if self.checksums { Scin::CHECKSUM } else { 0 }
            | if self.copy_only { Scin::COPY_ONLY } else { 0 }
            | if self.backup_type == b'I' { Scin::DIFFERENTIAL } else { 0 };
        set.set(Scin::FLAGS, flags)
            .set(Scin::BACKUP_TYPE, self.backup_type)
            .set(Scin::FIRST_LSN, FIRST)
            .set(Scin::LAST_LSN, self.last())
            .set(Scin::STARTED, date());
        let group = self.release.filegroup(1, "PRIMARY").unwrap();
        let file = |id, is_log, logical_name, physical_name| {
            let (filegroup, size) =
                if is_log { (Sfin::LOG_FILEGROUP, 1 << 20) } else { (1, 8 << 20) };
            let unique_id = Uuid::from_u128(id as u128);
            let file =
                BackupFile { id, filegroup, is_log, size, logical_name, physical_name, unique_id };
            self.release.file(&file).unwrap()
        };
        let files =
            [file(1, false, "Sales", r"C:\Sales.mdf"), file(2, true, "Sales_log", r"C:\Sales.ldf")];
        Configuration::new(set, [group], files)
    }

    fn start(&self) -> BackupStart {
        let label = MediaLabel {
            family_id: 0x1234_5678,
            block_size: self.block_size,
            name: &self.media_name,
            description: "",
            password: self.password,
            date: date(),
        };
        let differential = self.backup_type == b'I';
        let set = SetLabel {
            password: None,
            attributes: if differential { Sset::DIFFERENTIAL } else { Sset::NORMAL },
            backup_set: Uuid::from_u128(7),
            name: &self.name,
            description: "",
            user: &self.user,
            date: date(),
            time_zone: -20,
            expiration: MediaDate::UNKNOWN,
            software: self.release.version,
        };
        let (family, count) = self.family;
        BackupStart {
            tape: Record::<Tape>::new(&label).unwrap(),
            raid: Record::<Raid>::new(Uuid::from_u128(9), count, family),
            set: Record::<Sset>::new(&set).unwrap(),
            volume: Record::<Volb>::new("C:", &self.volume, "HOST", date()).unwrap(),
            configuration: self.configuration(),
            checksums: self.checksums,
        }
    }

    /// The extents of the backup, one after the other.
    pub(crate) fn pages(&self) -> Vec<u8> {
        let extents: u64 = self.data.iter().flatten().sum();
        let mut pages = vec![0; extents as usize * EXTENT_SIZE];
        for (number, page) in pages.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().enumerate() {
            if extents > 1 && number / EXTENT_PAGES + 1 == extents as usize {
                fill_with_filler(page);
                continue;
            }
            PageHeader::VERSION.write(page, 1);
            PageHeader::TYPE.write(page, 1);
            PageHeader::PAGE_ID.write(page, number as u32);
            PageHeader::FILE_ID.write(page, 1);
            page[PageHeader::SIZE..].fill(number as u8);
            stamp_page(page);
        }
        pages
    }

    fn log(&self) -> Vec<u8> {
        (0..512 * self.log_blocks).map(|byte| (byte % 253) as u8 + 1).collect()
    }

    /// The stream, and where its backup size stands.
    pub(crate) fn write(&self) -> Vec<u8> {
        let pages = self.pages();
        let mut extents = &pages[..];
        let mut writer = BackupWriter::begin(Vec::new(), self.start()).unwrap();
        for block in &self.data {
            writer.begin_data().unwrap();
            for count in block {
                writer.begin_extents(*count).unwrap();
                let (now, later) = extents.split_at(*count as usize * EXTENT_SIZE);
                for piece in now.chunks(10_007) {
                    writer.payload(piece).unwrap();
                }
                extents = later;
                writer.end_payload().unwrap();
            }
            writer.end_data().unwrap();
        }
        let vlf = |sequence, start| VirtualLogFile {
            file_id: 2,
            sequence,
            start,
            size: 0x4_0000,
            filled: 0x4_0000,
            parity: 64,
            create_lsn: Lsn::default(),
        };
        for (vlf, log) in [(vlf(40, 0x2000), self.log()), (vlf(39, 0x4_2000), Vec::new())] {
            let block = self.release.log(&vlf, FIRST, self.last());
            writer.begin_log(&block).unwrap();
            if !log.is_empty() {
                writer.payload(&log).unwrap();
            }
            writer.end_log().unwrap();
        }
        let size = writer.family_size();
        let mut configuration = self.configuration();
        configuration.finish(date(), size);
        writer.finish(&configuration, size).unwrap()
    }
}

/// Everything that a reader tells about a sample.
#[derive(Default)]
struct Read {
    pages: Vec<u8>,
    log: Vec<u8>,
    blocks: Vec<(Block, u64)>,
    streams: Vec<(StreamHeader, u64)>,
    configurations: Vec<Configuration>,
    raid: Option<Record<Raid>>,
    map: Option<Record<SetMap>>,
    checksums: usize,
}

impl Events for Read {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        self.blocks.push((block.clone(), at));
        Ok(())
    }

    fn stream(&mut self, stream: &StreamHeader, at: u64) -> Result<(), MtfError> {
        self.streams.push((*stream, at));
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
        assert_eq!(pages.len() % PAGE_SIZE, 0);
        self.pages.extend_from_slice(pages);
        Ok(())
    }

    fn log(&mut self, bytes: &[u8]) -> Result<(), MtfError> {
        self.log.extend_from_slice(bytes);
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

pub(crate) fn samples() -> impl Strategy<Value = Sample> {
    let text = "[ -~\u{e4}\u{4e2d}\u{1f600}]{0,40}";
    let texts = (text, text, text, text);
    let options = (any::<bool>(), any::<bool>(), prop::sample::select(b"DIL".to_vec()));
    let layout = (
        prop::sample::select(Release::ALL.to_vec()),
        (9u32..=16).prop_map(|power| 1 << power),
        prop::option::of(any::<[u8; 16]>()),
        prop::collection::vec(prop::collection::vec(1u64..3, 0..3), 0..3),
        0u32..300,
    );
    (layout, options, texts).prop_map(|(layout, options, texts)| {
        let (release, block_size, password, data, log_blocks) = layout;
        let (checksums, copy_only, backup_type) = options;
        let (media_name, name, user, volume) = texts;
        Sample {
            release,
            block_size,
            checksums,
            copy_only,
            backup_type,
            password,
            media_name,
            name,
            user,
            volume,
            family: (2, 3),
            data,
            log_blocks,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Catches: any disagreement between writer and reader, for any size of the pieces; a stream
    /// that is not made of whole blocks; payload that is not aligned to the block size.
    #[test]
    fn what_was_written_is_read(sample in samples(), size in 1usize..70_000) {
        let stream = sample.write();
        let (mut reader, mut read) = (Reader::new(), Read::default());
        let trailing: Vec<u8> = stream.iter().copied().chain([0xaa; 600]).collect();
        let taken = read_all(&mut reader, &trailing, size, &mut read).unwrap();
        prop_assert_eq!(taken, stream.len(), "the reader knows the end");
        prop_assert_eq!(stream.len() % sample.block_size.max(512) as usize, 0);

        prop_assert_eq!(first_difference(&read.pages, &sample.pages()), None);
        let log = sample.log();
        prop_assert_eq!(&read.log[..log.len()], &log[..]);
        prop_assert!(read.log[log.len()..].iter().all(|byte| *byte == 0));
        let streams: usize = sample.data.iter().map(Vec::len).sum();
        let expected = if sample.checksums { streams + usize::from(!log.is_empty()) } else { 0 };
        prop_assert_eq!(read.checksums, expected);

        check_places(&sample, &read)?;
        check_fields(&sample, &read)?;
        prop_assert_eq!(first_difference(&rewrite(&stream, size).unwrap(), &stream), None);
    }
}

fn check_places(sample: &Sample, read: &Read) -> Result<(), TestCaseError> {
    let of_type = |wanted| read.blocks.iter().find(|(block, _)| block.block_type() == wanted);
    let set_at = of_type(mtf::block_type::SSET).unwrap().1;
    let alignment = u64::from(sample.block_size.max(1024));
    for (stream, at) in &read.streams {
        if [stream_id::MQDA, stream_id::MQTL].contains(&stream.id) && stream.length > 0 {
            let payload_at = at + StreamHeader::SIZE as u64 + 2;
            prop_assert_eq!((payload_at - set_at) % alignment, 0);
        }
    }
    let marks = read.blocks.iter().filter(|(block, _)| matches!(block, Block::Sfmb(_)));
    let marks: Vec<(&Block, u64)> = marks.map(|(block, at)| (block, *at)).collect();
    prop_assert_eq!(marks.len(), if sample.block_size == 65536 { 0 } else { 3 });
    for (block, at) in &read.blocks {
        if matches!(block, Block::Eset(_)) {
            prop_assert_eq!(at % alignment, 0);
        }
    }
    if let Some((_, at)) = marks.get(1) {
        prop_assert_eq!((at - set_at) % alignment, 0, "the summary is padded to the filemark");
    }
    for (index, (block, _)) in marks.iter().enumerate() {
        let Block::Sfmb(mark) = block else { unreachable!() };
        let earlier: Vec<u64> = marks[..index].iter().rev().map(|(_, at)| *at).collect();
        prop_assert_eq!(mark.earlier(), earlier);
        let size: usize = block.header(BlockHeader::FIRST_EVENT).into();
        prop_assert_eq!(size, sample.block_size as usize);
    }
    Ok(())
}

fn check_fields(sample: &Sample, read: &Read) -> Result<(), TestCaseError> {
    let (mut ends, mut set_at) = (Vec::new(), 0);
    for (block, at) in &read.blocks {
        match block {
            Block::Tape(tape) => {
                prop_assert_eq!(tape.text(Tape::NAME), sample.media_name.as_str());
                prop_assert_eq!(tape.text(Tape::SOFTWARE), "Microsoft SQL Server");
                let password = sample.password.as_ref().map_or(&[][..], |hash| &hash[..]);
                prop_assert_eq!(tape.referenced(Tape::PASSWORD), password);
            }
            Block::Sset(set) => {
                set_at = *at;
                prop_assert_eq!(set.text(Sset::NAME), sample.name.as_str());
                prop_assert_eq!(set.text(Sset::USER), sample.user.as_str());
                prop_assert_eq!(set.get(Sset::PHYSICAL_ADDRESS), *at);
                prop_assert_eq!(set.get(Sset::TIME_ZONE), -20);
            }
            Block::Volb(volume) => {
                prop_assert_eq!(volume.text(Volb::VOLUME), sample.volume.as_str());
                prop_assert_eq!(volume.text(Volb::MACHINE), "HOST");
            }
            Block::Mstl(log) => {
                prop_assert!(log.log_size() == 0 || log.get(Mstl::VLF_SEQUENCE) == 40);
            }
            Block::Eset(end) => ends.push((end.get(mtf::Eset::CATALOG_ADDRESS), *at)),
            _ => {}
        }
    }
    prop_assert_eq!(ends.len(), 2);
    prop_assert_eq!((ends[0].0, ends[1].0), (0, ends[0].1));
    prop_assert_eq!(read.raid.as_ref().unwrap().get(Raid::FAMILY), 2);
    prop_assert_eq!(read.raid.as_ref().unwrap().get(Raid::FAMILY_COUNT), 3);
    let map = read.map.as_ref().unwrap();
    prop_assert_eq!(map.get(SetMap::SET_ADDRESS), set_at);
    let [before, after] = &read.configurations[..] else { panic!("MSCI and MSLS") };
    prop_assert_eq!(before, &sample.configuration());
    prop_assert_eq!(after.set().get(Scin::FINISHED), date());
    prop_assert_eq!(after.set().get(Scin::BACKUP_SIZE), map.get(SetMap::BACKUP_SIZE));
    prop_assert_eq!(after.set().get(Scin::BACKUP_SIZE_COPY), map.get(SetMap::BACKUP_SIZE));
    prop_assert_eq!(after.set().text(Scin::SERVER_NAME), r"HOST\SQL");
    Ok(())
}

/// Catches: a writer that takes more or less payload than it announced, or forgets a checksum.
#[test]
fn a_payload_of_another_length_than_announced_is_refused() {
    let sample = Sample::default();
    let mut writer = BackupWriter::begin(Vec::new(), sample.start()).unwrap();
    writer.begin_data().unwrap();
    writer.begin_extents(1).unwrap();
    writer.payload(&[0; EXTENT_SIZE - 1]).unwrap();
    assert_eq!(writer.payload(&[0; 2]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(writer.end_payload().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    writer.payload(&[0]).unwrap();
    assert_eq!(writer.end_data().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    writer.end_payload().unwrap();
    writer.end_data().unwrap();
}

/// Catches: a string cut off instead of refused.
#[test]
fn names_that_do_not_fit_are_refused_with_message_3244() {
    let error = Release::SQL_2016.set(&"x".repeat(33_000), "server").unwrap_err();
    assert_eq!(MtfError::from(error).sql_message(), 3244);
}

/// Catches: a password that moves the software name wrongly or changes the size of the block.
#[rstest]
#[case::without(None, 140, 94)]
#[case::with([7; 16].into(), 156, 110)]
fn a_media_password_stands_before_the_software_name(
    #[case] password: Option<[u8; 16]>,
    #[case] size: u16,
    #[case] software_at: u16,
) {
    let stream = Sample { password, ..Sample::default() }.write();
    assert_eq!(BlockHeader::FIRST_EVENT.read(&stream), size);
    let software = Tape::SOFTWARE.read(&stream);
    assert_eq!((software.offset, software.size), (software_at, 44));
    assert_eq!(describe(&stream[..]).media.unwrap().has_password, password.is_some());
}

/// Catches: a release whose records the reader, the description or the rewriter takes for another's,
/// and one that is left out.
#[rstest]
#[case("2008", (10, 0), 655, 592, 0x400)]
#[case("2008 R2", (10, 50), 661, 592, 0x400)]
#[case("2012", (11, 0), 706, 596, 0x404)]
#[case("2014", (12, 0), 782, 596, 0x404)]
#[case("2016", (13, 0), 852, 596, 0x404)]
#[case("2017", (14, 0), 869, 596, 0x404)]
#[case("2019", (15, 0), 904, 596, 0x404)]
#[case("2022", (16, 0), 957, 596, 0x404)]
fn each_release_has_its_versions_and_sizes(
    #[case] name: &str,
    #[case] (major, minor): (u8, u8),
    #[case] database_version: u16,
    #[case] log_block: u16,
    #[case] file_names_at: u16,
) {
    let release = Release::ALL.into_iter().find(|release| release.name == name).unwrap();
    let sample = Sample { release, ..Sample::default() };
    let stream = sample.write();
    let told = describe(&stream[..]);
    assert_eq!((told.complete, &told.problem), (true, &None));
    let contents = told.sets[0].configuration.as_ref().unwrap();
    assert_eq!(contents.server_version, (major, minor, release.build));
    assert_eq!(contents.database_version, database_version);
    assert_eq!(contents.files[1].logical_name, "Sales_log");

    let mut read = Read::default();
    read_all(&mut Reader::new(), &stream, 4096, &mut read).unwrap();
    let logs = read.blocks.iter().filter(|(block, _)| matches!(block, Block::Mstl(_)));
    let sizes: Vec<u16> = logs.map(|(block, _)| block.header(BlockHeader::FIRST_EVENT)).collect();
    assert!(!sizes.is_empty() && sizes.iter().all(|size| *size == log_block), "{sizes:?}");
    let file = read.configurations[0].files().next().unwrap();
    assert_eq!(Sfin::LOGICAL_NAME.read(file.bytes()).offset, file_names_at);
    assert_eq!(first_difference(&rewrite(&stream, 4096).unwrap(), &stream), None);
}
