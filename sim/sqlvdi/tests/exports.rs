//! What the library file offers to the dynamic linker: SQL Server's names and nothing else.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use support::{clients, drop_in, must};

/// Source: the symbols that a compiler asks for, given vdi.h of the Linux sample.
const SYMBOLS: [&str; 19] = [
    "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command",
    "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml",
    "_ZN19ClientVirtualDeviceC1Ev",
    "_ZN19ClientVirtualDeviceC2Ev",
    "_ZN19ClientVirtualDeviceD1Ev",
    "_ZN19ClientVirtualDeviceD2Ev",
    "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice",
    "_ZN22ClientVirtualDeviceSet11SignalAbortEv",
    "_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj",
    "_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh",
    "_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc",
    "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig",
    "_ZN22ClientVirtualDeviceSet20RegisterDeviceClosedEv",
    "_ZN22ClientVirtualDeviceSet5CloseEv",
    "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig",
    "_ZN22ClientVirtualDeviceSetC1Ev",
    "_ZN22ClientVirtualDeviceSetC2Ev",
    "_ZN22ClientVirtualDeviceSetD1Ev",
    "_ZN22ClientVirtualDeviceSetD2Ev",
];

/// Catches: a symbol forgotten or mistyped, or a `no_mangle` function of any crate that slips out
/// and could collide with one of the client's.
#[test]
fn exactly_the_symbols_of_the_interface_are_exported() {
    let listing = must(Command::new("nm").args(["-D", "--defined-only"]).arg(drop_in()));
    let exported: BTreeSet<_> =
        listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(exported, BTreeSet::from(SYMBOLS));
}

/// Catches: a client that records a path of the build machine, or a C++ library of our own beside
/// the client's, or code that dlclose takes away under a running thread.
#[test]
fn the_library_names_itself_and_needs_only_the_c_library() {
    let dynamic = must(Command::new("readelf").args(["--dynamic", "--wide"]).arg(drop_in()));
    let entries = |tag: &str| {
        dynamic.lines().filter(move |line| line.contains(tag)).collect::<Vec<_>>().join("\n")
    };
    assert!(entries("(SONAME)").contains("[libsqlvdi.so]"), "{dynamic}");
    assert!(entries("(FLAGS_1)").contains("NODELETE"), "{dynamic}");
    assert!(!entries("(NEEDED)").contains("c++"), "{dynamic}");
    assert!(entries("(RPATH)").is_empty() && entries("(RUNPATH)").is_empty(), "{dynamic}");
}

/// Catches: a header that asks the linker for something else than the library has, a wrong type,
/// value or offset, a warning under one of the compilers or one of the standards.
#[rstest]
fn the_headers_compile_without_a_warning(
    #[values("g++", "clang++")] compiler: &str,
    #[values("c++98", "c++03", "c++11", "c++14", "c++17", "c++20")] standard: &str,
) {
    if Command::new(compiler).arg("--version").output().is_err() {
        eprintln!("SKIP {compiler}: it is not installed");
        return;
    }
    let object = tempfile::NamedTempFile::new().unwrap();
    compile(compiler, standard, &clients().join("header_names.cpp"), object.path());
    let listing = must(Command::new("nm").arg("--undefined-only").arg(object.path()));
    let wanted: BTreeSet<_> = listing
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|symbol| symbol.contains("ClientVirtualDevice"))
        .collect();
    assert_eq!(wanted, BTreeSet::from(SYMBOLS));
}

/// Catches: a use of something that only newer standards or one of the compilers have.
#[rstest]
fn the_clients_compile_without_a_warning(
    #[values("g++", "clang++")] compiler: &str,
    // The client of the conformance suite has its threads from C++11.
    #[values(("", "c++98"), ("", "c++20"), ("conformance", "c++11"), ("conformance", "c++20"))]
    (folder, standard): (&str, &str),
) {
    if Command::new(compiler).arg("--version").output().is_err() {
        eprintln!("SKIP {compiler}: it is not installed");
        return;
    }
    let object = tempfile::NamedTempFile::new().unwrap();
    for entry in std::fs::read_dir(clients().join(folder)).unwrap() {
        let source = entry.unwrap().path();
        if source.extension().is_some_and(|extension| extension == "cpp") {
            compile(compiler, standard, &source, object.path());
        }
    }
}

/// Catches: C++ in vdierror.h and vdiguid.h, which C programs include too.
#[test]
fn the_headers_without_classes_are_c() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("plain.c");
    let text = "#include \"vdierror.h\"\n#include \"vdiguid.h\"\nint status = VD_E_ABORT;\n";
    std::fs::write(&source, text).unwrap();
    must(
        Command::new("gcc")
            .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
            .arg(Path::new(support::PACKAGE).join("include"))
            .arg(source),
    );
}

fn compile(compiler: &str, standard: &str, source: &Path, object: &Path) {
    must(
        Command::new(compiler)
            .arg(format!("-std={standard}"))
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "-I"])
            .arg(Path::new(support::PACKAGE).join("include"))
            .arg(source)
            .arg("-o")
            .arg(object),
    );
}
