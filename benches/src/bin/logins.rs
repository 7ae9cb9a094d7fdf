//! Measures how many times a second a client can connect to `vdisim serve` over loopback, log in without TLS and run a
//! trivial batch: a table on stderr, JSON on stdout. `vdisim` has to lie beside this program:
//! `cargo build --release -p vdisim -p vdisim-benches`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use vdisim_benches::report::{Goal, Report};
use vdisim_benches::runner::estimate;

/// Logins with a trivial batch a second.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long to measure: a sample a second.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 4)]
    clients: usize,
}

/// Types of messages (MS-TDS 2.2.3.1.1).
const BATCH: u8 = 0x01;
const LOGIN7: u8 = 0x10;
const PRELOGIN: u8 = 0x12;

/// Bytes of a packet's header.
const HEADER: usize = 8;

/// Bytes of LOGIN7 before its texts.
const LOGIN_FIXED: usize = 94;

const USER: &str = "sa";
const PASSWORD: &str = "secret";

/// The server, killed when the measurement is over.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, 1];
    packet.extend(u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX).to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(body);
    packet
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// VERSION and ENCRYPTION: not supported (MS-TDS 2.2.6.5).
fn prelogin() -> Vec<u8> {
    packet(PRELOGIN, &[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 9, 0, 0, 0, 0, 0, 2])
}

/// LOGIN7 with a user and a password (MS-TDS 2.2.6.4).
fn login() -> Vec<u8> {
    let mut fixed = vec![0; LOGIN_FIXED];
    fixed[4..8].copy_from_slice(&0x7400_0004_u32.to_le_bytes());
    fixed[8..12].copy_from_slice(&4096_u32.to_le_bytes());
    let scrambled = utf16(PASSWORD).into_iter().map(|byte| byte.rotate_left(4) ^ 0xa5).collect();
    let mut texts = Vec::new();
    for (at, bytes) in [(40, utf16(USER)), (44, scrambled)] {
        let offset = (LOGIN_FIXED + texts.len()) as u16;
        fixed[at..at + 2].copy_from_slice(&offset.to_le_bytes());
        fixed[at + 2..at + 4].copy_from_slice(&(bytes.len() as u16 / 2).to_le_bytes());
        texts.extend(bytes);
    }
    let length = (fixed.len() + texts.len()) as u32;
    fixed[..4].copy_from_slice(&length.to_le_bytes());
    packet(LOGIN7, &[fixed, texts].concat())
}

/// `SELECT 1` behind its headers (MS-TDS 2.2.5.3).
fn batch() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(22_u32.to_le_bytes());
    body.extend(18_u32.to_le_bytes());
    body.extend(2_u16.to_le_bytes());
    body.extend(0_u64.to_le_bytes());
    body.extend(1_u32.to_le_bytes());
    body.extend(utf16("SELECT 1"));
    packet(BATCH, &body)
}

/// Reads one answer to its last packet; its bytes.
fn answer(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let start = bytes.len();
        bytes.resize(start + length - HEADER, 0);
        stream.read_exact(&mut bytes[start..])?;
        if header[1] & 1 != 0 {
            return Ok(bytes);
        }
    }
}

/// One login and one batch.
fn visit(address: SocketAddr, messages: &[Vec<u8>; 3]) -> Result<()> {
    /// LOGINACK, and ROW with an int of four bytes: 1.
    const WELCOME: u8 = 0xad;
    const ROW: [u8; 6] = [0xd1, 4, 1, 0, 0, 0];
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = Vec::new();
    for message in messages {
        stream.write_all(message)?;
        answers.push(answer(&mut stream)?);
    }
    if !answers[1].contains(&WELCOME) || !answers[2].windows(ROW.len()).any(|bytes| bytes == ROW) {
        bail!("the server answers something else: {answers:?}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let Arguments { seconds, clients } = Arguments::parse();
    let home = tempfile::tempdir()?;
    let vdisim = std::env::current_exe()?.with_file_name("vdisim");
    let mut server = Server(
        Command::new(&vdisim)
            .args(["serve", "--listen", "127.0.0.1:0", "--login", &format!("{USER}:{PASSWORD}")])
            .env("XDG_DATA_HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", vdisim.display()))?,
    );
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().context("no output")?).read_line(&mut line)?;
    let address: SocketAddr =
        line.trim().rsplit(' ').next().context("no address")?.parse().context(line.clone())?;

    let messages = [prelogin(), login(), batch()];
    let rates = (0..seconds).map(|_| rate(address, &messages, clients));
    let rates = rates.collect::<Result<Vec<f64>>>()?;
    let mut report = Report::default();
    report.add("logins_per_s", "/s", estimate(rates), Goal::AtLeast(2000.0));
    eprint!("{report}");
    println!("{}", report.to_json());
    Ok(())
}

/// Visits of a second, by so many clients at once.
fn rate(address: SocketAddr, messages: &[Vec<u8>; 3], clients: usize) -> Result<f64> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(1);
    let count: u64 = thread::scope(|scope| {
        let visits = || {
            let mut count = 0;
            while Instant::now() < end {
                visit(address, messages)?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(visits)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a client's thread"));
        joined.sum::<Result<u64>>()
    })?;
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}
