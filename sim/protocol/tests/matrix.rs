//! The tables of commands against copies of our own.

use vdi_protocol::matrix::{DeviceKind, Occasion, PositionUse, SizeUse, Support};
use vdi_protocol::{CommandCode, Features};

/// Command; buffer, size, position in, bytes, position out.
const FIELDS: &str = "
    VDC_Read            X bytes   random X -
    VDC_Write           X bytes   random X -
    VDC_ClearError      - -       -      - -
    VDC_Rewind          - -       -      - -
    VDC_WriteMark       - -       -      - -
    VDC_SkipMarks       - count   -      - -
    VDC_SkipBlocks      - count   -      - -
    VDC_Load            - unknown -      - -
    VDC_GetPosition     - -       -      - X
    VDC_SetPosition     - whence  always - X
    VDC_Discard         - -       -      - -
    VDC_Flush           - -       -      - -
    VDC_Snapshot        - -       -      - -
    VDC_MountSnapshot   - -       -      - -
    VDC_PrepareToFreeze - -       -      - -
    VDC_FileInfoBegin   - -       -      - -
    VDC_FileInfoEnd     - -       -      - -
    VDC_GetError        - -       -      - -
    VDC_Complete        - -       -      - -
";

/// Command; pipe, tape, disk, removable disk.
const MODES: &str = "
    VDC_Read            X X X X
    VDC_Write           X X X X
    VDC_ClearError      X X X X
    VDC_Rewind          - X - -
    VDC_WriteMark       - X - -
    VDC_SkipMarks       - X - -
    VDC_SkipBlocks      - X - -
    VDC_Load            O X - X
    VDC_GetPosition     - X X X
    VDC_SetPosition     - X X X
    VDC_Discard         O O O O
    VDC_Flush           X X X X
    VDC_Snapshot        O O O O
    VDC_MountSnapshot   O O O O
    VDC_PrepareToFreeze O O O O
    VDC_FileInfoBegin   O O O O
    VDC_FileInfoEnd     O O O O
    VDC_GetError        O O O O
    VDC_Complete        O O O O
";

fn rows(table: &str) -> Vec<(CommandCode, Vec<&str>)> {
    let rows: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .map(|words| (CommandCode::from_name(words[0]).expect(words[0]), words[1..].to_vec()))
        .collect();
    assert_eq!(rows.len(), CommandCode::ALL.len());
    rows
}

/// Catches: a field ticked for the wrong command, a command without a row.
#[test]
fn fields_are_those_of_the_tables() {
    let tick = |set: bool| if set { "X" } else { "-" };
    for (code, expected) in rows(FIELDS) {
        let shape = code.shape().expect("every command has a shape");
        let size = match shape.size {
            SizeUse::Unused => "-",
            SizeUse::Bytes => "bytes",
            SizeUse::Count => "count",
            SizeUse::Unconfirmed => "unknown",
            SizeUse::Whence => "whence",
        };
        let position = match shape.position_in {
            PositionUse::Unused => "-",
            PositionUse::RandomAccess => "random",
            PositionUse::Always => "always",
        };
        let seen =
            [tick(shape.buffer), size, position, tick(shape.bytes_out), tick(shape.position_out)];
        assert_eq!(seen.as_slice(), expected, "{code}");
        assert_eq!(shape.source.is_stated(), code.0 <= 14, "{code}");
    }
    assert_eq!(CommandCode(20).shape(), None);
}

/// Catches: a cell of the table of modes that changed, a row in the wrong place.
#[test]
fn modes_oblige_to_the_commands_of_the_table() {
    for (code, expected) in rows(MODES) {
        let seen = DeviceKind::ALL.map(|kind| {
            match code.support_by(kind).expect("every command has a row").support {
                Support::Required => "X",
                Support::Optional => "O",
                Support::NotSent => "-",
            }
        });
        assert_eq!(seen.as_slice(), expected, "{code}");
    }
    assert_eq!(CommandCode(0).support_by(DeviceKind::Pipe), None);
}

/// What the features oblige to has to fit what the mode's column says: required there, required
/// here; not sent there, not sent here.
///
/// Catches: an occasion with the wrong bit.
#[test]
fn features_and_modes_agree() {
    for (base, _) in Features::LISTED_MODES {
        for &code in CommandCode::ALL {
            let column = code.support_by(DeviceKind::of(base)).expect("listed").support;
            let features = code.support_with(base);
            match column {
                Support::Required => assert_eq!(features, Support::Required, "{code}, {base}"),
                Support::NotSent => assert_eq!(features, Support::NotSent, "{code}, {base}"),
                Support::Optional => {}
            }
        }
    }
}

/// Catches: a command that comes without its feature, not with it, or with another one.
#[test]
fn each_feature_brings_its_commands() {
    let brings = |bit: Features| -> &[CommandCode] {
        match bit {
            Features::REMOVABLE => &[CommandCode::LOAD],
            Features::REWIND => &[CommandCode::REWIND],
            Features::POSITION | Features::RANDOM_ACCESS => {
                &[CommandCode::GET_POSITION, CommandCode::SET_POSITION]
            }
            Features::SKIP_BLOCKS => &[CommandCode::SKIP_BLOCKS],
            Features::DISCARD => &[CommandCode::DISCARD],
            Features::FILE_MARKS => &[CommandCode::WRITE_MARK, CommandCode::SKIP_MARKS],
            Features::SNAPSHOT_PREPARE => &[CommandCode::PREPARE_TO_FREEZE],
            Features::ENUM_FROZEN_FILES => {
                &[CommandCode::FILE_INFO_BEGIN, CommandCode::FILE_INFO_END]
            }
            Features::COMPLETE_ENABLED => &[CommandCode::COMPLETE],
            _ => &[],
        }
    };
    let required = |features: Features| -> Vec<CommandCode> {
        let all = CommandCode::ALL.iter().copied();
        all.filter(|code| code.support_with(features) == Support::Required).collect()
    };
    let always = required(Features::LIKE_PIPE);
    let four =
        [CommandCode::READ, CommandCode::WRITE, CommandCode::CLEAR_ERROR, CommandCode::FLUSH];
    assert_eq!(always, four);
    for (bit, name) in Features::NAMES {
        let mut more = required(bit);
        more.retain(|code| !always.contains(code));
        assert_eq!(more, brings(bit), "{name}");
    }
    // Asking is not enough: the server has to grant it.
    assert_eq!(CommandCode::COMPLETE.support_with(Features::REQUEST_COMPLETE), Support::NotSent);
    assert_eq!(CommandCode::SNAPSHOT.occasion(), Some(Occasion::Snapshot));
    assert_eq!(CommandCode::SNAPSHOT.support_with(Features::LIKE_PIPE), Support::Optional);
    assert_eq!(CommandCode(77).support_with(Features::all()), Support::NotSent);
}
