//! Backups of real servers, which are not part of the project.

use std::path::{Path, PathBuf};

use crate::server::Fixture;

/// The folder of real backups; none, told by name, where it is missing.
pub(crate) fn golden(test: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden");
    let folder = std::env::var_os("VDISIM_GOLDEN").map_or_else(|| beside.into(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIP {test}: no real backups in {}", folder.display());
    None
}

/// Numbers of what is neither success nor the note about log that is not replayed.
fn errors(server: &mut Fixture, batch: &str) -> Vec<u32> {
    server.errors(batch).into_iter().filter(|number| *number != 0).collect()
}

// Catches: facts taken from the wrong field of real records, real sets refused or taken out of order.
#[test]
fn a_real_chain_restores_in_its_order_only() {
    let Some(folder) = golden("a_real_chain_restores_in_its_order_only") else { return };
    let mut server = Fixture::new();
    let file = |name: &str| folder.join("chain-2016").join(name).display().to_string();
    let mut restore = |what: &str, name: &str, end: &str| {
        let batch = format!("RESTORE {what} real FROM DISK='{}' WITH {end}", file(name));
        errors(&mut server, &batch)
    };
    assert_eq!(restore("DATABASE", "diff.bak", "NORECOVERY"), [3118, 3013]);
    assert_eq!(restore("DATABASE", "full.bak", "NORECOVERY"), [0_u32; 0]);
    assert_eq!(restore("LOG", "log3.trn", "NORECOVERY"), [4305, 3013]);
    assert_eq!(restore("DATABASE", "log1.trn", "NORECOVERY"), [3135, 3013]);
    for (what, name, end) in [
        ("DATABASE", "diff.bak", "NORECOVERY"),
        ("LOG", "log1.trn", "NORECOVERY"),
        ("LOG", "log2.trn", "NORECOVERY"),
        ("LOG", "log3.trn", "RECOVERY"),
    ] {
        assert_eq!(restore(what, name, end), [0_u32; 0], "{name}");
    }
    assert_eq!(restore("LOG", "log3.trn", "RECOVERY"), [3117, 3013]);
}

// Catches: log that is not replayed and nobody told of it; own log told of as a real server's.
#[test]
fn log_that_is_not_replayed_is_told_of() {
    let Some(folder) = golden("log_that_is_not_replayed_is_told_of") else { return };
    let mut server = Fixture::new();
    let note = "0: The log in this backup set was written by a real server. Its place in the log \
                chain was checked; its records are not replayed, but kept for the next log backup.";
    let is_told = |lines: Vec<String>| lines.iter().any(|line| line == note);
    for (what, name) in [("DATABASE", "full.bak"), ("DATABASE", "diff.bak"), ("LOG", "log1.trn")] {
        let file = folder.join("chain-2016").join(name).display().to_string();
        let batch = format!("RESTORE {what} real FROM DISK='{file}' WITH NORECOVERY");
        assert!(is_told(server.run(&batch)), "{name}");
    }
    server.succeed("BACKUP DATABASE pubs TO DISK='own'");
    assert!(!is_told(server.run("RESTORE DATABASE copy FROM DISK='own'")));
}

// Catches: families of a real backup not put together, pages of a real database lost on the way
// through a backup of our own.
#[test]
fn a_real_database_is_backed_up_again_with_the_same_pages() {
    let Some(folder) = golden("a_real_database_is_backed_up_again_with_the_same_pages") else {
        return;
    };
    let mut server = Fixture::new();
    let file = |n: u32| folder.join(format!("stripe-2008r2/family{n}.bak")).display().to_string();
    let (one, two) = (file(1), file(2));
    let batch = format!("RESTORE DATABASE real FROM DISK='{one}', DISK='{two}'");
    assert_eq!(errors(&mut server, &batch), [0_u32; 0]);
    let before = server.digest("real");
    assert_eq!(errors(&mut server, &format!("RESTORE VERIFYONLY FROM DISK='{one}'")), [3132, 3013]);
    server.succeed("BACKUP DATABASE real TO DISK='again' WITH COPY_ONLY");
    server.succeed("RESTORE DATABASE twin FROM DISK='again'");
    assert_eq!(server.digest("twin"), before);
}

/// A copy of chain-2016/full.bak in which the allocation map calls all but the first extents free.
fn mapped_free(folder: &Path, to: &Path) {
    let mut stream = std::fs::read(folder.join("chain-2016/full.bak")).unwrap();
    let is_map = |page: &[u8]| {
        mtf::PageHeader::TYPE.read(page) == 8 && mtf::PageHeader::PAGE_ID.read(page) == 2
    };
    let starts = (0..stream.len() - mtf::PAGE_SIZE).step_by(512);
    let at = starts.clone().find(|at| stream[*at] == 1 && is_map(&stream[*at..])).unwrap();
    let map = stream[at..].first_chunk_mut::<{ mtf::PAGE_SIZE }>().unwrap();
    map[195..260].fill(0xff);
    mtf::stamp_page(map);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::write(to, stream).unwrap();
}

// Catches: extents lost on the way through a backup of our own because the allocation maps in the set,
// which are older than its last pages, call them free.
#[test]
fn extents_that_the_maps_call_free_are_backed_up_again() {
    let Some(folder) = golden("extents_that_the_maps_call_free_are_backed_up_again") else {
        return;
    };
    let mut server = Fixture::new();
    mapped_free(&folder, &server.backup_file("free"));
    let pages = |lines: Vec<String>| {
        let line = lines.iter().find(|line| line.starts_with("4035: ")).unwrap().clone();
        line.split_whitespace().nth(2).unwrap().parse::<u32>().unwrap()
    };
    let came = pages(server.run("RESTORE DATABASE real FROM DISK='free'"));
    assert!(came > 200, "{came}");
    assert_eq!(pages(server.run("BACKUP DATABASE real TO DISK='again'")), came);
    let twin = "RESTORE DATABASE twin FROM DISK='again' WITH MOVE 'RestoreTimeClean' TO 't.mdf',
        MOVE 'RestoreTimeClean_log' TO 't.ldf'";
    assert_eq!(pages(server.run(twin)), came);
    assert_eq!(server.digest("twin"), server.digest("real"));
}

// Catches: a path taken from the server's folder for backups, a database that cannot be changed or
// backed up because it was not made here, a failed attempt that costs the old database.
#[test]
fn a_real_backup_is_attached_as_a_database() {
    let Some(folder) = golden("a_real_backup_is_attached_as_a_database") else { return };
    let mut server = Fixture::new();
    let families =
        ["family1", "family2"].map(|name| folder.join(format!("stripe-2008r2/{name}.bak")));
    let families = families.each_ref().map(|path| path.as_path());
    server.instance.attach_backup("pubs", &families).unwrap();
    let attached = server.digest("pubs");
    server.succeed("BACKUP DATABASE pubs TO DISK='again'");
    server.succeed("RESTORE DATABASE twin FROM DISK='again'");
    assert_eq!(server.digest("twin"), attached);
    server.succeed("EXEC vdisim.change pubs, 20, 1");
    let changed = server.digest("pubs");
    assert_ne!(changed, attached);

    let failed = server.instance.attach_backup("pubs", &families[..1]).unwrap_err();
    assert_eq!(failed.0[0].number, 3132);
    let failed = server.instance.attach_backup("pubs", &[&folder.join("none.bak")]).unwrap_err();
    assert_eq!(failed.0[0].number, 3201);
    assert_eq!(server.digest("pubs"), changed);
}

// Catches: log of ours that does not continue a real server's where that ended, in the middle of a
// block or far into a virtual log file; changes of pages that a backup does not hold.
#[test]
fn the_chain_of_a_real_database_goes_on() {
    let Some(folder) = golden("the_chain_of_a_real_database_goes_on") else { return };
    let mut server = Fixture::new();
    let restore_chain = |server: &mut Fixture, name: &str, end: &str| {
        let steps = [
            ("DATABASE", "full.bak", "NORECOVERY"),
            ("DATABASE", "diff.bak", "NORECOVERY"),
            ("LOG", "log1.trn", "NORECOVERY"),
            ("LOG", "log2.trn", "NORECOVERY"),
            ("LOG", "log3.trn", end),
        ];
        for (what, file, end) in steps {
            let file = folder.join("chain-2016").join(file).display().to_string();
            let batch = format!("RESTORE {what} {name} FROM DISK='{file}' WITH {end}");
            assert_eq!(errors(server, &batch), [0_u32; 0], "{batch}");
        }
    };
    restore_chain(&mut server, "real", "RECOVERY");
    server.succeed("EXEC vdisim.change real, 50, 1; BACKUP LOG real TO DISK='log4'");
    restore_chain(&mut server, "twin", "NORECOVERY");
    assert_eq!(errors(&mut server, "RESTORE LOG twin FROM DISK='log4'"), [0_u32; 0]);
    assert_eq!(server.digest("twin"), server.digest("real"));

    server.succeed("EXEC vdisim.change real, 50, 2; BACKUP DATABASE real TO DISK='full2'");
    server.succeed("EXEC vdisim.change real, 50, 3");
    server.succeed("BACKUP DATABASE real TO DISK='diff2' WITH DIFFERENTIAL");
    server.succeed("EXEC vdisim.change real, 50, 4; BACKUP LOG real TO DISK='log5'");
    for batch in [
        "RESTORE DATABASE second FROM DISK='full2' WITH NORECOVERY",
        "RESTORE DATABASE second FROM DISK='diff2' WITH NORECOVERY",
        "RESTORE LOG second FROM DISK='log5'",
    ] {
        server.succeed(batch);
    }
    assert_eq!(server.digest("second"), server.digest("real"));
}
