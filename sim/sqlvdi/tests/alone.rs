//! A client without a server: return codes, names, and what is left behind.

#![cfg(target_os = "linux")]

mod support;

use rstest::rstest;
use support::{Client, Namespace};

/// Catches: a wrong return code in a state that needs no server, a null pointer that is followed,
/// an output written on failure, a name refused or accepted wrongly, an object left in /dev/shm.
#[rstest]
#[case("alone")]
#[case("aborted")]
#[case("names")]
fn the_probe_finds_the_documented_return_codes(#[case] mode: &str) {
    let namespace = Namespace::new();
    Client::start("api_probe", &[mode, "probe"], &namespace).must_succeed();
    namespace.assert_empty();
}

/// Catches: an exit hook that is missing or runs too early, so that the set's name stays behind.
#[test]
fn a_process_that_exits_without_close_leaves_nothing() {
    let namespace = Namespace::new();
    Client::start("lifetime_probe", &["exit-before-server", "set"], &namespace).must_succeed();
    namespace.assert_empty();
}

/// Catches: a wrong variable that is ignored without a word, or that makes the constructor fail.
#[rstest]
#[case(("VDISIM_TIMEOUT_UNIT", "minutes"), "must be ms or s")]
#[case(("VDISIM_TRACE", "/nonexistent/trace"), "VDISIM_TRACE: /nonexistent/trace")]
fn a_wrong_variable_is_told_on_stderr(#[case] variable: (&str, &str), #[case] told: &str) {
    let namespace = Namespace::new();
    let client = Client::start_with("api_probe", &["aborted", "probe"], &namespace, &[variable]);
    let ended = client.must_succeed();
    assert!(ended.stderr.contains(told), "{ended:#?}");
}

/// Catches: a namespace that is not one and is used all the same, or a crash because of it.
#[test]
fn without_a_legal_namespace_nothing_is_created() {
    let namespace = Namespace::new();
    let wrong = [("VDISIM_NAMESPACE", "a/b")];
    let mut client =
        Client::start_with("lifetime_probe", &["exit-before-server", "set"], &namespace, &wrong);
    let ended = client.end();
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("VDISIM_NAMESPACE"), "{ended:#?}");
}
