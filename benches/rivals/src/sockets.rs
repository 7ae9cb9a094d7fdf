//! Mechanisms by which the kernel copies: the consumer reads into a buffer of its own and adds that up.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Result;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, bytes_channel};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::pipe::fcntl_setpipe_size;
use zerocopy::IntoBytes;

use crate::link::{Receiver, Sender, soon, sum};

/// As large as a pipe may be without privileges.
const PIPE: usize = 1 << 20;
/// Larger than the default, which makes a Unix socket some percent faster.
const SEND_BUFFER: usize = 4 << 20;

/// Writes every buffer out.
pub(crate) struct In<W>(W);

impl<W: Write> Sender for In<W> {
    fn send(&mut self, chunk: &[u64]) -> Result<()> {
        Ok(self.0.write_all(chunk.as_bytes())?)
    }
}

/// Reads every buffer into its own.
pub(crate) struct Out<R>(R, Vec<u64>);

impl<R: Read> Receiver for Out<R> {
    fn receive(&mut self) -> Result<u64> {
        self.0.read_exact(self.1.as_mut_bytes())?;
        Ok(sum(&self.1))
    }
}

fn own_buffer(size: usize) -> Vec<u64> {
    vec![0; size / 8]
}

pub(crate) fn pipe_in(folder: &Path) -> Result<In<File>> {
    // Opening waits for the reader.
    let pipe = soon(|| File::options().write(true).open(folder.join("pipe")))?;
    fcntl_setpipe_size(&pipe, PIPE)?;
    Ok(In(pipe))
}

pub(crate) fn pipe_out(folder: &Path, size: usize) -> Result<Out<File>> {
    let path = folder.join("pipe");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
    Ok(Out(File::open(path)?, own_buffer(size)))
}

pub(crate) fn unix_in(folder: &Path) -> Result<In<UnixStream>> {
    let stream = soon(|| UnixStream::connect(folder.join("socket")))?;
    set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
    Ok(In(stream))
}

pub(crate) fn unix_out(folder: &Path, size: usize) -> Result<Out<UnixStream>> {
    let (stream, _) = UnixListener::bind(folder.join("socket"))?.accept()?;
    Ok(Out(stream, own_buffer(size)))
}

pub(crate) fn tcp_in(folder: &Path) -> Result<In<TcpStream>> {
    let stream =
        soon(|| anyhow::Ok(TcpStream::connect(fs::read_to_string(folder.join("port"))?)?))?;
    stream.set_nodelay(true)?;
    Ok(In(stream))
}

pub(crate) fn tcp_out(folder: &Path, size: usize) -> Result<Out<TcpStream>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    publish(folder, "port", &listener.local_addr()?.to_string())?;
    Ok(Out(listener.accept()?.0, own_buffer(size)))
}

pub(crate) fn interprocess_in(folder: &Path) -> Result<In<LocalSocketStream>> {
    let path = folder.join("local");
    let stream =
        soon(|| LocalSocketStream::connect(path.as_path().to_fs_name::<GenericFilePath>()?))?;
    Ok(In(stream))
}

pub(crate) fn interprocess_out(folder: &Path, size: usize) -> Result<Out<LocalSocketStream>> {
    let path = folder.join("local");
    let name = path.as_path().to_fs_name::<GenericFilePath>()?;
    let listener = ListenerOptions::new().name(name).create_sync()?;
    Ok(Out(listener.accept()?, own_buffer(size)))
}

/// The crate's own end needs no wrapper: it sends whole buffers.
impl Sender for IpcBytesSender {
    fn send(&mut self, chunk: &[u64]) -> Result<()> {
        Ok(IpcBytesSender::send(self, chunk.as_bytes())?)
    }
}

/// The crate makes a new vector of bytes for each buffer.
impl Receiver for IpcBytesReceiver {
    fn receive(&mut self) -> Result<u64> {
        let bytes = self.recv()?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().fold(0u64, |all, word| all.wrapping_add(u64::from_ne_bytes(*word))))
    }
}

pub(crate) fn ipc_channel_in(folder: &Path) -> Result<IpcBytesSender> {
    let (server, name) = IpcOneShotServer::<IpcBytesSender>::new()?;
    publish(folder, "server", &name)?;
    Ok(server.accept()?.1)
}

pub(crate) fn ipc_channel_out(folder: &Path) -> Result<IpcBytesReceiver> {
    let (sender, receiver) = bytes_channel()?;
    let name = soon(|| fs::read_to_string(folder.join("server")))?;
    ipc_channel::ipc::IpcSender::connect(name)?.send(sender)?;
    Ok(receiver)
}

/// A file that is there only once it is whole.
fn publish(folder: &Path, name: &str, text: &str) -> Result<()> {
    let unfinished = folder.join("unfinished");
    fs::write(&unfinished, text)?;
    Ok(fs::rename(unfinished, folder.join(name))?)
}
