//! Measures the fake SQL Server's engine against memory and against the raw stream, in turns in one run: a table on
//! stderr, JSON on stdout.
//!
//! * `generate_vs_memcpy`: a BACKUP of a synthetic database, with page checksums, to `/dev/null`.
//! * `parse_vs_memcpy`: the reader over a backup in memory, with all checks.
//! * `verify_vs_memcpy`: RESTORE VERIFYONLY of a file in memory.
//! * `backup_vs_stream`: a BACKUP through a device set to a client process, beside bytes that go there from memory.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fake_sqlserver::catalogue::{RecoveryModel, Server, SyntheticDatabase};
use fake_sqlserver::messages::MemoryLog;
use fake_sqlserver::session::{Instance, Login, Session, TextClient};
use fake_sqlserver::transfer::{
    Attach, FaultPlan, Session as Transfer, Statement, TransferError, Unobserved,
};
use sqlvdi::caller::{CallerSet, DropIn, locate};
use vdi_device::{Environment, Namespace};
use vdi_protocol::{CommandCode, CompletionCode, HResult, Profile, VdConfig};
use vdi_region::Backend;
use vdisim_benches::process;
use vdisim_benches::report::{Goal, Report};
use vdisim_benches::runner::{Contestant, Runner};
use vdisim_benches::source::Source;
use vdisim_benches::subject::Subject;

const MIB: usize = 1 << 20;
const GIB: f64 = (1 << 30) as f64;
/// Bytes of the database that goes nowhere or to a file.
const SMALL: u64 = 512 << 20;
/// What is copied from: more than the caches hold.
const COLD: usize = 64 * MIB;
/// Buffers of the sets, and their size.
const BUFFERS: (usize, usize) = (8, MIB);
/// Buffers that a sample of the raw stream moves.
const STREAM: usize = 1024;
/// The hidden first argument of the client process.
const CLIENT: &str = "__engine_client";
/// The device set.
const SET: &str = "engine";

/// What the engine costs against memory and the raw stream, measured in turns with them.
#[derive(Debug, Parser)]
struct Arguments {
    /// A look: a third of the rounds.
    #[arg(long)]
    quick: bool,
    /// The share of all CPU time that other programs may use during a round that counts.
    #[arg(long, default_value_t = 0.06)]
    others_at_most: f64,
    /// Bytes of the database that goes through two processes.
    #[arg(long, default_value_t = 4 << 30)]
    size: u64,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(CLIENT) {
        return client();
    }
    if process::run_if_other_side()? {
        return Ok(());
    }
    let Arguments { quick, others_at_most, size } = Arguments::parse();
    let cpus = process::two_cpus().context("two processes want a CPU each")?;
    let mut report = Report::default();
    let mut runner = Runner { rounds: if quick { 5 } else { 15 }, others_at_most };
    process::pin(cpus.0);
    alone(&runner, &mut report)?;
    runner.rounds = runner.rounds.div_ceil(3);
    through_two_processes(&runner, cpus, size, &mut report)?;
    eprint!("{report}");
    println!("{}", report.to_json());
    Ok(())
}

/// A server with synthetic databases, in folders of its own in memory.
struct Bench {
    session: Session,
    folder: tempfile::TempDir,
    namespace: String,
}

/// Waits for the set: its client is started at the same time.
struct Waits;

impl Attach for Waits {
    fn attach(&self, world: &Environment, statement: Statement) -> Result<Transfer, TransferError> {
        let wait = Some(Duration::from_secs(60));
        let statement = Statement { wait, ..statement };
        Transfer::attach(world, statement, FaultPlan::default(), Arc::new(Unobserved))
    }
}

impl Bench {
    fn new(databases: &BTreeMap<&str, u64>) -> Result<Bench> {
        let folder = tempfile::tempdir_in("/dev/shm")?;
        let namespace = format!("engine-{}", std::process::id());
        let environment =
            Environment::new(Namespace::new(&namespace)?, Backend::platform_default());
        let server = Server::open(folder.path())?;
        let added = server.update(|catalogue| {
            for (name, used) in databases {
                // The last eighth of a synthetic database is free.
                let (name, size) = ((*name).to_owned(), used.div_ceil(7) * 8);
                let recovery_model = RecoveryModel::Full;
                let synthetic = SyntheticDatabase { name, size, seed: 5, recovery_model };
                let id = catalogue.free_id();
                catalogue.put(synthetic.build(id, Default::default()));
            }
            Ok::<_, std::convert::Infallible>(())
        })?;
        added?;
        let log = Arc::new(MemoryLog::default());
        let mut instance = Instance::new(server, environment, Profile::SQL2016, "BENCH", log);
        instance.attach = Arc::new(Waits);
        let session = Session::new(Arc::new(instance), Login::default());
        Ok(Bench { session, folder, namespace })
    }

    fn run(&mut self, batch: &str) -> Result<Duration> {
        let mut answer = TextClient::default();
        let begun = Instant::now();
        self.session.execute(batch, &[], &mut answer)?;
        let elapsed = begun.elapsed();
        ensure!(!answer.lines.iter().any(|line| line.starts_with("3013")), "{:?}", answer.lines);
        Ok(elapsed)
    }
}

/// GiB a second of what one process does.
fn alone(runner: &Runner, report: &mut Report) -> Result<()> {
    let source = Source::new(COLD, BUFFERS.1);
    let mut hot = vec![0; BUFFERS.1 / 8];
    let mut bench = Bench::new(&BTreeMap::from([("small", SMALL)]))?;
    let file = bench.folder.path().join("backup.bak");
    bench.run(&format!("BACKUP DATABASE small TO DISK='{}'", file.display()))?;
    let (stream, bench) = (std::fs::read(&file)?, std::cell::RefCell::new(bench));
    let backup = || bench.borrow_mut().run("BACKUP DATABASE small TO DISK='/dev/null'");
    let verify = || {
        let file = file.display();
        bench.borrow_mut().run(&format!("RESTORE VERIFYONLY FROM DISK='{file}'"))
    };
    let small = |elapsed: Duration| SMALL as f64 / GIB / elapsed.as_secs_f64();
    let copied = SMALL as usize / BUFFERS.1;
    let rounds = runner.measure(&mut [
        Contestant::new("memcpy", Vec::new(), || Ok(small(source.copy(&mut hot, copied)))),
        Contestant::new("generate", Vec::new(), || Ok(small(backup()?))),
        Contestant::new("parse", Vec::new(), || Ok(small(parse(&stream)?))),
        Contestant::new("verify", Vec::new(), || Ok(small(verify()?))),
    ])?;
    report.count(&rounds);
    report.add("memcpy", "GiB/s", rounds.value("memcpy"), Goal::Reported);
    report.add("generate", "GiB/s", rounds.value("generate"), Goal::Reported);
    let ratio = |name| rounds.ratio(name, "memcpy");
    report.add("generate_vs_memcpy", "", ratio("generate"), Goal::AtLeast(0.7));
    report.add("parse_vs_memcpy", "", ratio("parse"), Goal::AtLeast(0.5));
    report.add("verify_vs_memcpy", "", ratio("verify"), Goal::Reported);
    Ok(())
}

/// Reads a backup as it comes in transfers, with all checks.
fn parse(stream: &[u8]) -> Result<Duration> {
    #[derive(Default)]
    struct Pages(usize);
    impl mtf::Events for Pages {
        type Error = mtf::MtfError;
        fn pages(&mut self, pages: &[u8]) -> Result<(), mtf::MtfError> {
            self.0 += pages.len();
            Ok(())
        }
    }
    let (mut reader, mut pages) = (mtf::Reader::new(), Pages::default());
    let begun = Instant::now();
    for transfer in stream.chunks(BUFFERS.1) {
        reader.feed(transfer, &mut pages)?;
    }
    reader.finish()?;
    let elapsed = begun.elapsed();
    ensure!(pages.0 as u64 >= SMALL, "{} bytes of pages", pages.0);
    Ok(elapsed)
}

/// GiB a second from this process to a client's that adds up what it gets.
fn through_two_processes(
    runner: &Runner,
    cpus: (usize, usize),
    size: u64,
    report: &mut Report,
) -> Result<()> {
    let source = Source::new(COLD, BUFFERS.1);
    let mut bench = Bench::new(&BTreeMap::from([("large", size)]))?;
    let mut subject = Subject::start(cpus, 1, BUFFERS)?;
    let pids = subject.pids();
    let raw = || {
        let bytes = (STREAM * BUFFERS.1) as f64;
        Ok(bytes / GIB / subject.stream(&source, STREAM)?.as_secs_f64())
    };
    let (count, most) = BUFFERS;
    let statement = format!(
        "BACKUP DATABASE large TO VIRTUAL_DEVICE='{SET}' WITH BUFFERCOUNT={count}, MAXTRANSFERSIZE={most}"
    );
    let backup = || {
        let client = start_client(&bench.namespace, cpus.1)?;
        // How long a side spins depends on the CPUs it may use when it opens the set.
        process::unpin();
        let elapsed = bench.run(&statement)?;
        process::pin(cpus.0);
        ensure!(client.wait_with_output()?.status.success(), "the client failed");
        Ok(size as f64 / GIB / elapsed.as_secs_f64())
    };
    let rounds = runner.measure(&mut [
        Contestant::new("stream", pids, raw),
        Contestant::new("backup", Vec::new(), backup),
    ])?;
    report.count(&rounds);
    report.add("stream", "GiB/s", rounds.value("stream"), Goal::Reported);
    report.add("backup", "GiB/s", rounds.value("backup"), Goal::Reported);
    let ratio = rounds.ratio("backup", "stream");
    report.add("backup_vs_stream", "", ratio, Goal::AtLeast(0.6));
    Ok(())
}

/// Starts the client, and waits until it has created its set.
fn start_client(namespace: &str, cpu: usize) -> Result<Child> {
    let child = Command::new(std::env::current_exe()?)
        .args([CLIENT, &cpu.to_string()])
        .env("VDISIM_NAMESPACE", namespace)
        .stdin(Stdio::null())
        .spawn()?;
    let object = format!("vdisim.{namespace}.");
    let is_there = || {
        let names = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        names.into_iter().any(|name| name.file_name().to_string_lossy().starts_with(&object))
    };
    let begun = Instant::now();
    while !is_there() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "the client made no set");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// The client: adds up what it is sent, until the server closes the device.
fn client() -> Result<()> {
    let cpu = std::env::args().nth(2).context("a CPU")?.parse()?;
    let set = CallerSet::new(&DropIn::load(&locate(None)?)?);
    set.create(SET.as_bytes(), &VdConfig { device_count: 1, ..VdConfig::default() })?;
    set.get_configuration(Some(Duration::from_secs(60)))?;
    let device = set.open_device(SET.as_bytes())?;
    process::pin(cpu);
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(error) if error.status == HResult::VD_E_CLOSE => break,
            Err(error) => return Err(error.into()),
        };
        let mut bytes = 0;
        if command.code() == CommandCode::WRITE {
            std::hint::black_box(command.buffer()?.sum()?);
            bytes = command.size();
        }
        command.complete(CompletionCode::ERROR_SUCCESS, bytes.into(), 0)?;
    }
    Ok(set.close()?)
}
