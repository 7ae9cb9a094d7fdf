//! Writes the corpora that the fuzz targets start from: `cargo run --example seeds` in the fuzz
//! folder. The smallest are kept; the others are made when they are wanted.

use std::fs;
use std::path::Path;

use mtf::{
    BackupFile, BackupStart, BackupWriter, Configuration, EXTENT_SIZE, Lsn, MediaDate, MediaLabel,
    PAGE_SIZE, PageHeader, Raid, Record, Release, Scin, SetLabel, Sset, Tape, VirtualLogFile, Volb,
    stamp_page,
};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in ["reader", "sealed"] {
        fs::create_dir_all(folder.join(target))?;
    }
    for (name, release) in [("2008r2", Release::SQL_2008_R2), ("2019", Release::SQL_2019)] {
        for (block_size, extents, checksums) in [(512, 0, false), (512, 1, true), (1024, 1, false)]
        {
            let stream = backup(release, block_size, extents, checksums)?;
            let seed = format!("{name}-{block_size}-{extents}");
            fs::write(folder.join("sealed").join(&seed), &stream)?;
            let in_pieces = [&1000u16.to_le_bytes()[..], &stream].concat();
            fs::write(folder.join("reader").join(&seed), in_pieces)?;
        }
    }
    fs::write(folder.join("reader/compressed"), b"\x10\0MSSQLBAK\x02\0\0\0\x03\0\0\0")?;
    Ok(())
}

fn backup(
    release: Release,
    block_size: u32,
    extents: u64,
    checksums: bool,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let date = MediaDate::new(2024, 2, 29, 12, 30, 59).unwrap_or_default();
    let tape = Record::<Tape>::new(&MediaLabel {
        family_id: 1,
        block_size,
        name: "media",
        description: "",
        password: None,
        date,
    })?;
    let set = Record::<Sset>::new(&SetLabel {
        password: None,
        attributes: Sset::NORMAL,
        backup_set: Uuid::from_u128(1),
        name: "seed",
        description: "",
        user: "sa",
        date,
        time_zone: 0,
        expiration: MediaDate::UNKNOWN,
        software: release.version,
    })?;
    let (first, last) =
        (Lsn { vlf: 9, block: 16, slot: 1 }, Lsn { vlf: 9, block: 16 + extents as u32, slot: 1 });
    let mut scin = release.set("seed", "server")?;
    scin.set(Scin::BACKUP_TYPE, if extents == 0 { b'L' } else { b'D' })
        .set(Scin::FIRST_LSN, first)
        .set(Scin::LAST_LSN, last);
    let file = release.file(&BackupFile {
        id: 1,
        filegroup: 1,
        is_log: false,
        size: 1 << 20,
        logical_name: "seed",
        physical_name: r"C:\seed.mdf",
        unique_id: Uuid::from_u128(2),
    })?;
    let configuration = Configuration::new(scin, [release.filegroup(1, "PRIMARY")?], [file]);
    let start = BackupStart {
        tape,
        raid: Record::<Raid>::new(Uuid::from_u128(3), 1, 1),
        set,
        volume: Record::<Volb>::new("C:", "", "machine", date)?,
        configuration: configuration.clone(),
        checksums,
    };
    let mut writer = BackupWriter::begin(Vec::new(), start)?;
    if extents > 0 {
        writer.begin_data()?;
        writer.begin_extents(extents)?;
        for number in 0..extents * (EXTENT_SIZE / PAGE_SIZE) as u64 {
            let mut page = [0; PAGE_SIZE];
            PageHeader::VERSION.write(&mut page, 1);
            PageHeader::PAGE_ID.write(&mut page, number as u32);
            PageHeader::FILE_ID.write(&mut page, 1);
            stamp_page(&mut page);
            writer.payload(&page)?;
        }
        writer.end_payload()?;
        writer.end_data()?;
    }
    let vlf = VirtualLogFile {
        file_id: 2,
        sequence: 9,
        start: 0x2000,
        size: 0x4_0000,
        filled: 0x4_0000,
        parity: 64,
        create_lsn: Lsn::default(),
    };
    let log = release.log(&vlf, first, last);
    writer.begin_log(&log)?;
    if log.log_size() > 0 {
        writer.payload(&vec![0xab; log.log_size() as usize])?;
    }
    writer.end_log()?;
    let size = writer.family_size();
    let mut summary = configuration;
    summary.finish(date, size);
    Ok(writer.finish(&summary, size)?)
}
