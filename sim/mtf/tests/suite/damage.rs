//! Damaged, truncated and foreign streams: the server's message, no panic, no way around it.

use mtf::{
    Block, BlockHeader, Description, EXTENT_SIZE, Events, MtfError, PageHeader, PageId, Reader,
    StreamHeader, describe,
};
use proptest::prelude::*;
use rstest::rstest;

use crate::support::{Nobody, first_difference, known_files, read_all, rewrite};
use crate::synthetic::{Sample, samples};

fn error_of(bytes: &[u8]) -> MtfError {
    read_all(&mut Reader::new(), bytes, 65536, &mut Nobody).unwrap_err()
}

/// The real backups, or one of our own when there are none.
fn streams(test: &str) -> Vec<Vec<u8>> {
    let mut streams: Vec<Vec<u8>> = known_files(test).into_iter().map(|file| file.bytes).collect();
    streams.push(Sample::default().write());
    streams.push(Sample { block_size: 65536, ..Sample::default() }.write());
    streams
}

#[rstest]
#[case::nothing(b"", 3254)]
#[case::zeros(&[0; 4096], 3242)]
#[case::short_text(b"Hi", 3242)]
#[case::text(
    b"CREATE DATABASE Sales; this is a script and not a backup at all, whatever it says",
    3242
)]
#[case::compressed(
    b"MSSQLBAK\x02\x00\x00\x00\x03\x00\x00\x00 and records of which nothing is known, and more",
    3241
)]
#[case::short_media_header(b"TAPE\x00\x00\x03\x00", 3208)]
fn what_is_no_backup_gets_the_servers_message(#[case] bytes: &[u8], #[case] message: u32) {
    let error = error_of(bytes);
    assert_eq!(error.sql_message(), message, "{error}");
    let compressed = bytes.starts_with(b"MSSQLBAK");
    assert_eq!(error == MtfError::Compressed, compressed);
    assert_eq!(error.to_string().contains("MSSQLBAK"), compressed);
    assert_eq!(describe(bytes).problem.unwrap().sql_message, Some(message));
}

/// Catches: a stream without its end being taken for a whole one; the wrong message for a place.
#[test]
fn a_stream_cut_at_any_block_is_incomplete() {
    for stream in streams("a_stream_cut_at_any_block_is_incomplete") {
        let whole = describe(&stream[..]);
        assert!(whole.complete, "{whole}");
        let mut data_seen = false;
        for block in &whole.blocks {
            let end = block.at + u64::from(block.size);
            for cut in [block.at, block.at + 1, block.at + 52, end, end + 100] {
                if cut >= stream.len() as u64 {
                    continue;
                }
                let message = error_of(&stream[..cut as usize]).sql_message();
                let in_block = cut >= end;
                let expected = expected_message(&block.block_type.to_string(), in_block, data_seen);
                let expected = if cut == 0 { 3254 } else { expected };
                assert_eq!(
                    message, expected,
                    "{} at {:#x} cut at {cut:#x}",
                    block.block_type, block.at
                );
            }
            data_seen |= block.block_type == mtf::block_type::MSCI;
        }
    }
}

/// The message for a stream that ends in a block, after its descriptor or before.
fn expected_message(block_type: &str, descriptor_read: bool, configuration_seen: bool) -> u32 {
    match (block_type, descriptor_read) {
        ("MSCI", false) => 3208,
        ("MSCI" | "MSDA" | "MSTL", _) | ("MSLS", false) => 3203,
        ("TAPE" | "SSET" | "VOLB", _) => 3208,
        ("SFMB", _) if !configuration_seen => 3208,
        _ => 3256,
    }
}

/// Where the headers of a stream are.
#[derive(Default)]
struct Headers(Vec<(u64, usize)>);

impl Events for Headers {
    type Error = MtfError;

    fn block(&mut self, _block: &Block, at: u64) -> Result<(), MtfError> {
        self.0.push((at, BlockHeader::SIZE));
        Ok(())
    }

    fn stream(&mut self, _stream: &StreamHeader, at: u64) -> Result<(), MtfError> {
        self.0.push((at, StreamHeader::SIZE));
        Ok(())
    }
}

/// Catches: a byte of a header that no check covers.
#[test]
fn any_byte_flipped_in_any_header_is_found() {
    for stream in streams("any_byte_flipped_in_any_header_is_found") {
        let mut headers = Headers::default();
        read_all(&mut Reader::new(), &stream, 65536, &mut headers).unwrap();
        let (mut reader, mut read) = (Reader::new(), 0);
        for (at, size) in headers.0 {
            let at = at as usize;
            reader.feed(&stream[read..at], &mut Nobody).unwrap();
            read = at;
            for byte in 0..size {
                for flip in [0x01, 0x80, 0xff] {
                    let mut header = stream[at..at + size].to_vec();
                    header[byte] ^= flip;
                    let fed = reader.clone().feed(&header, &mut Nobody);
                    let message = fed.expect_err("a flipped byte").sql_message();
                    let signature = at == 0 && byte < 4;
                    assert_eq!(message, if signature { 3242 } else { 3241 }, "{at:#x}+{byte}");
                }
            }
        }
    }
}

/// Catches: a block that was lost on the way and is not missed.
#[test]
fn a_block_left_out_is_missed() {
    let stream = Sample::default().write();
    let blocks = describe(&stream[..]).blocks;
    let last_log = blocks.iter().rposition(|b| b.block_type == mtf::block_type::MSTL).unwrap();
    let mut cut = stream.clone();
    cut.drain(blocks[last_log].at as usize..blocks[last_log + 1].at as usize);
    let error = error_of(&cut);
    assert!(matches!(error, MtfError::Misplaced { id: 6, expected_id: 5, .. }), "{error:?}");
    assert_eq!(error.sql_message(), 3241);
    let shown = describe(&cut[..]);
    assert!(shown.complete && shown.damage_count > 0, "{shown}");
}

/// Changes bytes of a header so that its checksum fits again.
fn change_header(stream: &mut [u8], at: usize, size: usize, offset: usize, bytes: &[u8]) {
    for (place, byte) in (offset..).zip(bytes) {
        stream[at + size - 2 + place % 2] ^= stream[at + place] ^ byte;
        stream[at + place] = *byte;
    }
}

/// Catches: contradictions behind sound checksums that are let through, or get another message.
#[rstest]
#[case::other_vendor("SSET", 60, &[0x8f, 0x0d], 3143)]
#[case::format_version("TAPE", 93, &[2], 3243)]
#[case::second_volume("TAPE", 60, &[2, 0], 3249)]
#[case::filemark_size("TAPE", 64, &[3, 0], 3241)]
#[case::logical_block_size("TAPE", 84, &[0, 2 + 1], 3241)]
#[case::reference_outside("SSET", 76, &[0xff, 0xff], 3241)]
#[case::configuration_chunk("MSCI", 56 + 22 + 4, &[7, 0, 0, 0], 3241)]
#[case::configuration_tag("MSCI", 56 + 22, b"SCIX", 3241)]
#[case::shorter_than_its_fixed_part("MSDA", 8, &[56, 0], 3241)]
#[case::directory_block("MSDA", 0, b"DIRB", 3239)]
#[case::end_of_tape("MSLS", 0, b"EOTM", 3239)]
#[case::no_volume("VOLB", 0, b"MSCI", 3241)]
#[case::second_media_header("MSDA", 0, b"TAPE", 3241)]
fn contradictions_get_the_servers_message(
    #[case] block_type: &str,
    #[case] offset: usize,
    #[case] bytes: &[u8],
    #[case] message: u32,
) {
    let mut stream = Sample::default().write();
    let blocks = describe(&stream[..]).blocks;
    let block = blocks.iter().find(|block| block.block_type.to_string() == block_type).unwrap();
    let at = block.at as usize;
    if offset < BlockHeader::SIZE {
        change_header(&mut stream, at, BlockHeader::SIZE, offset, bytes);
    } else {
        stream[at + offset..at + offset + bytes.len()].copy_from_slice(bytes);
    }
    let error = error_of(&stream);
    assert_eq!(error.sql_message(), message, "{error}");
}

/// Catches: attributes and lengths of streams that are not looked at.
#[rstest]
#[case::encrypted("MQDA", 6, 0x10a, 3239)]
#[case::compressed("MQTL", 6, 0x110, 3239)]
#[case::checksum_not_announced("MQDA", 6, 0x2, 3241)]
#[case::checksum_announced_in_vain("APAD", 6, 0x180, 3241)]
#[case::only_half_a_lead("MQTL", 8, 1, 3241)]
#[case::short_checksum("CSUM", 8, 2, 3241)]
#[case::short_media_set("RAID", 8, 16, 3241)]
fn contradictions_in_streams_get_the_servers_message(
    #[case] id: &str,
    #[case] offset: usize,
    #[case] value: u16,
    #[case] message: u32,
) {
    let mut stream = Sample::default().write();
    let blocks = describe(&stream[..]).blocks;
    let mut streams = blocks.iter().flat_map(|block| &block.streams);
    let at = streams.find(|stream| stream.id.to_string() == id).unwrap().at as usize;
    change_header(&mut stream, at, StreamHeader::SIZE, offset, &value.to_le_bytes());
    if offset == 8 {
        change_header(&mut stream, at, StreamHeader::SIZE, 10, &[0; 6]);
    }
    let error = error_of(&stream);
    assert_eq!(error.sql_message(), message, "{error}");
}

/// Catches: a block or stream of a later release that stops the reader or is not copied.
#[test]
fn what_is_not_known_passes_through() {
    let mut stream = Sample { checksums: false, ..Sample::default() }.write();
    let blocks = describe(&stream[..]).blocks;
    let log = blocks.iter().find(|block| block.block_type == mtf::block_type::MSTL).unwrap();
    change_header(&mut stream, log.at as usize, BlockHeader::SIZE, 0, b"MSXX");
    let payload = log.streams.iter().find(|stream| stream.id == mtf::stream_id::MQTL).unwrap();
    change_header(&mut stream, payload.at as usize, StreamHeader::SIZE, 0, b"MQXX");
    assert_eq!(first_difference(&rewrite(&stream, 4099).unwrap(), &stream), None);
    assert!(describe(&stream[..]).complete);
}

/// Catches: data that is no pages being taken for pages, or refused; its checksum not checked.
#[test]
fn data_that_is_no_pages_passes_through() {
    struct Data(Vec<u8>);
    impl Events for Data {
        type Error = MtfError;
        fn data(&mut self, bytes: &[u8]) -> Result<(), MtfError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
        fn pages(&mut self, _pages: &[u8]) -> Result<(), MtfError> {
            panic!("no pages")
        }
    }
    let whole = Sample { data: vec![vec![1]], ..Sample::default() }.write();
    let blocks = describe(&whole[..]).blocks;
    let data = blocks.iter().find(|block| block.block_type == mtf::block_type::MSDA).unwrap();
    let payload = data.streams.iter().find(|stream| stream.id == mtf::stream_id::MQDA).unwrap();
    let (start, end) = (payload.at as usize, payload.at as usize + StreamHeader::SIZE);
    // A stream of 1,000 bytes in place of the extent, with its checksum, and padding to match.
    let mut stream = whole[..start].to_vec();
    let attributes = StreamHeader::VARIABLE | StreamHeader::CHECKSUM_FOLLOWS;
    stream.extend(StreamHeader::new(mtf::stream_id::MQDA, attributes, 1002).encode());
    stream.extend([0; 2]);
    stream.extend([7; 1000]);
    let mut sum = mtf::BackupChecksum::default();
    sum.update(&[7; 1000]);
    stream.extend(StreamHeader::new(mtf::stream_id::CSUM, 0, 4).encode());
    stream.extend(sum.value().to_le_bytes());
    stream.extend([0; 2]);
    let rest = end + 2 + EXTENT_SIZE + StreamHeader::SIZE + 4 + 2;
    let removed = rest - stream.len();
    let pad = data.streams.last().unwrap();
    stream.extend(&whole[rest..pad.at as usize]);
    let length = pad.length + removed as u64;
    stream.extend(StreamHeader::new(mtf::stream_id::SPAD, 0, length).encode());
    stream.extend(std::iter::repeat_n(0, length as usize));
    stream.extend(&whole[(pad.at + pad.length) as usize + StreamHeader::SIZE..]);

    for size in [1, 600, 65536] {
        let mut data = Data(Vec::new());
        read_all(&mut Reader::new(), &stream, size, &mut data).unwrap();
        assert_eq!(data.0, [7; 1000]);
        assert_eq!(first_difference(&rewrite(&stream, size).unwrap(), &stream), None);
    }
    stream[end + 500] ^= 1;
    assert_eq!(error_of(&stream).sql_message(), 3189);
}

fn page_at(sample: &Sample, stream: &[u8], number: usize) -> usize {
    let pages = sample.pages();
    let start = stream.windows(512).position(|window| window == &pages[..512]).unwrap();
    start + number * mtf::PAGE_SIZE
}

/// Catches: page checksums not checked, checked against the wrong page, or reported at the wrong
/// place; a page that lost the version in its header passing as one never written.
#[rstest]
#[case::body(3000)]
#[case::stored_checksum(60)]
#[case::header(9)]
#[case::version(0)]
fn a_damaged_page_is_named(#[case] byte: usize) {
    let sample = Sample { checksums: false, ..Sample::default() };
    let mut stream = sample.write();
    let at = page_at(&sample, &stream, 5);
    stream[at + byte] ^= 0x20;
    for size in [1000, 65536] {
        let error = read_all(&mut Reader::new(), &stream, size, &mut Nobody).unwrap_err();
        let MtfError::PageChecksum { page, at: place, .. } = error else { panic!("{error}") };
        assert_eq!((page, place), (PageId { file: 1, page: 5 }, at as u64));
        assert_eq!(error.sql_message(), 3183);
        assert!(rewrite(&stream, size).is_ok(), "a copy keeps the damage");
    }
}

/// Catches: backup checksums of data or log not checked.
#[test]
fn damage_under_a_backup_checksum_is_found() {
    let sample = Sample::default();
    let stream = sample.write();
    // In the filler, which has no page checksum; in the zeros that fill the log; in a lead byte,
    // which no checksum covers.
    let filler_at = page_at(&sample, &stream, EXTENT_SIZE / mtf::PAGE_SIZE);
    let log = describe(&stream[..])
        .blocks
        .into_iter()
        .find(|block| block.streams.iter().any(|stream| stream.id == mtf::stream_id::MQTL));
    let log_at = log.unwrap().streams[1].at as usize + StreamHeader::SIZE;
    for (at, found) in [(filler_at + 200, true), (log_at + 2 + 60_000, true), (log_at, false)] {
        let mut damaged = stream.clone();
        damaged[at] ^= 1;
        let result = read_all(&mut Reader::new(), &damaged, 65536, &mut Nobody);
        let message = result.err().map(|error| error.sql_message());
        assert_eq!(message, found.then_some(3189), "{at:#x}");
    }
}

/// Catches: a reader that goes on after an error, from the stream or from the receiver.
#[test]
fn after_an_error_a_reader_is_of_no_use() {
    struct Refuse;
    impl Events for Refuse {
        type Error = MtfError;
        fn pages(&mut self, _pages: &[u8]) -> Result<(), MtfError> {
            Err(MtfError::Empty)
        }
    }
    let stream = Sample::default().write();
    let mut reader = Reader::new();
    assert_eq!(reader.feed(&stream, &mut Refuse), Err(MtfError::Empty));
    let again = reader.feed(&stream, &mut Nobody).unwrap_err();
    assert!(matches!(again, MtfError::Abandoned { .. }), "{again}");
    assert_eq!(reader.finish(), Err(again));

    let mut reader = Reader::new();
    let error = reader.feed(&[0; 100], &mut Nobody).unwrap_err();
    assert_eq!(reader.feed(&stream, &mut Nobody), Err(error));
}

/// Catches: what a program would miss in the JSON, a description that hides an unreadable rest.
#[test]
fn a_description_is_complete_and_serializes() {
    let stream = Sample::default().write();
    let description = describe(&stream[..]);
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["complete"], true);
    assert_eq!(json["sets"][0]["summary"]["database"], "Sales");
    assert_eq!(json["sets"][0]["summary"]["kind"], "full");
    assert_eq!(json["sets"][0]["summary"]["first_lsn"], "40000000002400001");
    assert_eq!(json["sets"][0]["pages"]["count"], 16);
    assert_eq!(json["sets"][0]["pages"]["fillers"], 8);
    assert_eq!(json["sets"][0]["pages"]["protected"], 8);
    assert_eq!(json["blocks"][0]["type"], "TAPE");
    assert_eq!(json["blocks"][0]["streams"][0]["id"], "RAID");
    let text = description.to_string();
    for expected in ["database        Sales", "first LSN       40000000002400001", "is complete"] {
        assert!(text.contains(expected), "{text}");
    }

    let longer: Vec<u8> = stream.iter().copied().chain([0; 512]).collect();
    let Description { complete, problem, .. } = describe(&longer[..]);
    assert!(!complete);
    assert_eq!(problem.unwrap().at, Some(stream.len() as u64));
}

/// Catches: a second set on the same media that is not read.
#[test]
fn a_second_set_is_read() {
    let stream = Sample::default().write();
    let blocks = describe(&stream[..]).blocks;
    let set = blocks.iter().find(|block| block.block_type == mtf::block_type::SSET).unwrap();
    let media: Vec<u8> = stream.iter().chain(&stream[set.at as usize..]).copied().collect();
    let description = describe(&media[..]);
    assert!(description.complete, "{description}");
    assert_eq!(description.sets.len(), 2);
    assert_eq!(description.size, media.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Catches: a panic, an endless loop or an enormous allocation on bytes that lie, with header
    /// checksums that agree with them.
    #[test]
    fn lying_bytes_end_in_an_error_or_are_harmless(
        sample in samples(),
        lies in prop::collection::vec((any::<prop::sample::Index>(), 0usize..80, any::<u8>()), 1..9),
    ) {
        let mut stream = sample.write();
        let mut headers = Headers::default();
        read_all(&mut Reader::new(), &stream, 65536, &mut headers).unwrap();
        for (header, offset, byte) in lies {
            let (at, size) = headers.0[header.index(headers.0.len())];
            let at = at as usize;
            if at + 80 > stream.len() {
                continue;
            }
            let change = stream[at + offset] ^ byte;
            stream[at + offset] = byte;
            if offset < size - 2 {
                stream[at + size - 2 + offset % 2] ^= change;
            }
        }
        let _ = describe(&stream[..]).to_string();
        let _ = rewrite(&stream, 777);
    }
}

/// Catches: a page header field at the wrong place.
#[test]
fn page_numbers_are_read_from_the_header() {
    let pages = Sample::default().pages();
    let third = &pages.as_chunks::<{ mtf::PAGE_SIZE }>().0[3];
    assert_eq!(mtf::page_id(third), PageId { file: 1, page: 3 });
    assert_eq!(third[32..38], [3, 0, 0, 0, 1, 0]);
    assert_eq!(PageHeader::FLAG_BITS.read(third), PageHeader::HAS_CHECKSUM);
}
