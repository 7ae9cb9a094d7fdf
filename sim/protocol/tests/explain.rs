//! Explanations: every code has one, and users find it however they write the code.

use rstest::rstest;
use vdi_protocol::explain::{ExplainError, Explanation, Kind};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, explain};

fn known(input: &str) -> Explanation {
    explain(input).unwrap_or_else(|error| panic!("{input}: {error}"))
}

/// Catches: an input form that is not understood, or understood as something else.
#[rstest]
#[case("0x80770003", Kind::Status, "VD_E_TIMEOUT")]
#[case("0X8077000e", Kind::Status, "VD_E_CLOSE")]
#[case("-2139684861", Kind::Status, "VD_E_TIMEOUT")]
#[case("2155282435", Kind::Status, "VD_E_TIMEOUT")]
#[case(" vd_e_timeout ", Kind::Status, "VD_E_TIMEOUT")]
#[case("0x0", Kind::Status, "NOERROR")]
#[case("0x80070002", Kind::Status, "HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)")]
#[case("0x800703E3", Kind::Status, "HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED)")]
#[case("0x80040154", Kind::Status, "REGDB_E_CLASSNOTREG")]
#[case("E_ACCESSDENIED", Kind::Status, "E_ACCESSDENIED")]
#[case("2", Kind::Status, "HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)")]
#[case("995", Kind::Completion, "ERROR_OPERATION_ABORTED")]
#[case("ERROR_OPERATION_ABORTED", Kind::Completion, "ERROR_OPERATION_ABORTED")]
#[case("0", Kind::Completion, "ERROR_SUCCESS")]
#[case("12", Kind::Command, "VDC_Flush")]
#[case("VDC_Flush", Kind::Command, "VDC_Flush")]
#[case("vdc_complete", Kind::Command, "VDC_Complete")]
#[case("VDF_RequestComplete", Kind::Feature, "VDF_RequestComplete")]
#[case("0x2000", Kind::Feature, "VDF_RequestComplete")]
#[case("VDF_LikeTape", Kind::Feature, "VDF_LikeTape")]
#[case("0x173", Kind::Feature, "VDF_LikeTape")]
#[case("0x80000000", Kind::Feature, "VDF_LatchStats")]
#[case("0x12000", Kind::Feature, "VDF_RequestComplete|VDF_WriteMedia")]
#[case("18210", Kind::SqlMessage, "Msg 18210")]
fn codes_are_found_however_they_are_written(
    #[case] input: &str,
    #[case] kind: Kind,
    #[case] name: &str,
) {
    let found = known(input);
    assert_eq!((found.kind, found.name.as_str()), (kind, name));
}

/// Catches: a code that was added without an explanation, an explanation that does not help, one
/// that gives another code's words.
#[test]
fn every_code_is_explained_by_name_and_by_value() {
    let check = |name: &str, kind: Kind| {
        let found = known(name);
        assert_eq!((found.kind, found.name.as_str()), (kind, name));
        for words in [&[found.text][..], found.causes, found.remedies] {
            assert!(!words.is_empty(), "{name}");
            for line in words {
                assert!(line.ends_with(['.', '…']), "{name}: '{line}'");
                assert!(!line.contains("  "), "{name}: a run of spaces in '{line}'");
            }
        }
        assert!(!found.source.is_empty() && !found.values.is_empty(), "{name}");
        found
    };
    for code in HResult::ALL {
        let name = code.name().expect("named");
        let found = check(name, Kind::Status);
        assert_eq!(found.values, [format!("0x{:08X}", code.0), code.as_i32().to_string()]);
        assert_eq!(known(&found.values[0]), found);
    }
    for code in CompletionCode::ALL {
        let found = check(code.name().expect("named"), Kind::Completion);
        assert_eq!(found.values, [code.0.to_string()]);
        assert_eq!(found.system_text, Some(code.os_error().to_string()));
        assert_eq!(known(&code.0.to_string()).text, found.text);
    }
    for code in CommandCode::ALL {
        let found = check(code.name().expect("named"), Kind::Command);
        assert_eq!(found.values, [code.0.to_string()]);
    }
    for (bit, name) in Features::NAMES {
        let found = check(name, Kind::Feature);
        assert_eq!(known(&format!("{:#x}", bit.bits())), found);
    }
    for name in ["VDF_LikePipe", "VDF_LikeTape", "VDF_LikeDisk"] {
        check(name, Kind::Feature);
    }
    for number in explain::message_numbers() {
        let name = format!("Msg {number}");
        let found = known(&number.to_string());
        assert_eq!((found.kind, found.name), (Kind::SqlMessage, name));
        assert!(!found.causes.is_empty() && !found.remedies.is_empty(), "{number}");
        assert!(found.system_text.is_some_and(|text| text.ends_with('.') || text.ends_with("%ls")));
    }
}

/// Catches: a message that users of VDI meet and that was left out or listed twice.
#[test]
fn the_messages_of_the_specification_are_there() {
    let expected = [
        3013, 3014, 3041, 3196, 3197, 3198, 3199, 3201, 3202, 3203, 3204, 3205, 3207, 3208, 3211,
        3217, 3227, 3231, 3241, 3242, 3250, 3253, 3254, 3256, 3261, 3262, 3265, 3271, 3276, 3277,
        18204, 18210,
    ];
    assert!(explain::message_numbers().eq(expected));
}

/// Catches: the other meaning of a small number being hidden.
#[test]
fn small_numbers_name_their_other_meanings() {
    assert_eq!(known("6").also, ["VDC_SkipMarks (command)"]);
    assert_eq!(known("2").also, ["VDC_Write (command)"]);
    assert_eq!(known("995").also, Vec::<String>::new());
}

/// Catches: the page for the most famous code losing its number, words, causes or advice.
#[test]
fn the_page_for_995_names_the_true_causes() {
    let page = known("995").to_string();
    for words in [
        "ERROR_OPERATION_ABORTED (995), completion code",
        "SQL Server prints: 995(The I/O operation has been aborted",
        "Usual causes:",
        "called SignalAbort",
        "died or was killed",
        "serverTimeOut",
        "shared memory",
        "What to do:",
        "Source: VDI",
    ] {
        assert!(page.contains(words), "'{words}' is missing in:\n{page}");
    }
}

/// Catches: a typing error without a suggestion, or with a far-fetched one.
#[test]
fn unknown_names_get_a_suggestion() {
    let suggestion = |input: &str| match explain(input) {
        Err(ExplainError::UnknownName { suggestion, .. }) => suggestion,
        other => panic!("{input}: {other:?}"),
    };
    assert_eq!(suggestion("VD_E_TIMEOUTT").as_deref(), Some("VD_E_TIMEOUT"));
    assert_eq!(suggestion("vdc_flsh").as_deref(), Some("VDC_Flush"));
    assert_eq!(suggestion("VDF_RequestCompleted").as_deref(), Some("VDF_RequestComplete"));
    assert_eq!(suggestion("bananas"), None);
    assert_eq!(suggestion(""), None);
    let text = explain("VD_E_TIMEOUTT").unwrap_err().to_string();
    assert!(text.contains("did you mean VD_E_TIMEOUT?"), "{text}");
}

/// Catches: a number without meaning that gets the words of another, or a panic on its way.
#[rstest]
#[case("1234")]
#[case("-1")]
#[case("99999999999999")]
#[case("-99999999999999")]
#[case("0x12345678")]
#[case("0x80070BAD")]
fn unknown_numbers_are_no_code_of_vdi(#[case] input: &str) {
    let error = explain(input).unwrap_err();
    assert!(matches!(error, ExplainError::UnknownNumber { .. }), "{error:?}");
    assert!(error.to_string().ends_with('.'));
}

/// Catches: the gap in the header's list being explained as one of its neighbours.
#[test]
fn undefined_statuses_of_vdi_are_told_apart() {
    for input in ["0x80770008", "-2139684856", "2155282440"] {
        let error = explain(input).unwrap_err();
        assert_eq!(error, ExplainError::UndefinedStatus { status: HResult(0x8077_0008) });
        assert!(error.to_string().contains("0x80770008"), "{error}");
    }
}
