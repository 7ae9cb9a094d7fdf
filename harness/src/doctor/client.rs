//! Whether a client will load the drop-in when it is started by `vdisim run`.

use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use super::finding::{Finding, Level};
use crate::launch::LIBRARY_NAME;
use crate::shim;

const SUBJECT: &str = "client";

/// What the dynamic linker will find in a client's file.
#[derive(Debug, Default)]
struct Linking {
    machine: u16,
    /// DT_NEEDED.
    needed: Vec<String>,
    /// DT_RPATH, which counts only if there is no DT_RUNPATH.
    rpath: Vec<String>,
    /// DT_RUNPATH.
    runpath: Vec<String>,
    /// Whether there is a dynamic linker in it at all.
    dynamic: bool,
    /// Absolute paths of a libsqlvdi.so among its strings.
    absolute: Vec<String>,
}

impl Linking {
    /// Whether it is loaded by programs, and started by nobody.
    fn is_library(&self) -> bool {
        !self.dynamic && !self.needed.is_empty()
    }

    fn names_drop_in(&self) -> bool {
        self.needed.iter().any(|name| name == LIBRARY_NAME)
    }
}

/// Looks at a client's executable. `drop_in` is the library that it should load.
pub fn examine_client(path: &Path, drop_in: Option<&Path>) -> Vec<Finding> {
    let refused = |text: String| vec![Finding::new(SUBJECT, Level::Bad, text)];
    // A device or a pipe may have no end.
    if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return refused(format!("{} is no regular file.", path.display()));
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return refused(format!("{}: {error}.", path.display())),
    };
    if bytes.starts_with(b"#!") {
        let text = format!("{} is a script.", path.display());
        return vec![
            Finding::new(SUBJECT, Level::Note, text)
                .remedy("Give the program that it starts and that calls VDI."),
        ];
    }
    #[cfg(windows)]
    if let Some(findings) = super::registration::examine_client(path, &bytes) {
        return findings;
    }
    let linking = match read_linking(&bytes) {
        Ok(linking) => linking,
        Err(error) => return refused(format!("{} is no program: {error}.", path.display())),
    };
    let mut findings = match linking.is_library() {
        true => vec![Finding::new(SUBJECT, Level::Note, "it is a library, no program.")],
        false => privileges(path),
    };
    findings.extend(architecture(&linking, drop_in));
    findings.extend(search(path, &linking));
    let named = linking.names_drop_in() || !linking.absolute.is_empty();
    if named && findings.iter().all(|finding| finding.level < Level::Warning) {
        let text = format!("{} will load the drop-in under `vdisim run`.", path.display());
        findings.push(Finding::new(SUBJECT, Level::Good, text));
    }
    findings
}

fn read_linking(bytes: &[u8]) -> Result<Linking, object::Error> {
    match object::FileKind::parse(bytes)? {
        object::FileKind::Elf32 => read_elf::<elf::FileHeader32<Endianness>>(bytes),
        _ => read_elf::<elf::FileHeader64<Endianness>>(bytes),
    }
}

fn read_elf<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Linking, object::Error> {
    let header = E::parse(bytes)?;
    let endian = header.endian()?;
    let mut linking = Linking {
        machine: header.e_machine(endian).0,
        absolute: absolute_names(bytes),
        ..Linking::default()
    };
    let table = header.sections(endian, bytes)?.dynamic_table(endian, bytes)?;
    linking.dynamic = header
        .program_headers(endian, bytes)?
        .iter()
        .any(|segment| segment.p_type(endian) == elf::PT_INTERP);
    for entry in table.iter() {
        let list = match entry.tag {
            elf::DT_NEEDED => &mut linking.needed,
            elf::DT_RPATH => &mut linking.rpath,
            elf::DT_RUNPATH => &mut linking.runpath,
            _ => continue,
        };
        let text = String::from_utf8_lossy(table.string(entry)?);
        list.extend(text.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
    }
    Ok(linking)
}

/// Paths that a client can give to dlopen: strings that begin with `/` and end in the library's
/// name.
fn absolute_names(bytes: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for at in memmem::find_iter(bytes, LIBRARY_NAME) {
        let text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let start = bytes[..at].iter().rposition(|byte| !text(byte)).map_or(0, |i| i + 1);
        let end = at + LIBRARY_NAME.len();
        let name = String::from_utf8_lossy(&bytes[start..end]).into_owned();
        if name.starts_with('/') && bytes.get(end) == Some(&0) && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A set-user-ID program, or one with capabilities, is started without LD_LIBRARY_PATH.
fn privileges(path: &Path) -> Vec<Finding> {
    let Some(mode) = mode(path) else { return Vec::new() };
    let mut findings = Vec::new();
    let ignores = |what: &str| {
        Finding::new(
            SUBJECT,
            Level::Bad,
            format!("it is {what}, so that the dynamic linker ignores LD_LIBRARY_PATH."),
        )
        .remedy(
            "Put the drop-in into a folder of the system: `vdisim shim install --lib \
             /usr/local/lib && ldconfig`, or run a copy without the privilege.",
        )
    };
    if mode & 0o6000 != 0 {
        findings.push(ignores("set-user-ID or set-group-ID"));
    }
    if has_capabilities(path) {
        findings.push(ignores("given file capabilities"));
    }
    if mode & 0o111 == 0 {
        let text = format!("{} is not executable.", path.display());
        findings.push(Finding::new(SUBJECT, Level::Bad, text).remedy("chmod +x it."));
    }
    findings
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).ok().map(|it| it.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

#[cfg(target_os = "linux")]
fn has_capabilities(path: &Path) -> bool {
    let mut value = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value).is_ok_and(|len| len > 0)
}

#[cfg(not(target_os = "linux"))]
fn has_capabilities(_: &Path) -> bool {
    false
}

fn architecture(linking: &Linking, drop_in: Option<&Path>) -> Vec<Finding> {
    let ours = drop_in.and_then(|path| fs::read(path).ok());
    let ours = ours.and_then(|bytes| read_linking(&bytes).ok());
    match ours {
        Some(ours) if ours.machine != linking.machine => vec![
            Finding::new(
                SUBJECT,
                Level::Bad,
                format!(
                    "it is built for another processor (ELF machine {}) than the drop-in ({}).",
                    linking.machine, ours.machine
                ),
            )
            .remedy("Build the workspace for the client's target."),
        ],
        _ => Vec::new(),
    }
}

/// Where the client looks for the library, apart from LD_LIBRARY_PATH.
fn search(path: &Path, linking: &Linking) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in linking.absolute.iter().chain(linking.needed.iter().filter(|n| n.contains('/'))) {
        findings.push(fixed_place(Path::new(name), "it opens the library by the path"));
    }
    let is_static = !linking.dynamic && !linking.is_library();
    if is_static {
        findings.push(
            Finding::new(SUBJECT, Level::Bad, "it is linked statically and loads no libraries.")
                .remedy("Link it dynamically with -lsqlvdi."),
        );
    }
    if !is_static && !linking.names_drop_in() && findings.is_empty() {
        findings.push(
            Finding::new(
                SUBJECT,
                Level::Note,
                format!("it does not name {LIBRARY_NAME}; it may load it by dlopen."),
            )
            .remedy("If it never does, give the program or library that calls VDI."),
        );
    }
    if linking.runpath.is_empty() {
        let origin = path.parent().unwrap_or(Path::new("."));
        let folders = linking.rpath.iter().map(|folder| expand(folder, origin));
        findings.extend(folders.filter_map(|folder| in_rpath(&folder)));
    }
    findings
}

fn expand(folder: &str, origin: &Path) -> PathBuf {
    let origin = origin.to_string_lossy();
    PathBuf::from(folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
}

/// A folder of DT_RPATH is searched before LD_LIBRARY_PATH, so it matters if the library is there.
fn in_rpath(folder: &Path) -> Option<Finding> {
    let library = folder.join(LIBRARY_NAME);
    if fs::symlink_metadata(&library).is_err() {
        return None;
    }
    Some(fixed_place(&library, "its DT_RPATH comes before LD_LIBRARY_PATH and leads to"))
}

fn fixed_place(library: &Path, why: &str) -> Finding {
    let text = format!("{why} {}", library.display());
    if shim::is_ours(library).unwrap_or(false) {
        return Finding::new(SUBJECT, Level::Note, format!("{text}, where the drop-in is."));
    }
    let folder = library.parent().unwrap_or(Path::new("/")).display();
    let moved = if fs::symlink_metadata(library).is_ok() {
        "Move the library that is there away, then run"
    } else {
        "Run"
    };
    Finding::new(SUBJECT, Level::Bad, format!("{text}, where the drop-in is not."))
        .remedy(format!("{moved} `vdisim shim install --lib {folder}`; `--undo` takes it away."))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: taking a bare name or a longer name for an absolute path, or cutting it short.
    #[test]
    fn absolute_paths_are_found_among_strings() {
        let bytes =
            b"\0libsqlvdi.so\0/opt/mssql/lib/libsqlvdi.so\0x/libsqlvdi.so\0/a/libsqlvdi.so.1\0";
        assert_eq!(absolute_names(bytes), ["/opt/mssql/lib/libsqlvdi.so"]);
    }

    // Catches: crashing on a truncated ELF file, and calling it a program.
    #[test]
    fn a_damaged_file_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client");
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in [0, 3, 16, 63, 64, 200] {
            fs::write(&path, &own[..len]).unwrap();
            let findings = examine_client(&path, None);
            assert_eq!(findings[0].level, Level::Bad, "{len} bytes: {findings:?}");
        }
    }

    // Catches: reading a device or a pipe, which may never end.
    #[test]
    fn only_regular_files_are_read() {
        let findings = examine_client(Path::new("/dev/null"), None);
        assert!(findings[0].text.contains("regular file"), "{findings:?}");
    }

    // Catches: a library taken for a static program, and a promise to load the drop-in made for a file
    // that does not name it.
    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_promised_for_what_does_not_name_the_library() {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let library = maps.split_whitespace().find(|word| word.contains("/libgcc_s.so")).unwrap();
        for path in ["/bin/sh", library].map(Path::new) {
            let findings = examine_client(path, None);
            assert!(findings.iter().all(|it| it.level == Level::Note), "{findings:?}");
        }
    }
}
