//! Streams of this server before checkers that are not ours: `file(1)`, and a tool that computes a
//! backup's bytes from its fields by rules found on real backups. The tool is not part of the
//! project.

use std::path::{Path, PathBuf};
use std::process::Command;

use fake_sqlserver::catalogue::Server;
use mtf::{Reader, Rewriter};
use vdi_protocol::Profile;

use crate::devices::{client, list, watched};
use crate::golden::golden;
use crate::server::Fixture;

/// The folder of the tools: VDISIM_MTF_TOOLS, or `tools/mtf` beside the folder of real backups;
/// none, told by name, where they or what they need is missing.
fn tools(test: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tools/mtf");
    let folder = std::env::var_os("VDISIM_MTF_TOOLS").map_or_else(|| beside.into(), PathBuf::from);
    if !folder.join("reencode.py").is_file() {
        eprintln!("SKIP {test}: no reencode.py in {}", folder.display());
        return None;
    }
    let numpy = Command::new(python()).args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIP {test}: no python3 with numpy");
        return None;
    }
    Some(folder)
}

/// The Python that has numpy, where scripts/python-tools puts it, or the system's.
fn python() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder =
        variable("VDISIM_CLIENTS").or_else(|| cache.map(|cache| cache.join("vdisim/clients")));
    let ours = folder.map(|folder| folder.join("venv/bin/python"));
    ours.filter(|python| python.exists()).unwrap_or_else(|| "python3".into())
}

/// Asserts that the tool computes the very bytes of the files.
fn assert_reencoded(tools: &Path, files: &[PathBuf]) {
    let output = Command::new(python())
        .arg("reencode.py")
        .args(files)
        .current_dir(tools)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let count = files.len();
    assert!(said.ends_with(&format!("identical {count} of {count}\n")), "{said}{output:?}");
}

/// Streams of every kind that a BACKUP writes.
fn write_all(server: &mut Fixture) -> Vec<PathBuf> {
    const STATEMENTS: [(&str, &[&str]); 13] = [
        ("BACKUP DATABASE pubs TO {}", &["full"]),
        ("BACKUP DATABASE pubs TO {} WITH DIFFERENTIAL", &["diff"]),
        ("BACKUP LOG pubs TO {}", &["log"]),
        ("BACKUP LOG pubs TO {}", &["empty-log"]),
        ("BACKUP DATABASE pubs TO {} WITH CHECKSUM", &["sum"]),
        ("BACKUP DATABASE pubs TO {} WITH DIFFERENTIAL, CHECKSUM", &["diff-sum"]),
        ("BACKUP DATABASE pubs TO {} WITH COPY_ONLY, NAME='n', DESCRIPTION=N'ä'", &["copy"]),
        ("BACKUP DATABASE pubs TO {} WITH MEDIAPASSWORD='m', PASSWORD='p'", &["password"]),
        ("BACKUP DATABASE pubs TO {} WITH BLOCKSIZE=4096, MEDIANAME='n'", &["b4096"]),
        ("BACKUP DATABASE pubs TO {} WITH BLOCKSIZE=32768, MEDIADESCRIPTION='d'", &["b32768"]),
        ("BACKUP DATABASE pubs TO {} WITH CHECKSUM", &["s1", "s2", "s3", "s4", "s5"]),
        ("BACKUP LOG pubs TO {} WITH CHECKSUM", &["l1", "l2", "l3", "l4"]),
        // Behind the one before.
        ("BACKUP LOG pubs TO {} WITH CHECKSUM", &["l1", "l2", "l3", "l4"]),
    ];
    let mut files = Vec::new();
    for (seed, (statement, names)) in STATEMENTS.iter().enumerate() {
        if names != &["empty-log"] {
            server.succeed(&format!("EXEC vdisim.change pubs, 60, {seed}"));
        }
        let devices: Vec<_> = names.iter().map(|name| format!("DISK='{name}'")).collect();
        server.succeed(&statement.replace("{}", &devices.join(", ")));
        files.extend(names.iter().map(|name| server.backup_file(name)));
    }
    files
}

/// Streams that went to virtual devices, in files.
fn write_to_virtual_devices(server: &mut Fixture) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (set, count, statement) in [
        ("vfull", 3, "BACKUP DATABASE pubs TO {} WITH CHECKSUM"),
        ("vlog", 1, "BACKUP LOG pubs TO {}"),
        ("vsnapshot", 1, "BACKUP DATABASE pubs TO {} WITH SNAPSHOT"),
    ] {
        let client = client(&server.instance, set, vec![Vec::new(); count]);
        server.succeed(&statement.replace("{}", &list(set, count)));
        for (number, stream) in client.join().unwrap().into_iter().enumerate() {
            let file = server.backup_file(&format!("{set}{number}"));
            std::fs::write(&file, stream).unwrap();
            files.push(file);
        }
    }
    files
}

// Catches: a length, address, number, filemark or checksum of a block or stream that a real server
// computes in another way, in any kind of backup, for any server, to files or to virtual devices.
#[test]
fn streams_of_this_server_follow_the_rules_of_real_ones() {
    let Some(tools) = tools("rules of real streams") else { return };
    watched(move || {
        for profile in Profile::ALL {
            let mut server = Fixture::with(
                |folder| Server::open(folder).unwrap(),
                |instance| instance.profile = profile,
            );
            let mut files = write_all(&mut server);
            files.extend(write_to_virtual_devices(&mut server));
            assert_eq!(files.len(), 28, "{}", profile.name);
            assert_reencoded(&tools, &files);
        }
    });
}

// Catches: the same, in a log backup that holds a real server's log.
#[test]
fn a_real_log_held_again_follows_the_rules() {
    let (Some(folder), Some(tools)) =
        (golden("a real log held again"), tools("rules of a real log held again"))
    else {
        return;
    };
    let mut server = Fixture::new();
    for (what, name) in [("DATABASE", "full.bak"), ("DATABASE", "diff.bak"), ("LOG", "log1.trn")] {
        let device = folder.join("chain-2016").join(name).display().to_string();
        server.run(&format!("RESTORE {what} real FROM DISK='{device}' WITH NORECOVERY"));
    }
    server.succeed("RESTORE DATABASE real WITH RECOVERY");
    let mut files = Vec::new();
    for (name, with) in [("plain", ""), ("sum", ", CHECKSUM")] {
        server.succeed(&format!("BACKUP LOG real TO DISK='{name}' WITH COPY_ONLY{with}"));
        files.push(server.backup_file(name));
    }
    assert_reencoded(&tools, &files);
}

// Catches: the same, in real backups that are written again.
#[test]
fn real_streams_written_again_follow_the_rules() {
    let (Some(folder), Some(tools)) =
        (golden("real streams written again"), tools("rules of real streams written again"))
    else {
        return;
    };
    let written = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for real in backups(&folder) {
        let mut rewriter = Rewriter::new(Vec::new());
        let bytes = std::fs::read(&real).unwrap();
        Reader::new().feed(&bytes, &mut rewriter).unwrap();
        let file = written.path().join(format!("{}.bak", files.len()));
        std::fs::write(&file, rewriter.into_inner()).unwrap();
        files.push(file);
    }
    assert!(!files.is_empty());
    assert_reencoded(&tools, &files);
}

/// All backups of a folder.
pub(crate) fn backups(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("bak" | "trn") => files.push(path),
            _ if path.is_dir() => files.extend(backups(&path)),
            _ => {}
        }
    }
    files.sort();
    files
}

// Catches: a media header that the world does not take for SQL Server's.
#[test]
fn file_recognises_the_streams() {
    let test = "file(1) recognises streams";
    if Command::new("file").arg("--version").output().is_err() {
        eprintln!("SKIP {test}: no file(1)");
        return;
    }
    let mut server = Fixture::new();
    for file in write_all(&mut server) {
        let output = Command::new("file").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = "software (0x1200): Microsoft SQL Server";
        assert!(said.contains("NTbackup archive") && said.contains(expected), "{said}");
    }
}
