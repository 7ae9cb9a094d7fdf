//! `sqlcmd`, `osql` and `vdisim mtf` as scripts use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use vdisim_tests::{Ended, Running, Scene, golden};

/// A scene in which the commands are installed.
struct Installed {
    scene: Scene,
    folder: PathBuf,
}

impl Installed {
    fn new() -> Installed {
        let scene = Scene::new();
        let folder = scene.path("bin");
        fs::create_dir(&folder).unwrap();
        let mut command = scene.vdisim("shim install");
        command.arg(&folder);
        let placed = |name| folder.join(name).display().to_string();
        scene.run(command).expect(0).says(&placed("sqlcmd")).says(&placed("osql"));
        Installed { scene, folder }
    }

    /// A command of this name with these words.
    fn command(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.args(words);
        self.scene.place(&mut command);
        command
    }

    fn sqlcmd(&self, words: &[&str]) -> Ended {
        self.scene.run(self.command("sqlcmd", words))
    }

    /// Starts the reference client; its Create has returned when this does.
    fn client(&self, line: &str) -> Running {
        let trace = self.scene.path("trace");
        let _ = fs::remove_file(&trace);
        let mut command = self.scene.vdisim(&format!("client {line} --set s --file"));
        command.arg(self.scene.path("stored")).env("VDISIM_TRACE", &trace);
        let client = self.scene.start(command);
        let end = Instant::now() + Duration::from_secs(60);
        // Create, or CreateEx where the drop-in is COM's.
        while !fs::read_to_string(&trace).is_ok_and(|trace| trace.contains("\"call\":\"Create")) {
            assert!(Instant::now() < end, "the client creates no set");
            thread::sleep(Duration::from_millis(2));
        }
        client
    }
}

const BACKUP: &str = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE = 's' WITH STATS = 50";
const RESTORE: &str = "RESTORE DATABASE pubs2 FROM VIRTUAL_DEVICE = 's' WITH REPLACE, \
                       MOVE 'pubs' TO 'pubs2.mdf', MOVE 'pubs_log' TO 'pubs2.ldf'";

// Catches: a server that forgets between two calls, messages in another form, a restore that is none.
#[rstest]
#[case(&[])]
#[case(&["-S."])]
#[case(&["-S", "tcp:(local),1433", "-U", "sa", "-P", "x"])]
#[case(&["-S", "localhost\\SQL2016", "-E"])]
fn a_backup_and_a_restore_in_two_calls(#[case] server: &[&str]) {
    let installed = Installed::new();
    let with = |query: &'static str| [server, &["-b", "-Q", query]].concat();
    let client = installed.client("backup");
    let ended = installed.sqlcmd(&with(BACKUP));
    client.wait().expect(0);
    ended.expect(0);
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ended.out);
    assert!(lines[0].ends_with(" percent processed."), "{}", lines[0]);
    assert!(lines[2].starts_with("Processed "), "{}", lines[2]);
    assert!(lines[4].starts_with("BACKUP DATABASE successfully processed "), "{}", lines[4]);

    let client = installed.client("restore");
    let ended = installed.sqlcmd(&with(RESTORE));
    client.wait().expect(0);
    ended.expect(0).says("RESTORE DATABASE successfully processed");
    let query = "SET NOCOUNT ON; SELECT name FROM sys.databases WHERE name LIKE 'pubs%'";
    let ended = installed.sqlcmd(&["-W", "-h-1", "-Q", query]);
    assert_eq!(ended.expect(0).out, "pubs\npubs2\n");
    assert_eq!(installed.scene.objects(), Vec::<String>::new());
}

// Catches: a certificate taken unchecked though -N asks for a checked one and no -C says otherwise.
#[test]
fn a_certificate_is_not_trusted_unasked() {
    let installed = Installed::new();
    let ended =
        installed.sqlcmd(&["-S", "server.invalid", "-U", "sa", "-P", "p", "-N", "-Q", "SELECT 1"]);
    ended.expect(1);
    let said = format!("{}{}", ended.out, ended.err);
    assert!(said.contains("certificate cannot be checked"), "{said}");
}

// Catches: waiting for a client that has not begun, and exit codes that do not tell.
#[rstest]
#[case(&["-b"], 1)]
#[case(&[], 0)]
#[case(&["-b", "-V", "16"], 16)]
#[case(&["-b", "-V", "17"], 0)]
#[case(&["-V", "11"], 16)]
fn a_backup_without_a_client_fails_at_once(#[case] more: &[&str], #[case] code: i32) {
    let installed = Installed::new();
    let query = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE = 'nobody'";
    let ended = installed.sqlcmd(&[more, &["-Q", query]].concat());
    ended.expect(code);
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.out);
    assert!(lines[0].starts_with("Msg 18210, Level 16, State 1, Server "), "{}", lines[0]);
    assert!(lines[0].ends_with(", Line 1"), "{}", lines[0]);
    assert!(lines[1].contains("'nobody'. Operating system error 0x80070002"), "{}", lines[1]);
    assert!(lines[2].starts_with("Msg 3013, "), "{}", lines[2]);
    assert_eq!(lines[3], "BACKUP DATABASE is terminating abnormally.");
}

// Catches: errors on the wrong stream.
#[rstest]
#[case("-r0", "x\n", "Msg 50000, Level 16, ")]
#[case("-r1", "", "x\nMsg 50000, Level 16, ")]
#[case("-m17", "x\n", "")]
fn messages_go_where_they_are_sent(#[case] option: &str, #[case] out: &str, #[case] err: &str) {
    let installed = Installed::new();
    let ended = installed.sqlcmd(&[option, "-Q", "PRINT 'x'; RAISERROR('no', 16, 1)"]);
    assert_eq!(ended.expect(0).out, out);
    assert!(ended.err.starts_with(err) && ended.err.is_empty() == err.is_empty(), "{}", ended.err);
}

// Catches: a catalogue without a backup on disk, lists without their columns, DISK that is no file.
#[test]
fn a_backup_on_disk_is_listed() {
    let installed = Installed::new();
    let file = installed.scene.path("pubs.bak");
    let file = file.to_str().unwrap();
    let variable = format!("file={file}");
    let run = |query: &str| {
        let ended =
            installed.sqlcmd(&["-b", "-W", "-s|", "-w", "65535", "-v", &variable, "-Q", query]);
        ended.expect(0);
        ended.out
    };
    run("BACKUP DATABASE [pubs] TO DISK = N'$(file)' WITH NAME = 'one', CHECKSUM");
    let header = run("RESTORE HEADERONLY FROM DISK = '$(FILE)'");
    let lines: Vec<_> = header.lines().collect();
    assert!(lines[0].starts_with("BackupName|BackupDescription|BackupType|"), "{header}");
    assert!(lines[2].starts_with("one|NULL|1|"), "{header}");
    assert_eq!(lines[3..], ["", "(1 rows affected)"]);
    let files = run("RESTORE FILELISTONLY FROM DISK = '$(file)'");
    let lines: Vec<_> = files.lines().collect();
    assert!(lines[0].starts_with("LogicalName|PhysicalName|Type|"), "{files}");
    assert!(lines[2].starts_with("pubs|") && lines[3].starts_with("pubs_log|"), "{files}");
    assert_eq!(lines[4..], ["", "(2 rows affected)"]);
    let mut show = installed.scene.vdisim("mtf show");
    show.arg(file);
    installed.scene.run(show).expect(0).says("The backup is complete.").says("pubs_log");
}

// Catches: batches that run together, a count or a file that is ignored, variables of the wrong
// file, errors that do not end a script, output that goes elsewhere.
#[test]
fn scripts() {
    let installed = Installed::new();
    let scene = &installed.scene;
    let inner = scene.file("inner.sql", b"PRINT '$(who) in a file'\nGO 2\n");
    let text = format!(
        ":setvar who \"the inner\"\r\nDECLARE @x int; SET @x = 1\r\nGO\r\n:r \"{}\"\r\n\
         PRINT 'a\r\nGO\r\nb'\r\ngo\r\n:on error exit\r\nSELECT * FROM nowhere\r\nGO\r\nPRINT 'never'\r\n",
        inner.display()
    );
    let utf16 = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes));
    let script = scene.file("script.sql", &utf16.collect::<Vec<u8>>());
    let second = scene.file("second.sql", b"PRINT 'second'\n");
    let out = scene.path("out.txt");
    let [script, second, out_word] = [&script, &second, &out].map(|path| path.to_str().unwrap());
    installed.sqlcmd(&["-i", second, "-i", script, "-o", out_word]).expect(1);
    let said = fs::read_to_string(&out).unwrap();
    let head = "second\nthe inner in a file\nthe inner in a file\na\nGO\nb\nMsg 208, Level 16, ";
    assert!(said.starts_with(head), "{said}");
    assert!(!said.contains("never"), "{said}");

    let undefined = installed.sqlcmd(&["-Q", "PRINT '$(NoSuchVariable)'"]);
    undefined.expect(1).says("'NoSuchVariable' scripting variable not defined.");
    let result = scene.file("result.sql", b"PRINT 'x'\nexit(select 7)\nPRINT 'never'\n");
    let ended = installed.sqlcmd(&["-h-1", "-W", "-i", result.to_str().unwrap()]);
    assert!(ended.expect(7).out.starts_with("x\n7\n"), "{}", ended.out);
}

// Catches: a variable that sqlcmd has by itself not defined, one that :setvar changes without effect,
// or changes though the session was opened with it.
#[test]
fn options_are_variables() {
    let installed = Installed::new();
    let run = |words: &[&str], text: &str| {
        let script = installed.scene.file("script.sql", text.as_bytes());
        installed.sqlcmd(&[words, &["-i", script.to_str().unwrap()]].concat())
    };
    let text = "PRINT '$(SQLCMDUSER)|$(SqlCmdDbName)|$(SQLCMDWORKSTATION)|$(SQLCMDLOGINTIMEOUT)|\
                $(SQLCMDCOLWIDTH)|$(SQLCMDINI)'\n";
    let ended = run(&["-d", "pubs", "-H", "desk"], text);
    assert_eq!(ended.expect(0).out, "|pubs|desk|8|0|\n");
    let ended = run(&[], "PRINT '$(SQLCMDSERVER)'\nPRINT @@SERVERNAME\n");
    let lines: Vec<_> = ended.expect(0).out.lines().collect();
    assert!(lines.len() == 2 && lines[0].eq_ignore_ascii_case(lines[1]), "{}", ended.out);
    let text = ":setvar sqlcmdcolsep \"/\"\n:setvar SQLCMDHEADERS -1\nSET NOCOUNT ON\n\
                SELECT 1, '$(SQLCMDCOLSEP)'\nGO\n:setvar SQLCMDCOLSEP\nSELECT 1, 2\n";
    assert_eq!(run(&["-W"], text).expect(0).out, "1//\n1 2\n");
    assert_eq!(
        run(&["-W", "-v", "SQLCMDHEADERS=-1"], "SELECT 1\n").expect(0).out,
        "1\n\n(1 rows affected)\n"
    );
    for name in ["SQLCMDDBNAME", "sqlcmduser", "SQLCMDSERVER", "SQLCMDWORKSTATION"] {
        let ended = run(&[], &format!(":setvar {name} other\nPRINT 'never'\n"));
        ended.expect(1);
        let said = format!("Sqlcmd: Error: The scripting variable: '{name}' is read-only.\n");
        assert_eq!((ended.out.as_str(), ended.err), ("", said));
    }
}

// Catches: a command that takes `$(name)` for a file's or a server's name; a connection that is made
// and not told of.
#[test]
fn commands_have_variables() {
    let installed = Installed::new();
    let [out, err] = ["out.txt", "err.txt"].map(|name| installed.scene.path(name));
    let text = format!(
        ":setvar folder \"{}\"\n:setvar e err\n:setvar here (local)\n:setvar stream stdout\n\
         :out $(folder)/out.txt\n:error \"$(folder)/$(e).txt\"\nPRINT 'out'\nRAISERROR('err', 16, 1)\nGO\n\
         :out $(stream)\n:connect $(here)\nPRINT 'there'\n",
        installed.scene.path("").display()
    );
    let script = installed.scene.file("script.sql", text.as_bytes());
    let ended = installed.sqlcmd(&["-r", "-i", script.to_str().unwrap()]);
    let connected = "Sqlcmd: Successfully connected to server '(local)'.\n";
    assert_eq!(ended.expect(0).out, format!("{connected}there\n"));
    assert_eq!(fs::read_to_string(out).unwrap(), "out\n");
    assert!(fs::read_to_string(err).unwrap().ends_with("err\n"));
}

// Catches: an output file that -u leaves in UTF-8, or without its mark; -r that takes messages from it.
#[test]
fn an_output_file_is_whole_and_unicode() {
    let installed = Installed::new();
    let out = installed.scene.path("out.txt");
    let words = ["-u", "-r1", "-o", out.to_str().unwrap(), "-Q", "PRINT N'ä'"];
    assert_eq!(installed.sqlcmd(&words).expect(0).err, "");
    assert_eq!(fs::read(&out).unwrap(), [0xFF, 0xFE, 0xE4, 0, b'\n', 0]);
}

// Catches: one code for all the ways in which :exit(query) has no number.
#[rstest]
#[case::fails("SELECT * FROM nowhere", -100)]
#[case::no_row("SELECT 5 WHERE 1 = 0", -101)]
#[case::no_number("SELECT 'x'", -102)]
fn an_exit_without_a_number(#[case] query: &str, #[case] code: i32) {
    let installed = Installed::new();
    let script = installed.scene.file("script.sql", format!(":exit({query})\n").as_bytes());
    installed.sqlcmd(&["-i", script.to_str().unwrap()]).expect(code & 0xFF);
}

// Catches: standard input that is not read, prompts where nobody sits, a last batch that is lost.
#[test]
fn standard_input_is_a_script() {
    let installed = Installed::new();
    let input = installed.scene.file("input", b"PRINT 'one'\nGO\nPRINT 'two'\n");
    let mut command = installed.command("sqlcmd", &["-q", "PRINT 'zero'"]);
    command.stdin(fs::File::open(&input).unwrap());
    assert_eq!(installed.scene.run(command).expect(0).out, "zero\none\ntwo\n");
    let mut osql = installed.command("osql", &["-n"]);
    let input = installed.scene.file("input", b"PRINT '$(x)'\nGO\nQUIT\nPRINT 'never'\n");
    osql.stdin(fs::File::open(&input).unwrap());
    assert_eq!(installed.scene.run(osql).expect(0).out, "$(x)\n");
}

// Catches: mistakes that look like success, or are told in `vdisim`'s words by `sqlcmd`.
#[test]
fn mistakes_have_exit_codes() {
    let installed = Installed::new();
    let ended = installed.sqlcmd(&["-J"]);
    assert_eq!(ended.expect(1).err, "Sqlcmd: '-J': Unknown Option. Enter '-?' for help.\n");
    let mut vdisim = installed.scene.vdisim("sql");
    vdisim.args(["-J"]);
    installed.scene.run(vdisim).expect(2).says("Unknown Option");
    let mut vdisim = installed.scene.vdisim("sql -S 127.0.0.1,1 -U sa -P x -Q x");
    vdisim.env_remove("SQLCMDSERVER");
    installed.scene.run(vdisim).expect(3).says("127.0.0.1, port 1, cannot be reached");
    installed.sqlcmd(&["-S", "elsewhere", "-E", "-Q", "x"]).expect(1).says("-U and -P");
    installed.sqlcmd(&["-d", "nowhere", "-Q", "x"]).expect(1).says("Cannot open database");
    let script = installed.scene.file("script.sql", b"PRINT 'never'\n");
    let ended = installed.sqlcmd(&["-i", script.to_str().unwrap(), "-i", "nosuch.sql"]);
    assert_eq!(ended.out, "");
    assert_eq!(ended.expect(1).err, "Sqlcmd: 'nosuch.sql': Invalid filename.\n");
    let ended = installed.sqlcmd(&["-Q", "PRINT 'never'\n:r nosuch.sql"]);
    assert_eq!(ended.expect(1).err, "Sqlcmd: 'nosuch.sql': Invalid filename.\n");
    let folder = installed.scene.path("");
    let ended = installed.sqlcmd(&["-o", folder.to_str().unwrap(), "-Q", "x"]);
    assert!(
        ended
            .expect(1)
            .err
            .starts_with("Sqlcmd: Error: Error occurred while opening or operating on file ")
    );
    assert!(!ended.err.contains("os error"), "{}", ended.err);
    installed.sqlcmd(&["-?"]).expect(0).says("usage: sqlcmd");
}

// Catches: a time-out or a Ctrl-C that ends sqlcmd alone: the statement has to end with its messages
// and the client at the other side with an abort.
#[cfg(unix)]
#[rstest]
#[case::timeout(&["-t", "1", "-b"], false, "Timeout expired")]
#[case::interrupt(&["-b"], true, "pressed CTRL+C")]
fn a_backup_is_cancelled(
    #[case] more: &[&str],
    #[case] interrupts: bool,
    #[case] says: &str,
    #[values(false, true)] is_remote: bool,
) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let installed = Installed::new();
    let server = is_remote.then(|| serve(&installed.scene));
    let client = installed.client("backup");
    let signal = |process: &Running, signal| {
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
    };
    signal(&client, Signal::SIGSTOP);
    let query = "PRINT 'begins'; BACKUP DATABASE AdventureWorks TO VIRTUAL_DEVICE = 's'";
    let words = [more, &["-Q", query]].concat();
    let sqlcmd = installed.scene.start(installed.command("sqlcmd", &words));
    if interrupts {
        sqlcmd.await_line("begins");
        // Nothing tells from outside that the next statement has begun.
        thread::sleep(Duration::from_millis(500));
        signal(&sqlcmd, Signal::SIGINT);
    }
    sqlcmd.wait().expect(1).says(says).says("Msg 3013");
    // Now it may go on, and learns what happened.
    signal(&client, Signal::SIGCONT);
    client.wait().expect(1).says("VD_E_ABORT");
    drop(server);
}

// Catches: messages that are held back while a BACKUP runs; two processes that use a database at
// once, as if each were alone, or not two databases at once; a database that nobody can have any
// more after its user was killed.
#[test]
fn two_processes_are_one_server() {
    let installed = Installed::new();
    let client = installed.client("backup --stall-at received:40");
    let query = "BACKUP DATABASE AdventureWorks TO VIRTUAL_DEVICE = 's' WITH STATS = 5, \
                 MAXTRANSFERSIZE = 1048576, BUFFERCOUNT = 2";
    let mut first = installed.scene.start(installed.command("sqlcmd", &["-b", "-Q", query]));
    first.await_line("30 percent");
    let disk = |database: &str| {
        let file = installed.scene.path("other.bak");
        let query = format!("BACKUP DATABASE {database} TO DISK = '{}' WITH INIT", file.display());
        installed.sqlcmd(&["-b", "-Q", &query])
    };
    disk("Northwind").expect(0);
    disk("adventureworks").expect(1).says("Msg 3023, Level 16");
    first.kill();
    first.wait();
    disk("AdventureWorks").expect(0);
    drop(client);
}

// Catches: shims that a client does not find, or that work in another namespace than the client's.
#[test]
fn a_client_finds_the_commands() {
    let scene = Scene::new();
    let mut command = scene.vdisim("run --");
    command.args(["sqlcmd", "-W", "-h-1", "-Q", "SET NOCOUNT ON; SELECT 1 + 1"]);
    assert_eq!(scene.run(command).expect(0).out, "2\n");
}

/// A running `vdisim serve` and its port.
fn serve(scene: &Scene) -> (Running, u16) {
    let mut command = scene.vdisim("serve --listen 127.0.0.1:0 --login");
    command.arg("tester:Pässw0rd");
    let server = scene.start(command);
    let port = server.await_line("listening on ").rsplit(':').next().unwrap().parse();
    (server, port.unwrap())
}

// Catches: a running server that is not found or is passed by, a wrong password that does not
// matter, messages that come too late or look otherwise over the network.
#[test]
fn a_running_server_is_used() {
    let installed = Installed::new();
    let (mut server, port) = serve(&installed.scene);
    let name = ["-W", "-h-1", "-Q", "SET NOCOUNT ON; SELECT SUSER_NAME()"];
    assert_eq!(installed.sqlcmd(&name).expect(0).out, "tester\n");
    let address = format!("tcp:127.0.0.1,{port}");
    let network = ["-S", &address, "-U", "tester", "-C", "-P"];
    let wrong = installed.sqlcmd(&[&network[..], &["wrong", "-Q", "SELECT 1"]].concat());
    assert_eq!(wrong.expect(1).err, "Sqlcmd: Error: Login failed for user 'tester'.\n");
    for more in [&["-b"][..], &["-b", "-N"], &["-b", "-a", "512"]] {
        let client = installed.client("backup");
        let words = [&network[..], &["Pässw0rd"], more, &["-Q", BACKUP]].concat();
        let ended = installed.sqlcmd(&words);
        client.wait().expect(0);
        ended.expect(0).says("BACKUP DATABASE successfully processed");
        assert_eq!(ended.out.lines().count(), 5, "{}", ended.out);
    }
    let local = installed.sqlcmd(&["-b", "-U", "tester", "-P", "wrong", "-Q", "SELECT 1"]);
    local.expect(1).says("Login failed for user 'tester'.");
    server.kill();
    server.wait();
    // Its file is left, its lock is not.
    installed.sqlcmd(&["-b", "-Q", "SELECT 1"]).expect(0).says("(1 rows affected)");
}

// Catches: an option that is read and dropped on the way to the server in this process, or to the one
// that runs; this machine's own name taken for another's, with an instance or without.
#[rstest]
fn a_session_is_what_the_options_say(#[values(false, true)] is_remote: bool) {
    let installed = Installed::new();
    let server = is_remote.then(|| serve(&installed.scene));
    let machine = String::from_utf8(Command::new("hostname").output().unwrap().stdout).unwrap();
    let machine = machine.trim();
    let named = format!("{machine}\\SQL2016");
    let login = if is_remote { "tester" } else { "sa" };
    let itself = if is_remote { machine } else { &named };
    for (words, query, expected) in [
        (&["-H", "desk 7"][..], "HOST_NAME()", "desk 7"),
        (&[], "HOST_NAME()", machine),
        (&["-d", "pubs"], "DB_NAME()", "pubs"),
        (&["-dNorthwind"], "DB_NAME()", "Northwind"),
        (&[], "DB_NAME()", "master"),
        (&["-S", machine], "@@SERVERNAME", machine),
        (&["-S", machine, "-d", "pubs"], "DB_NAME()", "pubs"),
        (&["-S", &machine.to_uppercase()], "SUSER_NAME()", login),
        (&["-S", "."], "SUSER_NAME()", login),
        (&["-S", "(local)"], "SUSER_NAME()", login),
        (&["-S", "localhost\\MSSQLSERVER"], "SUSER_NAME()", login),
        (&["-S", ".\\SQL2016"], "@@SERVERNAME", itself),
        (&["-S", &named], "@@SERVERNAME", itself),
        (&["-S", &named], "SUSER_NAME()", login),
    ] {
        let query = format!("SET NOCOUNT ON; SELECT {query}");
        let ended = installed.sqlcmd(&[words, &["-W", "-h-1", "-Q", &query]].concat());
        // Windows has a machine's name in capitals here and as it was given there.
        let is_expected = ended.expect(0).out.eq_ignore_ascii_case(&format!("{expected}\n"));
        assert!(is_expected, "{words:?} {query}: {}, not {expected}", ended.out);
    }
    if let Some((mut server, _)) = server {
        server.kill();
        server.wait();
    }
}

// Catches: a login that waits for ever, or for another time than was given.
#[test]
fn a_login_has_a_time_limit() {
    let installed = Installed::new();
    // Connections are made and nobody answers them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("tcp:127.0.0.1,{}", silent.local_addr().unwrap().port());
    let words = ["-S", &server, "-U", "u", "-P", "p", "-l", "1", "-Q", "SELECT 1"];
    installed.sqlcmd(&words).expect(1).says("login timeout expired after 1 s");
}

// Catches: a command of the operating system that is executed; -X1 that goes on, -X that does not.
#[rstest]
#[case::default(&[], 0, "after\n")]
#[case::told_of(&["-X"], 0, "after\n")]
#[case::ends(&["-X1"], 1, "")]
fn commands_of_the_system_are_off(#[case] more: &[&str], #[case] code: i32, #[case] out: &str) {
    let installed = Installed::new();
    for command in ["!!echo executed", ":!!echo executed", "ED"] {
        let text = format!("{command}\nPRINT 'after'\n");
        let script = installed.scene.file("script.sql", text.as_bytes());
        let ended = installed.sqlcmd(&[more, &["-i", script.to_str().unwrap()]].concat());
        assert_eq!(ended.expect(code).out, out, "{command}");
        assert_eq!(ended.err, "ED and !!<command> commands are disabled.\n");
    }
}

fn show(scene: &Scene, path: &Path, more: &str) -> Ended {
    let mut command = scene.vdisim("mtf show");
    command.arg(path).args(more.split_whitespace());
    scene.run(command)
}

// Catches: a description that lacks what a person asks for, JSON that no program can read.
#[test]
fn a_real_backup_is_described() {
    let Some(file) = golden::golden("full-2019.bak") else { return };
    let scene = Scene::new();
    let shown = show(&scene, &file, "");
    shown.expect(0).says("Microsoft SQL Server").says("version 15.0").says("kind            full");
    shown.says("The backup is complete.");
    let json = show(&scene, &file, "--json");
    let json: serde_json::Value = serde_json::from_str(&json.expect(0).out).unwrap();
    assert_eq!(json["version"], 1);
    let described = &json["files"][0];
    assert_eq!(described["file"], file.to_str().unwrap());
    assert_eq!(described["size"], fs::metadata(&file).unwrap().len());
    assert_eq!(described["complete"], true);
    assert_eq!(described["sets"][0]["configuration"]["kind"], "full");
}

// Catches: a bad file that passes, or that is refused without saying why and where.
#[test]
fn bad_backups_are_told_apart() {
    let scene = Scene::new();
    let no_backup = scene.file("text", b"This is no backup at all.");
    show(&scene, &no_backup, "").expect(2).says("it is no Microsoft Tape Format stream");
    let compressed = scene.file("compressed", b"MSSQLBAK\x01\x00\x00\x00\x02\x00\x00\x00");
    show(&scene, &compressed, "").expect(2).says("MSSQLBAK").says("NO_COMPRESSION");
    show(&scene, &scene.file("empty", b""), "").expect(2).says("the stream is empty");
    show(&scene, &scene.path("missing"), "").expect(2).says("missing");
    let Some(file) = golden::golden("full-2019.bak") else { return };
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(123_456);
    let short = scene.file("short", &bytes);
    show(&scene, &short, "").expect(1).says("the stream ends at byte 123456");
    show(&scene, &short, "--json").expect(1).says("\"complete\": false");
    bytes[0x2005] ^= 1;
    show(&scene, &scene.file("damaged", &bytes), "").expect(1).says("at byte 8192");
}

// Catches: a login without a password that waits for somebody to type one where nobody can, or that is
// tried with an empty one; the environment's password not taken.
#[test]
fn a_password_is_asked_for_at_a_terminal_only() {
    let installed = Installed::new();
    let (mut server, port) = serve(&installed.scene);
    let address = format!("tcp:127.0.0.1,{port}");
    let words = ["-S", &address, "-U", "tester", "-b", "-Q", "SELECT 'in'"];
    for (name, variable) in [("sqlcmd", "SQLCMDPASSWORD"), ("osql", "OSQLPASSWORD")] {
        let ended = installed.scene.run(installed.command(name, &words));
        ended.expect(1);
        assert!(
            ended.err.contains("needs a password") && ended.err.contains(variable),
            "{}",
            ended.err
        );
        let mut command = installed.command(name, &words);
        command.env(variable, "Pässw0rd");
        installed.scene.run(command).expect(0);
    }
    server.kill();
}
