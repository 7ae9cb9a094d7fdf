//! What every SQL client goes through.

use crate::serving::*;

/// BACKUP DATABASE pubs in transfers of 64 KiB: over 100 Writes.
pub(crate) fn backup(set: &str) -> String {
    format!("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='{set}' WITH STATS=10, MAXTRANSFERSIZE=65536")
}

pub(crate) fn restore(set: &str) -> String {
    format!(
        "RESTORE DATABASE twin FROM VIRTUAL_DEVICE='{set}' WITH STATS=25, REPLACE, \
         MAXTRANSFERSIZE=65536, MOVE 'pubs' TO 'twin.mdf', MOVE 'pubs_log' TO 'twin.ldf'"
    )
}

/// In the middle of both statements.
pub(crate) const STALL: &str = "--stall-at received:60";

/// What a client has to get from a whole BACKUP, in this order.
pub(crate) const BACKUP_SAYS: [&str; 5] = [
    "10 percent processed.",
    "100 percent processed.",
    "Processed 896 pages for database 'pubs', file 'pubs' on file 1.",
    "Processed 1 pages for database 'pubs', file 'pubs_log' on file 1.",
    "BACKUP DATABASE successfully processed 897 pages in ",
];

pub(crate) const RESTORE_SAYS: [&str; 5] = [
    "25 percent processed.",
    "100 percent processed.",
    "Processed 896 pages for database 'twin', file 'pubs' on file 1.",
    "Processed 1 pages for database 'twin', file 'pubs_log' on file 1.",
    "RESTORE DATABASE successfully processed 897 pages in ",
];

/// A SQL client: a program that was started, or a library in this process.
pub(crate) trait SqlClient {
    /// Executes a batch to its end; what the client handed out: messages, rows and errors as text.
    fn run(&mut self, batch: &str) -> Vec<String>;

    /// Executes a batch that cannot end until the message with `expected` is there, and cancels it then
    /// in the client's way.
    fn cancel(self: Box<Self>, batch: &str, expected: &str);
}

/// `said` contains all of `expected`, in that order.
pub(crate) fn assert_order(said: &[String], expected: &[&str]) {
    let mut lines = said.iter();
    for wanted in expected {
        assert!(lines.any(|line| line.contains(wanted)), "'{wanted}' is missing in {said:#?}");
    }
}

/// The story that every client goes through; `connect` gives a new connection.
pub(crate) fn story(serving: Serving, mut connect: impl FnMut(&Serving) -> Box<dyn SqlClient>) {
    let file = serving.scene.path("pubs.bak");
    let mut client = connect(&serving);

    // Both ways to the end.
    let vdi = serving.vdi_client("backup", "whole", &file, "");
    assert_order(&client.run(&backup("whole")), &BACKUP_SAYS);
    vdi.wait().expect(0);
    let vdi = serving.vdi_client("restore", "back", &file, "");
    assert_order(&client.run(&restore("back")), &RESTORE_SAYS);
    vdi.wait().expect(0);
    assert_order(
        &client.run("SELECT 'twin is ' + state_desc FROM sys.databases WHERE name='twin'"),
        &["twin is ONLINE"],
    );
    // A set that nobody made fails at once, and the log says why.
    assert_order(&client.run(&backup("nobody")), &["Open failure on backup device 'nobody'"]);
    let log: Vec<String> = serving.log().lines().map(str::to_owned).collect();
    assert_order(
        &log,
        &["Error: 18210", "Cause: No client created the set 'nobody'", "Error: 3041"],
    );
    client.run("DROP DATABASE twin");
    drop(client);

    // Neither of these can end by itself.
    let mut vdi = serving.vdi_client("backup", "stalled", &serving.scene.path("half.bak"), STALL);
    connect(&serving).cancel(&backup("stalled"), "10 percent processed.");
    serving.await_log("the BACKUP is aborted", |log| {
        log.contains("Cause: The statement was cancelled")
            && log.matches("Error: 3041").count() == 2
    });
    assert!(serving.log().contains("Operating system error 995("), "{}", serving.log());
    vdi.kill();
    let mut vdi = serving.vdi_client("restore", "halfway", &file, STALL);
    connect(&serving).cancel(&restore("halfway"), "25 percent processed.");
    serving.await_log("the RESTORE is aborted", |log| {
        log.matches("The statement was cancelled").count() == 2
    });
    vdi.kill();
    // Nothing was restored half.
    let mut client = connect(&serving);
    let names = client.run("SELECT name FROM sys.databases");
    assert_order(&names, &["pubs"]);
    assert!(!names.iter().any(|name| name.contains("twin")), "{names:?}");
    drop(client);
    serving.stop();
}

/// The server's stand that together with the driver's wish gives what is tested.
pub(crate) fn stand(tls: &str) -> &'static str {
    match tls {
        "off" => "--tls off",
        "full" => "--tls required",
        _ => "--tls auto",
    }
}
